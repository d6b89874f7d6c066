//! Who is there: registration, leases, operators' decisions, lookup and watches.

use crate::IntoRegistration;
use crate::watch::Watch;
use ellie_core::discovery::{Selection, select};
use ellie_core::journal::Journal;
use ellie_core::model::{Actor, Instance, Registration};
use ellie_core::registry::{Cause, ChangeKind, Command, Operation, Registry, Rejected, Snapshot};
use ellie_core::{Fault, InstanceId, Now, ServiceName, Source, Status};
use ellie_gateway::cluster::Clusters;
use ellie_store::registrar::{self, Registrar};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use ellie_store::registrar::{Applied, Replaced};

/// Why something was not done. Nothing has changed then.
#[derive(Clone, Debug)]
pub enum Error {
    /// What was given is not valid; every fault of it.
    Invalid(Vec<Fault>),
    /// The registry doesn't take it.
    Rejected {
        /// Which item of a batch, from 0.
        at: usize,
        /// Why.
        rejected: Rejected,
    },
    /// It could not be made durable. Trying again later may help.
    Storage(Arc<ellie_store::Error>),
    /// The system has been shut down.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(faults) => crate::settings::write_faults(f, faults),
            Self::Rejected { rejected, .. } => rejected.fmt(f),
            Self::Storage(e) => write!(f, "not stored, nothing has changed: {e}"),
            Self::Closed => f.write_str("the registry is shutting down"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected { rejected, .. } => Some(rejected),
            Self::Storage(e) => Some(e.as_ref()),
            Self::Invalid(_) | Self::Closed => None,
        }
    }
}

impl From<registrar::Error> for Error {
    fn from(e: registrar::Error) -> Self {
        match e {
            registrar::Error::Rejected { at, rejected } => Self::Rejected { at, rejected },
            registrar::Error::TooLarge(fault) => Self::Invalid(vec![fault]),
            registrar::Error::Storage(e) => Self::Storage(e),
            registrar::Error::Closed => Self::Closed,
        }
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected { at: 0, rejected }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Invalid(vec![fault])
    }
}

/// A registration that is durable and true.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The instance as the registry has it.
    pub instance: Arc<Instance>,
    /// The registry's index with it.
    pub index: u64,
    /// Whether it took the place of one with the same name and id.
    pub replaced: bool,
}

/// A renewed lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// How long it holds from now; `None` where the instance has no lease.
    pub ttl: Option<Duration>,
    /// When it ends.
    pub deadline: Option<Instant>,
}

/// One item of a batch.
#[derive(Clone, Debug)]
pub enum Item {
    /// Register, or replace the same name and id.
    Register(Arc<Registration>),
    /// Deregister.
    Deregister {
        /// The service.
        name: ServiceName,
        /// The instance.
        id: InstanceId,
    },
}

/// The registry, for those who register and those who look.
#[derive(Clone)]
pub struct ServiceDiscovery {
    registrar: Registrar,
    clusters: Arc<Clusters>,
    actor: Actor,
    source: Source,
}

