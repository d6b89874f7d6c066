//! What the load balancer picks, and why.

use crate::Instance;
use serde::{Deserialize, Serialize};

/// `GET /services/{name}/resolve`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The service.
    pub service: String,
    /// The strategy in force.
    pub strategy: String,
    /// Which instances get traffic: `healthy`, `degraded` or `panic`.
    pub level: String,
    /// What is picked now; `null` with `explain` where nothing can be.
    pub instance: Option<Instance>,
    /// With `explain`: every instance of the service, by id; empty without.
    #[serde(default)]
    pub candidates: Vec<Candidate>,
}

/// One instance as the balancer sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The instance.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// How it fares.
    pub status: crate::Status,
    /// `routable`, or why it gets no traffic: `degraded-standby`, `unhealthy`, `draining`, `maintenance`,
    /// `weight-zero`, `tag-mismatch`, `ejected`.
    pub standing: String,
    /// Whether this call picked it.
    pub picked: bool,
    /// Why it was passed over or picked, for people.
    pub reason: String,
    /// The weight in force.
    pub weight: u32,
    /// Its score, where it is a candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// What the balancer knows of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// The lower, the better; what the strategy compares.
    pub cost: f64,
    /// Its expected share of traffic now, 0 to 1.
    pub share: f64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Milliseconds, moving average; absent without history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Its latency over the service's median.
    pub relative_latency: f64,
    /// Moving average, 0 to 1.
    pub failure_rate: f64,
    /// Judged sick: gets trial requests only.
    pub sick: bool,
    /// Slow start, up to 1.
    pub ramp: f64,
    /// Milliseconds until the next trial, where it is sick.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}
