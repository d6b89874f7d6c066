//! `GET /services/stats`.

use crate::Breaker;
use crate::health::InstanceCounts;
use crate::provider::Provider;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Detailed statistics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// When this was read.
    pub timestamp: String,
    /// What is registered.
    pub registry: RegistryStats,
    /// Health checking.
    pub health_checks: HealthCheckStats,
    /// Load balancing.
    pub load_balancer: LoadBalancerStats,
    /// Every breaker by name, without its name inside.
    pub circuit_breaker: BTreeMap<String, Breaker>,
    /// The gateway.
    pub gateway: GatewayStats,
    /// Every provider by name, without its notes.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
}

/// What is registered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegistryStats {
    /// The index of the last change.
    pub index: u64,
    /// Services.
    pub services: usize,
    /// Instances.
    pub instances: InstanceCounts,
    /// Instances that get traffic.
    pub routable: usize,
    /// Why leases are not being expired, where a mass expiry was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_paused: Option<String>,
    /// `embedded` or `ephemeral`.
    pub store: String,
}

/// Health checking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckStats {
    /// Instances checked actively.
    pub scheduled: u64,
    /// Checks under way.
    pub in_flight: u64,
    /// Checks that ended since start.
    pub completed: u64,
    /// Of these, those that failed.
    pub failed: u64,
    /// Those that found the instance degraded.
    #[serde(default)]
    pub degraded: u64,
    /// Checks that began clearly later than they were due.
    #[serde(default)]
    pub late: u64,
    /// Mean milliseconds of a check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_took_ms: Option<f64>,
}

/// Load balancing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerStats {
    /// The global strategy.
    pub strategy: String,
    /// By name.
    pub services: BTreeMap<String, ServiceBalance>,
}

/// How one service is balanced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBalance {
    /// In force.
    pub strategy: String,
    /// `healthy`, `degraded` or `panic`.
    pub level: String,
    /// Milliseconds, median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_latency_ms: Option<f64>,
    /// Milliseconds, 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_latency_ms: Option<f64>,
    /// Milliseconds, mean of the last half minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time_ms: Option<f64>,
    /// Moving average, 0 to 1.
    pub failure_rate: f64,
    /// Retries sent.
    #[serde(default)]
    pub retries: u64,
    /// Each instance, by id.
    pub instances: BTreeMap<String, InstanceBalance>,
}

/// One instance as the balancer sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceBalance {
    /// Requests in flight.
    pub in_flight: u64,
    /// Requests that succeeded.
    pub successes: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Requests that timed out.
    pub timeouts: u64,
    /// Requests the client gave up.
    pub cancelled: u64,
    /// Milliseconds, moving average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
    /// Moving average, 0 to 1.
    pub failure_rate: f64,
    /// Milliseconds it is still ejected as an outlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_for: Option<u64>,
}

/// The gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStats {
    /// Routes.
    pub routes: usize,
    /// Requests answered since start.
    pub requests: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Requests whose client went away before there was an answer.
    #[serde(default)]
    pub abandoned: u64,
    /// Client connections open.
    pub connections: u64,
    /// Retries sent.
    pub retries: u64,
    /// Requests refused by a rate limit.
    pub rate_limited: u64,
    /// Answers by class: `2xx`, `4xx`, …
    #[serde(default)]
    pub responses: BTreeMap<String, u64>,
    /// Each route, by id.
    #[serde(default)]
    pub by_route: BTreeMap<String, RouteStats>,
}

/// One route of the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStats {
    /// The service that answers.
    pub service: String,
    /// Requests answered since start.
    pub requests: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Requests whose client went away before there was an answer.
    pub abandoned: u64,
    /// Retries sent.
    pub retries: u64,
    /// Requests refused by its rate limit.
    pub rate_limited: u64,
}

/// `GET` and `PUT /load-balancer/strategy`: what is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategies {
    /// The global strategy.
    pub strategy: String,
    /// Services with one of their own.
    pub services: BTreeMap<String, String>,
}
