//! What events have made doubtful since the last look, however many there were.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Containers that are doubtful at once; with more a complete listing is cheaper.
const MOST: usize = 4096;

/// What events said of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubt {
    /// It stopped: it must leave the set before anything else, even if it runs again by now.
    pub(super) gone: bool,
    /// A signal was sent to it.
    pub(super) signal: Option<i64>,
    /// It must be looked at.
    pub(super) look: bool,
    /// It must be looked at if it is one of ours.
    pub(super) relook: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    pub(super) containers: BTreeMap<String, Doubt>,
    /// Everything is doubtful.
    pub(super) all: bool,
}

/// Collects what events say while the last of it is being looked at. Memory is bounded, whatever the number of events.
#[derive(Debug, Default)]
pub(super) struct Pending {
    // One entry is written or all are taken under it.
    doubts: Mutex<Doubts>,
    some: Notify,
}

impl Pending {
    /// Notes what an event says of a container.
    pub(super) fn add(&self, id: &str, doubt: Doubt) {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        if doubts.containers.len() >= MOST && !doubts.containers.contains_key(id) {
            doubts.all = true;
            if !doubt.gone {
                drop(doubts);
                return self.some.notify_one();
            }
        }
        let known = doubts.containers.entry(id.to_owned()).or_default();
        if doubt.gone {
            // What came before is over.
            *known = Doubt { gone: true, ..doubt };
        } else {
            known.signal = doubt.signal.or(known.signal);
            known.look |= doubt.look;
            known.relook |= doubt.relook;
        }
        drop(doubts);
        self.some.notify_one();
    }

    /// Takes all there is.
    pub(super) fn take(&self) -> Doubts {
        std::mem::take(&mut *self.doubts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns when there may be something to take.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Doubt = Doubt { gone: false, signal: None, look: true, relook: false };
    const GONE: Doubt = Doubt { gone: true, signal: None, look: false, relook: false };

    #[test]
    fn many_events_of_a_container_are_one_doubt() {
        let pending = Pending::default();
        for _ in 0..1000 {
            pending.add("a", LOOK);
        }
        let doubts = pending.take();
        assert_eq!((doubts.containers.len(), doubts.all), (1, false));
        assert!(pending.take().containers.is_empty());
    }

    #[test]
    fn a_restart_between_two_looks_is_not_missed() {
        let pending = Pending::default();
        pending.add("a", Doubt { signal: Some(15), ..Doubt::default() });
        pending.add("a", GONE);
        pending.add("a", LOOK);
        assert_eq!(pending.take().containers["a"], Doubt { gone: true, ..LOOK });
        pending.add("a", LOOK);
        pending.add("a", GONE);
        assert_eq!(pending.take().containers["a"], GONE);
    }

    #[test]
    fn beyond_the_bound_only_what_must_leave_is_kept_and_all_is_doubtful() {
        let pending = Pending::default();
        for n in 0..MOST + 100 {
            pending.add(&format!("{n:06}"), LOOK);
        }
        pending.add("x", GONE);
        let doubts = pending.take();
        assert_eq!((doubts.containers.len(), doubts.all), (MOST + 1, true));
        assert!(doubts.containers["x"].gone);
    }
}
