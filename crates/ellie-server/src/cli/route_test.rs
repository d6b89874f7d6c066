//! `ellie routes test`: which route a request takes, found by the gateway's own matcher on the server's routes.

use super::args::TestRouteArgs;
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{BOLD, DIM};
use ellie_api::Routes;
use ellie_api::route::Methods;
use ellie_gateway::matcher::{Fields, Found, Index, RequestView, normalise};
use ellie_gateway::route::{Draft, RateLimitDraft, Route};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The header fields of the command line.
struct Given<'a>(&'a [(String, String)]);

impl Fields for Given<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    }
}

pub(super) fn run(ctx: &Context, args: &TestRouteArgs) -> Result<()> {
    let all: Routes = ctx.client()?.get("/routes")?;
    let routes: Vec<Arc<Route>> = all.routes.iter().enumerate().filter_map(|(i, r)| parse(r, i)).collect();
    let index = Index::new(&routes);
    let (raw, query) = args.path.split_once('?').map_or((args.path.as_str(), None), |(p, q)| (p, Some(q)));
    if !raw.starts_with('/') {
        return Err(Error::new(Code::Usage, format!("`{raw}` is not a path: it must begin with `/`")));
    }
    let mut scratch = Vec::new();
    let path = normalise(raw.as_bytes(), &mut scratch);
    let fields = Given(&args.header);
    let request = RequestView {
        method: args.method.as_bytes(),
        path,
        query: query.map(str::as_bytes),
        host: args.host.as_deref().unwrap_or_default().as_bytes(),
        fields: &fields,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let none = |what: String| Err(Error::new(Code::NotFound, what).try_("ellie routes"));
    let route = match index.find(path, &request) {
        Found::Route(i) => routes.get(i).cloned(),
        Found::MethodNotAllowed => {
            let allow = index.allow(path, &request);
            return none(format!(
                "{} {} is answered with 405: only {allow} is routed",
                args.method, args.path
            ));
        }
        Found::NotFound => None,
    };
    let Some(route) = route else {
        return none(format!("{} {} matches no route and is answered with 404", args.method, args.path));
    };
    let mut target = Vec::new();
    route.write_target(path, query.map(str::as_bytes), &mut target);
    let target = String::from_utf8_lossy(&target).into_owned();
    let value = serde_json::json!({
        "route": route.id, "path": route.path.to_string(), "serviceName": route.service.as_str(), "target": target });
    ctx.out.print_one(
        &value,
        |_| route.id.clone(),
        |text| {
            let _ = writeln!(text, "{} {}", args.method, args.path);
            let _ = writeln!(
                text,
                "{DIM}takes route{DIM:#} {BOLD}{}{BOLD:#} {DIM}({}){DIM:#}",
                route.id, route.path
            );
            let _ = writeln!(text, "{DIM}to{DIM:#} {BOLD}{}{BOLD:#} {DIM}as{DIM:#} {target}", route.service);
        },
    )
}

/// A route of the wire as the gateway has it; `order` keeps the server's order of age.
fn parse(r: &ellie_api::Route, order: usize) -> Option<Arc<Route>> {
    let draft = Draft {
        id: r.id.clone(),
        path: Some(r.path.clone()),
        methods: match &r.method {
            None => Vec::new(),
            Some(Methods::One(one)) => vec![one.clone()],
            Some(Methods::Many(many)) => many.clone(),
        },
        host: r.host.clone(),
        headers: r.headers.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        query: r.query.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        service_name: Some(r.service_name.clone()),
        target_path: r.target_path.clone(),
        tags: r.tags.clone(),
        timeout: r.timeout.map(i128::from),
        try_timeout: r.try_timeout.map(i128::from),
        retries: r.retries.map(i128::from),
        retry_on: r.retry_on.as_ref().map(|all| all.iter().copied().map(i128::from).collect()),
        rate_limit: r.rate_limit.as_ref().map(|l| RateLimitDraft {
            window_ms: Some(i128::from(l.window_ms)),
            max: Some(i128::from(l.max)),
            key: l.key.clone(),
        }),
        max_body: r.max_body.map(i128::from),
    };
    let mut route = draft.validate().ok()?;
    if let Some(at) = r.created_at.as_deref().and_then(|at| humantime::parse_rfc3339_weak(at).ok()) {
        route.created_at = at;
    }
    route.order = order as u64;
    Some(Arc::new(route))
}
