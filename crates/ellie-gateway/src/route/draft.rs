//! From what was typed to a [`Route`], reporting every fault at once.

use super::pattern::check_path;
use super::{HostPattern, Match, PathPattern, RateKey, RateLimit, RetryOn, Route};
use ellie_core::model::{InstanceId, excerpt};
use ellie_core::{Fault, ServiceName, Source};
use std::time::{Duration, SystemTime};

/// The bounds of a route.
pub mod limits {
    use std::time::Duration;
    /// Header fields and query parameters that a route compares, each.
    pub const MATCHES: usize = 16;
    /// Bytes of a header or parameter name, a tag, an id.
    pub const NAME: usize = 128;
    /// Bytes of a compared value.
    pub const VALUE: usize = 1024;
    /// Tags.
    pub const TAGS: usize = 16;
    /// Retries of one request.
    pub const RETRIES: u32 = 5;
    /// Statuses that are tried again.
    pub const RETRY_ON: usize = 8;
    /// The shortest timeout and rate limit window.
    pub const SHORTEST: Duration = Duration::from_millis(1);
    /// The longest.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);
    /// Requests per rate limit window.
    pub const RATE: u32 = 1_000_000_000;
    /// Bytes of a request body.
    pub const BODY: u64 = 1 << 50;
}

/// Methods that a route can be for. `CONNECT` asks for a tunnel, which a gateway of services doesn't dig.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// A rate limit as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimitDraft {
    /// Milliseconds; required.
    pub window_ms: Option<i128>,
    /// Requests in a window; required.
    pub max: Option<i128>,
    /// `client` (the default), `header:NAME` or `global`.
    pub key: Option<String>,
}

/// A route as typed, in whatever format it came. Numbers are wide enough that an absurd value is refused, not wrapped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// Made from method, host and path where absent.
    pub id: Option<String>,
    /// Required: `/users` or `/users/*`.
    pub path: Option<String>,
    /// `GET`, … in any case; empty: any.
    pub methods: Vec<String>,
    /// `api.example.com` or `*.example.com`.
    pub host: Option<String>,
    /// Name and exact value, or `None` for "is there".
    pub headers: Vec<(String, Option<String>)>,
    /// Name and exact value, or `None` for "is there".
    pub query: Vec<(String, Option<String>)>,
    /// Required.
    pub service_name: Option<String>,
    /// A path.
    pub target_path: Option<String>,
    /// Only instances with all of them.
    pub tags: Vec<String>,
    /// Milliseconds.
    pub timeout: Option<i128>,
    /// Milliseconds.
    pub try_timeout: Option<i128>,
    /// Count.
    pub retries: Option<i128>,
    /// Statuses: 429, or 500 to 599.
    pub retry_on: Option<Vec<i128>>,
    /// How much one client may ask.
    pub rate_limit: Option<RateLimitDraft>,
    /// Bytes.
    pub max_body: Option<i128>,
}

struct Faults(Vec<Fault>);

impl Faults {
    fn take<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.0.push(fault)).ok()
    }

    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault::new(field, message));
    }
}

