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

/// The stable `type` of every problem of the API.
pub mod kind {
    /// 400: the body is not JSON; `detail` has line and column.
    pub const MALFORMED_JSON: &str = "urn:ellie:problem:malformed-json";
    /// 422: fields of a registration or batch are invalid.
    pub const INVALID_REGISTRATION: &str = "urn:ellie:problem:invalid-registration";
    /// 422: fields of a route are invalid.
    pub const INVALID_ROUTE: &str = "urn:ellie:problem:invalid-route";
    /// 422: fields of another body are invalid.
    pub const INVALID_REQUEST: &str = "urn:ellie:problem:invalid-request";
    /// 400: a query parameter is invalid or unknown.
    pub const INVALID_QUERY: &str = "urn:ellie:problem:invalid-query";
    /// 400: a header field is invalid.
    pub const INVALID_HEADER: &str = "urn:ellie:problem:invalid-header";
    /// 409: the registration would close a cycle of dependencies.
    pub const DEPENDENCY_CYCLE: &str = "urn:ellie:problem:dependency-cycle";
    /// 409: the configuration or a provider owns it.
    pub const MANAGED_ELSEWHERE: &str = "urn:ellie:problem:managed-elsewhere";
    /// 409: it exists already.
    pub const CONFLICT: &str = "urn:ellie:problem:conflict";
    /// 404: no such service.
    pub const SERVICE_NOT_FOUND: &str = "urn:ellie:problem:service-not-found";
    /// 404: no such instance; after a heartbeat: register again.
    pub const INSTANCE_NOT_FOUND: &str = "urn:ellie:problem:instance-not-found";
    /// 404: no such route.
    pub const ROUTE_NOT_FOUND: &str = "urn:ellie:problem:route-not-found";
    /// 404: no such breaker.
    pub const BREAKER_NOT_FOUND: &str = "urn:ellie:problem:breaker-not-found";
    /// 404: no such path.
    pub const NOT_FOUND: &str = "urn:ellie:problem:not-found";
    /// 405: not with this method; `Allow` lists those that work.
    pub const METHOD_NOT_ALLOWED: &str = "urn:ellie:problem:method-not-allowed";
    /// 401: a token is needed, or the one given is unknown.
    pub const UNAUTHORIZED: &str = "urn:ellie:problem:unauthorized";
    /// 403: the token's scope is too small.
    pub const FORBIDDEN: &str = "urn:ellie:problem:forbidden";
    /// 403: the request comes from a web page of another origin.
    pub const CROSS_ORIGIN: &str = "urn:ellie:problem:cross-origin";
    /// 421: the `Host` is not one of this server.
    pub const UNKNOWN_HOST: &str = "urn:ellie:problem:unknown-host";
    /// 415: the body is not declared as JSON.
    pub const UNSUPPORTED_MEDIA_TYPE: &str = "urn:ellie:problem:unsupported-media-type";
    /// 413: the body is too large.
    pub const BODY_TOO_LARGE: &str = "urn:ellie:problem:body-too-large";
    /// 408: the body did not come in time.
    pub const BODY_TIMEOUT: &str = "urn:ellie:problem:body-timeout";
    /// 503: nothing is routable.
    pub const NO_INSTANCE: &str = "urn:ellie:problem:no-routable-instance";
    /// 503: too many streams or connections.
    pub const TOO_MANY_STREAMS: &str = "urn:ellie:problem:too-many-streams";
    /// 507: the registry is full.
    pub const REGISTRY_FULL: &str = "urn:ellie:problem:registry-full";
    /// 503: the store can't make it durable at the moment; nothing changed.
    pub const STORE_UNAVAILABLE: &str = "urn:ellie:problem:store-unavailable";
    /// 503: this part is switched off by the configuration.
    pub const DISABLED: &str = "urn:ellie:problem:disabled";
    /// 500: a fault of ellie; the log has more.
    pub const INTERNAL: &str = "urn:ellie:problem:internal";
}
