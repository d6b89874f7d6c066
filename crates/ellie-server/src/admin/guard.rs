//! Who may call: the `Host` is ours (DNS rebinding), a page that calls is ours, and the token's scope is enough.

use super::body;
use super::problem::{Error, Result};
use super::serve::Local;
use super::state::{AdminState, Settings};
use super::{outer, table};
use crate::auth::{Identity, Scope};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use ellie_api::problem::kind;
use ellie_core::model::{Actor, excerpt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use std::net::{IpAddr, SocketAddr};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller(Option<Identity>);

impl Caller {
    /// As the journal tells it.
    pub(super) fn actor(&self) -> Actor {
        Actor::new(self.0.as_ref().map_or("anonymous", |i| &i.name))
    }
}

/// Puts the check of the host in front of what anyone may see: pages without data, for which no token is needed.
pub fn guard_public(state: AdminState, router: Router) -> Router {
    router
        .layer(from_fn_with_state(state.clone(), check_public))
        .layer(from_fn_with_state(state, outer::outer))
}

async fn check_public(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let settings = state.settings();
    let listen = listener(&request, &settings);
    let admitted = authority(&request).and_then(|authority| match authority {
        Some(authority) => check_host(&authority.host, &settings, listen),
        None => Ok(()),
    });
    match admitted {
        Ok(()) => next.run(request).await,
        Err(error) => {
            body::discard(request).await;
            error.into_response()
        }
    }
}

/// Where a request arrived.
fn listener(request: &Request, settings: &Settings) -> SocketAddr {
    request.extensions().get::<Local>().map_or(settings.listen, |local| local.0)
}

/// The middleware.
pub(super) async fn check(State(state): State<AdminState>, mut request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let needed = table::scope(request.method(), template);
    match admit(&state, &request, needed) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => {
            // The client gets to read the answer only if what it is sending is taken.
            body::discard(request).await;
            error.into_response()
        }
    }
}

fn admit(state: &AdminState, request: &Request, needed: Scope) -> Result<Caller> {
    let settings = state.settings();
    let listen = listener(request, &settings);
    let authority = authority(request)?;
    if let Some(authority) = &authority {
        check_host(&authority.host, &settings, listen)?;
    }
    check_origin(request.method(), request.headers(), authority.as_ref(), &settings)?;
    let caller = match bearer(request.headers())? {
        Some(token) => {
            let identity = state.tokens().verify(token).ok_or_else(|| {
                challenge(Error::new(kind::UNAUTHORIZED, "the token is not known"), "error=\"invalid_token\"")
            })?;
            Caller(Some(identity))
        }
        None => Caller(None),
    };
    let reads_open = listen.ip().is_loopback() && !settings.protect_reads;
    match &caller.0 {
        Some(identity) if identity.scope.allows(needed) => Ok(caller),
        Some(identity) => {
            let detail = format!("the token has the scope `{}`; this call needs `{needed}`", identity.scope);
            let hint = format!("error=\"insufficient_scope\", scope=\"{needed}\"");
            Err(challenge(Error::new(kind::FORBIDDEN, detail), &hint))
        }
        None if needed == Scope::Read && reads_open => Ok(caller),
        None => {
            let detail = format!(
                "this call needs a token of the scope `{needed}`: send `Authorization: Bearer …`; the operator's is \
                 in the file operator.token of the data directory"
            );
            Err(challenge(Error::new(kind::UNAUTHORIZED, detail), ""))
        }
    }
}

fn challenge(error: Error, parameters: &str) -> Error {
    let comma = if parameters.is_empty() { "" } else { ", " };
    match HeaderValue::try_from(format!("Bearer realm=\"ellie\"{comma}{parameters}")) {
        Ok(value) => error.with_header(header::WWW_AUTHENTICATE, value),
        Err(_) => error,
    }
}

/// The bearer token, where there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(bad_header("authorization", "is given more than once"));
    }
    let token = value.to_str().ok().and_then(|v| {
        let (scheme, token) = v.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|t| !t.is_empty())
    });
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(challenge(
            Error::new(kind::UNAUTHORIZED, "`Authorization` is not `Bearer` and a token"),
            "error=\"invalid_request\"",
        )),
    }
}

fn bad_header(name: &str, message: &str) -> Error {
    Error::new(kind::INVALID_HEADER, format!("`{name}` {message}")).with_field(name, message)
}

/// A host in lower case, and its port where it is told.
#[derive(Debug, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// `host`, `host:port`, `[v6]` or `[v6]:port`.
    fn parse(text: &str) -> Option<Self> {
        let is_host =
            |h: &str| h.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
                (host, port)
            }
            None => {
                let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
                (Some(host).filter(|host| !host.is_empty() && is_host(host))?, port)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host: host.to_ascii_lowercase(), port })
    }
}

