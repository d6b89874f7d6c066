//! Who is probed: one entry for each actively checked instance, found by name and by slot.

use crate::checker::Refused;
use crate::schedule::{Place, ServiceKey, Slot, Who};
use crate::settings::Settings;
use crate::target::Target;
use ellie_core::model::{CheckReport, HealthCheck, Instance, InstanceId, ServiceName};
use ellie_policy::threshold;
use futures_util::future::AbortHandle;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Where the answer to somebody who asked for a check goes.
pub(crate) type Asker = oneshot::Sender<Result<Arc<CheckReport>, Refused>>;

/// What an entry is doing.
#[derive(Debug)]
pub(crate) enum Doing {
    Waiting(Place),
    Probing(AbortHandle),
}

/// One instance as the checker knows it.
#[derive(Debug)]
pub(crate) struct Entry<C> {
    pub(crate) name: ServiceName,
    pub(crate) id: InstanceId,
    pub(crate) who: Who,
    pub(crate) incarnation: u64,
    /// Unlike that of any other entry ever in this slot: a probe's result finds only whom it was for.
    pub(crate) generation: u64,
    pub(crate) target: Arc<Target>,
    pub(crate) check: HealthCheck,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    /// `None` until the first probe, which decides at once.
    pub(crate) hysteresis: Option<threshold::Hysteresis>,
    pub(crate) doing: Doing,
    /// Whether the probe in flight asks what the registration no longer says.
    pub(crate) outdated: bool,
    /// Whether the last probe used up its time without an answer.
    pub(crate) silent: bool,
    /// When the last probe began.
    pub(crate) started: Option<Instant>,
    pub(crate) connection: Option<C>,
    /// Those whose answer is the probe in flight.
    pub(crate) asking: Vec<Asker>,
    /// Those who asked after it began, and get the next one.
    pub(crate) asked: Vec<Asker>,
}

impl<C> Entry<C> {
    /// Takes in what `settings` say where the check doesn't.
    pub(crate) fn configure(&mut self, settings: &Settings) {
        self.interval = self.check.interval.unwrap_or(settings.interval);
        self.timeout = self.check.timeout.unwrap_or(settings.timeout);
        let thresholds = self.thresholds(settings);
        if let Some(hysteresis) = &mut self.hysteresis {
            hysteresis.set_config(thresholds);
        }
    }

    pub(crate) fn thresholds(&self, settings: &Settings) -> threshold::Config {
        threshold::Config {
            failure: self.check.failure_threshold.unwrap_or(settings.thresholds.failure),
            success: self.check.success_threshold.unwrap_or(settings.thresholds.success),
        }
    }
}

type Key = (ServiceName, InstanceId);

#[derive(Debug)]
pub(crate) struct Roster<C> {
    slots: Vec<Option<Entry<C>>>,
    free: Vec<Slot>,
    by_key: HashMap<Key, Slot>,
    generations: u64,
    names: RandomState,
}

impl<C> Default for Roster<C> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::new(),
            generations: 0,
            names: RandomState::new(),
        }
    }
}

impl<C> Roster<C> {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    fn service_key(&self, name: &ServiceName) -> ServiceKey {
        self.names.hash_one(name)
    }

    pub(crate) fn find(&self, name: &ServiceName, id: &InstanceId) -> Option<Slot> {
        self.by_key.get(&(name.clone(), id.clone())).copied()
    }

    pub(crate) fn get(&mut self, slot: Slot) -> Option<&mut Entry<C>> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.by_key.keys()
    }

    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.by_key.values().copied().collect()
    }

    pub(crate) fn entries(&mut self) -> impl Iterator<Item = &mut Entry<C>> {
        self.slots.iter_mut().flatten()
    }

    /// Puts in an instance that isn't there; `place` tells where it waits.
    pub(crate) fn insert(
        &mut self,
        instance: &Instance,
        target: Target,
        settings: &Settings,
        hysteresis: Option<threshold::Verdict>,
        place: impl FnOnce(Who, Duration) -> Place,
    ) {
        let registration = &instance.registration;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // A registry holds some hundred thousand instances at most.
            (self.slots.len() - 1) as Slot
        });
        let who = Who { slot, service: self.service_key(&registration.name) };
        self.generations += 1;
        let interval = registration.check.interval.unwrap_or(settings.interval);
        let mut entry = Entry {
            name: registration.name.clone(),
            id: registration.id.clone(),
            who,
            incarnation: instance.incarnation,
            generation: self.generations,
            target: Arc::new(target),
            check: registration.check.clone(),
            interval,
            timeout: settings.timeout,
            hysteresis: None,
            doing: Doing::Waiting(place(who, interval)),
            outdated: false,
            silent: false,
            started: None,
            connection: None,
            asking: Vec::new(),
            asked: Vec::new(),
        };
        let thresholds = entry.thresholds(settings);
        entry.hysteresis = hysteresis.map(|verdict| threshold::Hysteresis::new(thresholds, verdict));
        entry.configure(settings);
        self.by_key.insert((entry.name.clone(), entry.id.clone()), slot);
        self.slots[slot as usize] = Some(entry);
    }

    /// Takes an entry out and ends its probe.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Entry<C>> {
        let entry = self.slots.get_mut(slot as usize)?.take()?;
        self.by_key.remove(&(entry.name.clone(), entry.id.clone()));
        self.free.push(slot);
        if let Doing::Probing(abort) = &entry.doing {
            abort.abort();
        }
        Some(entry)
    }
}
