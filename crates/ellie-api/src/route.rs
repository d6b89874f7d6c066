//! Gateway routes in the specification's shape.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /routes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    /// How many.
    pub count: usize,
    /// In the order they are tried.
    pub routes: Vec<Route>,
}

/// One route, as sent and as stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Generated where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// An exact path, or one that ends in `/*`.
    pub path: String,
    /// `GET`, …; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The request's host; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Header fields that must be there with these values.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Query parameters that must be there with these values.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// The service that answers.
    pub service_name: String,
    /// What the path's fixed part is replaced with; absent: the path goes on as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_path: Option<String>,
    /// Milliseconds for the whole request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// How much one client may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// `api` or `config`; set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Milliseconds.
    pub window_ms: u64,
    /// Requests per window.
    pub max: u32,
    /// What counts as one client; absent: the client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
