//! The parts, wired: everything that runs in this process, started and stopped together.

use crate::settings::Settings;
use crate::{ApiGateway, CircuitBreakerManager, HealthCheckService, LoadBalancer, ServiceDiscovery};
use ellie_core::journal::Journal;
use ellie_core::model::Actor;
use ellie_core::registry::{Cause, Command, Registry};
use ellie_core::{Fault, Now, Source};
use ellie_gateway::cluster::Clusters;
use ellie_gateway::explain::Authorize;
use ellie_gateway::route::Routes;
use ellie_gateway::table::TableHandle;
use ellie_health::HealthChecker;
use ellie_policy::balance::Strategy;
use ellie_policy::{Rng, breaker};
use ellie_store::registrar::{self, Registrar};
use ellie_store::{Embedded, Ephemeral, Store};
use ellie_tls::client::Client;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the system could not be started. Nothing is left running then.
#[derive(Debug)]
pub enum StartError {
    /// The settings are not valid; every fault of them.
    Settings(Vec<Fault>),
    /// The store can't be opened or read.
    Store(ellie_store::Error),
    /// The registry can't be filled from the store.
    Registrar(registrar::StartError),
    /// The health checks can't be set up.
    Health(ellie_health::Invalid),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(faults) => crate::settings::write_faults(f, faults),
            Self::Store(e) => e.fmt(f),
            Self::Registrar(e) => e.fmt(f),
            Self::Health(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Settings(_) => None,
            Self::Store(e) => Some(e),
            Self::Registrar(e) => Some(e),
            Self::Health(e) => Some(e),
        }
    }
}

enum Keep {
    Nothing,
    Directory(PathBuf),
    Store(Box<dyn Store>),
}

/// What to start.
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    keep: Keep,
    settings: Settings,
    actor: Actor,
    explain: Option<Authorize>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Builder {
    /// Keeps registrations in this directory, which is made where it doesn't exist and held alone.
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.keep = Keep::Directory(directory.into());
        self
    }

    /// Keeps nothing beyond the process. The default.
    pub fn ephemeral(mut self) -> Self {
        self.keep = Keep::Nothing;
        self
    }

    /// Keeps registrations in a store of your own.
    pub fn store(mut self, store: Box<dyn Store>) -> Self {
        self.keep = Keep::Store(store);
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Who does what is done, as the journal tells it: the program's name. `library` where absent.
    pub fn actor(mut self, name: &str) -> Self {
        self.actor = Actor::new(name);
        self
    }

    /// Who may ask the gateway by `x-ellie-explain` why a request went where it went: `authorize` is given the bearer
    /// token and compares in constant time. Nobody may where absent.
    pub fn explain_to(mut self, authorize: Authorize) -> Self {
        self.explain = Some(authorize);
        self
    }

    /// From one health check of an instance to the next.
    pub fn health_interval(mut self, interval: Duration) -> Self {
        self.settings.health.interval = interval;
        self
    }

    /// How instances are chosen.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.settings.clusters.strategy = strategy;
        self
    }

    /// When breakers open and close.
    pub fn breaker(mut self, config: breaker::Config) -> Self {
        self.settings.clusters.breaker = config;
        self
    }

    /// Opens the store, restores what it holds and starts checking. The gateway doesn't listen before
    /// [`ApiGateway::start`].
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(self) -> Result<Ellie, StartError> {
        let Self { keep, mut settings, actor, explain } = self;
        settings.validate().map_err(StartError::Settings)?;
        let upstream_tls = client(&settings).map_err(StartError::Settings)?;
        settings.gateway.live.upstream_tls = upstream_tls.clone();
        let now = Now::read();
        let registry = Arc::new(Registry::new(settings.registry.clone(), Arc::new(Journal::default())));
        let checker = HealthChecker::new(registry.clone(), settings.health.clone(), upstream_tls)
            .map_err(StartError::Health)?;
        let (for_writer, queue) = (registry.clone(), settings.registrar);
        let registrar = blocking(move || {
            let store: Box<dyn Store> = match keep {
                Keep::Nothing => Box::new(Ephemeral),
                Keep::Directory(directory) => Box::new(Embedded::open(directory).map_err(StartError::Store)?),
                Keep::Store(store) => store,
            };
            Registrar::start(for_writer, store, queue).map_err(StartError::Registrar)
        })
        .await?;

        let checker = Arc::new(checker);
        let seed = Rng::from_entropy().next_u64();
        let clusters =
            Arc::new(Clusters::new(registry.clone(), settings.clusters.clone(), seed, now.instant));
        let routes = Arc::new(Routes::new(registry.journal().clone()));
        let table = TableHandle::new(clusters.clone(), routes.clone(), settings.routes, now.instant);
        let table = Arc::new(match explain {
            Some(authorize) => table.with_explain(authorize),
            None => table,
        });

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn({
            let (checker, stop) = (checker.clone(), stop.clone());
            async move { checker.run(stop).await }
        });
        tasks.spawn(ellie_gateway::compile::run(table.clone(), stop.clone()));
        tasks.spawn(ellie_store::expire(registrar.clone(), stop.clone().cancelled_owned()));
        tasks.close();

        Ok(Ellie {
            discovery: ServiceDiscovery::new(registrar, clusters.clone(), actor.clone()),
            health: HealthCheckService::new(registry, checker),
            balancer: LoadBalancer::new(clusters.clone(), actor.clone()),
            breakers: CircuitBreakerManager::new(clusters.clone(), actor.clone()),
            gateway: ApiGateway::new(routes, table, settings.gateway.clone(), actor.clone()),
            inner: Arc::new(Inner { clusters, settings: Mutex::new(settings), actor, stop, tasks }),
        })
    }
}

