//! Who may call: the `Host` is ours (DNS rebinding), a page that writes is ours, and the token's scope is enough.

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

/// Who calls.
#[derive(Clone, Debug)]
pub(super) struct Caller(Option<Identity>);

impl Caller {
    /// As the journal tells it.
    pub(super) fn actor(&self) -> Actor {
        Actor::new(self.0.as_ref().map_or("anonymous", |i| &i.name))
    }
}

/// Puts the API's rules in front of another router: host, origin and token, and problems for what it refuses.
pub fn guard(state: AdminState, router: Router) -> Router {
    router.layer(from_fn_with_state(state.clone(), check)).layer(from_fn_with_state(state, outer::outer))
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
    let listen = request.extensions().get::<Local>().map_or(settings.listen, |local| local.0);
    let host = host(request)?;
    if let Some(host) = &host {
        check_host(host, &settings, listen)?;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        check_origin(request.headers(), host.as_deref(), &settings, listen)?;
    }
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

/// The host asked for, without its port and in lower case: that of an absolute target, else of the one `Host` field.
/// HTTP/1.0 may leave it out.
fn host(request: &Request) -> Result<Option<String>> {
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
    match split_port(&authority) {
        Some(host) if !host.is_empty() => Ok(Some(host.to_ascii_lowercase())),
        _ => Err(bad_header("host", "is not a host and a port")),
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_port(authority: &str) -> Option<&str> {
    let is_port = |p: &str| p.bytes().all(|b| b.is_ascii_digit()) && p.len() <= 5;
    let is_host = |h: &str| h.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        let port_ok = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return (host.parse::<std::net::Ipv6Addr>().is_ok() && port_ok).then_some(host);
    }
    match authority.split_once(':') {
        Some((host, port)) => (is_host(host) && is_port(port)).then_some(host),
        None => is_host(authority).then_some(authority),
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
fn check_origin(
    headers: &HeaderMap,
    host: Option<&str>,
    settings: &Settings,
    listen: SocketAddr,
) -> Result<()> {
    let refused = |origin: &str| {
        Err(Error::new(kind::CROSS_ORIGIN, format!("pages of `{}` may not write here", excerpt(origin))))
    };
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        let same = origin.split_once("://").and_then(|(_, authority)| {
            let port = authority.rsplit_once(':').and_then(|(_, p)| p.parse::<u16>().ok());
            Some(split_port(authority)? == host? && port == Some(listen.port()))
        });
        let listed = settings.origins.iter().any(|o| o.eq_ignore_ascii_case(origin));
        return if same == Some(true) || listed { Ok(()) } else { refused(origin) };
    }
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"cross-site" | b"same-site") => refused("another site"),
        _ => Ok(()),
    }
}
