//! `GET /api/ui/stream`: the events `snapshot`, `delta` and `tick`.

use super::is_zero;
use crate::instance::Operator;
use crate::process::Process;
use crate::provider::Provider;
use crate::{BreakerState, Event, Route, Status, breaker};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What ellie itself is and runs as.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mode {
    /// ellie's version.
    pub version: String,
    /// When this process started.
    pub started_at: String,
    /// `embedded` or `ephemeral`.
    pub store: String,
    /// False: registrations are refused.
    pub discovery_enabled: bool,
    /// Reads need a token.
    pub reads_protected: bool,
    /// Where the API listens.
    pub api: String,
    /// Where the gateway listens.
    pub gateway: String,
    /// Where the dashboard listens.
    pub dashboard: String,
    /// The strategy of services without one of their own.
    pub strategy: String,
    /// The share of healthy instances under which all get traffic; 0 never.
    pub panic_threshold: f64,
    /// Since when and why leases are not being expired, where a mass expiry was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_paused: Option<String>,
    /// Why the last configuration that was read is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_rejected: Option<Rejected>,
}

/// A configuration that was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// When.
    pub at: String,
    /// Every fault.
    pub message: String,
}

/// One instance in the stream: what a row of a table shows. [`InstanceDetail`](super::InstanceDetail) has all of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// A host name or an address, IPv6 without brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// `http`, `https`, `grpc` or `tcp`.
    pub protocol: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// In the order they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The weight in force.
    pub weight: u32,
    /// The registered weight, where another one is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_weight: Option<u32>,
    /// How it fares.
    pub status: Status,
    /// Whether it gets traffic, or why not; the words of [`Instance::standing`](crate::Instance::standing).
    pub standing: String,
    /// Why it fares so, in a few words for people.
    pub reason: String,
    /// Since when it has this status.
    pub since: String,
    /// `http`, `tcp`, `grpc`, `ttl` or `none`.
    pub check: String,
    /// Who says that it exists.
    pub source: String,
    /// The registry's index of its last change.
    pub index: u64,
    /// What operators decided, where they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
}

/// One service in the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// How it fares as a whole.
    pub status: Status,
    /// Which instances get traffic: `healthy`, `degraded` (the degraded ones joined) or `panic` (all).
    pub level: String,
    /// The strategy in force for it.
    pub strategy: String,
    /// Whether that is one of its own.
    pub own_strategy: bool,
    /// Healthy instances.
    pub healthy: usize,
    /// Degraded instances.
    pub degraded: usize,
    /// Unhealthy instances.
    pub unhealthy: usize,
    /// Instances that get traffic.
    pub routable: usize,
    /// All instances.
    pub total: usize,
    /// What its instances say they need, by name.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// By id: in a snapshot all, in a delta those that are new or different.
    #[serde(default)]
    pub instances: BTreeMap<String, Row>,
    /// In a delta: the ids of instances that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// The event `snapshot`: takes the place of everything that was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The registry's index.
    pub index: u64,
    /// When this was read.
    pub at: String,
    /// ellie itself.
    pub mode: Mode,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// In the order in which they win over each other.
    pub routes: Vec<Route>,
    /// What breakers without settings of their own work by.
    pub breaker_config: breaker::BreakerConfig,
    /// What the service manager runs; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<Process>>,
    /// Providers without their notes, of which there is the number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<Provider>,
    /// The journal's newest entry.
    pub last_event_id: u64,
}

/// The event `delta`: what has changed since the snapshot or delta before. What is absent has not changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// The registry's index.
    pub index: u64,
    /// When this was read.
    pub at: String,
    /// ellie itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Services that are new or different, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Service>,
    /// The names of services that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// All routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<Route>>,
    /// What breakers without settings of their own work by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_config: Option<breaker::BreakerConfig>,
    /// All processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<Process>>,
    /// All providers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<Provider>>,
    /// What happened, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// How many more events there were than are sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub events_skipped: u64,
    /// The journal's newest entry.
    pub last_event_id: u64,
}

/// The event `tick`: the figures of the last second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    /// When this was read.
    pub at: String,
    /// All requests at the gateway.
    #[serde(flatten)]
    pub total: RouteRates,
    /// Client connections at the gateway.
    pub connections: u64,
    /// Health checking.
    pub checks: CheckRates,
    /// MiB of ellie's resident memory.
    pub memory: f64,
    /// Services with traffic lately, by name.
    pub services: BTreeMap<String, ServiceRates>,
    /// Instances of services with traffic lately, by service and id.
    pub instances: BTreeMap<String, BTreeMap<String, InstanceFigures>>,
    /// Routes with traffic lately, by id.
    pub routes: BTreeMap<String, RouteRates>,
    /// Breakers that are not simply closed, by name.
    pub breakers: BTreeMap<String, BreakerFigures>,
}

/// Requests of a route, or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteRates {
    /// Answers a second.
    pub rps: f64,
    /// The share of answers that are 5xx, 0 to 1.
    pub errors: f64,
    /// Milliseconds, median of the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<f64>,
    /// Milliseconds, 95th percentile of the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// Milliseconds, 99th percentile of the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<f64>,
    /// Requests under way.
    pub in_flight: u64,
    /// Further tries a second.
    pub retries: f64,
    /// Requests refused by a rate limit a second.
    pub limited: f64,
}

/// Requests of a service: those of its routes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRates {
    /// Answers a second.
    pub rps: f64,
    /// The share of answers that are 5xx, 0 to 1.
    pub errors: f64,
    /// Milliseconds, 95th percentile of the last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<f64>,
    /// Requests under way.
    pub in_flight: u64,
}

/// Health checking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckRates {
    /// Instances checked actively.
    pub scheduled: u64,
    /// Checks under way.
    pub in_flight: u64,
    /// Checks that ended, a second.
    pub per_second: f64,
    /// Of these, those that failed.
    pub failed_per_second: f64,
}

/// One instance's figures, as an array of seven numbers: there are thousands of them each second.
///
/// Answers a second; requests in flight; the moving average of its latency in milliseconds or `null`; its moving
/// average of failures, 0 to 1; its share of the service's answers of the last seconds; its intended share, by weight
/// among those that get traffic; [`flag`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceFigures(pub f64, pub u32, pub Option<f64>, pub f64, pub f64, pub f64, pub u8);

/// What is special about an instance: the last number of [`InstanceFigures`].
pub mod flag {
    /// Health based balancing gives it trials only.
    pub const SICK: u8 = 1;
    /// It is ejected as an outlier.
    pub const EJECTED: u8 = 2;
    /// It is new, and its share still grows.
    pub const RAMPING: u8 = 4;
}

/// A breaker that is not simply closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerFigures {
    /// Now.
    pub state: BreakerState,
    /// Failures inside the monitoring period.
    pub failures: u64,
    /// Calls inside the monitoring period.
    pub calls: u64,
    /// Failures of calls, 0 to 1.
    pub failure_rate: f64,
    /// Probes in flight while half-open.
    #[serde(default)]
    pub probes_in_flight: u32,
    /// Successful probes so far while half-open.
    #[serde(default)]
    pub probe_successes: u32,
    /// Milliseconds until a probe is admitted, while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<u64>,
    /// Milliseconds since it opened, while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_for: Option<u64>,
    /// Calls refused since it exists.
    pub rejected: u64,
    /// Times it opened since it exists.
    pub opened: u64,
    /// Whether an operator forces the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<breaker::Forced>,
    /// The last change of state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition: Option<breaker::BreakerTransition>,
    /// What it works by, where that is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<breaker::BreakerConfig>,
}
