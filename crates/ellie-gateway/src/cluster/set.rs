//! All clusters, kept in step with the registry.

use super::compiled::Parts;
use super::live::Live;
use super::{Attempt, Breakers, Cluster, Full, Refusal, ServiceStats, Settings};
use crate::metrics::ServiceCounters;
use arc_swap::ArcSwap;
use ellie_core::journal::{Entry, Kind};
use ellie_core::registry::Service;
use ellie_core::{Fault, Now, Registry, ServiceName, Snapshot};
use ellie_policy::Rng;
use ellie_policy::balance::{self, Strategy};
use ellie_policy::outlier::Detector;
use ellie_policy::retry_budget::RetryBudget;
use imbl::OrdMap;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// For how many services a strategy of their own may be set.
const MAX_STRATEGIES: usize = 10_000;

/// The clusters of all registered services at one moment.
#[derive(Clone, Debug, Default)]
pub struct Set {
    /// Higher after every change.
    pub version: u64,
    /// What changed from the version before to this one; `None`: anything may have.
    changed: Option<Arc<[ServiceName]>>,
    clusters: OrdMap<ServiceName, Arc<Cluster>>,
}

impl Set {
    /// A service's cluster.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.clusters.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.clusters.values()
    }

    /// What changed from the version before to this one; `None`: anything may have.
    #[must_use]
    pub(crate) fn changed(&self) -> Option<&[ServiceName]> {
        self.changed.as_deref()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.clusters.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }
}

/// The strategies in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategies {
    /// For all services but those below.
    pub global: Strategy,
    /// For single services.
    pub services: BTreeMap<String, Strategy>,
}

/// All clusters, what lives on beneath them, and how they are configured. Share it in an `Arc`.
#[derive(Debug)]
pub struct Clusters {
    registry: Arc<Registry>,
    breakers: Breakers,
    current: ArcSwap<Set>,
    // Held while clusters are compiled; requests never take it.
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// The snapshot up to which all changes are compiled.
    snapshot: Arc<Snapshot>,
    known: HashMap<ServiceName, Known>,
    /// Those of the known that are not registered: kept while anything uses them.
    retired: BTreeSet<ServiceName>,
    settings: Arc<Settings>,
    strategies: Strategies,
    rng: Rng,
}

#[derive(Clone, Debug)]
struct Known {
    live: Arc<Live>,
    detector: Arc<Detector>,
    budget: Arc<RetryBudget>,
}

