//! Where a request goes, decided from its head alone, and the answer to one that goes nowhere.

use super::client::Client;
use super::failure::{answer, whole_body};
use super::reply::Own;
use super::request::Next;
use super::work::Work;
use crate::access::Line;
use crate::h1::rewrite::{client_behind, is_sane_request_id};
use crate::h1::{Framing, Name, Request};
use crate::matcher::{Fields, RequestView, normalise};
use crate::problem::Problem;
use crate::table::{CompiledRoute, Routed, Table};
use crate::worker::Worker;
use std::io::Write as _;
use std::net::IpAddr;
use tokio::time::Instant;

/// Where a request goes: everything that is known before an instance is chosen.
pub(super) struct Plan<'t> {
    pub(super) route: &'t CompiledRoute,
    /// The client behind trusted proxies.
    pub(super) client: IpAddr,
    pub(super) trusted: bool,
    pub(super) explain: bool,
}

/// A request that goes nowhere.
pub(super) struct Refused<'t> {
    own: Own,
    route: Option<&'t CompiledRoute>,
    client: IpAddr,
}

/// The request's fields, as the matcher sees them.
struct View<'a>(&'a Request, &'a [u8]);

impl Fields for View<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.field(self.1, name)
    }
}

/// Finds the route and everything that follows from it.
pub(super) fn plan<'t>(
    worker: &Worker,
    table: &'t Table,
    peer: &Client,
    work: &mut Work,
    now: Instant,
) -> Result<Plan<'t>, Box<Refused<'t>>> {
    let (request, buf) = (&work.request, &work.received[..]);
    let (trusted, client) = worker.with_live(|live| {
        let trusted = (live.trusted)(peer.peer);
        (
            trusted,
            if trusted { client_behind(request, buf, peer.peer, |ip| (live.trusted)(ip)) } else { peer.peer },
        )
    });
    work.request_id.clear();
    match request.known(buf, Name::XRequestId) {
        Some(id) if is_sane_request_id(id) => work.request_id.extend_from_slice(id),
        _ => worker.write_id(&mut work.request_id),
    }
    let refused = |own: Own, route: Option<&'t CompiledRoute>| Err(Box::new(Refused { own, route, client }));
    if request.max_forwards(buf) == Some(0) {
        let why = "Max-Forwards ends here, and the gateway itself has nothing to answer";
        return refused(Problem::invalid_request(400, why).into(), None);
    }
    let path = normalise(request.path(buf), &mut work.path);
    let query = request.query.map(|q| q.get(buf));
    let fields = View(request, buf);
    let view = RequestView {
        method: request.method.get(buf),
        path,
        query,
        host: host_of(request.authority.get(buf)),
        fields: &fields,
        client,
    };
    let route: &CompiledRoute = match table.route(&view) {
        Routed::Route(route) => route,
        Routed::MethodNotAllowed(allow) => {
            let mut own = Own::from(Problem::method_not_allowed(&allow));
            let _ = write!(own.fields, "Allow: {allow}\r\n");
            return refused(own, None);
        }
        Routed::NotFound => return refused(Problem::no_route(path).into(), None),
    };
    work.extra.clear();
    if let Some(verdict) = route.check_limit(&view, now.into_std()) {
        verdict.write_fields(&mut work.extra);
        if !verdict.allowed {
            route.stats.limited();
            return refused(Own::from(Problem::rate_limited(route, &verdict)), Some(route));
        }
    }
    if let (Framing::Length(n), Some(most)) = (request.framing, route.max_body)
        && n > most
    {
        return refused(Problem::too_large(route.service(), most).into(), Some(route));
    }
    work.target.clear();
    route.write_target(path, query, &mut work.target);
    let explain = request.known(buf, Name::XEllieExplain) == Some(b"1")
        && worker.shared.table.explain_allowed(bearer(request.known(buf, Name::Authorization)));
    Ok(Plan { route, client, trusted, explain })
}

pub(super) async fn refuse(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    length: usize,
    started: Instant,
    refused: Refused<'_>,
) -> Next {
    let Refused { mut own, route, client: behind } = refused;
    let status = own.problem.status();
    own.fields.append(&mut work.extra);
    if let Some(route) = route {
        route.stats.begin();
        route.stats.record(status, started.elapsed(), 0, 0);
    } else {
        worker.shared.table.metrics().unrouted(status, started.elapsed());
    }
    let body = whole_body(&work.request, &work.received[length..]);
    if let Some(log) = &worker.shared.log {
        log.record(&Line {
            at: ellie_core::Now::read().wall,
            client: behind,
            method: work.request.method.get(&work.received),
            target: work.request.path(&work.received),
            status,
            took: started.elapsed(),
            received: 0,
            sent: 0,
            route: route.map_or("-", CompiledRoute::id),
            service: route.map_or("-", CompiledRoute::service),
            instance: "-",
            request_id: &work.request_id,
        });
    }
    let next = answer(worker, client, work, &own, body.is_some()).await;
    if let Some(body) = body {
        // The body of a refused request, which came along whole, is skipped.
        work.received.drain(..length + body);
    }
    next
}

/// The host of an authority, without port.
fn host_of(authority: &[u8]) -> &[u8] {
    if authority.first() == Some(&b'[') {
        return memchr::memchr(b']', authority).map_or(authority, |end| &authority[..=end]);
    }
    memchr::memrchr(b':', authority).map_or(authority, |at| &authority[..at])
}

fn bearer(authorization: Option<&[u8]>) -> Option<&[u8]> {
    let value = authorization?;
    let scheme = value.get(..7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| value[7..].trim_ascii())
}
