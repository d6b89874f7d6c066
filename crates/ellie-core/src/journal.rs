//! What happened, when, who did it and why: a bounded ring that anyone can append to and follow.

use crate::time::Now;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::sync::watch;

/// How many entries are kept.
pub const CAPACITY: usize = 4096;

/// What kind of thing happened. The names are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it; `as_str` documents the wire")]
pub enum Kind {
    Registered,
    Replaced,
    Deregistered,
    LeaseExpired,
    ExpiryPaused,
    ExpiryResumed,
    StatusChanged,
    OperatorChanged,
    BreakerChanged,
    InstanceEjected,
    StrategyChanged,
    RouteChanged,
    ConfigReloaded,
    ConfigRejected,
    SourceStale,
    SourceFresh,
    ProcessChanged,
    Started,
    Stopping,
}

impl Kind {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Replaced => "replaced",
            Self::Deregistered => "deregistered",
            Self::LeaseExpired => "lease-expired",
            Self::ExpiryPaused => "expiry-paused",
            Self::ExpiryResumed => "expiry-resumed",
            Self::StatusChanged => "status-changed",
            Self::OperatorChanged => "operator-changed",
            Self::BreakerChanged => "breaker-changed",
            Self::InstanceEjected => "instance-ejected",
            Self::StrategyChanged => "strategy-changed",
            Self::RouteChanged => "route-changed",
            Self::ConfigReloaded => "config-reloaded",
            Self::ConfigRejected => "config-rejected",
            Self::SourceStale => "source-stale",
            Self::SourceFresh => "source-fresh",
            Self::ProcessChanged => "process-changed",
            Self::Started => "started",
            Self::Stopping => "stopping",
        }
    }
}

/// An entry before it has a place in the journal.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What kind of thing happened.
    pub kind: Kind,
    /// The service it is about, or the breaker; of a route, the service that it leads to.
    pub service: Option<String>,
    /// The instance it is about.
    pub instance: Option<String>,
    /// Who did it.
    pub actor: String,
    /// One sentence for people, with the why.
    pub message: String,
}

/// An entry of the journal.
#[derive(Clone, Debug)]
pub struct Event {
    /// 1, 2, 3… since this process started.
    pub id: u64,
    /// When.
    pub at: SystemTime,
    /// What.
    pub entry: Entry,
}

/// The ring. Cheap to share.
#[derive(Debug)]
pub struct Journal {
    // Appending and reading copy a few pointers under it; it is never held across an await.
    ring: Mutex<Ring>,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    last: u64,
    events: VecDeque<Arc<Event>>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { ring: Mutex::default(), head: watch::channel(0).0 }
    }
}

impl Journal {
    /// Appends an entry; the oldest gives way. Returns its id.
    pub fn record(&self, now: Now, entry: Entry) -> u64 {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.last += 1;
        let id = ring.last;
        if ring.events.len() == CAPACITY {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(Event { id, at: now.wall, entry }));
        drop(ring);
        self.head.send_if_modified(|head| std::mem::replace(head, id.max(*head)) < id);
        id
    }

    /// All entries after `id` that are still kept, oldest first.
    #[must_use]
    pub fn since(&self, id: u64) -> Vec<Arc<Event>> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let first = ring.last + 1 - ring.events.len() as u64;
        let skip = (id + 1).saturating_sub(first).min(ring.events.len() as u64);
        ring.events.iter().skip(skip as usize).cloned().collect()
    }

    /// The newest entry's id, 0 where there is none.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        *self.head.borrow()
    }

    /// Wakes with the newest id whenever entries are appended.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: usize) -> Entry {
        Entry {
            kind: Kind::Started,
            service: None,
            instance: None,
            actor: "test".into(),
            message: n.to_string(),
        }
    }

    #[test]
    fn the_ring_is_bounded_and_resumes_anywhere() {
        let journal = Journal::default();
        let now = Now::read();
        for n in 0..CAPACITY + 10 {
            journal.record(now, entry(n));
        }
        assert_eq!(journal.last_id(), CAPACITY as u64 + 10);
        let all = journal.since(0);
        assert_eq!((all.len(), all[0].id), (CAPACITY, 11));
        assert_eq!(journal.since(journal.last_id() - 1).len(), 1);
        assert!(journal.since(journal.last_id()).is_empty());
        assert!(journal.since(u64::MAX - 1).is_empty());
    }
}
