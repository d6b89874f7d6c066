//! `[[routes]]`: gateway routes in the specification's shape.

use super::origin::Origin;
use super::parse;
use super::raw::{Table, Value, find};
use super::read::{Findings, Section, tables};
use super::resolved::{RateKey, RateLimit, Route};
use ellie_core::model::excerpt;
use ellie_gateway::route::{Draft, RateLimitDraft};
use std::collections::HashMap;

/// Reads and checks all.
pub(super) fn read(layers: &[&Table], out: &mut Findings) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let mut seen: HashMap<String, Origin> = HashMap::new();
    for (i, (table, origin)) in tables(layers, "routes", out).into_iter().enumerate() {
        let path = format!("routes[{i}]");
        let section = Section::inner(path.clone(), table, out);
        let Some((mut route, named)) = route(section, table, &origin) else { continue };
        if let Some(twin) = routes.iter().find(|r| same_match(r, &route)) {
            out.warnings.push(format!(
                "{origin}: {path} matches what `{}` matches and never gets a request",
                twin.id
            ));
        }
        if !named {
            let base = std::mem::take(&mut route.id);
            route.id = (1..)
                .map(|n| if n == 1 { base.clone() } else { format!("{base}-{n}") })
                .find(|id| !seen.contains_key(id))
                .unwrap_or(base);
        }
        if let Some(first) = seen.get(&route.id) {
            let at = find(table, "id").map_or(&origin, |entry| &entry.typed.origin);
            out.fault(
                at,
                format!("{path}.id"),
                format!("`{}` is the id of another route, from {first}", route.id),
            );
            continue;
        }
        seen.insert(route.id.clone(), origin);
        routes.push(route);
    }
    routes
}

fn same_match(a: &Route, b: &Route) -> bool {
    (&a.path, &a.methods, &a.host, &a.headers, &a.query)
        == (&b.path, &b.methods, &b.host, &b.headers, &b.query)
}

/// Reads one; the gateway's own rules decide what is right.
fn route(mut s: Section<'_>, table: &Table, origin: &Origin) -> Option<(Route, bool)> {
    let path = s.path().to_owned();
    let draft = Draft {
        id: s.opt("id", parse::any_text),
        path: s.opt("path", parse::any_text),
        methods: s.get("method", Vec::new(), methods),
        host: s.opt("host", parse::any_text),
        headers: pairs(&mut s, "headers"),
        query: pairs(&mut s, "query"),
        service_name: s.opt("service_name", parse::any_text),
        target_path: s.opt("target_path", parse::any_text),
        tags: s.get("tags", Vec::new(), parse::list(usize::MAX, parse::any_text)),
        timeout: s.opt("timeout", parse::milliseconds),
        try_timeout: s.opt("try_timeout", parse::milliseconds),
        retries: s.opt("retries", parse::integer),
        retry_on: s.opt("retry_on", parse::list(usize::MAX, parse::integer)),
        rate_limit: s.section("rate_limit").map(rate_limit),
        max_body: s.opt("max_body", parse::bytes),
    };
    let named = draft.id.is_some();
    let result = draft.validate();
    match result {
        Ok(r) => {
            s.finish();
            Some((of(&r), named))
        }
        Err(faults) => {
            let renamed = faults.into_iter().map(|fault| ellie_core::Fault {
                field: fault.field.replace("rateLimit.windowMs", "rateLimit.window"),
                message: fault.message.replace("windowMs", "window"),
            });
            let placed =
                renamed.filter_map(|fault| super::services::place(&fault, &path, table, origin)).collect();
            s.out().extend(placed);
            s.finish();
            None
        }
    }
}

fn of(r: &ellie_gateway::route::Route) -> Route {
    let pairs =
        |all: &[ellie_gateway::route::Match]| all.iter().map(|m| (m.name.clone(), m.value.clone())).collect();
    Route {
        id: r.id.clone(),
        path: r.path.to_string(),
        methods: r.methods.clone(),
        host: r.host.as_ref().map(|h| h.as_str().to_owned()),
        headers: pairs(&r.headers),
        query: pairs(&r.query),
        service_name: r.service.to_string(),
        target_path: r.target_path.clone(),
        tags: r.tags.clone(),
        timeout: r.timeout,
        try_timeout: r.try_timeout,
        retries: r.retries,
        retry_on: r.retry_on,
        max_body: r.max_body,
        rate_limit: r.rate_limit.as_ref().map(|l| RateLimit {
            window: l.window,
            max: l.max,
            key: match &l.key {
                ellie_gateway::route::RateKey::Client => RateKey::Client,
                ellie_gateway::route::RateKey::Header(name) => RateKey::Header(name.clone()),
                ellie_gateway::route::RateKey::Global => RateKey::Global,
            },
        }),
    }
}

fn rate_limit(mut s: Section<'_>) -> RateLimitDraft {
    let draft = RateLimitDraft {
        window_ms: s.opt("window", parse::milliseconds),
        max: s.opt("max", parse::integer),
        key: s.opt("key", parse::any_text),
    };
    s.finish();
    draft
}

/// `GET`, `["GET", "HEAD"]`, or `*` for any.
fn methods(value: &Value) -> Result<Vec<String>, String> {
    let mut methods = match value {
        Value::List(_) => parse::list(64, parse::any_text)(value)?,
        _ => vec![parse::any_text(value)?],
    };
    if methods.iter().any(|method| method == "*") {
        methods.clear();
    }
    Ok(methods)
}

/// Names with the value that is wanted, or `true` for any.
fn pairs(s: &mut Section<'_>, key: &'static str) -> Vec<(String, Option<String>)> {
    let path = s.key(key);
    let mut pairs = Vec::new();
    for entry in s.table(key).into_iter().flatten() {
        match &entry.typed.value {
            Value::Bool(true) => pairs.push((entry.key.clone(), None)),
            Value::Text(text) => pairs.push((entry.key.clone(), Some(text.clone()))),
            other => {
                let message = format!("is {}; text, or true for any value, is wanted", other.kind());
                s.out().fault(&entry.typed.origin, format!("{path}.{}", excerpt(&entry.key)), message);
            }
        }
    }
    pairs
}