impl fmt::Debug for ServiceDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDiscovery").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl ServiceDiscovery {
    pub(crate) fn new(registrar: Registrar, clusters: Arc<Clusters>, actor: Actor) -> Self {
        Self { registrar, clusters, actor, source: Source::Api }
    }

    /// The same registry; what is done through this handle is told in the journal as done by `actor`.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The same registry; what is registered through this handle comes from `source`. Only what comes from
    /// [`Source::Api`] (the default) outlives the process.
    #[must_use]
    pub fn with_source(&self, source: Source) -> Self {
        Self { source, ..self.clone() }
    }

    /// Registers an instance; the same name and id again replaces it. When it returns, the registration is durable
    /// (where a data directory is used) and visible.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn register_service(&self, service: impl IntoRegistration) -> Result<Registered, Error> {
        let registration = service.into_registration().map_err(Error::Invalid)?;
        let command =
            Command::Register { registration, source: self.source.clone(), actor: self.actor.clone() };
        let applied = self.registrar.submit(vec![command]).await?;
        let change = applied.changes.into_iter().next_back().ok_or(Error::Closed)?;
        Ok(Registered {
            replaced: change.kind == ChangeKind::Replaced,
            index: applied.index,
            instance: change.instance,
        })
    }

    /// Removes an instance. Returns the registry's index without it.
    ///
    /// # Errors
    /// [`Error`]; [`Rejected::NotFound`] where there is none.
    pub async fn deregister_service(&self, name: &str, id: &str) -> Result<u64, Error> {
        let (name, id) = key(name, id)?;
        let command = Command::Deregister { name, id, actor: self.actor.clone(), cause: Cause::Asked };
        Ok(self.registrar.submit(vec![command]).await?.index)
    }

    /// Says that the source that this handle speaks for no longer tells of an instance: it goes, unless it has become
    /// another source's. Returns the registry's index without it.
    ///
    /// # Errors
    /// [`Error`]; [`Rejected::NotFound`] where there is none.
    pub async fn withdraw_service(&self, name: &str, id: &str) -> Result<u64, Error> {
        let (name, id) = key(name, id)?;
        let command = Command::Withdraw { name, id, source: self.source.clone() };
        Ok(self.registrar.submit(vec![command]).await?.index)
    }

    /// Renews an instance's lease, in memory alone. For a check of kind `ttl`, `status` is the instance's own word.
    ///
    /// # Errors
    /// [`Rejected::NotFound`]: register again.
    pub fn heartbeat(&self, name: &str, id: &str, status: Option<Status>) -> Result<Renewed, Error> {
        let (name, id) = key(name, id)?;
        self.registrar.heartbeat(name.clone(), id.clone(), status)?;
        let snapshot = self.registry().snapshot();
        let ttl = snapshot.instance(name.as_str(), id.as_str()).and_then(|i| i.registration.ttl);
        Ok(Renewed { ttl, deadline: self.registry().lease_deadline(&name, &id) })
    }

    /// An operator's decision about an instance, for `ttl` or until it is taken back.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn operate(
        &self,
        name: &str,
        id: &str,
        operation: Operation,
        ttl: Option<Duration>,
        reason: Option<String>,
    ) -> Result<Arc<Instance>, Error> {
        let (name, id) = key(name, id)?;
        let not_found = Rejected::NotFound { name: name.clone(), id: id.clone() };
        let command = Command::Operate {
            name: name.clone(),
            id: id.clone(),
            operation,
            ttl,
            reason,
            actor: self.actor.clone(),
        };
        let applied = self.registrar.submit(vec![command]).await?;
        // Deciding again what is decided changes nothing.
        let changed = applied.changes.into_iter().next_back().map(|change| change.instance);
        changed.or_else(|| self.instance(name.as_str(), id.as_str())).ok_or_else(|| not_found.into())
    }

    /// No new requests to it; those in flight finish.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn drain(&self, name: &str, id: &str) -> Result<Arc<Instance>, Error> {
        self.operate(name, id, Operation::Drain, None, None).await
    }

    /// Requests to it again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn undrain(&self, name: &str, id: &str) -> Result<Arc<Instance>, Error> {
        self.operate(name, id, Operation::Undrain, None, None).await
    }

    /// Out of service on purpose, or back.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn maintenance(&self, name: &str, id: &str, enabled: bool) -> Result<Arc<Instance>, Error> {
        self.operate(name, id, Operation::Maintenance(enabled), None, None).await
    }

    /// A weight in place of the registered one; `None` returns to that.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn weight(&self, name: &str, id: &str, weight: Option<u32>) -> Result<Arc<Instance>, Error> {
        self.operate(name, id, Operation::Weight(weight), None, None).await
    }

    /// Many registrations and deregistrations, all or none, as one change.
    ///
    /// # Errors
    /// [`Error::Rejected`] tells which item.
    pub async fn batch(&self, items: Vec<Item>) -> Result<Applied, Error> {
        let commands = items.into_iter().map(|item| match item {
            Item::Register(registration) => {
                Command::Register { registration, source: self.source.clone(), actor: self.actor.clone() }
            }
            Item::Deregister { name, id } => {
                Command::Deregister { name, id, actor: self.actor.clone(), cause: Cause::Asked }
            }
        });
        Ok(self.registrar.submit(commands.collect()).await?)
    }

    /// Makes `set` all that `source` tells: what it no longer lists is removed, what is new or different is registered.
    /// What the registry refuses of it is told and doesn't hold up the rest.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn replace_set(&self, source: Source, set: Vec<Registration>) -> Result<Replaced, Error> {
        Ok(self.registrar.replace_set(source, set).await?)
    }

    /// The instances of a service that may be sent traffic now, in the order of their ids: the healthy ones, and the
    /// degraded ones too where less than half are healthy. Empty for an unknown service.
    #[must_use]
    pub fn discover_services(&self, name: &str) -> Vec<Arc<Instance>> {
        self.discover_services_with_tags::<&str>(name, &[])
    }

    /// The same among those that have all `tags`.
    #[must_use]
    pub fn discover_services_with_tags<S: AsRef<str>>(&self, name: &str, tags: &[S]) -> Vec<Arc<Instance>> {
        self.select(name, tags).map(|s| s.routable().cloned().collect()).unwrap_or_default()
    }

    /// Every instance of a service with the reason why it may, or may not, be sent traffic. `None` for an unknown one.
    #[must_use]
    pub fn select<S: AsRef<str>>(&self, name: &str, tags: &[S]) -> Option<Selection> {
        let snapshot = self.snapshot();
        let service = snapshot.service(name)?;
        Some(select(service, tags, self.clusters.settings().panic_threshold))
    }

    /// All instances of a service, whatever their state, in the order of their ids.
    #[must_use]
    pub fn instances(&self, name: &str) -> Vec<Arc<Instance>> {
        self.snapshot().service(name).map(|s| s.instances.values().cloned().collect()).unwrap_or_default()
    }

    /// One instance, whatever its state.
    #[must_use]
    pub fn instance(&self, name: &str, id: &str) -> Option<Arc<Instance>> {
        self.snapshot().instance(name, id).cloned()
    }

    /// How much is left of an instance's lease.
    #[must_use]
    pub fn lease(&self, name: &str, id: &str) -> Option<Duration> {
        let (name, id) = key(name, id).ok()?;
        let deadline = self.registry().lease_deadline(&name, &id)?;
        Some(deadline.saturating_duration_since(Now::read().instant))
    }

    /// Follows one service, whether it exists yet or not. Changes of others don't wake it.
    ///
    /// # Errors
    /// Where `name` can't be the name of a service.
    pub fn watch(&self, name: &str) -> Result<Watch, Fault> {
        Ok(Watch::new(self.registry().clone(), ServiceName::new(name)?))
    }

    /// The whole registry at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.registry().snapshot()
    }

    /// The registry itself. Change it only through [`ServiceDiscovery::registrar`]: what goes past it is not stored.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        self.registrar.registry()
    }

    /// The way for changes.
    #[must_use]
    pub fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// What happened, who did it and why.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        self.registry().journal()
    }
}

/// Both names, or what is wrong with either.
fn key(name: &str, id: &str) -> Result<(ServiceName, InstanceId), Error> {
    match (ServiceName::new(name), InstanceId::new(id)) {
        (Ok(name), Ok(id)) => Ok((name, id)),
        (name, id) => Err(Error::Invalid([name.err(), id.err()].into_iter().flatten().collect())),
    }
}
