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
    /// Made from method, host and path where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// An exact path, or one that ends in `/*`.
    pub path: String,
    /// `GET`, …; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Methods>,
    /// The request's host, or `*.example.com`; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Header fields that must be there, with this value, or with any where it is `null`.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    /// Query parameters that must be there, with this value, or with any where it is `null`.
    #[serde(default)]
    pub query: BTreeMap<String, Option<String>>,
    /// The service that answers.
    pub service_name: String,
    /// What the path's fixed part is replaced with; absent: the path goes on as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_path: Option<String>,
    /// Only instances that have all of these.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Milliseconds for the whole request, retries included; absent: the gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Milliseconds for one try on one instance; absent: the gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub try_timeout: Option<u64>,
    /// More tries on other instances, for what may be retried; absent: the gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Statuses of an instance that are tried again elsewhere, where the request may be; absent: the gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<u16>>,
    /// How much one client may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Bytes of a request body; absent: the gateway's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<u64>,
    /// `api` or `config`; set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it was made; set by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
}

/// One method, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Methods {
    /// As the specification writes it.
    One(String),
    /// Any of them.
    Many(Vec<String>),
}

impl Methods {
    /// As a list.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(method) => std::slice::from_ref(method),
            Self::Many(methods) => methods,
        }
    }
}

/// A rate limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Milliseconds.
    pub window_ms: u64,
    /// Requests per window.
    pub max: u32,
    /// What counts as one client: `client` (its address, the default), `header:NAME` or `global`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