impl Draft {
    /// Checks every field. The route's source is `api` and its time of creation the epoch until it is put into a
    /// [`super::Routes`].
    ///
    /// # Errors
    /// All faults, in the order of the fields, under their names on the wire.
    pub fn validate(self) -> Result<Route, Vec<Fault>> {
        let mut f = Faults(Vec::new());
        if let Some(id) = &self.id {
            f.take(InstanceId::new(id));
        }
        let path = match &self.path {
            Some(path) => f.take(PathPattern::new("path", path)),
            None => f.take(Err(Fault::new("path", "is required: `/users` or `/users/*`"))),
        };
        let methods = methods(&mut f, &self.methods);
        let host = self.host.as_ref().and_then(|host| f.take(HostPattern::new("host", host)));
        let headers = headers(&mut f, self.headers);
        let query = query(&mut f, self.query);
        let service = match &self.service_name {
            Some(name) => f.take(ServiceName::new(name).map_err(|e| Fault::new("serviceName", e.message))),
            None => f.take(Err(Fault::new("serviceName", "is required: the service that answers"))),
        };
        if let Some(target) = &self.target_path {
            check_target(&mut f, target);
        }
        let tags = tags(&mut f, self.tags);
        let timeout = self.timeout.and_then(|ms| f.take(duration("timeout", ms)));
        let try_timeout = self.try_timeout.and_then(|ms| f.take(duration("tryTimeout", ms)));
        if let (Some(one), Some(all)) = (try_timeout, timeout)
            && one > all
        {
            f.add(
                "tryTimeout",
                format!("is {} ms, longer than the {} ms of `timeout`", one.as_millis(), all.as_millis()),
            );
        }
        let retries = self.retries.and_then(|n| f.take(count("retries", n, 0, limits::RETRIES)));
        let retry_on = self
            .retry_on
            .and_then(|statuses| f.take(RetryOn::new(statuses).map_err(|why| Fault::new("retryOn", why))));
        let rate_limit = self.rate_limit.and_then(|draft| rate_limit(&mut f, &draft));
        let max_body = self.max_body.and_then(|n| match u64::try_from(n) {
            Ok(n) if n <= limits::BODY => Some(n),
            _ => {
                f.add("maxBody", format!("is {n}; 0 to {} bytes are allowed", limits::BODY));
                None
            }
        });
        let (Some(path), Some(service), true) = (path, service, f.0.is_empty()) else {
            return Err(f.0);
        };
        let id = self.id.unwrap_or_else(|| made_id(&methods, host.as_ref(), &path));
        Ok(Route {
            id,
            path,
            methods,
            host,
            headers,
            query,
            service,
            target_path: self.target_path,
            tags,
            timeout,
            try_timeout,
            retries,
            retry_on,
            rate_limit,
            max_body,
            source: Source::Api,
            created_at: SystemTime::UNIX_EPOCH,
            order: 0,
        })
    }
}

/// `GET` and `/api/users/*` make `get-api-users-all`.
fn made_id(methods: &[String], host: Option<&HostPattern>, path: &PathPattern) -> String {
    let mut id = String::new();
    let star = if path.is_prefix() { "all" } else { "" };
    let parts = methods.iter().map(String::as_str).chain(host.map(HostPattern::as_str));
    for part in parts.chain([path.fixed(), star]) {
        for word in part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')) {
            let room = limits::NAME - 16;
            if !word.is_empty() && id.len() + word.len() < room {
                if !id.is_empty() {
                    id.push('-');
                }
                id.push_str(&word.to_ascii_lowercase());
            }
        }
    }
    match id.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => id,
        false => format!("root{id}"),
    }
}

fn methods(f: &mut Faults, typed: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for (i, method) in typed.iter().enumerate() {
        let at = if typed.len() == 1 { "method".to_owned() } else { format!("method[{i}]") };
        let upper = method.to_ascii_uppercase();
        if !METHODS.contains(&upper.as_str()) {
            f.add(at, format!("`{}` is not one of {}", excerpt(method), METHODS.join(", ")));
        } else if !out.contains(&upper) {
            out.push(upper);
        }
    }
    out
}

/// A token (RFC 9110, 5.6.2).
fn is_token(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn header_name(field: &str, name: &str) -> Result<String, Fault> {
    if !is_token(name) || name.len() > limits::NAME {
        return Err(Fault::new(
            field,
            format!(
                "`{}` is not a header name: 1 to {} letters, digits and !#$%&'*+-.^_`|~",
                excerpt(name),
                limits::NAME
            ),
        ));
    }
    let name = name.to_ascii_lowercase();
    if name == "host" {
        return Err(Fault::new(field, "the host is compared by the field `host`"));
    }
    Ok(name)
}

fn headers(f: &mut Faults, typed: Vec<(String, Option<String>)>) -> Vec<Match> {
    if typed.len() > limits::MATCHES {
        f.add("headers", format!("has {} entries; at most {} are allowed", typed.len(), limits::MATCHES));
        return Vec::new();
    }
    let mut out: Vec<Match> = Vec::with_capacity(typed.len());
    for (name, value) in typed {
        let at = format!("headers.{}", excerpt(&name));
        if let Some(value) = &value
            && (value.len() > limits::VALUE
                || value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f)
                || value.trim_matches([' ', '\t']) != value)
        {
            f.add(
                &at,
                format!(
                    "`{}` is no header value: no control characters, no spaces at an end, at most {} bytes",
                    excerpt(value),
                    limits::VALUE
                ),
            );
        }
        match header_name(&at, &name) {
            Ok(name) if out.iter().any(|m| m.name == name) => f.add(at, "is there twice"),
            Ok(name) => out.push(Match { name, value }),
            Err(fault) => f.0.push(fault),
        }
    }
    out
}

