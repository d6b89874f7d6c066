//! What time alone makes due: leases that end, operator states that lapse, instances that failed for too long.

use super::{Cause, ChangeKind, Command};
use crate::journal::{Entry, Kind};
use crate::model::{Actor, Instance, InstanceId, ServiceName, Source, Status};
use crate::time::Now;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The settings of leases and removal.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// An instance without a lease whose checks fail for this long is removed; `None` never.
    pub deregister_unhealthy_after: Option<Duration>,
    /// A mass expiry is this share of all leases ending inside one [`Settings::mass_expiry_interval`]; 0 never.
    pub mass_expiry_share: f64,
    /// Fewer than this many leases are never a mass.
    pub mass_expiry_minimum: usize,
    /// The interval in which ended leases are counted together.
    pub mass_expiry_interval: Duration,
    /// How long a mass expiry is held back: after it, whoever has not renewed is removed.
    pub mass_expiry_pause: Duration,
    /// How many instances the registry holds at most.
    pub max_instances: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deregister_unhealthy_after: Some(Duration::from_secs(24 * 3600)),
            mass_expiry_share: 0.15,
            mass_expiry_minimum: 10,
            mass_expiry_interval: Duration::from_secs(60),
            mass_expiry_pause: Duration::from_secs(600),
            max_instances: 250_000,
        }
    }
}

type Key = (ServiceName, InstanceId);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Lapse,
    Unhealthy,
}

#[derive(Debug, Default)]
struct Timers {
    lease: Option<Instant>,
    lapse: Option<Instant>,
    unhealthy: Option<Instant>,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    recheck: Instant,
    reason: String,
}

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    timers: HashMap<Key, Timers>,
    leases: BTreeSet<(Instant, Key)>,
    others: BTreeSet<(Instant, Due, Key)>,
    /// Leases that ended within the last interval: when, how many.
    ended: VecDeque<(Instant, usize)>,
    pause: Option<Pause>,
}

impl Deadlines {
    pub(super) fn lease(&self, name: &ServiceName, id: &InstanceId) -> Option<Instant> {
        self.timers.get(&(name.clone(), id.clone())).and_then(|t| t.lease)
    }

    pub(super) fn paused_reason(&self) -> Option<String> {
        self.pause.as_ref().map(|p| p.reason.clone())
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let lease = self.leases.first().map(|(at, _)| match &self.pause {
            Some(pause) => (*at).max(pause.recheck),
            None => *at,
        });
        let other = self.others.first().map(|(at, ..)| *at);
        [lease, other].into_iter().flatten().min()
    }

    pub(super) fn renew(&mut self, name: ServiceName, id: InstanceId, lease: Option<Instant>) {
        let key = (name, id);
        let timers = self.timers.entry(key.clone()).or_default();
        if let Some(old) = timers.lease.take() {
            self.leases.remove(&(old, key.clone()));
        }
        timers.lease = lease;
        if let Some(at) = lease {
            self.leases.insert((at, key));
        }
    }

    pub(super) fn forget(&mut self, name: &ServiceName, id: &InstanceId) {
        let key = (name.clone(), id.clone());
        let Some(timers) = self.timers.remove(&key) else { return };
        if let Some(at) = timers.lease {
            self.leases.remove(&(at, key.clone()));
        }
        for (at, due) in [(timers.lapse, Due::Lapse), (timers.unhealthy, Due::Unhealthy)] {
            if let Some(at) = at {
                self.others.remove(&(at, due, key.clone()));
            }
        }
    }

