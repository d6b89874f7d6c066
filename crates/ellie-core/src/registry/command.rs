//! What can be asked of the registry, and the pure rule from an instance's record to its next one.

use crate::dependencies::Cycle;
use crate::model::{
    Actor, CheckReport, InstanceId, Mark, Operator, Record, Registration, ServiceName, Source, Status,
};
use crate::time::Now;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What an operator does to one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// No new requests.
    Drain,
    /// Requests again.
    Undrain,
    /// Out of service, or back.
    Maintenance(bool),
    /// A weight in place of the registered one; `None` returns to that.
    Weight(Option<u32>),
}

/// Why an instance is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Its lease ran out.
    Lease,
    /// Its checks failed for too long.
    Unhealthy,
    /// Its source no longer lists it.
    Gone,
}

/// A change asked of the registry.
#[derive(Clone, Debug)]
pub enum Command {
    /// Register, or replace the same name and id.
    Register {
        /// What is registered.
        registration: Arc<Registration>,
        /// Who says so.
        source: Source,
        /// Who asked.
        actor: Actor,
    },
    /// Bring back what a store kept.
    Restore(Record),
    /// Remove an instance.
    Deregister {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
        /// Who asked.
        actor: Actor,
        /// Why.
        cause: Cause,
    },
    /// `source` no longer tells of an instance: it goes, unless another source tells of it.
    Withdraw {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
        /// Who no longer tells of it.
        source: Source,
    },
    /// An operator's decision.
    Operate {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
        /// What is decided.
        operation: Operation,
        /// For how long; `None` until taken back.
        ttl: Option<Duration>,
        /// Why.
        reason: Option<String>,
        /// Who.
        actor: Actor,
    },
    /// Operator states whose time has run out are taken back.
    Lapse {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
    },
    /// Renew a lease; for checks of kind `ttl` the status is the instance's own word, healthy where it gives none.
    Heartbeat {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
        /// What the instance says of itself.
        status: Option<Status>,
    },
    /// A health check's result and the status that follows from it after thresholds.
    Observe {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
        /// Which incarnation was probed; results for another are dropped.
        incarnation: u64,
        /// The probe's result.
        report: Arc<CheckReport>,
        /// The status after thresholds.
        status: Status,
    },
}

/// Why a command was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// There is no such instance.
    NotFound {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
    },
    /// The registration would close a cycle of dependencies.
    Cycle(Cycle),
    /// The registry holds as many instances as it may.
    Full {
        /// How many.
        limit: usize,
    },
    /// A source of higher precedence tells of this name and id and would overwrite the change.
    OwnedBy {
        /// The owner.
        source: Source,
    },
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name, id } => write!(f, "service `{name}` has no instance `{id}`"),
            Self::Cycle(cycle) => write!(f, "the dependencies form a cycle: {cycle}"),
            Self::Full { limit } => write!(f, "the registry is full: {limit} instances"),
            Self::OwnedBy { source } => write!(f, "the instance is managed by `{source}`; change it there"),
        }
    }
}

impl std::error::Error for Rejected {}

impl Command {
    /// The service and instance it is about.
    #[must_use]
    pub fn key(&self) -> (&ServiceName, &InstanceId) {
        match self {
            Self::Register { registration, .. } => (&registration.name, &registration.id),
            Self::Restore(record) => (&record.registration.name, &record.registration.id),
            Self::Deregister { name, id, .. }
            | Self::Withdraw { name, id, .. }
            | Self::Operate { name, id, .. }
            | Self::Lapse { name, id }
            | Self::Heartbeat { name, id, .. }
            | Self::Observe { name, id, .. } => (name, id),
        }
    }

    /// Whether it changes what a store keeps.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        !matches!(self, Self::Heartbeat { .. } | Self::Observe { .. })
    }
}

/// The record that follows from `current` by `command`: `None` removes it. Pure, so that a store can write what will
/// be true before the registry makes it true.
///
/// # Errors
/// [`Rejected::NotFound`] and [`Rejected::OwnedBy`].
pub fn plan(command: &Command, current: Option<&Record>, now: Now) -> Result<Option<Record>, Rejected> {
    let found = || {
        let (name, id) = command.key();
        current.ok_or_else(|| Rejected::NotFound { name: name.clone(), id: id.clone() })
    };
    match command {
        Command::Register { registration, source, .. } => {
            if let Some(old) = current.filter(|old| old.source.outranks(source)) {
                return Err(Rejected::OwnedBy { source: old.source.clone() });
            }
            Ok(Some(Record {
                registration: registration.clone(),
                source: source.clone(),
                operator: current.map(|old| inherited(old, source)).unwrap_or_default(),
                registered_at: current.map_or(now.wall, |old| old.registered_at),
            }))
        }
        Command::Restore(record) => Ok(Some(record.clone())),
        Command::Deregister { cause, .. } => {
            let old = found()?;
            if *cause == Cause::Asked && matches!(old.source, Source::Config | Source::Provider(_)) {
                return Err(Rejected::OwnedBy { source: old.source.clone() });
            }
            Ok(None)
        }
        Command::Withdraw { source, .. } => Ok(Some(found()?.clone()).filter(|old| old.source != *source)),
        Command::Operate { operation, ttl, reason, actor, .. } => {
            let old = found()?;
            let mark = Mark {
                by: actor.to_string(),
                reason: reason.clone(),
                at: now.wall,
                until: ttl.map(|ttl| now.wall + ttl),
            };
            let mut operator = old.operator.clone();
            match operation {
                Operation::Drain => operator.draining = Some(mark),
                Operation::Undrain => operator.draining = None,
                Operation::Maintenance(on) => operator.maintenance = on.then_some(mark),
                Operation::Weight(weight) => operator.weight = weight.map(|w| (w, mark)),
            }
            Ok(Some(Record { operator, ..old.clone() }))
        }
        Command::Lapse { .. } => {
            let old = found()?;
            Ok(Some(Record { operator: lapsed(&old.operator, now), ..old.clone() }))
        }
        Command::Heartbeat { .. } | Command::Observe { .. } => Ok(Some(found()?.clone())),
    }
}

/// What operators decided stays; what the old source itself withheld is its own affair.
fn inherited(old: &Record, source: &Source) -> Operator {
    let mut operator = old.operator.clone();
    if old.source != *source {
        operator.draining = operator.draining.filter(|mark| mark.by != old.source.to_string());
    }
    operator
}

fn lapsed(operator: &Operator, now: Now) -> Operator {
    let holds = |mark: &Mark| mark.until.is_none_or(|until| until > now.wall);
    Operator {
        draining: operator.draining.clone().filter(holds),
        maintenance: operator.maintenance.clone().filter(holds),
        weight: operator.weight.clone().filter(|(_, mark)| holds(mark)),
    }
}
