//! Whether to call at all: circuit breakers around anything that can fail.
//!
//! There is one breaker per name. A name that is a service's is that service's breaker: the gateway, the load balancer
//! and [`CircuitBreakerManager::execute`] ask the same one.

pub use ellie_gateway::cluster::{Full, NotFound};
pub use ellie_policy::breaker::*;

use ellie_core::model::Actor;
use ellie_core::{Fault, Now};
use ellie_gateway::cluster::Clusters;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The breaker didn't admit it: nothing was called.
    Rejected(Rejected),
    /// It took longer than the breaker's timeout and was dropped.
    Timeout(Duration),
    /// It was called and failed by itself.
    Failed(E),
    /// There are as many breakers as there may be, and none of this name: nothing was called.
    Full(Full),
}

impl<E> Error<E> {
    /// The call's own error, where there is one.
    pub fn into_failure(self) -> Option<E> {
        match self {
            Self::Failed(e) => Some(e),
            _ => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejected) => rejected.fmt(f),
            Self::Timeout(after) => write!(f, "no result within {after:?}"),
            Self::Failed(e) => e.fmt(f),
            Self::Full(full) => full.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Timeout(_) => None,
            Self::Failed(e) => Some(e),
            Self::Full(full) => Some(full),
        }
    }
}

/// Breakers by name.
#[derive(Clone)]
pub struct CircuitBreakerManager {
    clusters: Arc<Clusters>,
    actor: Actor,
}

impl fmt::Debug for CircuitBreakerManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerManager").field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl CircuitBreakerManager {
    pub(crate) fn new(clusters: Arc<Clusters>, actor: Actor) -> Self {
        Self { clusters, actor }
    }

    /// The same breakers; what is done through this handle is told in the journal as done by `actor`.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// Calls `call` if the breaker `name` admits it, for at most the breaker's timeout. An error, a timeout and a panic
    /// of the call are failures; dropping the returned future is neither failure nor success.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn execute<T, E, F>(&self, name: &str, call: impl FnOnce() -> F) -> Result<T, Error<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let classify = |result: &Result<T, E>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        };
        self.execute_with(name, classify, call).await
    }

    /// Like [`CircuitBreakerManager::execute`]; `classify` says what counts as success or failure, and what the breaker
    /// shall not hear of.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn execute_with<T, E, F>(
        &self,
        name: &str,
        classify: impl FnOnce(&Result<T, E>) -> Outcome,
        call: impl FnOnce() -> F,
    ) -> Result<T, Error<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let now = Now::read().instant;
        let breaker = self.clusters.breakers().get_or_create(name, now).map_err(Error::Full)?;
        let timeout = breaker.config().timeout;
        let guard = Breaker::enter(breaker, now).map_err(Error::Rejected)?;
        let result = tokio::time::timeout(timeout, async { call().await }).await;
        let now = Now::read().instant;
        match result {
            Ok(result) => {
                guard.record(classify(&result), now);
                result.map_err(Error::Failed)
            }
            Err(_) => {
                guard.record(Outcome::Failure, now);
                Err(Error::Timeout(timeout))
            }
        }
    }

    /// The state of a breaker; one that was never used is closed.
    #[must_use]
    pub fn state(&self, name: &str) -> State {
        let now = Now::read().instant;
        self.clusters.breakers().get(name).map_or(State::Closed, |breaker| breaker.state(now))
    }

    /// All there is to tell of a breaker; `None` where it was never used.
    #[must_use]
    pub fn snapshot(&self, name: &str) -> Option<Snapshot> {
        Some(self.clusters.breakers().get(name)?.snapshot(Now::read().instant))
    }

    /// All breakers, by name.
    #[must_use]
    pub fn list(&self) -> BTreeMap<String, Snapshot> {
        let now = Now::read().instant;
        let all = self.clusters.breakers().list();
        all.into_iter().map(|named| (named.name.to_string(), named.breaker.snapshot(now))).collect()
    }

    /// Holds a breaker open, for `ttl` or until it is reset.
    ///
    /// # Errors
    /// [`NotFound`]: there is no such breaker.
    pub fn force_open(
        &self,
        name: &str,
        ttl: Option<Duration>,
        reason: Option<&str>,
    ) -> Result<(), NotFound> {
        self.ensure(name);
        self.clusters.breakers().force_open(name, ttl, self.actor.as_str(), reason, Now::read())
    }

    /// Holds a breaker closed, for `ttl` or until it is reset.
    ///
    /// # Errors
    /// [`NotFound`]: there is no such breaker.
    pub fn force_close(
        &self,
        name: &str,
        ttl: Option<Duration>,
        reason: Option<&str>,
    ) -> Result<(), NotFound> {
        self.ensure(name);
        self.clusters.breakers().force_close(name, ttl, self.actor.as_str(), reason, Now::read())
    }

    /// Closes a breaker, forgets its failures and ends what an operator forced.
    ///
    /// # Errors
    /// [`NotFound`]: there is no such breaker.
    pub fn reset(&self, name: &str, reason: Option<&str>) -> Result<(), NotFound> {
        self.ensure(name);
        self.clusters.breakers().reset(name, self.actor.as_str(), reason, Now::read())
    }

    /// A registered service has a breaker as soon as it is registered, also in the moment before the gateway's next table
    /// makes it: an operator who registers a service and forces its breaker in one script is not told that there is none.
    fn ensure(&self, name: &str) {
        if self.clusters.registry().snapshot().service(name).is_some() {
            // Where there is no room for one more, the call that follows says that there is no such breaker.
            let _ = self.clusters.breakers().get_or_create(name, Now::read().instant);
        }
    }

    /// Gives one breaker settings of its own; it is made where there is none yet.
    ///
    /// # Errors
    /// The faults of `config`, or that there are too many breakers.
    pub fn configure(&self, name: &str, config: Config) -> Result<(), Vec<Fault>> {
        config.validate().map_err(|faults| {
            faults.into_iter().map(|f| Fault::new(f.field, f.message)).collect::<Vec<_>>()
        })?;
        let configured = self.clusters.breakers().configure(name, config, Now::read().instant);
        configured.map_err(|full| vec![Fault::new("name", full.to_string())])
    }
}
