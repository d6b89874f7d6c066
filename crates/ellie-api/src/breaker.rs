//! Circuit breakers.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls fail fast.
    Open,
    /// A few calls test whether the service has recovered.
    HalfOpen,
}

impl BreakerState {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `GET /breakers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breakers {
    /// How many.
    pub count: usize,
    /// By name.
    pub breakers: Vec<Breaker>,
}

/// One breaker: its state and what it counted. In `GET /services/stats` the same without the name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breaker {
    /// The service, or the name a library user gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Now.
    pub state: BreakerState,
    /// Whether an operator forces the state, and for how long still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// Failures inside the monitoring period.
    pub failures: u64,
    /// Successes inside the monitoring period.
    pub successes: u64,
    /// Calls inside the monitoring period.
    pub calls: u64,
    /// Failures of calls, 0 to 1.
    pub failure_rate: f64,
    /// Probes in flight while half-open.
    pub probes_in_flight: u32,
    /// Successful probes so far while half-open.
    pub probe_successes: u32,
    /// Milliseconds until a probe is admitted, while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<u64>,
    /// Milliseconds since it opened, while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_for: Option<u64>,
    /// Since it exists.
    pub totals: BreakerTotals,
    /// The last change of state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition: Option<BreakerTransition>,
    /// What it works by.
    pub config: BreakerConfig,
}

/// A state forced by an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forced {
    /// Which.
    pub state: BreakerState,
    /// Milliseconds left; absent: until a reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
}

/// Counts since a breaker exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerTotals {
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls whose outcome says nothing.
    pub ignored: u64,
    /// Calls refused.
    pub rejected: u64,
    /// Results that came after a change of state.
    pub stale: u64,
    /// Times it opened.
    pub opened: u64,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerTransition {
    /// From.
    pub from: BreakerState,
    /// To.
    pub to: BreakerState,
    /// Why.
    pub cause: String,
    /// Milliseconds ago.
    pub ago: u64,
}

/// A breaker's settings under the specification's names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerConfig {
    /// Failures before opening.
    pub failure_threshold: u32,
    /// Milliseconds before trying half-open.
    pub recovery_timeout: u64,
    /// Successes needed to close.
    pub success_threshold: u32,
    /// Milliseconds a call may take.
    pub timeout: u64,
    /// Milliseconds of the failure counting window.
    pub monitoring_period: u64,
    /// The least share of failures that opens, 0 to 1.
    pub minimum_failure_rate: f64,
}
