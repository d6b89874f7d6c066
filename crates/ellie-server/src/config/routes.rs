//! `[[routes]]`: gateway routes in the specification's shape.

use super::origin::Origin;
use super::parse;
use super::raw::{Table, Value, find};
use super::read::{Findings, Section, tables};
use super::resolved::{RateKey, RateLimit, Route};
use ellie_core::ServiceName;
use ellie_core::model::{InstanceId, excerpt};
use std::collections::HashMap;
use std::time::Duration;

/// How long a path or a value to match may be.
const MAX_TEXT: usize = 1024;
/// How many methods, headers or query parameters a route may match on.
const MAX_MATCHES: usize = 32;

/// Reads and checks all.
pub(super) fn read(layers: &[&Table], out: &mut Findings) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    let mut seen: HashMap<String, Origin> = HashMap::new();
    for (i, (table, origin)) in tables(layers, "routes", out).into_iter().enumerate() {
        let path = format!("routes[{i}]");
        let Some(mut route) = route(Section::inner(path.clone(), table, out), &origin) else { continue };
        if let Some(twin) = routes.iter().find(|r| same_match(r, &route)) {
            out.warnings.push(format!(
                "{origin}: {path} matches what `{}` matches and never gets a request",
                twin.id
            ));
        }
        if route.id.is_empty() {
            let base = generated_id(&route);
            route.id = base.clone();
            for n in 2.. {
                if !seen.contains_key(&route.id) {
                    break;
                }
                route.id = format!("{base}-{n}");
            }
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

/// `get-api-users` of `GET /api/users/*`.
fn generated_id(route: &Route) -> String {
    let words =
        route.methods.iter().map(String::as_str).chain(route.host.as_deref()).chain([route.path.as_str()]);
    let text = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    let parts: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    let id: String = parts.join("-").chars().take(100).collect();
    if id.is_empty() { "root".into() } else { id }
}

fn route(mut s: Section<'_>, origin: &Origin) -> Option<Route> {
    let clean = s.out().is_clean();
    let id = s.opt("id", id);
    let path = s.opt("path", pattern);
    let methods = s.get("method", Vec::new(), methods);
    let host = s.opt("host", host);
    let headers = pairs(&mut s, "headers", |name| {
        let fine = !name.is_empty() && name.bytes().all(is_token);
        fine.then(|| name.to_ascii_lowercase())
            .ok_or_else(|| format!("`{}` is not a header's name", excerpt(name)))
    });
    let query = pairs(&mut s, "query", |name| Ok(name.to_owned()));
    let service_name = s.opt("service_name", service_name);
    let target_path = s.opt("target_path", absolute);
    let tags = s.get("tags", Vec::new(), parse::list(64, parse::some_text));
    let timeout = s.opt("timeout", parse::duration(Duration::from_millis(1)));
    let retries = s.opt("retries", parse::within(0, 10));
    let rate_limit = match s.section("rate_limit") {
        Some(limit) => rate_limit(limit, origin),
        None => None,
    };
    for (key, missing) in [("path", path.is_none()), ("service_name", service_name.is_none())] {
        if missing && s.origin(key).is_none() {
            let full = s.key(key);
            s.out().fault(origin, full, "is required");
        }
    }
    let still_clean = s.out().is_clean();
    s.finish();
    if clean && !still_clean {
        return None;
    }
    Some(Route {
        id: id.unwrap_or_default(),
        path: path?,
        methods,
        host,
        headers,
        query,
        service_name: service_name?,
        target_path,
        tags,
        timeout,
        retries,
        rate_limit,
    })
}

fn rate_limit(mut s: Section<'_>, origin: &Origin) -> Option<RateLimit> {
    let window = s.opt("window", parse::duration(Duration::from_millis(1)));
    let max = s.opt("max", parse::within(1, 1_000_000_000));
    let key = s.get("key", RateKey::Client, rate_key);
    for (key, missing) in [("window", window.is_none()), ("max", max.is_none())] {
        if missing && s.origin(key).is_none() {
            let full = s.key(key);
            s.out().fault(origin, full, "is required");
        }
    }
    s.finish();
    Some(RateLimit { window: window?, max: max?, key })
}

impl super::show::Show for RateKey {
    fn show(&self) -> String {
        super::show::quoted(&self.to_string())
    }
}

fn rate_key(value: &Value) -> Result<RateKey, String> {
    let text = parse::any_text(value)?;
    match text.strip_prefix("header:") {
        Some(name) if !name.is_empty() && name.bytes().all(is_token) => {
            Ok(RateKey::Header(name.to_ascii_lowercase()))
        }
        None if text == "client" => Ok(RateKey::Client),
        None if text == "global" => Ok(RateKey::Global),
        _ => Err(format!("`{}` is not client, global or header:NAME", excerpt(&text))),
    }
}

/// A character of a method or a header's name (RFC 9110, `tchar`).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn id(value: &Value) -> Result<String, String> {
    let text = parse::any_text(value)?;
    InstanceId::new(&text).map(|id| id.to_string()).map_err(|fault| fault.message)
}

fn service_name(value: &Value) -> Result<String, String> {
    let text = parse::any_text(value)?;
    ServiceName::new(&text).map(|name| name.to_string()).map_err(|fault| fault.message)
}

/// A path as it stands in a request: absolute, without query, dots or characters that have to be escaped.
fn absolute(value: &Value) -> Result<String, String> {
    let text = parse::any_text(value)?;
    let shown = excerpt(&text);
    if text.len() > MAX_TEXT {
        return Err(format!("is {} bytes long; at most {MAX_TEXT} are allowed", text.len()));
    }
    if !text.starts_with('/') {
        return Err(format!("`{shown}` must begin with `/`"));
    }
    if let Some(c) =
        text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '"' | '<' | '>' | '\\'))
    {
        return Err(format!(
            "`{shown}` has the character `{}`, which can't stand in a path",
            c.escape_debug()
        ));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(format!("`{shown}` has a `.` or `..` segment; write the path that is meant"));
    }
    Ok(text)
}