impl Clusters {
    /// Clusters of the services in `registry`, whose journal tells of breakers, ejections and strategies. `seed`
    /// decides where round robin begins.
    #[must_use]
    pub fn new(registry: Arc<Registry>, settings: Settings, seed: u64, now: Instant) -> Self {
        let breakers =
            Breakers::new(settings.breaker.clone(), settings.max_breakers, registry.journal().clone());
        let strategies = Strategies { global: settings.strategy, services: BTreeMap::new() };
        let clusters = Self {
            registry,
            breakers,
            current: ArcSwap::default(),
            state: Mutex::new(State {
                snapshot: Arc::default(),
                known: HashMap::new(),
                retired: BTreeSet::new(),
                settings: Arc::new(settings),
                strategies,
                rng: Rng::new(seed),
            }),
            version: watch::channel(0).0,
        };
        clusters.update(now);
        clusters
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The registry that is followed.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The breakers.
    #[must_use]
    pub fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// The clusters as last compiled.
    #[must_use]
    pub fn current(&self) -> Arc<Set> {
        self.current.load_full()
    }

    /// Wakes with the newest version after every change of a cluster.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Compiles what has changed in the registry since the last time, and nothing else.
    pub fn update(&self, now: Instant) -> Arc<Set> {
        let mut state = self.lock();
        self.sweep(&mut state, now);
        let snapshot = self.registry.snapshot();
        if snapshot.index == state.snapshot.index {
            return self.current();
        }
        let names: BTreeSet<ServiceName> = match self.registry.changes_since(state.snapshot.index) {
            Ok(changes) => changes.into_iter().map(|c| c.name).collect(),
            Err(_) => snapshot.services.keys().chain(state.snapshot.services.keys()).cloned().collect(),
        };
        state.snapshot = snapshot.clone();
        let mut set = Set::clone(&self.current.load());
        let mut changed = Vec::new();
        for name in names {
            if self.recompile(&mut state, &mut set, &name, snapshot.services.get(&name), now) {
                changed.push(name);
            }
        }
        if changed.is_empty() { self.current() } else { self.publish(&state, set, Some(changed)) }
    }

    /// Brings one service's cluster up to its registration. Says whether that changed anything.
    fn recompile(
        &self,
        state: &mut State,
        set: &mut Set,
        name: &ServiceName,
        service: Option<&Arc<Service>>,
        now: Instant,
    ) -> bool {
        let old = set.clusters.get(name);
        let Some(service) = service else {
            if set.clusters.remove(name).is_some() {
                state.retired.insert(name.clone());
                return true;
            }
            return false;
        };
        if old.and_then(|c| c.service()).is_some_and(|s| Arc::ptr_eq(s, service)) {
            return false;
        }
        state.retired.remove(name);
        let parts = self.parts(state, name, now);
        let cluster = Cluster::compile(Some(service.clone()), old.map(|c| &**c), parts, now);
        set.clusters.insert(name.clone(), Arc::new(cluster));
        true
    }

    fn publish(
        &self,
        _held: &MutexGuard<'_, State>,
        mut set: Set,
        changed: Option<Vec<ServiceName>>,
    ) -> Arc<Set> {
        set.version += 1;
        set.changed = changed.map(Into::into);
        let version = set.version;
        let set = Arc::new(set);
        self.current.store(set.clone());
        self.version.send_replace(version);
        set
    }

    /// What a cluster of this name is made of, first seen or not.
    fn parts(&self, state: &mut State, name: &ServiceName, now: Instant) -> Parts {
        let known = match state.known.get(name) {
            Some(known) => known.clone(),
            None => {
                let known = Known {
                    live: Arc::new(Live {
                        name: name.clone(),
                        balance: Arc::new(balance::Service::new(state.rng.next_u64())),
                        breaker: self.breakers.of_service(name.as_str(), now),
                        stats: ServiceCounters::new(now),
                        journal: self.registry.journal().clone(),
                    }),
                    detector: Arc::new(Detector::new(state.settings.outlier.clone())),
                    budget: Arc::new(RetryBudget::new(state.settings.retry_budget.clone(), now)),
                };
                state.known.insert(name.clone(), known.clone());
                known
            }
        };
        let strategy = state.strategies.of(name.as_str());
        Parts {
            live: known.live,
            budget: known.budget,
            settings: state.settings.clone(),
            strategy,
            detector: (strategy != Strategy::HealthBased).then_some(known.detector),
        }
    }

    /// Forgets services that are gone and that nothing uses any more.
    fn sweep(&self, state: &mut State, now: Instant) {
        let State { retired, known, .. } = state;
        retired.retain(|name| {
            if known.get(name).is_some_and(|k| Arc::strong_count(&k.live) > 1) {
                return true;
            }
            known.remove(name);
            self.breakers.release(name.as_str(), now);
            false
        });
    }

    /// A service's cluster, compiled first if the registry is ahead of it: whoever has just registered an instance
    /// finds it. `None` where nobody has registered the service.
    #[must_use]
    pub fn get(&self, name: &str, now: Instant) -> Option<Arc<Cluster>> {
        let fresh = |cluster: Option<&Arc<Cluster>>, service: Option<&Arc<Service>>| match (cluster, service)
        {
            (None, None) => true,
            (Some(c), Some(s)) => c.service().is_some_and(|own| Arc::ptr_eq(own, s)),
            _ => false,
        };
        let set = self.current.load();
        if fresh(set.get(name), self.registry.snapshot().service(name)) {
            return set.get(name).cloned();
        }
        drop(set);
        let mut state = self.lock();
        let snapshot = self.registry.snapshot();
        let mut set = Set::clone(&self.current.load());
        let known = snapshot.services.get_key_value(name).map(|(name, _)| name.clone());
        let name = known.or_else(|| set.clusters.get_key_value(name).map(|(name, _)| name.clone()))?;
        if !self.recompile(&mut state, &mut set, &name, snapshot.services.get(&name), now) {
            return set.get(name.as_str()).cloned();
        }
        self.publish(&state, set, Some(vec![name.clone()])).get(name.as_str()).cloned()
    }

    /// A service's cluster for a route: where nobody has registered the service, an empty one under its name, whose
    /// live state is that of the service when it comes, or was when it went.
    #[must_use]
    pub fn get_or_empty(&self, name: &ServiceName, set: &Set, now: Instant) -> Arc<Cluster> {
        if let Some(cluster) = set.get(name.as_str()) {
            return cluster.clone();
        }
        let mut state = self.lock();
        if !self.current.load().clusters.contains_key(name) {
            state.retired.insert(name.clone());
        }
        let parts = self.parts(&mut state, name, now);
        drop(state);
        Arc::new(Cluster::compile(None, None, parts, now))
    }

    /// Chooses an instance of a service that has all `tags`, and counts a request to it. The breaker is not asked:
    /// users of the library guard their calls by name.
    ///
    /// # Errors
    /// [`Refusal`] says why there is none; a name that no service can have is unknown like any other.
    pub fn pick<S: AsRef<str>>(
        &self,
        name: &ServiceName,
        tags: &[S],
        now: Instant,
        rng: &mut Rng,
    ) -> Result<Attempt, Refusal> {
        let cluster =
            self.get(name.as_str(), now).ok_or_else(|| Refusal::UnknownService { service: name.clone() })?;
        cluster.with_tags(tags, now).lease(now, rng, &[])
    }

    /// The settings in force, but for the strategies.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.lock().settings.clone()
    }

