//! Which route a request would take, and why not another one.

use crate::matcher::{Fields, RequestView, normalise, query};
use crate::route::Route;
use crate::table::{Routed, Table};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The most routes that are shown as considered.
pub const MAX_CONSIDERED: usize = 100;

/// What became of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the request.
    Matched,
    /// It matches, and another one before it takes the request.
    Shadowed,
    /// It is for another host.
    Host,
    /// It is for other methods.
    Method,
    /// This header field is missing or different.
    Header(String),
    /// This query parameter is missing or different.
    Query(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Matched => f.write_str("takes the request"),
            Self::Shadowed => f.write_str("matches, but one before it takes the request"),
            Self::Host => f.write_str("is for another host"),
            Self::Method => f.write_str("is for other methods"),
            Self::Header(name) => write!(f, "wants another header field `{name}`"),
            Self::Query(name) => write!(f, "wants another query parameter `{name}`"),
        }
    }
}

/// A route whose path matches.
#[derive(Clone, Debug)]
pub struct Considered {
    /// The route.
    pub route: Arc<Route>,
    /// What became of it.
    pub verdict: Verdict,
}

/// Where a request would go.
#[derive(Clone, Debug)]
pub struct RouteTest {
    /// The path as it is compared.
    pub path: String,
    /// The route that takes it.
    pub matched: Option<Arc<Route>>,
    /// What its service would be asked for.
    pub target: Option<String>,
    /// If only the method is wrong: the right ones.
    pub allow: Option<String>,
    /// Routes whose path matches, in the order in which they win over each other, at most [`MAX_CONSIDERED`].
    pub considered: Vec<Considered>,
}

impl Table {
    /// Where a request would go: `target` is path and query.
    #[must_use]
    pub fn route_test(&self, method: &str, host: &str, target: &str, fields: &dyn Fields) -> RouteTest {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (target, None),
        };
        let mut scratch = Vec::new();
        let path = normalise(path.as_bytes(), &mut scratch);
        let request = RequestView {
            method: method.as_bytes(),
            path,
            query,
            host: host.as_bytes(),
            fields,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let (matched, allow) = match self.route(&request) {
            Routed::Route(route) => (Some(route.route.clone()), None),
            Routed::MethodNotAllowed(allow) => (None, Some(allow)),
            Routed::NotFound => (None, None),
        };
        let considered = self
            .routes()
            .iter()
            .filter(|r| r.route.path.matches(path))
            .take(MAX_CONSIDERED)
            .map(|r| {
                let verdict = match mismatch(&r.route, &request) {
                    Some(verdict) => verdict,
                    None if matched.as_ref().is_some_and(|m| m.id == r.route.id) => Verdict::Matched,
                    None => Verdict::Shadowed,
                };
                Considered { route: r.route.clone(), verdict }
            })
            .collect();
        let target = matched.as_ref().map(|route| {
            let mut out = Vec::new();
            route.write_target(path, query, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        });
        RouteTest { path: String::from_utf8_lossy(path).into_owned(), matched, target, allow, considered }
    }
}

/// The first thing about a route, whose path matches, that the request is not.
pub(crate) fn mismatch(route: &Route, request: &RequestView<'_>) -> Option<Verdict> {
    let host = request.host.strip_suffix(b".").unwrap_or(request.host).to_ascii_lowercase();
    if route.host.as_ref().is_some_and(|own| !own.matches(&host)) {
        return Some(Verdict::Host);
    }
    if !route.methods.is_empty() && !route.methods.iter().any(|m| m.as_bytes() == request.method) {
        return Some(Verdict::Method);
    }
    let header = route.headers.iter().find(|m| !request.fields.get(&m.name).is_some_and(|v| m.accepts(v)));
    if let Some(header) = header {
        return Some(Verdict::Header(header.name.clone()));
    }
    let parameter = route.query.iter().find(|m| !request.query.is_some_and(|q| query::has(q, m)));
    parameter.map(|m| Verdict::Query(m.name.clone()))
}
