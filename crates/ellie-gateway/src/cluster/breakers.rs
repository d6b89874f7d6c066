//! The breakers: one a service, and one under each name that a user of the library passes.

use ellie_core::Now;
use ellie_core::journal::{Entry, Journal, Kind};
use ellie_policy::breaker::{Breaker, Cause, Config, State, Transition};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// There is no breaker of this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound(pub String);

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no circuit breaker `{}`", self.0)
    }
}

impl std::error::Error for NotFound {}

/// There are as many breakers as there may be, all of them in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// How many.
    pub limit: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {} circuit breakers in use, the most there may be", self.limit)
    }
}

impl std::error::Error for Full {}

/// A breaker and its name.
#[derive(Clone, Debug)]
pub struct Named {
    /// A service, or what a user of the library calls.
    pub name: Arc<str>,
    /// The breaker.
    pub breaker: Arc<Breaker>,
    /// Whether it is configured on its own.
    pub configured: bool,
    /// Whether it is that of a service.
    pub service: bool,
}

/// All breakers by name.
#[derive(Debug)]
pub struct Breakers {
    // Written when a name is new or a service is gone, read by those who come by name; requests of the gateway hold
    // their breaker and never come here.
    state: RwLock<Table>,
    journal: Arc<Journal>,
}

#[derive(Debug)]
struct Table {
    by_name: HashMap<Arc<str>, Named>,
    config: Config,
    limit: usize,
    /// How many are of no service; at most `limit`.
    names: usize,
}

impl Breakers {
    pub(super) fn new(config: Config, limit: usize, journal: Arc<Journal>) -> Self {
        Self { state: RwLock::new(Table { by_name: HashMap::new(), config, limit, names: 0 }), journal }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Table> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Table> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The breaker of a name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Breaker>> {
        self.read().by_name.get(name).map(|n| n.breaker.clone())
    }

    /// The breaker of a name, made where there is none. Where there are too many, one that nobody uses and that has
    /// nothing to remember gives way.
    ///
    /// # Errors
    /// [`Full`] where none can.
    pub fn get_or_create(&self, name: &str, now: Instant) -> Result<Arc<Breaker>, Full> {
        if let Some(breaker) = self.get(name) {
            return Ok(breaker);
        }
        let mut table = self.write();
        if table.names >= table.limit && !table.by_name.contains_key(name) {
            let idle = table.by_name.values().find(|n| !n.service && is_idle(n, now)).map(|n| n.name.clone());
            let idle = idle.ok_or(Full { limit: table.limit })?;
            table.by_name.remove(&idle);
            table.names -= 1;
        }
        Ok(self.entry(&mut table, name, false, now))
    }

    /// The breaker of a service: services are bounded by the registry.
    pub(super) fn of_service(&self, name: &str, now: Instant) -> Arc<Breaker> {
        self.entry(&mut self.write(), name, true, now)
    }

    fn entry(&self, table: &mut Table, name: &str, service: bool, now: Instant) -> Arc<Breaker> {
        if let Some(named) = table.by_name.get_mut(name) {
            if service && !named.service {
                named.service = true;
                table.names -= 1;
            }
            return named.breaker.clone();
        }
        let name: Arc<str> = name.into();
        let (journal, about) = (self.journal.clone(), name.clone());
        let listener = Box::new(move |t: &Transition| tell(&journal, &about, t));
        let breaker = Arc::new(Breaker::new(table.config.clone(), now).listen(listener));
        let named = Named { name: name.clone(), breaker: breaker.clone(), configured: false, service };
        table.names += usize::from(!service);
        table.by_name.insert(name, named);
        breaker
    }

    /// The service is gone: its breaker is forgotten where nobody uses it and it has nothing to remember, and kept
    /// under its name otherwise.
    pub(super) fn release(&self, name: &str, now: Instant) {
        let mut table = self.write();
        let Some(named) = table.by_name.get_mut(name).filter(|n| n.service) else { return };
        if is_idle(named, now) {
            table.by_name.remove(name);
        } else {
            named.service = false;
            table.names += 1;
        }
    }

    /// All breakers, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Named> {
        let mut list: Vec<Named> = self.read().by_name.values().cloned().collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    /// Shows every breaker to `look`, in no order and without copying any. Whoever makes one waits as long, so `look`
    /// is short.
    pub fn visit(&self, mut look: impl FnMut(&Named)) {
        for named in self.read().by_name.values() {
            look(named);
        }
    }

    fn named(&self, name: &str) -> Result<Arc<Breaker>, NotFound> {
        self.get(name).ok_or_else(|| NotFound(name.to_owned()))
    }

    /// Holds a breaker open: for `ttl`, or until it is reset.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn force_open(
        &self,
        name: &str,
        ttl: Option<Duration>,
        actor: &str,
        reason: Option<&str>,
        now: Now,
    ) -> Result<(), NotFound> {
        self.named(name)?.force_open(now.instant, ttl);
        self.note(name, "forced open", ttl, actor, reason, now);
        Ok(())
    }