    /// Puts other settings in force. Live state is kept. The strategy is touched only where it is another one than
    /// in the settings before: what was switched while running stays.
    ///
    /// # Errors
    /// All faults; nothing has changed then.
    pub fn configure(&self, settings: Settings, now: Now) -> Result<(), Vec<Fault>> {
        settings.validate()?;
        let mut state = self.lock();
        if *state.settings == settings {
            return Ok(());
        }
        self.breakers.configure_default(&settings.breaker, settings.max_breakers, now.instant);
        if state.settings.strategy != settings.strategy {
            state.strategies.global = settings.strategy;
        }
        let before = state.settings.clone();
        for known in state.known.values_mut() {
            if before.outlier != settings.outlier {
                known.detector = Arc::new(Detector::new(settings.outlier.clone()));
            }
            if before.retry_budget != settings.retry_budget {
                known.budget = Arc::new(RetryBudget::new(settings.retry_budget.clone(), now.instant));
            }
        }
        state.settings = Arc::new(settings);
        self.rebuild(&mut state, |_| true, now.instant);
        Ok(())
    }

    /// Compiles all clusters that `which` wants anew from what they are.
    fn rebuild(&self, state: &mut MutexGuard<'_, State>, which: impl Fn(&Cluster) -> bool, now: Instant) {
        let mut set = Set::clone(&self.current.load());
        let old: Vec<Arc<Cluster>> = set.iter().filter(|c| which(c)).cloned().collect();
        for cluster in &old {
            let parts = self.parts(state, cluster.name(), now);
            let new = Cluster::compile(cluster.service().cloned(), Some(cluster), parts, now);
            set.clusters.insert(cluster.name().clone(), Arc::new(new));
        }
        self.publish(state, set, None);
    }

    /// Switches the strategy, for one service or for all that have none of their own.
    ///
    /// # Errors
    /// [`Full`] where too many services have one of their own.
    pub fn set_strategy(
        &self,
        strategy: Strategy,
        service: Option<&str>,
        actor: &str,
        now: Now,
    ) -> Result<(), Full> {
        let mut state = self.lock();
        let before = match service {
            None => Some(std::mem::replace(&mut state.strategies.global, strategy)),
            Some(name) => {
                let own = &mut state.strategies.services;
                if own.len() >= MAX_STRATEGIES && !own.contains_key(name) {
                    return Err(Full { limit: MAX_STRATEGIES });
                }
                own.insert(name.to_owned(), strategy)
            }
        };
        if before == Some(strategy) {
            return Ok(());
        }
        self.switched(state, service, &format!("set to {strategy}"), actor, now);
        Ok(())
    }

    /// Takes back one service's own strategy. Says whether it had one.
    pub fn clear_strategy(&self, service: &str, actor: &str, now: Now) -> bool {
        let mut state = self.lock();
        let had = state.strategies.services.remove(service).is_some();
        if had {
            let global = state.strategies.global;
            self.switched(
                state,
                Some(service),
                &format!("set back to the global one, {global},"),
                actor,
                now,
            );
        }
        had
    }

    fn switched(
        &self,
        mut state: MutexGuard<'_, State>,
        service: Option<&str>,
        what: &str,
        actor: &str,
        now: Now,
    ) {
        let strategies = state.strategies.clone();
        self.rebuild(&mut state, |c| c.strategy() != strategies.of(c.name().as_str()), now.instant);
        drop(state);
        let of = service.map_or_else(String::new, |name| format!(" of {name}"));
        self.registry.journal().record(
            now,
            Entry {
                kind: Kind::StrategyChanged,
                service: service.map(str::to_owned),
                instance: None,
                actor: actor.to_owned(),
                message: format!("the load balancing strategy{of} was {what} by {actor}"),
            },
        );
    }

    /// The strategy in force, for one service or for all that have none of their own.
    #[must_use]
    pub fn strategy(&self, service: Option<&str>) -> Strategy {
        let state = self.lock();
        service.map_or(state.strategies.global, |name| state.strategies.of(name))
    }

    /// All strategies in force.
    #[must_use]
    pub fn strategies(&self) -> Strategies {
        self.lock().strategies.clone()
    }

    /// The figures of every registered service, by name. Looks only.
    #[must_use]
    pub fn stats(&self, now: Instant) -> BTreeMap<ServiceName, ServiceStats> {
        self.current.load().iter().map(|c| (c.name().clone(), c.stats(now))).collect()
    }
}

impl Strategies {
    /// The one in force for a service.
    #[must_use]
    pub fn of(&self, service: &str) -> Strategy {
        self.services.get(service).copied().unwrap_or(self.global)
    }
}