fn query(f: &mut Faults, typed: Vec<(String, Option<String>)>) -> Vec<Match> {
    if typed.len() > limits::MATCHES {
        f.add("query", format!("has {} entries; at most {} are allowed", typed.len(), limits::MATCHES));
        return Vec::new();
    }
    let mut out: Vec<Match> = Vec::with_capacity(typed.len());
    for (name, value) in typed {
        let at = format!("query.{}", excerpt(&name));
        if name.is_empty() || name.len() > limits::NAME {
            f.add(&at, format!("a parameter's name has 1 to {} bytes", limits::NAME));
        }
        if value.as_ref().is_some_and(|v| v.len() > limits::VALUE) {
            f.add(&at, format!("at most {} bytes are allowed", limits::VALUE));
        }
        if out.iter().any(|m| m.name == name) {
            f.add(at, "is there twice");
        } else {
            out.push(Match { name, value });
        }
    }
    out
}

fn check_target(f: &mut Faults, target: &str) {
    if target.contains('*') {
        f.add(
            "targetPath",
            format!(
                "`{}` has a `*`; what the path's star matched is appended by itself, so `/users` is enough",
                excerpt(target)
            ),
        );
    } else {
        f.take(check_path("targetPath", target));
    }
}

fn tags(f: &mut Faults, typed: Vec<String>) -> Vec<String> {
    if typed.len() > limits::TAGS {
        f.add("tags", format!("has {} entries; at most {} are allowed", typed.len(), limits::TAGS));
        return Vec::new();
    }
    let mut out: Vec<String> = Vec::with_capacity(typed.len());
    for (i, tag) in typed.into_iter().enumerate() {
        if tag.is_empty() || tag.len() > limits::NAME * 2 || tag.chars().any(char::is_control) {
            f.add(format!("tags[{i}]"), format!("`{}` is not a tag", excerpt(&tag)));
        } else if !out.contains(&tag) {
            out.push(tag);
        }
    }
    out.sort_unstable();
    out
}

fn duration(field: &str, ms: i128) -> Result<Duration, Fault> {
    let (least, most) = (limits::SHORTEST.as_millis() as i128, limits::LONGEST.as_millis() as i128);
    if ms < 0 {
        return Err(Fault::new(field, format!("is {ms} ms; a duration can't be negative")));
    }
    if !(least..=most).contains(&ms) {
        return Err(Fault::new(field, format!("is {ms} ms; {least} to {most} is allowed")));
    }
    Ok(Duration::from_millis(ms as u64))
}

fn count(field: &str, n: i128, least: u32, most: u32) -> Result<u32, Fault> {
    match u32::try_from(n) {
        Ok(n) if (least..=most).contains(&n) => Ok(n),
        _ => Err(Fault::new(field, format!("is {n}; {least} to {most} is allowed"))),
    }
}

