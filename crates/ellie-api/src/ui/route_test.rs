//! `POST /api/ui/route-test`.

use crate::{Breaker, Resolved, Route};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The body of `POST /api/ui/route-test`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteQuestion {
    /// `GET` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The request's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path and query.
    pub path: String,
    /// The request's header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// A route whose path matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Considered {
    /// The route.
    pub id: String,
    /// Its path.
    pub path: String,
    /// `matched`, `shadowed`, `host`, `method`, `header` or `query`.
    pub verdict: String,
    /// The same for people.
    pub text: String,
}

/// The answer to [`RouteQuestion`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteAnswer {
    /// `routed`, `method_not_allowed` or `not_found`.
    pub outcome: String,
    /// The path as it is compared.
    pub path: String,
    /// The route that takes the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// What its service would be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The methods that are routed, where only the method is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// Routes whose path matches, in the order in which they win over each other.
    pub considered: Vec<Considered>,
    /// What the balancer makes of each instance; absent where the service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Resolved>,
    /// The service's breaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// One sentence.
    pub verdict: String,
}
