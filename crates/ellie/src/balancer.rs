//! Whom to call now.

pub use ellie_gateway::cluster::{InstanceStats, Outcome, Refusal, ServiceStats, Strategies};
pub use ellie_gateway::explain::{Candidate, Explanation};

use ellie_core::model::{Actor, Instance, excerpt};
use ellie_core::{Fault, Now, ServiceName};
use ellie_gateway::cluster::{Attempt, Clusters};
use ellie_policy::Rng;
use ellie_policy::balance::Strategy;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Why there is no instance to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nobody has registered the service.
    UnknownService {
        /// What was asked for.
        name: String,
    },
    /// It is registered, and none of its instances may be sent traffic.
    Refused(Refusal),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownService { name } => {
                write!(f, "no instance of the service `{}` is registered", excerpt(name))
            }
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownService { .. } => None,
            Self::Refused(refusal) => Some(refusal),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownService { service } => Self::UnknownService { name: service.to_string() },
            other => Self::Refused(other),
        }
    }
}

thread_local! {
    /// Chance without a lock between threads.
    static RNG: RefCell<Rng> = RefCell::new(Rng::from_entropy());
}

/// Chooses among the instances that may be sent traffic; the gateway asks the same one.
#[derive(Clone)]
pub struct LoadBalancer {
    clusters: Arc<Clusters>,
    actor: Actor,
}

impl fmt::Debug for LoadBalancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadBalancer").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl LoadBalancer {
    pub(crate) fn new(clusters: Arc<Clusters>, actor: Actor) -> Self {
        Self { clusters, actor }
    }

    /// The same balancer; what is done through this handle is told in the journal as done by `actor`.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// Switches the strategy while running: of one service, or of all that have none of their own. The service need not
    /// be registered yet.
    ///
    /// # Errors
    /// Where `service` can't be the name of a service, or too many have a strategy of their own.
    pub fn set_strategy(&self, strategy: Strategy, service: Option<&str>) -> Result<(), Fault> {
        let service = service.map(ServiceName::new).transpose()?;
        let name = service.as_ref().map(ServiceName::as_str);
        let switched = self.clusters.set_strategy(strategy, name, self.actor.as_str(), Now::read());
        switched.map_err(|full| {
            Fault::new(
                "service",
                format!("{} services have a strategy of their own, the most that may", full.limit),
            )
        })
    }

    /// Lets a service follow the global strategy again. Says whether it had one of its own.
    pub fn clear_strategy(&self, service: &str) -> bool {
        self.clusters.clear_strategy(service, self.actor.as_str(), Now::read())
    }

    /// The strategy in force for a service, or the global one.
    #[must_use]
    pub fn strategy(&self, service: Option<&str>) -> Strategy {
        self.clusters.strategy(service)
    }

    /// The global strategy and those of services that have their own.
    #[must_use]
    pub fn strategies(&self) -> Strategies {
        self.clusters.strategies()
    }

    /// Chooses an instance of a service and counts a request to it. Tell how the request ended through the [`Lease`].
    /// The service's circuit breaker is not asked: guard the call with [`crate::CircuitBreakerManager::execute`] under
    /// the service's name.
    ///
    /// # Errors
    /// [`Error`].
    pub fn get_service_instance(&self, name: &str) -> Result<Lease, Error> {
        self.get_service_instance_with_tags::<&str>(name, &[])
    }

    /// The same among the instances that have all `tags`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn get_service_instance_with_tags<S: AsRef<str>>(
        &self,
        name: &str,
        tags: &[S],
    ) -> Result<Lease, Error> {
        let service = ServiceName::new(name).map_err(|_| Error::UnknownService { name: name.into() })?;
        let now = Now::read().instant;
        let attempt = RNG.with_borrow_mut(|rng| self.clusters.pick(&service, tags, now, rng))?;
        match attempt.instance() {
            Some(instance) => Ok(Lease { instance: instance.clone(), attempt }),
            // Candidates are compiled from the instances: an attempt's is always among them.
            None => Err(Error::UnknownService { name: name.into() }),
        }
    }

    /// What would be chosen now and why: every instance with its standing and its score. Changes nothing.
    ///
    /// # Errors
    /// [`Error::UnknownService`]; that none of its instances may be sent traffic is no error but told.
    pub fn explain<S: AsRef<str>>(&self, name: &str, tags: &[S]) -> Result<Explanation, Error> {
        let explanation = self.clusters.explain(name, tags, Now::read().instant);
        explanation.ok_or_else(|| Error::UnknownService { name: name.into() })
    }

    /// Every service's figures, by name.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<ServiceName, ServiceStats> {
        self.clusters.stats(Now::read().instant)
    }
}

/// An instance that was chosen for one request. Tell how it went; dropping it says that the request was given up, which
/// is held against nobody.
#[derive(Debug)]
#[must_use = "dropping it says that the request was given up"]
pub struct Lease {
    instance: Arc<Instance>,
    attempt: Attempt,
}

impl Lease {
    /// The instance, as the registry had it when it was chosen.
    #[must_use]
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// `host:port`, an IPv6 address in brackets.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.attempt.upstream().authority
    }

    /// A URL on the instance: `scheme://host:port` and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{}://{}{slash}{path}", self.instance().registration.protocol, self.authority())
    }

    /// The request has ended like this.
    pub fn finish(self, outcome: Outcome) {
        self.attempt.finish(outcome, Now::read().instant);
    }

    /// It was answered well.
    pub fn succeeded(self) {
        self.finish(Outcome::Status(200));
    }

    /// It was not.
    pub fn failed(self) {
        self.finish(Outcome::Status(500));
    }
}