fn rate_limit(f: &mut Faults, draft: &RateLimitDraft) -> Option<RateLimit> {
    let window = match draft.window_ms {
        Some(ms) => f.take(duration("rateLimit.windowMs", ms)),
        None => f.take(Err(Fault::new("rateLimit.windowMs", "is required: milliseconds"))),
    };
    let max = match draft.max {
        Some(n) => f.take(count("rateLimit.max", n, 1, limits::RATE)),
        None => f.take(Err(Fault::new("rateLimit.max", "is required: requests in a window"))),
    };
    let key = match draft.key.as_deref() {
        None | Some("client") => Some(RateKey::Client),
        Some("global") => Some(RateKey::Global),
        Some(key) => match key.strip_prefix("header:") {
            Some(name) => f.take(header_name("rateLimit.key", name.trim())).map(RateKey::Header),
            None => f.take(Err(Fault::new(
                "rateLimit.key",
                format!("`{}` is not `client`, `header:NAME` or `global`", excerpt(key)),
            ))),
        },
    };
    Some(RateLimit { window: window?, max: max?, key: key? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            path: Some("/api/users/*".into()),
            service_name: Some("user-service".into()),
            ..Draft::default()
        }
    }

    fn fields(draft: Draft) -> Vec<String> {
        draft.validate().unwrap_err().into_iter().map(|f| f.field).collect()
    }

    #[test]
    fn the_specifications_example_is_a_route() {
        let route = Draft {
            methods: vec!["GET".into()],
            target_path: Some("/users".into()),
            timeout: Some(10_000),
            rate_limit: Some(RateLimitDraft { window_ms: Some(60_000), max: Some(100), key: None }),
            ..draft()
        }
        .validate()
        .unwrap();
        assert_eq!(route.id, "get-api-users-all");
        assert_eq!(route.timeout, Some(Duration::from_secs(10)));
        let limit = route.rate_limit.unwrap();
        assert_eq!((limit.window, limit.max, limit.key), (Duration::from_secs(60), 100, RateKey::Client));
        assert_eq!(Draft { path: Some("/*".into()), ..draft() }.validate().unwrap().id, "all");
        assert_eq!(Draft { path: Some("/".into()), ..draft() }.validate().unwrap().id, "root");
    }

    #[test]
    fn every_fault_is_reported_at_once_under_its_name_on_the_wire() {
        let bad = Draft {
            id: Some("a/b".into()),
            path: Some("/a/*/b".into()),
            methods: vec!["FETCH".into(), "get".into(), "CONNECT".into()],
            host: Some("http://x".into()),
            headers: vec![
                ("x y".into(), None),
                ("x-a".into(), Some("a\nb".into())),
                ("Host".into(), None),
                ("X-B".into(), None),
                ("x-b".into(), None),
            ],
            query: vec![(String::new(), None)],
            service_name: Some("a b".into()),
            target_path: Some("users".into()),
            tags: vec![String::new()],
            timeout: Some(-1),
            try_timeout: Some(0),
            retries: Some(99),
            retry_on: Some(vec![200]),
            rate_limit: Some(RateLimitDraft {
                window_ms: Some(i128::MAX),
                max: Some(0),
                key: Some("cookie".into()),
            }),
            max_body: Some(-1),
        };
        assert_eq!(
            fields(bad),
            [
                "id",
                "path",
                "method[0]",
                "method[2]",
                "host",
                "headers.x y",
                "headers.x-a",
                "headers.Host",
                "headers.x-b",
                "query.",
                "serviceName",
                "targetPath",
                "tags[0]",
                "timeout",
                "tryTimeout",
                "retries",
                "retryOn",
                "rateLimit.windowMs",
                "rateLimit.max",
                "rateLimit.key",
                "maxBody",
            ]
        );
        assert_eq!(fields(Draft::default()), ["path", "serviceName"]);
        let empty = Draft { rate_limit: Some(RateLimitDraft::default()), ..draft() };
        assert_eq!(fields(empty), ["rateLimit.windowMs", "rateLimit.max"]);
    }

    #[test]
    fn durations_neither_wrap_nor_vanish() {
        for ms in [-1, 0, 86_400_001, i128::from(u64::MAX), i128::MAX, i128::MIN] {
            assert_eq!(fields(Draft { timeout: Some(ms), ..draft() }), ["timeout"], "{ms}");
        }
        let both = |one, all| Draft { try_timeout: Some(one), timeout: Some(all), ..draft() };
        assert_eq!(fields(both(1001, 1000)), ["tryTimeout"], "a try can't outlast its request");
        assert!(both(1000, 1000).validate().is_ok());
        assert_eq!(fields(Draft { target_path: Some("/users/*".into()), ..draft() }), ["targetPath"]);
        assert_eq!(fields(Draft { service_name: Some("health".into()), ..draft() }), ["serviceName"]);
    }
}
