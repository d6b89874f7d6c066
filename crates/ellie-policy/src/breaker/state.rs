//! The breaker's vocabulary: states, outcomes, refusals, transitions.

use std::fmt;
use std::time::{Duration, Instant};

/// Whether calls pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls pass.
    Closed,
    /// A few calls pass as probes.
    HalfOpen,
    /// No call passes.
    Open,
}

impl State {
    /// The value of the state metric: 0 closed, 1 half-open, 2 open.
    #[must_use]
    pub fn as_metric(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::HalfOpen => 1,
            Self::Open => 2,
        }
    }

    /// `closed`, `half_open` or `open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a call ended, as the caller judges it. By default errors, timeouts and 5xx are failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The call did what it should.
    Success,
    /// The call failed, timed out or panicked.
    Failure,
    /// Says nothing about the callee: cancelled, refused for the caller's own fault.
    Ignored,
}

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The breaker is open.
    Open,
    /// As many probes as allowed are under way.
    HalfOpenFull,
    /// An operator holds the breaker open.
    ForcedOpen,
}

impl Reason {
    /// `open`, `half_open_full` or `forced_open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::HalfOpenFull => "half_open_full",
            Self::ForcedOpen => "forced_open",
        }
    }
}

/// A call that the breaker did not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// When another attempt may pass; `None` if only an operator can tell.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.reason {
            Reason::Open => "circuit breaker is open",
            Reason::HalfOpenFull => "circuit breaker is half-open and its probes are under way",
            Reason::ForcedOpen => "circuit breaker is held open by an operator",
        })?;
        match self.retry_after {
            Some(after) => write!(f, ", retry in {after:?}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejected {}

/// What changed a breaker's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Enough failures, in number and share, within the window.
    FailureThreshold,
    /// A probe failed.
    ProbeFailed,
    /// Enough probes succeeded.
    ProbesSucceeded,
    /// The recovery timeout is over, and a call came.
    RecoveryElapsed,
    /// An operator forced it open.
    ForcedOpen,
    /// An operator forced it closed.
    ForcedClosed,
    /// The time for which an operator forced it open is over, and a call came.
    ForceLapsed,
    /// An operator reset it.
    Reset,
}

impl Cause {
    /// The cause in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailureThreshold => "failure_threshold",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::RecoveryElapsed => "recovery_elapsed",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::ForceLapsed => "force_lapsed",
            Self::Reset => "reset",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One change of state. Each happens once and is reported once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// 1 for a breaker's first transition, then without gaps.
    pub sequence: u64,
    /// The state before.
    pub from: State,
    /// The state after; never the same.
    pub to: State,
    /// What changed it.
    pub cause: Cause,
    /// When.
    pub at: Instant,
}

/// A state that an operator holds a breaker in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forced {
    /// [`State::Open`] or [`State::Closed`].
    pub state: State,
    /// How much longer; `None` until someone resets it.
    pub left: Option<Duration>,
}

/// A breaker at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snapshot {
    /// The state: an open breaker whose time is over reads as half-open.
    pub state: State,
    /// Set while an operator holds it.
    pub forced: Option<Forced>,
    /// Failures within the window.
    pub failures: u64,
    /// Successes within the window.
    pub successes: u64,
    /// Failures and successes within the window.
    pub calls: u64,
    /// Share of [`calls`](Self::calls) that failed; 0 without calls.
    pub failure_rate: f64,
    /// Probes under way.
    pub probes_in_flight: u32,
    /// Probes that have succeeded since it went half-open.
    pub probe_successes: u32,
    /// Since when it has been open, while it is open or half-open.
    pub opened_for: Option<Duration>,
    /// How long until it lets probes through, while open (zero when it would now).
    pub retry_in: Option<Duration>,
    /// How many attempts to recover failed since it was last closed.
    pub reopen_count: u32,
    /// Successes ever recorded.
    pub succeeded_total: u64,
    /// Failures ever recorded.
    pub failed_total: u64,
    /// Ignored and cancelled calls ever recorded.
    pub ignored_total: u64,
    /// Calls ever refused.
    pub rejected_total: u64,
    /// Results that came back after the state they were admitted in had ended.
    pub stale_total: u64,
    /// Times it opened, by itself or by force.
    pub opened_total: u64,
    /// Changes of state ever.
    pub transitions_total: u64,
    /// The latest of them.
    pub last_transition: Option<Transition>,
}