/// What was asked for: that of an absolute target, else of the one `Host` field. HTTP/1.0 may leave it out.
fn authority(request: &Request) -> Result<Option<Authority>> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => {
            let mut all = request.headers().get_all(header::HOST).iter();
            match (all.next(), all.next()) {
                (Some(host), None) => {
                    host.to_str().map_err(|_| bad_header("host", "is not ASCII"))?.trim().to_owned()
                }
                (None, _) if request.version() < Version::HTTP_11 => return Ok(None),
                (None, _) => return Err(bad_header("host", "is required")),
                (Some(_), Some(_)) => return Err(bad_header("host", "is given more than once")),
            }
        }
    };
    match Authority::parse(&authority) {
        Some(authority) => Ok(Some(authority)),
        None => Err(bad_header("host", "is not a host and a port")),
    }
}

fn check_host(host: &str, settings: &Settings, listen: SocketAddr) -> Result<()> {
    if is_own_host(host, settings, listen.ip()) {
        return Ok(());
    }
    Err(Error::new(
        kind::UNKNOWN_HOST,
        format!(
            "`{}` is no name of this server; if it should be, add it to `api.allowed_hosts`",
            excerpt(host)
        ),
    ))
}

fn is_own_host(host: &str, settings: &Settings, bound: IpAddr) -> bool {
    let bare = host.strip_suffix('.').unwrap_or(host);
    if bare == "localhost" {
        return true;
    }
    if let Ok(ip) = bare.parse::<IpAddr>() {
        // Rebinding needs a name, so beyond loopback any address by which the request arrived is fine.
        if ip == bound || ip.is_loopback() || !bound.is_loopback() {
            return true;
        }
    }
    settings.allowed_hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
        _ if allowed == "*" => true,
        Some(parent) => bare.strip_suffix(parent).is_some_and(|sub| sub.ends_with('.')),
        None => allowed.eq_ignore_ascii_case(bare),
    })
}

/// A browser says where a page comes from; what is no browser says nothing and is not asked.
///
/// A page is ours when its origin is the host that was asked, port and all; when the browser itself says so, which it
/// does too where a proxy has put another `Host` in place of the one it was asked for; or when it is listed. Reads are
/// held to the same: a page of others could not see the answer, but it could take up all places in the streams. A link
/// from elsewhere may lead to what is read.
fn check_origin(
    method: &Method,
    headers: &HeaderMap,
    asked: Option<&Authority>,
    settings: &Settings,
) -> Result<()> {
    let refused = |origin: &str| {
        Err(Error::new(
            kind::CROSS_ORIGIN,
            format!("pages of `{}` may not call this server", excerpt(origin)),
        ))
    };
    let is_link = matches!(*method, Method::GET | Method::HEAD)
        && headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate");
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    if site == Some(b"same-origin") {
        return Ok(());
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let listed = settings.origins.iter().any(|o| o.eq_ignore_ascii_case(origin));
        return if is_same(origin, asked) || listed { Ok(()) } else { refused(origin) };
    }
    match site {
        Some(b"cross-site" | b"same-site") if !is_link => refused("another site"),
        _ => Ok(()),
    }
}

/// Whether an origin is the host and the port that were asked for. Scripts can't forge either.
fn is_same(origin: &str, asked: Option<&Authority>) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let (Some(asked), Some(from)) = (asked, Authority::parse(authority)) else { return false };
    from.host == asked.host && from.port.unwrap_or(usual) == asked.port.unwrap_or(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(text: &str) -> Option<(String, Option<u16>)> {
        Authority::parse(text).map(|a| (a.host, a.port))
    }

    #[test]
    fn hosts_are_read_with_their_ports() {
        assert_eq!(authority("Example.org"), Some(("example.org".into(), None)));
        assert_eq!(authority("localhost:8080"), Some(("localhost".into(), Some(8080))));
        assert_eq!(authority("[::1]"), Some(("::1".into(), None)));
        assert_eq!(authority("[::1]:81"), Some(("::1".into(), Some(81))));
        for bad in ["", ":80", "a:b", "a:99999", "[::1", "[::1]x", "a b", "user@host", "[nope]:1"] {
            assert_eq!(authority(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_page_is_ours_by_host_and_port() {
        let same = |origin: &str, host: &str| is_same(origin, Authority::parse(host).as_ref());
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("https://Ops.example", "ops.example"),
            ("https://ops.example:443", "ops.example"),
            // Forwarded to another port: what counts is what the browser asked for.
            ("http://localhost:9000", "localhost:9000"),
        ] {
            assert!(same(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://localhost:3000", "localhost:8080"),
            ("http://evil.example:8080", "localhost:8080"),
            ("http://ops.example", "ops.example:8080"),
            ("null", "localhost:8080"),
            ("file://", "localhost:8080"),
            ("ftp://localhost:8080", "localhost:8080"),
        ] {
            assert!(!same(origin, host), "{origin} {host}");
        }
    }
}
