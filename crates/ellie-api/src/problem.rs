//! Errors: RFC 9457 `application/problem+json`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Stable: one of [`kind`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words; the same for every problem of the kind.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What is wrong this time and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The path that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Every invalid field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One invalid field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// In the spelling of the wire: `port`, `healthCheck.interval`, `registrations[3].tags[0]`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.detail.as_deref().unwrap_or(&self.title), self.status)?;
        for FieldError { field, message } in &self.errors {
            write!(f, "\n  {field}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// One kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The `type`.
    pub uri: &'static str,
    /// The HTTP status code.
    pub status: u16,
    /// The `title`.
    pub title: &'static str,
    /// When it is sent.
    pub meaning: &'static str,
}

/// Every kind of problem, by status.
pub const KINDS: &[Kind] = &[
    Kind {
        uri: kind::MALFORMED_JSON,
        status: 400,
        title: "Malformed JSON",
        meaning: "the body is not JSON; `detail` has line and column",
    },
    Kind {
        uri: kind::INVALID_QUERY,
        status: 400,
        title: "Invalid query",
        meaning: "a query parameter is unknown, repeated or invalid",
    },
    Kind {
        uri: kind::INVALID_HEADER,
        status: 400,
        title: "Invalid header",
        meaning: "a header field is missing, repeated or invalid",
    },
    Kind {
        uri: kind::BAD_REQUEST,
        status: 400,
        title: "Bad request",
        meaning: "the request's path or framing is not valid",
    },
    Kind {
        uri: kind::UNAUTHORIZED,
        status: 401,
        title: "Token needed",
        meaning: "a token is needed, or the one given is not known",
    },
    Kind {
        uri: kind::FORBIDDEN,
        status: 403,
        title: "Scope too small",
        meaning: "the token's scope is too small for this call",
    },
    Kind {
        uri: kind::CROSS_ORIGIN,
        status: 403,
        title: "Cross-origin request",
        meaning: "a web page of another origin sent it",
    },
    Kind {
        uri: kind::DISABLED,
        status: 403,
        title: "Switched off",
        meaning: "the configuration switched this part off",
    },
    Kind { uri: kind::NOT_FOUND, status: 404, title: "No such path", meaning: "no call has this path" },
    Kind {
        uri: kind::SERVICE_NOT_FOUND,
        status: 404,
        title: "No such service",
        meaning: "no instance of the service is registered",
    },
    Kind {
        uri: kind::INSTANCE_NOT_FOUND,
        status: 404,
        title: "No such instance",
        meaning: "the instance is not registered; after a heartbeat: register again",
    },
    Kind { uri: kind::ROUTE_NOT_FOUND, status: 404, title: "No such route", meaning: "no route has this id" },
    Kind {
        uri: kind::BREAKER_NOT_FOUND,
        status: 404,
        title: "No such breaker",
        meaning: "no breaker has this name",
    },
    Kind {
        uri: kind::PROCESS_NOT_FOUND,
        status: 404,
        title: "No such process",
        meaning: "the service manager runs no process of this name, or there is none: start it by `ellie up`",
    },
    Kind {
        uri: kind::METHOD_NOT_ALLOWED,
        status: 405,
        title: "Method not allowed",
        meaning: "`Allow` lists the methods that work here",
    },
    Kind {
        uri: kind::HEAD_TIMEOUT,
        status: 408,
        title: "Head too slow",
        meaning: "the request's line and header fields did not arrive in time",
    },
    Kind {
        uri: kind::BODY_TIMEOUT,
        status: 408,
        title: "Body too slow",
        meaning: "the body did not arrive in time",
    },
    Kind {
        uri: kind::CONFLICT,
        status: 409,
        title: "Conflict",
        meaning: "it exists already, or its state does not allow this",
    },
    Kind {
        uri: kind::DEPENDENCY_CYCLE,
        status: 409,
        title: "Dependency cycle",
        meaning: "the registration would close a cycle of dependencies",
    },
    Kind {
        uri: kind::MANAGED_ELSEWHERE,
        status: 409,
        title: "Managed elsewhere",
        meaning: "the configuration file or a provider owns it; change it there",
    },
    Kind {
        uri: kind::BODY_TOO_LARGE,
        status: 413,
        title: "Body too large",
        meaning: "the body is larger than this call takes",
    },
    Kind {
        uri: kind::UNSUPPORTED_MEDIA_TYPE,
        status: 415,
        title: "Not JSON",
        meaning: "the body is declared as something else than JSON",
    },
    Kind {
        uri: kind::UNKNOWN_HOST,
        status: 421,
        title: "Unknown host",
        meaning: "`Host` is no name of this server; see `api.allowed_hosts`",
    },
    Kind {
        uri: kind::INVALID_REGISTRATION,
        status: 422,
        title: "Invalid registration",
        meaning: "fields of a registration or a batch are invalid; `errors` lists all",
    },
    Kind {
        uri: kind::INVALID_ROUTE,
        status: 422,
        title: "Invalid route",
        meaning: "fields of a route are invalid; `errors` lists all",
    },
    Kind {
        uri: kind::INVALID_CONFIGURATION,
        status: 422,
        title: "Invalid configuration",
        meaning: "the configuration that was read again has faults, all in `errors`; the running one stays",
    },
    Kind {
        uri: kind::INVALID_REQUEST,
        status: 422,
        title: "Invalid request",
        meaning: "fields of another body are invalid; `errors` lists all",
    },
    Kind {
        uri: kind::HEAD_TOO_LARGE,
        status: 431,
        title: "Head too large",
        meaning: "the request's line and header fields are too many or too large",
    },
    Kind {
        uri: kind::INTERNAL,
        status: 500,
        title: "Internal error",
        meaning: "a fault of ellie; its log has more",
    },
    Kind {
        uri: kind::CHECK_FAILED,
        status: 503,
        title: "Check not possible",
        meaning: "no check could be made now",
    },
    Kind {
        uri: kind::NO_INSTANCE,
        status: 503,
        title: "No routable instance",
        meaning: "nothing of the service can be sent traffic",
    },
    Kind {
        uri: kind::STORE_UNAVAILABLE,
        status: 503,
        title: "Store unavailable",
        meaning: "it can't be made durable at the moment; nothing was changed",
    },
    Kind {
        uri: kind::TOO_MANY_STREAMS,
        status: 503,
        title: "Too many streams",
        meaning: "as many streams and waiting calls are open as may be",
    },
    Kind {
        uri: kind::REGISTRY_FULL,
        status: 507,
        title: "Registry full",
        meaning: "the registry holds as many instances as it may",
    },
];

/// The stable `type` of every problem of the API; [`KINDS`] tells their status and meaning.
#[allow(missing_docs, reason = "`KINDS` documents each")]
pub mod kind {
    pub const MALFORMED_JSON: &str = "urn:ellie:problem:malformed-json";
    pub const INVALID_QUERY: &str = "urn:ellie:problem:invalid-query";
    pub const INVALID_HEADER: &str = "urn:ellie:problem:invalid-header";
    pub const BAD_REQUEST: &str = "urn:ellie:problem:bad-request";
    pub const UNAUTHORIZED: &str = "urn:ellie:problem:unauthorized";
    pub const FORBIDDEN: &str = "urn:ellie:problem:forbidden";
    pub const CROSS_ORIGIN: &str = "urn:ellie:problem:cross-origin";
    pub const DISABLED: &str = "urn:ellie:problem:disabled";
    pub const NOT_FOUND: &str = "urn:ellie:problem:not-found";
    pub const SERVICE_NOT_FOUND: &str = "urn:ellie:problem:service-not-found";
    pub const INSTANCE_NOT_FOUND: &str = "urn:ellie:problem:instance-not-found";
    pub const ROUTE_NOT_FOUND: &str = "urn:ellie:problem:route-not-found";
    pub const BREAKER_NOT_FOUND: &str = "urn:ellie:problem:breaker-not-found";
    pub const PROCESS_NOT_FOUND: &str = "urn:ellie:problem:process-not-found";
    pub const METHOD_NOT_ALLOWED: &str = "urn:ellie:problem:method-not-allowed";
    pub const HEAD_TOO_LARGE: &str = "urn:ellie:problem:head-too-large";
    pub const HEAD_TIMEOUT: &str = "urn:ellie:problem:head-timeout";
    pub const BODY_TIMEOUT: &str = "urn:ellie:problem:body-timeout";
    pub const CONFLICT: &str = "urn:ellie:problem:conflict";
    pub const DEPENDENCY_CYCLE: &str = "urn:ellie:problem:dependency-cycle";
    pub const MANAGED_ELSEWHERE: &str = "urn:ellie:problem:managed-elsewhere";
    pub const BODY_TOO_LARGE: &str = "urn:ellie:problem:body-too-large";
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "urn:ellie:problem:unsupported-media-type";
    pub const UNKNOWN_HOST: &str = "urn:ellie:problem:unknown-host";
    pub const INVALID_REGISTRATION: &str = "urn:ellie:problem:invalid-registration";
    pub const INVALID_ROUTE: &str = "urn:ellie:problem:invalid-route";
    pub const INVALID_CONFIGURATION: &str = "urn:ellie:problem:invalid-configuration";
    pub const INVALID_REQUEST: &str = "urn:ellie:problem:invalid-request";
    pub const INTERNAL: &str = "urn:ellie:problem:internal";
    pub const CHECK_FAILED: &str = "urn:ellie:problem:check-not-possible";
    pub const NO_INSTANCE: &str = "urn:ellie:problem:no-routable-instance";
    pub const STORE_UNAVAILABLE: &str = "urn:ellie:problem:store-unavailable";
    pub const TOO_MANY_STREAMS: &str = "urn:ellie:problem:too-many-streams";
    pub const REGISTRY_FULL: &str = "urn:ellie:problem:registry-full";
}
