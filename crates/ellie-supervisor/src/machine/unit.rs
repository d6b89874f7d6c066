//! One process as the machine knows it.

use crate::restart::{History, Policy};
use crate::status::{Exit, Phase, Timeline};
use ellie_core::Now;
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

/// Whether it is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Up,
    /// `ordered`: what depends on it stops first.
    Down {
        ordered: bool,
    },
}

/// What follows when it has been stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    Stay,
    /// It is started again.
    Again,
    /// It has failed for this reason: the restart policy decides.
    Failed(String),
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Stopped,
    Waiting,
    Starting,
    /// Ready, and whoever is told of that has not answered yet.
    Announcing,
    Ready,
    Draining(After),
    Stopping(After),
    Killing(After),
    Backoff,
    Completed,
    Failed,
}

impl State {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Stopped => Phase::Stopped,
            Self::Waiting => Phase::Waiting,
            Self::Starting | Self::Announcing => Phase::Starting,
            Self::Ready => Phase::Ready,
            Self::Draining(_) => Phase::Draining,
            Self::Stopping(_) | Self::Killing(_) => Phase::Stopping,
            Self::Backoff => Phase::Backoff,
            Self::Completed => Phase::Completed,
            Self::Failed => Phase::Failed,
        }
    }

    /// Whether there is, or may be, a process.
    pub(super) fn is_active(&self) -> bool {
        self.phase().is_running()
    }

    /// Whether it runs and nobody has asked it to stop.
    pub(super) fn is_up(&self) -> bool {
        matches!(self, Self::Starting | Self::Announcing | Self::Ready)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.phase().is_at_rest()
    }
}

#[derive(Debug)]
pub(super) struct Unit {
    pub(super) definition: usize,
    pub(super) want: Want,
    pub(super) state: State,
    pub(super) since: SystemTime,
    pub(super) reason: String,
    /// When the state ends by itself.
    pub(super) deadline: Option<Instant>,
    pub(super) run: u64,
    pub(super) pid: Option<u32>,
    pub(super) port: Option<u16>,
    /// Whether this run has been told of as ready.
    pub(super) announced: bool,
    pub(super) ready_at: Option<Instant>,
    pub(super) history: History,
    pub(super) crash_loop: bool,
    pub(super) last_exit: Option<Exit>,
    /// Awaited lines that this run has written.
    pub(super) seen: BTreeMap<String, SystemTime>,
    pub(super) times: Timeline,
}

impl Unit {
    pub(super) fn new(definition: usize, policy: Policy, now: Now) -> Self {
        Self {
            definition,
            want: Want::Down { ordered: false },
            state: State::Stopped,
            since: now.wall,
            reason: String::new(),
            deadline: None,
            run: 0,
            pid: None,
            port: None,
            announced: false,
            ready_at: None,
            history: History::new(policy),
            crash_loop: false,
            last_exit: None,
            seen: BTreeMap::new(),
            times: Timeline::default(),
        }
    }
}
