//! What is probed: a registration's check, prepared once so that a probe formats as little as it can.

use ellie_core::model::{CheckKind, Protocol, Registration};
use http::HeaderValue;
use http::uri::{PathAndQuery, Uri};
use std::net::IpAddr;

/// One instance's check, ready to be sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) kind: CheckKind,
    pub(crate) host: String,
    /// The host, where it is an address and needs no resolving.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    /// `host:port` as it is shown.
    pub(crate) authority: String,
    pub(crate) tls: bool,
    pub(crate) what: What,
}

/// What is said to it.
#[derive(Debug, PartialEq)]
pub(crate) enum What {
    /// Nothing: connecting is the check.
    Connect,
    /// GET a path.
    Get(Get),
    /// `grpc.health.v1.Health/Check`.
    Grpc(Grpc),
    /// It can't be asked; the reason is the answer.
    Unaskable(String),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Get {
    /// The request's target in origin form.
    pub(crate) path: Uri,
    pub(crate) host: HeaderValue,
    /// The whole URL as it is shown.
    pub(crate) url: String,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Grpc {
    /// In absolute form, as HTTP/2 wants it.
    pub(crate) uri: Uri,
    /// Empty asks for the server as a whole.
    pub(crate) service: String,
}

impl Target {
    /// The check of `registration`; `None` where nothing is ever sent.
    pub(crate) fn of(registration: &Registration) -> Option<Self> {
        let kind = registration.check.kind;
        let tls = registration.protocol == Protocol::Https && kind != CheckKind::Tcp;
        let authority = registration.authority();
        let what = match kind {
            CheckKind::Http => get(registration, &authority, tls),
            CheckKind::Grpc => grpc(registration, &authority, tls),
            CheckKind::Tcp => Ok(What::Connect),
            CheckKind::Ttl | CheckKind::None => return None,
        };
        Some(Self {
            kind,
            host: registration.host.clone(),
            address: registration.host.parse().ok(),
            port: registration.port,
            authority,
            tls,
            what: what.unwrap_or_else(What::Unaskable),
        })
    }
}

fn get(registration: &Registration, authority: &str, tls: bool) -> Result<What, String> {
    let path = registration.check_path();
    let (scheme, default_port) = if tls { ("https", 443) } else { ("http", 80) };
    // As browsers do: servers that compare `Host` by letters expect no default port.
    let host = match authority.rsplit_once(':') {
        Some((host, _)) if registration.port == default_port => host,
        _ => authority,
    };
    let refused =
        |what: &str, error: &dyn std::fmt::Display| format!("the {what} of the check can't be sent: {error}");
    Ok(What::Get(Get {
        path: path.parse::<PathAndQuery>().map(Uri::from).map_err(|e| refused("path", &e))?,
        host: HeaderValue::from_str(host).map_err(|e| refused("host", &e))?,
        url: format!("{scheme}://{authority}{path}"),
    }))
}

fn grpc(registration: &Registration, authority: &str, tls: bool) -> Result<What, String> {
    let uri = Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query("/grpc.health.v1.Health/Check")
        .build()
        .map_err(|e| format!("the host of the check can't be sent: {e}"))?;
    Ok(What::Grpc(Grpc { uri, service: registration.check.path.clone().unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ellie_core::model::{CheckDraft, Draft};

    fn target(host: &str, port: i128, protocol: &str, kind: &str, path: Option<&str>) -> Target {
        let check =
            CheckDraft { kind: Some(kind.into()), path: path.map(Into::into), ..CheckDraft::default() };
        let draft = Draft {
            name: Some("a".into()),
            host: Some(host.into()),
            port: Some(port),
            protocol: Some(protocol.into()),
            check: Some(check),
            ttl: Some(1000),
            ..Draft::default()
        };
        Target::of(&draft.validate().unwrap()).unwrap()
    }

    #[test]
    fn the_host_header_leaves_a_default_port_out_and_the_url_shows_it() {
        for (host, port, protocol, header, url) in [
            ("10.0.0.1", 80, "http", "10.0.0.1", "http://10.0.0.1:80/health"),
            ("10.0.0.1", 8080, "http", "10.0.0.1:8080", "http://10.0.0.1:8080/health"),
            ("a.example", 443, "https", "a.example", "https://a.example:443/health"),
            ("a.example", 80, "https", "a.example:80", "https://a.example:80/health"),
            ("::1", 80, "http", "[::1]", "http://[::1]:80/health"),
        ] {
            let What::Get(get) = target(host, port, protocol, "http", None).what else { panic!() };
            assert_eq!((get.host.to_str().unwrap(), get.url.as_str()), (header, url));
        }
    }

    #[test]
    fn paths_and_kinds_are_taken_over() {
        let What::Get(get) = target("a", 1, "http", "http", Some("/up?deep=1")).what else { panic!() };
        assert_eq!(get.path, "/up?deep=1");
        let What::Grpc(grpc) = target("::1", 1, "https", "grpc", Some("my.Service")).what else { panic!() };
        assert_eq!(
            (grpc.uri.to_string().as_str(), grpc.service.as_str()),
            ("https://[::1]:1/grpc.health.v1.Health/Check", "my.Service")
        );
        assert!(!target("a", 1, "https", "tcp", None).tls, "a connection is all that is asked");
        let odd = target("a", 1, "http", "http", Some("/a\"b\\c"));
        assert!(
            matches!(odd.what, What::Get(_) | What::Unaskable(_)),
            "an odd path is sent or answered, never a panic"
        );
    }
}
