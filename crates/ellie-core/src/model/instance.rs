//! An instance as the registry keeps it: its registration, its state, and why it is in that state.

use super::{CheckReport, Registration, Source, Status};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// How many transitions are kept per instance.
pub const MAX_TRANSITIONS: usize = 10;

/// Who put an operator state on an instance, why, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Who.
    pub by: String,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// Since when.
    pub at: SystemTime,
    /// Until when; `None` lasts until it is taken back.
    pub until: Option<SystemTime>,
}

/// What operators decided about an instance; survives its replacement and a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// No new requests; what is in flight finishes.
    pub draining: Option<Mark>,
    /// Out of service on purpose.
    pub maintenance: Option<Mark>,
    /// A weight in place of the registered one.
    pub weight: Option<(u32, Mark)>,
}

impl Operator {
    /// The earliest wall-clock time at which one of the states lapses.
    #[must_use]
    pub fn next_lapse(&self) -> Option<SystemTime> {
        [
            self.draining.as_ref().and_then(|m| m.until),
            self.maintenance.as_ref().and_then(|m| m.until),
            self.weight.as_ref().and_then(|(_, m)| m.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// What a store keeps of an instance: what somebody said, never what was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it says of itself.
    pub registration: Arc<Registration>,
    /// Who says that it exists.
    pub source: Source,
    /// What operators decided.
    pub operator: Operator,
    /// When it was first registered under this id.
    pub registered_at: SystemTime,
}

/// A change of status.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// From.
    pub from: Status,
    /// To.
    pub to: Status,
    /// Why.
    pub reason: String,
    /// When.
    pub at: SystemTime,
}

#[derive(Debug, Default)]
struct HistoryInner {
    last_check: Option<Arc<CheckReport>>,
    consecutive_failures: u32,
    checks: u64,
    last_heartbeat: Option<SystemTime>,
    transitions: VecDeque<Transition>,
}

/// What was observed of an instance. It is shared by all snapshots that hold the same incarnation and changes without
/// a new index: a probe that says the same as the last one wakes nobody.
#[derive(Debug, Default)]
pub struct History(
    // A few words are copied under it, by one prober and by readers of that one instance.
    Mutex<HistoryInner>,
);

impl History {
    fn with<T>(&self, f: impl FnOnce(&mut HistoryInner) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The last probe's result.
    #[must_use]
    pub fn last_check(&self) -> Option<Arc<CheckReport>> {
        self.with(|h| h.last_check.clone())
    }

    /// Probes since it was registered.
    #[must_use]
    pub fn checks(&self) -> u64 {
        self.with(|h| h.checks)
    }

    /// Failed probes in a row up to now.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.with(|h| h.consecutive_failures)
    }

    /// When it last renewed its lease.
    #[must_use]
    pub fn last_heartbeat(&self) -> Option<SystemTime> {
        self.with(|h| h.last_heartbeat)
    }

    /// The last transitions, oldest first, at most [`MAX_TRANSITIONS`].
    #[must_use]
    pub fn transitions(&self) -> Vec<Transition> {
        self.with(|h| h.transitions.iter().cloned().collect())
    }

    pub(crate) fn record_check(&self, report: Arc<CheckReport>) {
        self.with(|h| {
            h.checks += 1;
            h.consecutive_failures = if report.verdict == Status::Unhealthy {
                h.consecutive_failures.saturating_add(1)
            } else {
                0
            };
            h.last_check = Some(report);
        });
    }

    pub(crate) fn record_heartbeat(&self, at: SystemTime) {
        self.with(|h| h.last_heartbeat = Some(at));
    }

    pub(crate) fn record_transition(&self, transition: Transition) {
        self.with(|h| {
            if h.transitions.len() == MAX_TRANSITIONS {
                h.transitions.pop_front();
            }
            h.transitions.push_back(transition);
        });
    }
}

/// An instance in a snapshot.
#[derive(Clone, Debug)]
pub struct Instance {
    /// What it says of itself.
    pub registration: Arc<Registration>,
    /// Who says that it exists.
    pub source: Source,
    /// What operators decided.
    pub operator: Operator,
    /// How it fares.
    pub status: Status,
    /// Why, in a few words for people.
    pub reason: Arc<str>,
    /// Since when it has this status.
    pub since: SystemTime,
    /// When it was first registered under this id.
    pub registered_at: SystemTime,
    /// Unlike that of any other registration of another endpoint, even under the same id: live state is keyed by it.
    pub incarnation: u64,
    /// The index of its first registration.
    pub created_index: u64,
    /// The index of its last change.
    pub modified_index: u64,
    /// What was observed.
    pub history: Arc<History>,
}

impl Instance {
    /// The weight in force: the operator's, else the registered one.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.operator.weight.as_ref().map_or(self.registration.weight, |(w, _)| *w)
    }

    /// Whether an operator took it out of traffic.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.operator.draining.is_some() || self.operator.maintenance.is_some()
    }

    /// What a store keeps of it.
    #[must_use]
    pub fn record(&self) -> Record {
        Record {
            registration: self.registration.clone(),
            source: self.source.clone(),
            operator: self.operator.clone(),
            registered_at: self.registered_at,
        }
    }
}
