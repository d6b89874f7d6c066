//! What providers tell of instances that a stronger source tells of too: it is held back, and comes into force when
//! the stronger one is silent. So the registry is the union of what all sources tell, whatever order they speak in.

use super::{Outcome, State, World};
use crate::Now;
use crate::journal::{Entry, Kind};
use crate::model::{Actor, Instance, InstanceId, Registration, ServiceName, Source, Stale};
use crate::registry::{Command, Rejected, Settings, plan};
use imbl::OrdMap;
use std::sync::Arc;

type Word = (Source, Arc<Registration>);

/// By service and id, strongest first.
pub(super) type Held = OrdMap<(ServiceName, InstanceId), Arc<Vec<Word>>>;

impl World {
    /// Takes a command that concerns only what is held back; whether that is all of it.
    pub(super) fn hold(
        &mut self,
        command: &Command,
        current: Option<&Instance>,
        settings: &Settings,
    ) -> Result<bool, Rejected> {
        match command {
            Command::Register { registration, source: source @ Source::Provider(_), .. } => {
                let Some(stronger) = current.filter(|i| i.source.outranks(source)) else {
                    self.release(&registration.name, &registration.id, source);
                    return Ok(false);
                };
                let r = &stronger.registration;
                if !self.held.contains_key(&(r.name.clone(), r.id.clone()))
                    && self.held.len() >= settings.max_instances
                {
                    return Err(Rejected::Full { limit: settings.max_instances });
                }
                self.keep(registration, source);
                Ok(true)
            }
            Command::Withdraw { name, id, source } => {
                self.release(name, id, source);
                Ok(current.is_none_or(|i| i.source != *source))
            }
            _ => Ok(false),
        }
    }

    /// A provider's instance that a stronger source takes over is held back from now on.
    pub(super) fn step_aside(&mut self, old: Option<&Instance>, new: &Source) {
        if let Some(old) = old.filter(|old| old.source != *new && matches!(old.source, Source::Provider(_))) {
            self.keep(&old.registration, &old.source);
        }
    }

    /// After the removal of `gone`: who is next in precedence comes into force.
    pub(super) fn promote(&mut self, gone: &Instance, now: Now, settings: &Settings, out: &mut Outcome) {
        let r = &gone.registration;
        let key = (r.name.clone(), r.id.clone());
        // A word that the registry no longer takes (it would close a cycle by now) is dropped; its provider says it again.
        while let Some((source, registration)) = self.held.get(&key).and_then(|words| words.first().cloned())
        {
            self.release(&r.name, &r.id, &source);
            let actor = Actor::new(&source.to_string());
            let command = Command::Register { registration, source, actor };
            let before = self.clone();
            let taken = plan(&command, None, now).and_then(|record| match record {
                Some(record) => self.register(&command, None, record, now, settings, out),
                None => Ok(()),
            });
            if taken.is_ok() {
                return;
            }
            *self = before;
        }
    }

    fn keep(&mut self, registration: &Arc<Registration>, source: &Source) {
        let key = (registration.name.clone(), registration.id.clone());
        let mut words = self.held.get(&key).map(|words| Vec::clone(words)).unwrap_or_default();
        words.retain(|(other, _)| other != source);
        let at = words.iter().take_while(|(other, _)| other.outranks(source)).count();
        words.insert(at, (source.clone(), registration.clone()));
        self.held.insert(key, Arc::new(words));
    }

    fn release(&mut self, name: &ServiceName, id: &InstanceId, source: &Source) {
        let key = (name.clone(), id.clone());
        let Some(words) = self.held.get(&key) else { return };
        let left: Vec<Word> = words.iter().filter(|(other, _)| other != source).cloned().collect();
        if left.is_empty() {
            self.held.remove(&key);
        } else {
            self.held.insert(key, Arc::new(left));
        }
    }

    /// What `source` tells, whether in force or held back.
    pub(super) fn told_by(&self, source: &Source) -> impl Iterator<Item = &Arc<Registration>> {
        let in_force =
            self.snapshot.instances().filter(move |i| i.source == *source).map(|i| &i.registration);
        let held = self.held.values().flat_map(|words| words.iter());
        in_force.chain(held.filter(move |(other, _)| other == source).map(|(_, registration)| registration))
    }
}

impl State {
    pub(in crate::registry) fn held_back(&self, name: &ServiceName, id: &InstanceId) -> Vec<Source> {
        let words = self.world.held.get(&(name.clone(), id.clone()));
        words.map(|words| words.iter().map(|(source, _)| source.clone()).collect()).unwrap_or_default()
    }

    /// The journal's entry where the mark is new or gone.
    pub(in crate::registry) fn mark_stale(
        &mut self,
        source: &Source,
        reason: Option<&str>,
        now: Now,
    ) -> Option<Entry> {
        let stale = &mut self.world.snapshot.stale;
        let actor = source.to_string();
        let entry = |kind, message| Entry { kind, service: None, instance: None, actor, message };
        let Some(reason) = reason else {
            let since = stale.remove(source)?.since;
            let lasted = now.wall.duration_since(since).unwrap_or_default();
            let message = format!("told its set anew after {:.1} s", lasted.as_secs_f64());
            return Some(entry(Kind::SourceFresh, message));
        };
        let before = stale.get(source).cloned();
        let since = before.as_ref().map_or(now.wall, |stale| stale.since);
        stale.insert(source.clone(), Arc::new(Stale { since, reason: reason.to_owned() }));
        if before.is_some_and(|before| before.reason == reason) {
            return None;
        }
        Some(entry(Kind::SourceStale, format!("can't be asked, what it told last still holds: {reason}")))
    }
}
