//! One request: where it goes, on which instance it is tried, and what the client is answered.

use super::client::Client;
use super::relay::{Download, Relayed, relay};
use super::reply::Own;
use super::send::{ClientFault, Failed, Times, Upload, exchange};
use super::tunnel::tunnel;
use super::work::Work;
use crate::access::Line;
use crate::cluster::{Attempt, Outcome, Upstream};
use crate::h1::rewrite::{RequestContext, ResponseContext, client_behind, is_sane_request_id};
use crate::h1::{Body, Coding, Framing, Name, Request};
use crate::io::Stream;
use crate::matcher::{Fields, RequestView, normalise};
use crate::problem::Problem;
use crate::table::{CompiledRoute, Routed, Table};
use crate::upstream::connect;
use crate::worker::Worker;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::time::Instant;

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It carries the next request; this one ended then.
    Continue(Instant),
    /// It is closed; all that was sent has been read.
    Close,
    /// It is closed, and what the client is still sending is read for a moment, so that it sees the answer.
    Linger,
    /// It is cut: the client must not take what it got for whole.
    Abort,
}

/// Where a request goes: everything that is known before an instance is chosen.
struct Plan<'t> {
    route: &'t CompiledRoute,
    /// The client behind trusted proxies.
    client: IpAddr,
    trusted: bool,
    explain: bool,
}

/// What the request came to, for metrics and the log.
#[derive(Default)]
struct Done {
    /// The status that the client was sent; 0 where it went away before.
    status: u16,
    received: u64,
    sent: u64,
    instance: Option<Arc<Upstream>>,
}

/// A request that goes nowhere.
struct Refused<'t> {
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

/// Serves the request whose head is the first `length` bytes received.
pub(crate) async fn run(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    length: usize,
    started: Instant,
) -> Next {
    let table = worker.table();
    let plan = match plan(worker, &table, client, work, started) {
        Ok(plan) => plan,
        Err(refused) => return refuse(worker, client, work, length, started, *refused).await,
    };
    let stats = &plan.route.stats;
    stats.begin();
    // The future may be dropped at any await, when a drain runs out of time.
    let mut counted = Counted { route: plan.route, done: Done::default(), open: true };
    let done = &mut counted.done;
    let (next, used) = forward(worker, client, work, length, &plan, started, done).await;
    let ended = if let Next::Continue(at) = next { at } else { Instant::now() };
    let took = ended.saturating_duration_since(started);
    if done.status != 0 {
        stats.record(done.status, took, done.received, done.sent);
        counted.open = false;
    }
    if let Some(log) = &worker.shared.log {
        let done = &counted.done;
        log.record(&Line {
            at: ellie_core::Now::read().wall,
            client: plan.client,
            method: work.request.method.get(&work.received),
            target: work.request.path(&work.received),
            status: if done.status == 0 { 499 } else { done.status },
            took,
            received: done.received,
            sent: done.sent,
            route: plan.route.id(),
            service: plan.route.service(),
            instance: done.instance.as_deref().map_or("-", |u| u.id.as_str()),
            request_id: &work.request_id,
        });
    }
    work.received.drain(..used.min(work.received.len()));
    next
}

/// A request that was begun is recorded, or counts as abandoned.
struct Counted<'t> {
    route: &'t CompiledRoute,
    done: Done,
    open: bool,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.open {
            self.route.stats.abandon();
        }
    }
}

/// Finds the route and everything that follows from it.
fn plan<'t>(
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