    /// Sets all deadlines that follow from an instance's state; a (re-)registration also begins a new lease.
    pub(super) fn schedule(
        &mut self,
        instance: &Arc<Instance>,
        kind: ChangeKind,
        settings: &Settings,
        now: Now,
    ) {
        let r = &instance.registration;
        if matches!(kind, ChangeKind::Registered | ChangeKind::Replaced) {
            self.renew(r.name.clone(), r.id.clone(), r.ttl.map(|ttl| now.instant + ttl));
        }
        let lapse = instance.operator.next_lapse().map(|until| now.instant_of(until));
        // A provider lists what exists: removing it here would last until its next word.
        let checked = r.check.kind.is_active() && !matches!(instance.source, Source::Provider(_));
        let unhealthy = match (instance.status, r.ttl, checked) {
            (Status::Unhealthy, None, true) => settings.deregister_unhealthy_after.map(|after| {
                let failing_for = now.wall.duration_since(instance.since).unwrap_or_default();
                now.instant + after.saturating_sub(failing_for)
            }),
            _ => None,
        };
        let key = (r.name.clone(), r.id.clone());
        let timers = self.timers.entry(key.clone()).or_default();
        for (slot, due, at) in
            [(&mut timers.lapse, Due::Lapse, lapse), (&mut timers.unhealthy, Due::Unhealthy, unhealthy)]
        {
            if let Some(old) = std::mem::replace(slot, at) {
                self.others.remove(&(old, due, key.clone()));
            }
            if let Some(at) = at {
                self.others.insert((at, due, key.clone()));
            }
        }
    }

    pub(super) fn due(&mut self, settings: &Settings, now: Now) -> (Vec<Command>, Vec<Entry>) {
        let mut commands: Vec<Command> = self
            .others
            .iter()
            .take_while(|(at, ..)| *at <= now.instant)
            .map(|(_, due, (name, id))| match due {
                Due::Lapse => Command::Lapse { name: name.clone(), id: id.clone() },
                Due::Unhealthy => removal(name, id, Cause::Unhealthy),
            })
            .collect();
        let mut entries = Vec::new();
        let due = self.leases.iter().take_while(|(at, _)| *at <= now.instant).count();
        if due > 0 && self.may_expire(due, settings, now, &mut entries) {
            self.ended.push_back((now.instant, due));
            commands
                .extend(self.leases.iter().take(due).map(|(_, (name, id))| removal(name, id, Cause::Lease)));
        }
        (commands, entries)
    }

    /// Whether `due` ended leases may be removed now, or are so many that a fault of the network or of ellie itself is
    /// likelier than their death (the idea is Eureka's self-preservation).
    fn may_expire(&mut self, due: usize, settings: &Settings, now: Now, entries: &mut Vec<Entry>) -> bool {
        while self.ended.front().is_some_and(|(at, _)| *at + settings.mass_expiry_interval <= now.instant) {
            self.ended.pop_front();
        }
        let recent: usize = self.ended.iter().map(|(_, n)| n).sum();
        let all = self.leases.len() + recent;
        let mass =
            ((all as f64 * settings.mass_expiry_share).ceil() as usize).max(settings.mass_expiry_minimum);
        let is_mass = settings.mass_expiry_share > 0.0 && due + recent >= mass;
        match &mut self.pause {
            None if !is_mass => true,
            None => {
                let reason = format!(
                    "{} of {all} leases ended within {:?}; expiry is held back for {:?} unless they renew",
                    due + recent,
                    settings.mass_expiry_interval,
                    settings.mass_expiry_pause
                );
                entries.push(note(Kind::ExpiryPaused, reason.clone()));
                self.pause = Some(Pause {
                    until: now.instant + settings.mass_expiry_pause,
                    recheck: now.instant + settings.mass_expiry_interval.min(settings.mass_expiry_pause),
                    reason,
                });
                false
            }
            Some(pause) if now.instant >= pause.until || !is_mass => {
                let why = if is_mass { "the pause is over" } else { "most renewed" };
                entries.push(note(
                    Kind::ExpiryResumed,
                    format!("{why}; {due} leases that were not renewed end"),
                ));
                self.pause = None;
                self.ended.clear();
                true
            }
            Some(pause) => {
                pause.recheck = (now.instant + settings.mass_expiry_interval).min(pause.until);
                false
            }
        }
    }
}

fn removal(name: &ServiceName, id: &InstanceId, cause: Cause) -> Command {
    let actor = Actor::new(if cause == Cause::Lease { "lease" } else { "health check" });
    Command::Deregister { name: name.clone(), id: id.clone(), actor, cause }
}

fn note(kind: Kind, message: String) -> Entry {
    Entry { kind, service: None, instance: None, actor: "lease".into(), message }
}
