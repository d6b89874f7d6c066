//! `POST /ui/route-test`: where a request would go, and why. Nothing is sent and nothing is counted.

use super::super::fields::{Faults, Fields};
use super::super::problem::{Error, Result};
use super::super::query::Query;
use super::super::{body, resolve, routes};
use super::{Shared, detail};
use axum::Json;
use axum::extract::{Extension, Request};
use ellie_api::problem::kind;
use ellie_api::ui::{Considered, RouteAnswer};
use ellie_core::Now;
use ellie_gateway::explain::{RouteTest, Verdict};
use ellie_gateway::matcher::Fields as HeaderFields;

/// Bytes of a path, and of a header field, that are looked at.
const MAX_TEXT: usize = 8 << 10;

/// The header fields that were given.
struct Given(Vec<(String, Option<String>)>);

impl HeaderFields for Given {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let field = self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_deref().unwrap_or_default().as_bytes())
    }
}

/// What is asked.
struct Question {
    method: String,
    host: String,
    path: String,
    headers: Given,
}

/// The handler.
pub(super) async fn route_test(
    Extension(ui): Extension<Shared>,
    request: Request,
) -> Result<Json<RouteAnswer>> {
    Query::new(request.uri().query()).finish()?;
    let asked = question(body::json(&ui.state, request, false).await?)?;
    let table = ui.state.ellie().gateway.table();
    // A route that was added a moment ago counts.
    table.refresh(Now::read().instant);
    let found = table.load().route_test(&asked.method, &asked.host, &asked.path, &asked.headers);
    Ok(Json(answer(&ui, &asked, &found)))
}

fn question(value: super::super::json::Value) -> Result<Question> {
    let mut faults = Faults::default();
    let mut asked = Question {
        method: "GET".into(),
        host: String::new(),
        path: String::new(),
        headers: Given(Vec::new()),
    };
    if let Some(mut f) = Fields::of(value, "", &mut faults) {
        if let Some(method) = f.string("method") {
            if method.is_empty() || !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') {
                f.fault("method", "is not a method such as GET");
            }
            asked.method = method.to_ascii_uppercase();
        }
        asked.host = f.string("host").unwrap_or_default();
        match f.string("path") {
            Some(path) if path.starts_with('/') && path.len() <= MAX_TEXT => asked.path = path,
            Some(path) if path.len() > MAX_TEXT => {
                f.fault("path", format!("is longer than {MAX_TEXT} bytes"));
            }
            Some(_) => f.fault("path", "must begin with `/`"),
            None => f.fault("path", "is required: path and query, such as /api/orders/7?x=1"),
        }
        asked.headers = Given(f.pairs("headers", false).into_iter().collect());
        f.finish();
    }
    if faults.is_empty() { Ok(asked) } else { Err(Error::invalid(kind::INVALID_REQUEST, faults)) }
}

fn answer(ui: &Shared, asked: &Question, found: &RouteTest) -> RouteAnswer {
    let considered = found.considered.iter().map(|c| Considered {
        id: c.route.id.clone(),
        path: c.route.path.to_string(),
        verdict: match &c.verdict {
            Verdict::Matched => "matched",
            Verdict::Shadowed => "shadowed",
            Verdict::Host => "host",
            Verdict::Method => "method",
            Verdict::Header(_) => "header",
            Verdict::Query(_) => "query",
        }
        .into(),
        text: c.verdict.to_string(),
    });
    let considered: Vec<Considered> = considered.collect();
    let what = format!("{} {}", asked.method, found.path);
    let none = |outcome: &str, allow: Option<String>, verdict: String| RouteAnswer {
        outcome: outcome.into(),
        path: found.path.clone(),
        route: None,
        target: None,
        allow,
        considered: considered.clone(),
        resolve: None,
        breaker: None,
        verdict,
    };
    let Some(route) = &found.matched else {
        return match &found.allow {
            Some(allow) => none(
                "method_not_allowed",
                Some(allow.clone()),
                format!("{what} is answered with 405: only {allow} is routed"),
            ),
            None => none("not_found", None, format!("{what} matches no route and is answered with 404")),
        };
    };
    let service = route.service.as_str();
    let tags: Vec<&str> = route.tags.iter().map(String::as_str).collect();
    let resolved = resolve::resolved(&ui.state, service, &tags, true).ok();
    let breaker = detail::breaker(&ui.state, service);
    let refused = breaker.as_ref().is_some_and(|b| b.state == ellie_api::BreakerState::Open);
    let pick = resolved.as_ref().and_then(|r| r.instance.as_ref());
    let end = match (&resolved, pick) {
        _ if refused => "whose circuit breaker is open: it is answered with 503".into(),
        (None, _) => "which nobody has registered: it is answered with 503".into(),
        (Some(_), None) => "none of whose instances gets traffic: it is answered with 503".into(),
        (Some(_), Some(i)) => format!("where {} is the likeliest instance now", i.id),
    };
    RouteAnswer {
        verdict: format!("{what} takes the route {} to {service}, {end}", route.id),
        route: Some(routes::sent(route)),
        target: found.target.clone(),
        resolve: resolved,
        breaker,
        ..none("routed", None, String::new())
    }
}