/// An exact path, or one that ends in `/*`.
fn pattern(value: &Value) -> Result<String, String> {
    let text = absolute(value)?;
    let fixed = text.strip_suffix("/*").unwrap_or(&text);
    if fixed.contains('*') {
        return Err(format!(
            "`{}`: `*` is allowed only as the last segment, as in `/api/users/*`",
            excerpt(&text)
        ));
    }
    Ok(text)
}

/// `GET`, `["GET", "HEAD"]`, or `*` for any.
fn methods(value: &Value) -> Result<Vec<String>, String> {
    let one = |value: &Value| {
        let text = parse::any_text(value)?;
        match text.as_str() {
            "*" => Ok("*".to_owned()),
            text if !text.is_empty() && text.len() <= 32 && text.bytes().all(is_token) => {
                Ok(text.to_ascii_uppercase())
            }
            text => Err(format!("`{}` is not a method such as GET", excerpt(text))),
        }
    };
    let mut methods = match value {
        Value::List(_) => parse::list(MAX_MATCHES, one)(value)?,
        _ => vec![one(value)?],
    };
    if methods.iter().any(|m| m == "*") {
        methods.clear();
    }
    methods.sort();
    methods.dedup();
    Ok(methods)
}

/// `example.com`, or `*.example.com`, without a port.
fn host(value: &Value) -> Result<String, String> {
    let text = parse::any_text(value)?.to_ascii_lowercase();
    let name = text.strip_prefix("*.").unwrap_or(&text);
    let fine = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    if name.len() > 253 || !(address || name.split('.').all(fine)) {
        return Err(format!(
            "`{}` is not a host name, without a port, such as example.com or *.example.com",
            excerpt(&text)
        ));
    }
    Ok(text)
}

/// Names with the value that is wanted, or `true` for any.
fn pairs(
    s: &mut Section<'_>,
    key: &'static str,
    name: impl Fn(&str) -> Result<String, String>,
) -> Vec<(String, Option<String>)> {
    let path = s.key(key);
    let mut pairs = Vec::new();
    for entry in s.table(key).into_iter().flatten() {
        let value = match &entry.typed.value {
            Value::Bool(true) => Ok(None),
            Value::Text(text) if text.len() > MAX_TEXT => Err(format!("is longer than {MAX_TEXT} bytes")),
            text @ Value::Text(_) => parse::text(text).map(Some),
            other => Err(format!("is {}; text, or true for any value, is wanted", other.kind())),
        };
        match name(&entry.key).and_then(|name| value.map(|value| (name, value))) {
            Ok(pair) => pairs.push(pair),
            Err(message) => {
                s.out().fault(&entry.typed.origin, format!("{path}.{}", excerpt(&entry.key)), message)
            }
        }
    }
    if pairs.len() > MAX_MATCHES {
        let origin = s.origin(key).unwrap_or(Origin::Default);
        s.out().fault(
            &origin,
            path,
            format!("has {} entries; at most {MAX_MATCHES} are allowed", pairs.len()),
        );
    }
    pairs
}
