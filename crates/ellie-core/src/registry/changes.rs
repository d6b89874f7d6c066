//! The last changes, for those who resume where they stopped.

use crate::model::{Instance, InstanceId, ServiceName};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// How many changes are kept.
pub(super) const CAPACITY: usize = 16_384;

/// What became of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Registered,
    /// It was registered again.
    Replaced,
    /// Its status changed.
    Status,
    /// What operators decided changed.
    Operator,
    /// It is gone.
    Deregistered,
}

impl ChangeKind {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Replaced => "replaced",
            Self::Status => "status",
            Self::Operator => "operator",
            Self::Deregistered => "deregistered",
        }
    }
}

/// One change of one instance.
#[derive(Clone, Debug)]
pub struct Change {
    /// The registry's index after it.
    pub index: u64,
    /// What happened.
    pub kind: ChangeKind,
    /// The service.
    pub name: ServiceName,
    /// The instance.
    pub id: InstanceId,
    /// The instance after the change; for a removal, as it was last.
    pub instance: Arc<Instance>,
}

/// The changes asked for are no longer all kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOld {
    /// The oldest index that can be resumed from.
    pub oldest: u64,
}

impl fmt::Display for TooOld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "changes are kept from index {} on; start from a new snapshot", self.oldest)
    }
}

impl std::error::Error for TooOld {}

#[derive(Debug, Default)]
pub(super) struct Log {
    /// The index before the oldest kept change.
    floor: u64,
    ring: VecDeque<Change>,
}

impl Log {
    pub(super) fn push(&mut self, change: Change) {
        if self.ring.len() == CAPACITY
            && let Some(old) = self.ring.pop_front()
        {
            self.floor = old.index;
        }
        self.ring.push_back(change);
    }

    /// `head` is the registry's index: a cursor beyond it belongs to another life of the process.
    pub(super) fn since(&self, index: u64, head: u64) -> Result<Vec<Change>, TooOld> {
        if index < self.floor || index > head {
            return Err(TooOld { oldest: self.floor });
        }
        let from = self.ring.partition_point(|c| c.index <= index);
        Ok(self.ring.iter().skip(from).cloned().collect())
    }
}