    /// Holds a breaker closed: for `ttl`, or until it is reset.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn force_close(
        &self,
        name: &str,
        ttl: Option<Duration>,
        actor: &str,
        reason: Option<&str>,
        now: Now,
    ) -> Result<(), NotFound> {
        self.named(name)?.force_close(now.instant, ttl);
        self.note(name, "forced closed", ttl, actor, reason, now);
        Ok(())
    }

    /// Closes a breaker with an empty window and ends a forced state.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn reset(&self, name: &str, actor: &str, reason: Option<&str>, now: Now) -> Result<(), NotFound> {
        self.named(name)?.reset(now.instant);
        self.note(name, "reset", None, actor, reason, now);
        Ok(())
    }

    fn note(
        &self,
        name: &str,
        what: &str,
        ttl: Option<Duration>,
        actor: &str,
        reason: Option<&str>,
        now: Now,
    ) {
        let mut message = format!("the circuit breaker {name} was {what} by {actor}");
        if let Some(ttl) = ttl {
            message.push_str(&format!(" for {} s", ttl.as_secs_f64()));
        }
        if let Some(reason) = reason {
            message.push_str(&format!(": {reason}"));
        }
        self.journal.record(
            now,
            Entry {
                kind: Kind::BreakerChanged,
                service: Some(name.to_owned()),
                instance: None,
                actor: actor.to_owned(),
                message,
            },
        );
    }

    /// Gives one breaker settings of its own; it is made where there is none.
    ///
    /// # Errors
    /// [`Full`].
    pub fn configure(&self, name: &str, config: Config, now: Instant) -> Result<(), Full> {
        let breaker = self.get_or_create(name, now)?;
        if let Some(named) = self.write().by_name.get_mut(name) {
            named.configured = true;
        }
        breaker.update_config(config, now);
        Ok(())
    }

    /// The settings of breakers that have none of their own.
    #[must_use]
    pub fn default_config(&self) -> Config {
        self.read().config.clone()
    }

    pub(super) fn configure_default(&self, config: &Config, limit: usize, now: Instant) {
        let mut table = self.write();
        table.limit = limit;
        if table.config == *config {
            return;
        }
        table.config = config.clone();
        let affected: Vec<Arc<Breaker>> =
            table.by_name.values().filter(|n| !n.configured).map(|n| n.breaker.clone()).collect();
        drop(table);
        for breaker in affected {
            breaker.update_config(config.clone(), now);
        }
    }
}

/// Nobody else holds it, it lets calls pass, and its window is empty.
fn is_idle(named: &Named, now: Instant) -> bool {
    if named.configured || Arc::strong_count(&named.breaker) > 1 {
        return false;
    }
    let s = named.breaker.snapshot(now);
    s.state == State::Closed && s.forced.is_none() && s.failures == 0
}

/// What operators do is recorded with their names where they do it.
fn tell(journal: &Journal, name: &str, t: &Transition) {
    if matches!(t.cause, Cause::ForcedOpen | Cause::ForcedClosed | Cause::Reset) {
        return;
    }
    let why = match t.cause {
        Cause::FailureThreshold => "too many calls failed",
        Cause::ProbeFailed => "a probe failed",
        Cause::ProbesSucceeded => "enough probes succeeded",
        Cause::RecoveryElapsed => "the recovery timeout is over, probes may pass",
        Cause::ForceLapsed => "the operator's decision has lapsed",
        other => other.as_str(),
    };
    journal.record(
        Now::read(),
        Entry {
            kind: Kind::BreakerChanged,
            service: Some(name.to_owned()),
            instance: None,
            actor: "circuit breaker".into(),
            message: format!("the circuit breaker {name} went from {} to {}: {why}", t.from, t.to),
        },
    );
}
