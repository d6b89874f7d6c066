//! Trying commands before they are made true.

use super::{Outcome, World};
use crate::Now;
use crate::model::{Instance, Record, Registration, Source};
use crate::registry::{Command, Rejected, Settings, Snapshot};
use std::sync::Arc;

/// A copy of the registry that commands can be tried on: it shares everything with the original and changes nothing of
/// it. Whoever has to make a change durable first learns here whether the registry will take it and what it will hold
/// then.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    world: World,
    settings: Settings,
}

impl Rehearsal {
    pub(in crate::registry) fn new(world: World, settings: Settings) -> Self {
        Self { world, settings }
    }

    /// Tries commands all or none; what is accepted stays for the next ones.
    ///
    /// # Errors
    /// The position of the first command that is rejected, and why; nothing of this call is kept then.
    pub fn try_all(&mut self, commands: &[Command], now: Now) -> Result<(), (usize, Rejected)> {
        let mut world = self.world.clone();
        let mut out = Outcome::default();
        for (at, command) in commands.iter().enumerate() {
            world.apply(command.clone(), now, &self.settings, &mut out).map_err(|rejected| (at, rejected))?;
        }
        self.world = world;
        Ok(())
    }

    /// What would be registered.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.world.snapshot
    }

    /// What `source` tells, whether in force or held back behind a stronger source.
    pub fn told_by(&self, source: &Source) -> impl Iterator<Item = &Arc<Registration>> {
        self.world.told_by(source)
    }

    /// What a store would have to keep of an instance, whoever its source is.
    #[must_use]
    pub fn record(&self, name: &str, id: &str) -> Option<Record> {
        self.world.snapshot.instance(name, id).map(|instance| Instance::record(instance))
    }
}