/// The client's side of TLS.
fn client(settings: &Settings) -> Result<Client, Vec<Fault>> {
    Client::new(settings.upstream_tls.clone()).map_err(|invalid| {
        invalid.0.into_iter().map(|f| Fault::new(format!("upstream_tls.{}", f.field), f.message)).collect()
    })
}

/// Opening a store reads and syncs files.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking tasks are cancelled only while the runtime shuts down, and then nothing awaits them.
            Err(_) => std::future::pending().await,
        },
    }
}

/// What became of what was in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Whether all of it finished within the deadline.
    pub drained: bool,
    /// Client connections of the gateway that were cut off.
    pub in_flight_left: usize,
}

/// The whole system. Clones share it; it runs until [`Ellie::shutdown`] or until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Ellie {
    /// Who is there.
    pub discovery: ServiceDiscovery,
    /// How they fare.
    pub health: HealthCheckService,
    /// Whom to call now.
    pub balancer: LoadBalancer,
    /// Whether to call at all.
    pub breakers: CircuitBreakerManager,
    /// The gateway in front of them.
    pub gateway: ApiGateway,
    inner: Arc<Inner>,
}

struct Inner {
    clusters: Arc<Clusters>,
    // Replaced as a whole by a reload.
    settings: Mutex<Settings>,
    actor: Actor,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Ellie {
    /// What to start.
    pub fn builder() -> Builder {
        Builder {
            keep: Keep::Nothing,
            settings: Settings::default(),
            actor: Actor::new("library"),
            explain: None,
        }
    }

    /// The registry. Change it only through [`Ellie::registrar`].
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        self.discovery.registry()
    }

    /// The way for durable changes.
    #[must_use]
    pub fn registrar(&self) -> &Registrar {
        self.discovery.registrar()
    }

    /// What happened, who did it and why.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        self.discovery.journal()
    }

    /// The gateway's and the balancer's view of the registry.
    pub(crate) fn clusters(&self) -> &Clusters {
        &self.inner.clusters
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.inner.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts new settings into force: leases, checks, balancing, breakers, and the gateway's `live` part at once; the
    /// rest is kept for the next start. What is running, open or counted goes on.
    ///
    /// # Errors
    /// All faults; the old settings stay in force.
    pub fn reconfigure(&self, mut settings: Settings) -> Result<(), Vec<Fault>> {
        settings.validate()?;
        // One that believes the same is the same: connections that it made are kept.
        let current = self.settings().gateway.live.upstream_tls;
        let same = current.options() == &settings.upstream_tls;
        settings.gateway.live.upstream_tls = if same { current } else { client(&settings)? };
        let now = Now::read();
        self.health.checker().configure(settings.health.clone()).map_err(|invalid| {
            invalid
                .0
                .into_iter()
                .map(|f| Fault::new(format!("health.{}", f.field), f.message))
                .collect::<Vec<_>>()
        })?;
        if !same {
            self.health.checker().set_tls(settings.gateway.live.upstream_tls.clone());
        }
        self.registry().configure(settings.registry.clone(), now);
        self.inner.clusters.configure(settings.clusters.clone(), now)?;
        self.gateway.table().configure(settings.routes, now.instant);
        self.gateway.configure(settings.gateway.clone());
        *self.inner.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    /// Ends everything in order: the program's own registrations ([`Source::Own`]) are removed, the gateway stops
    /// accepting and finishes what is in flight within `deadline`, checks end, what was submitted is made durable, the
    /// store is closed. Calling it again does nothing.
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        let own: Vec<Command> = self
            .registry()
            .snapshot()
            .instances()
            .filter(|i| i.source == Source::Own)
            .map(|i| Command::Deregister {
                name: i.registration.name.clone(),
                id: i.registration.id.clone(),
                actor: self.inner.actor.clone(),
                cause: Cause::Asked,
            })
            .collect();
        if !own.is_empty()
            && let Err(e) = self.registrar().submit(own).await
        {
            tracing::warn!(error = %e, "own registrations were not removed");
        }
        let left = self.gateway.drain(deadline).await;
        self.inner.stop.cancel();
        self.inner.tasks.wait().await;
        self.registrar().close().await;
        Shutdown { drained: left == 0, in_flight_left: left }
    }
}