async fn refuse(
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

/// How many bytes the body takes, if it is there to its end: only then can the connection carry another request
/// after an answer of the gateway itself.
fn whole_body(request: &Request, received: &[u8]) -> Option<usize> {
    let mut body = Body::new(request.framing);
    let mut trailers = Vec::new();
    let mut at = 0;
    while !body.is_done() {
        let step = body.next(&received[at..], &mut trailers).ok()?;
        if step.skip + step.data == 0 {
            return None;
        }
        at += step.skip + step.data;
    }
    Some(at)
}

/// Sends an answer of the gateway itself; `whole` says that the request's body is read to its end.
async fn answer(worker: &Worker, client: &mut Client, work: &mut Work, own: &Own, whole: bool) -> Next {
    let keep = whole && work.request.keep_alive && !worker.is_draining();
    work.outgoing.clear();
    match (own.send(worker, client, work, !keep).await, keep, whole) {
        (Err(_), ..) => Next::Abort,
        (Ok(()), true, _) => Next::Continue(Instant::now()),
        (Ok(()), false, true) => Next::Close,
        (Ok(()), false, false) => Next::Linger,
    }
}

/// Tries instances until one answers, and passes the answer on. Tells how many received bytes are used up.
async fn forward(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    length: usize,
    plan: &Plan<'_>,
    started: Instant,
    done: &mut Done,
) -> (Next, usize) {
    let route = plan.route;
    let now = started.into_std();
    route.cluster.note_request(now);
    let admitted = route.cluster.admit(now, &mut worker.rng.borrow_mut(), &[]);
    let mut attempt = match admitted {
        Ok(attempt) => attempt,
        Err(refusal) => {
            let own = Own::from(Problem::from(&refusal));
            return answer_without(worker, client, work, length, None, done, own).await;
        }
    };
    let method = work.request.method.get(&work.received);
    let head_only = method == b"HEAD";
    let idempotent = is_idempotent(method);
    let deadline = started + route.timeout;
    let times = Times { deadline, timeout: route.timeout, body: worker.with_live(|live| live.body_timeout) };
    // Instances that failed; empty, and unallocated, for nearly all requests.
    let mut tried: Vec<u64> = Vec::new();
    let (mut stream, mut upload, early, head) = loop {
        let upstream = attempt.upstream().clone();
        let mut upload = Upload::new(work.request.framing, route.max_body.unwrap_or(u64::MAX));
        let early = match fill(work, &mut upload, client, length, plan, &upstream) {
            Ok(early) => early,
            Err(fault) => {
                drop(attempt);
                let own = fault_problem(plan, fault);
                return answer_without(worker, client, work, length, None, done, own).await;
            }
        };
        let tried_one =
            try_on(worker, client, work, &mut upload, &upstream, idempotent, head_only, times).await;
        done.received = upload.received;
        let failed = match tried_one {
            Ok((stream, head)) => {
                done.instance = Some(upstream);
                break (stream, upload, early, head);
            }
            Err(failed) => failed,
        };
        if let Failed::Client(fault) = failed {
            // The instance is not to blame: dropped is cancelled.
            drop(attempt);
            done.instance = Some(upstream);
            if fault == ClientFault::Gone {
                return (Next::Abort, 0);
            }
            let own = fault_problem(plan, fault);
            return answer_without(worker, client, work, length, Some((&upload, early)), done, own).await;
        }
        let at = Instant::now();
        let outcome = outcome_of(&failed);
        let unsent = matches!(failed, Failed::Connect { .. } | Failed::Reset { unsent: true });
        // Nothing that reached the client may be taken back, nor a body that has been streamed be sent again.
        let untouched = !upload.streamed && !work.outgoing.has_sent();
        let lost = matches!(failed, Failed::Reset { .. } | Failed::Timeout);
        let again = untouched && (unsent || (idempotent && lost)) && at < deadline;
        if again && tried.len() < route.retries as usize {
            tried.push(upstream.identity);
            let next = attempt.retry(outcome, at.into_std(), &mut worker.rng.borrow_mut(), &tried);
            if let Ok(next) = next {
                attempt = next;
                route.stats.retried();
                work.outgoing.clear();
                continue;
            }
        } else {
            attempt.finish(outcome, at.into_std());
        }
        let own = Own::from(failed_problem(plan, &upstream, &failed));
        done.instance = Some(upstream);
        return answer_without(worker, client, work, length, Some((&upload, early)), done, own).await;
    };
    let next =
        respond(worker, client, work, plan, &mut upload, attempt, &mut stream, head, early + length, done)
            .await;
    done.received = upload.received;
    if let (Next::Continue(at), Some(upstream), Some(stream)) = (next, &done.instance, stream) {
        let room = worker.shared.config.max_idle;
        worker.pool.borrow_mut().put(upstream.identity, stream, at, room);
    }
    (next, length + early)
}

/// Answers without an instance's answer; tells how many received bytes are used up.
async fn answer_without(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    length: usize,
    upload: Option<(&Upload, usize)>,
    done: &mut Done,
    mut own: Own,
) -> (Next, usize) {
    let body = match upload {
        // What of the body came later was not kept.
        Some((upload, early)) if upload.streamed => upload.body.is_done().then_some(early),
        _ => whole_body(&work.request, &work.received[length..]),
    };
    if work.outgoing.has_sent() && !work.outgoing.is_empty() {
        // Half an interim answer is out: nothing can follow it.
        return (Next::Abort, 0);
    }
    done.status = own.problem.status();
    own.fields.extend_from_slice(&work.extra);
    let next = answer(worker, client, work, &own, body.is_some()).await;
    (next, length + body.unwrap_or(0))
}

/// Writes the head, and the body as far as it came along, for `upstream`. Tells how many bytes came along.
fn fill(
    work: &mut Work,
    upload: &mut Upload,
    client: &Client,
    length: usize,
    plan: &Plan<'_>,
    upstream: &Upstream,
) -> Result<usize, ClientFault> {
    let context = RequestContext {
        client: client.peer,
        trusted: plan.trusted,
        tls: !matches!(client.stream, Stream::Plain(_)),
        request_id: &work.request_id,
        target: &work.target,
        fallback_host: upstream.authority.as_bytes(),
    };
    work.upload.clear();
    let out = work.upload.buffer();
    work.request.write_upstream(&work.received, length, &context, out);
    upload.take(&work.received[length..], out)
}

/// One try on one instance: on a kept connection where there is one, and once on a new one in place of a kept one
/// that the instance had closed.
#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed apart")]
async fn try_on(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    upload: &mut Upload,
    upstream: &Upstream,
    idempotent: bool,
    head_only: bool,
    times: Times,
) -> Result<(Option<Stream>, usize), Failed> {
    let (connect_timeout, idle) = worker.with_live(|live| (live.connect_timeout, live.upstream_idle_timeout));
    let kept = worker.pool.borrow_mut().take(upstream.identity, worker.latest(), idle);
    if let Some(mut stream) = kept {
        worker.shared.table.metrics().upstream_reused();
        match exchange(worker, client, work, upload, &mut stream, head_only, times).await {
            // The instance closed the kept connection under the request: its right, and not its failure.
            Err(Failed::Reset { unsent })
                if (unsent || idempotent) && !upload.streamed && work.answer.is_empty() =>
            {
                work.upload.rewind();
                upload.mend();
            }
            Ok(head) => return Ok((Some(stream), head)),
            Err(failed) => return Err(failed),
        }
    }
    let tls = if upstream.tls { Some(worker.upstream_tls().await) } else { None };
    let left = times.deadline.saturating_duration_since(Instant::now());
    let mut stream = connect(upstream, tls, connect_timeout.min(left)).await.map_err(|e| {
        Failed::Connect { timed_out: e.kind() == std::io::ErrorKind::TimedOut, why: e.to_string() }
    })?;
    worker.shared.table.metrics().upstream_opened();
    let head = exchange(worker, client, work, upload, &mut stream, head_only, times).await?;
    Ok((Some(stream), head))
}

/// Passes the answer on, whose head is the first `head` bytes of [`Work::answer`]. Leaves `stream` where it is only if
/// it can carry another request.
#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed apart")]
async fn respond(
    worker: &Worker,
    client: &mut Client,
    work: &mut Work,
    plan: &Plan<'_>,
    upload: &mut Upload,
    mut attempt: Attempt,
    connection: &mut Option<Stream>,
    head: usize,
    used: usize,
    done: &mut Done,
) -> Next {
    let Some(mut stream) = connection.take() else { return Next::Abort };
    let now = worker.tick();
    let status = work.response.status;
    done.status = status;
    attempt.answered(Outcome::Status(status), now.into_std());
    if plan.explain {
        let text = worker.shared.table.explain(plan.route, &attempt, now.into_std());
        let _ = write!(work.extra, "X-Ellie-Explain: {text}\r\n");
    }
    let framing = work.response.framing;
    let modern = work.request.minor == 1;
    let coding =
        if modern && !matches!(framing, Framing::Length(_)) { Coding::Chunked } else { Coding::Identity };
    // Without the chunked coding, only a length tells the end of the body.
    let told_by_close = coding == Coding::Identity && !matches!(framing, Framing::Length(_));
    let uploading = !upload.is_done(&work.upload);
    let close = !work.request.keep_alive || worker.is_draining() || told_by_close || uploading;
    worker.with_date(|date| {
        let context = ResponseContext {
            client_minor: work.request.minor,
            close,
            coding: Some(coding),
            date,
            extra: &work.extra,
            request_id: &work.request_id,
        };
        work.response.write_client(&work.answer, head, &context, work.outgoing.buffer());
    });
    let idle = worker.with_live(|live| live.body_timeout);
    if status == 101 {
        if client.flush(&mut work.outgoing, idle).await.is_err() {
            return Next::Abort;
        }
        if let Ok(copied) = tunnel(client, &mut stream, &work.received[used..], &work.answer[head..]).await {
            (done.received, done.sent) = copied;
        }
        attempt.finish(Outcome::Status(status), Instant::now().into_std());
        return Next::Close;
    }
    let mut download = Download::new(framing, coding);
    let mut relayed = download.take(&work.answer[head..], work.outgoing.buffer()).err();
    if relayed.is_none() {
        let patient = !download.is_done() && is_event_stream(work);
        let r = relay(worker, client, work, upload, &mut download, &mut stream, idle, patient).await;
        relayed = Some(r);
    }
    done.sent = download.sent;
    let outcome = match relayed {
        Some(Relayed::Complete) => {
            let ended = if download.took_time { worker.tick() } else { now };
            attempt.finish(Outcome::Status(status), ended.into_std());
            let sent_all = upload.is_done(&work.upload);
            if work.response.keep_alive && !download.surplus && sent_all && !worker.is_draining() {
                *connection = Some(stream);
            }
            return match (close, sent_all) {
                (false, _) => Next::Continue(ended),
                (true, true) => Next::Close,
                (true, false) => Next::Linger,
            };
        }
        Some(Relayed::ClientGone) => return Next::Abort,
        Some(Relayed::UpstreamSilent) => Outcome::Timeout,
        Some(Relayed::UpstreamBroke) | None => Outcome::Reset,
    };
    attempt.finish(outcome, Instant::now().into_std());
    // What has been received goes out first; the missing rest is the client's sign.
    let _ = client.flush(&mut work.outgoing, idle).await;
    Next::Abort
}

/// Whether the answer is a stream of events, which may be silent for as long as nothing happens.
fn is_event_stream(work: &Work) -> bool {
    let value = work.response.field(&work.answer, "content-type");
    value.and_then(|v| v.get(..17)).is_some_and(|v| v.eq_ignore_ascii_case(b"text/event-stream"))
}

fn fault_problem(plan: &Plan<'_>, fault: ClientFault) -> Own {
    match fault {
        ClientFault::TooLarge => {
            Problem::too_large(plan.route.service(), plan.route.max_body.unwrap_or(u64::MAX)).into()
        }
        ClientFault::Slow => Problem::invalid_request(408, "the request's body makes no progress").into(),
        ClientFault::Malformed | ClientFault::Gone => {
            Problem::invalid_request(400, "the body's chunked coding is malformed").into()
        }
    }
}

fn outcome_of(failed: &Failed) -> Outcome {
    match failed {
        Failed::Connect { .. } => Outcome::ConnectFailed,
        Failed::Timeout => Outcome::Timeout,
        Failed::Reset { .. } | Failed::Malformed(_) | Failed::Client(_) => Outcome::Reset,
    }
}

fn failed_problem(plan: &Plan<'_>, upstream: &Upstream, failed: &Failed) -> Problem {
    let (service, instance, at) = (plan.route.service(), upstream.id.as_str(), &upstream.authority);
    match failed {
        Failed::Connect { timed_out: false, why } => {
            Problem::bad_gateway(service, instance, &format!("no connection to {at}: {why}"))
        }
        Failed::Connect { timed_out: true, why } => {
            Problem::gateway_timeout(service, instance, &format!("no connection to {at}: {why}"))
        }
        Failed::Timeout => {
            let limit = plan.route.timeout;
            Problem::gateway_timeout(service, instance, &format!("{at} did not answer within {limit:?}"))
        }
        Failed::Malformed(why) => Problem::bad_gateway(service, instance, &format!("{at}: {why}")),
        Failed::Reset { .. } | Failed::Client(_) => {
            Problem::bad_gateway(service, instance, &format!("{at} closed the connection without an answer"))
        }
    }
}

/// Methods that may be sent twice (RFC 9110, 9.2.2).
fn is_idempotent(method: &[u8]) -> bool {
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
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
