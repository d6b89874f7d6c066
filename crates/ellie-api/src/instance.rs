//! One instance: what it says of itself, how it fares and why.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// How an instance or a service fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Fully operational.
    Healthy,
    /// Operational with reduced performance.
    Degraded,
    /// Not operational, or not yet checked.
    Unhealthy,
}

impl Status {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An instance as the registry keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Unique in its service.
    pub id: String,
    /// The service.
    pub name: String,
    /// Free text.
    pub version: String,
    /// A host name or an address, IPv6 without brackets.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// `http`, `https`, `grpc` or `tcp`.
    pub protocol: String,
    /// The path of its health endpoint, where it told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_endpoint: Option<String>,
    /// In the order they were given.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Names of services it needs.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// Free key-value pairs.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The weight in force: an operator's, else the registered one.
    pub weight: u32,
    /// The registered weight.
    pub registered_weight: u32,
    /// Milliseconds; the lease, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How its health is found out.
    pub health_check: HealthCheck,
    /// How it fares.
    pub status: Status,
    /// Why, in a few words for people.
    pub reason: String,
    /// Since when it has this status.
    pub since: String,
    /// Whether it gets traffic, or why not: `routable`, `degraded-standby`, `unhealthy`, `draining`, `maintenance`,
    /// `weight-zero`.
    pub standing: String,
    /// What operators decided.
    #[serde(default)]
    pub operator: Operator,
    /// `api`, `config`, `own` or the name of a provider.
    pub source: String,
    /// When it was first registered under this id.
    pub registered_at: String,
    /// Grows whenever another endpoint takes this id.
    pub incarnation: u64,
    /// The lease, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The last check's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check: Option<CheckResult>,
    /// Failed checks in a row up to now.
    #[serde(default)]
    pub consecutive_failures: u32,
    /// Checks since it was registered.
    #[serde(default)]
    pub checks: u64,
    /// The last ten changes of status, oldest first.
    #[serde(default)]
    pub transitions: Vec<Transition>,
    /// The index of its first registration.
    pub created_index: u64,
    /// The index of its last change.
    pub modified_index: u64,
}

impl Instance {
    /// Whether it gets traffic.
    #[must_use]
    pub fn is_routable(&self) -> bool {
        self.standing == "routable"
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// How health is found out; what is absent follows the server's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// `http`, `tcp`, `grpc`, `ttl` or `none`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The path of an HTTP check, the service's name of a gRPC one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Milliseconds between checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// Milliseconds until a check counts as failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Successes in a row that make it healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<u32>,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<u32>,
}

/// What operators decided about an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// No new requests; what is in flight finishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<Mark>,
    /// Out of service on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Mark>,
    /// A weight in place of the registered one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<WeightMark>,
}

/// Who decided, why, when and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// Who.
    pub by: String,
    /// Why, where it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub at: String,
    /// Until when; absent: until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// An operator's weight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightMark {
    /// The weight.
    pub weight: u32,
    /// Whose.
    #[serde(flatten)]
    pub mark: Mark,
}

/// An instance's lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// Milliseconds from a heartbeat to its end.
    pub ttl: u64,
    /// When it ends unless it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was last renewed by a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_at: Option<String>,
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// When it ended.
    pub at: String,
    /// Milliseconds it took, with fractions.
    pub took_ms: f64,
    /// What this check alone says, before thresholds.
    pub verdict: Status,
    /// A sentence for people.
    pub output: String,
    /// The HTTP or gRPC status code, where there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// What the answer's body told, where it was understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<CheckBody>,
}

/// What a health endpoint told in the specification's format.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckBody {
    /// Its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Seconds since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<f64>,
    /// The version that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Whether each of its dependencies is reachable.
    #[serde(default)]
    pub dependencies: BTreeMap<String, bool>,
}

/// The memory part of the health format, in the unit the service reports.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// In use.
    pub used: f64,
    /// In all.
    pub total: f64,
    /// Used of total, 0 to 100.
    pub percentage: f64,
}

/// A change of status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// From.
    pub from: Status,
    /// To.
    pub to: Status,
    /// Why.
    pub reason: String,
    /// When.
    pub at: String,
}
