//! The registry: commands in, immutable snapshots out.
//!
//! A command is applied under one short lock; the result is published by one atomic swap and wakes those who watch
//! exactly what changed. Snapshots share all that did not change, so a write costs what it touches.

mod changes;
mod command;
mod deadlines;
mod snapshot;
mod state;
mod watch;

pub use changes::{Change, ChangeKind, TooOld};
pub use command::{Cause, Command, Operation, Rejected, plan};
pub use deadlines::Settings;
pub use snapshot::{Counts, Service, Snapshot};
pub use state::Rehearsal;
pub use watch::ServiceWatch;

use crate::journal::Journal;
use crate::model::{InstanceId, ServiceName, Source};
use crate::time::Now;
use arc_swap::ArcSwap;
use state::State;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// The registry of one process. Share it in an `Arc`.
#[derive(Debug)]
pub struct Registry {
    // Held while one command is applied: map updates in memory, no I/O, no await.
    state: Mutex<State>,
    snapshot: ArcSwap<Snapshot>,
    hub: Arc<watch::Hub>,
    journal: Arc<Journal>,
    deadline_moved: Notify,
}

impl Registry {
    /// An empty registry that records what happens in `journal`.
    #[must_use]
    pub fn new(settings: Settings, journal: Arc<Journal>) -> Self {
        Self {
            state: Mutex::new(State::new(settings)),
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            hub: Arc::default(),
            journal,
            deadline_moved: Notify::new(),
        }
    }

    /// Applies one command.
    ///
    /// # Errors
    /// [`Rejected`] says why the command can't be applied; nothing has changed then.
    pub fn apply(&self, command: Command, now: Now) -> Result<Option<Change>, Rejected> {
        self.apply_all(vec![command], now).map(|mut changes| changes.pop())
    }

    /// Applies commands all or none, published as one snapshot. What changed is returned in order; commands that
    /// change nothing visible (a heartbeat, a repeated verdict) return nothing.
    ///
    /// # Errors
    /// The first [`Rejected`]; nothing has changed then.
    pub fn apply_all(&self, commands: Vec<Command>, now: Now) -> Result<Vec<Change>, Rejected> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.next_deadline();
        let (changes, entries) = state.apply_all(commands, now)?;
        let earlier = match (before, state.next_deadline()) {
            (None, Some(_)) => true,
            (Some(a), Some(b)) => b < a,
            _ => false,
        };
        if !changes.is_empty() {
            self.snapshot.store(Arc::new(state.snapshot()));
        }
        for entry in entries {
            self.journal.record(now, entry);
        }
        self.hub.publish(&changes);
        drop(state);
        if earlier {
            self.deadline_moved.notify_one();
        }
        Ok(changes)
    }

    /// A copy to try commands on before they are made durable; it shares everything and changes nothing.
    #[must_use]
    pub fn rehearsal(&self) -> Rehearsal {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rehearsal()
    }

    /// Notes that `source` can't be asked at the moment, and why; `None` that it has told its set anew. What it told
    /// last stays as it is.
    pub fn mark_stale(&self, source: &Source, reason: Option<&str>, now: Now) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = state.mark_stale(source, reason, now);
        self.snapshot.store(Arc::new(state.snapshot()));
        if let Some(entry) = entry {
            self.journal.record(now, entry);
        }
    }

    /// The sources of lower precedence that tell of this instance too; their word is held back, strongest first.
    #[must_use]
    pub fn held_back(&self, name: &ServiceName, id: &InstanceId) -> Vec<Source> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).held_back(name, id)
    }

    /// The current snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Where what happens is recorded.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Wakes with the newest index on every change of anything.
    #[must_use]
    pub fn watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.hub.watch_all()
    }

    /// Wakes on changes of one service alone, whether it exists yet or not.
    #[must_use]
    pub fn watch_service(&self, name: &ServiceName) -> ServiceWatch {
        self.hub.watch_service(name)
    }

    /// The index of the last change of `name`: of the service, or of its removal. 0 where neither is remembered.
    #[must_use]
    pub fn service_index(&self, name: &ServiceName) -> u64 {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.service_index(name)
    }

    /// The changes after `index`, oldest first.
    ///
    /// # Errors
    /// [`TooOld`] where they are no longer all kept: start again from a snapshot.
    pub fn changes_since(&self, index: u64) -> Result<Vec<Change>, TooOld> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.changes_since(index)
    }

    /// When an instance's lease ends.
    #[must_use]
    pub fn lease_deadline(&self, name: &ServiceName, id: &InstanceId) -> Option<Instant> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lease_deadline(name, id)
    }

    /// Since when and why leases are not being expired, where a mass expiry was stopped.
    #[must_use]
    pub fn expiry_paused(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).expiry_paused()
    }

    /// What time alone makes due at `now`: commands to be applied (through the store where they touch something
    /// durable). Asking changes only the mass-expiry watch.
    #[must_use]
    pub fn due(&self, now: Now) -> Vec<Command> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (commands, entries) = state.due(now);
        for entry in entries {
            self.journal.record(now, entry);
        }
        commands
    }

    /// When [`Registry::due`] has something next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).next_deadline()
    }

    /// Returns when the next deadline has become earlier than it was.
    pub async fn deadline_moved(&self) {
        self.deadline_moved.notified().await;
    }

    /// Changes the settings of leases and removal.
    pub fn configure(&self, settings: Settings, now: Now) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).configure(settings, now);
        self.deadline_moved.notify_one();
    }
}
