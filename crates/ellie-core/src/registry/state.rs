//! The registry's state and how a command changes it.

mod held;
mod rehearsal;

pub use rehearsal::Rehearsal;

use super::changes::Log;
use super::command::{Cause, plan};
use super::deadlines::{Deadlines, Settings};
use super::{Change, ChangeKind, Command, Rejected, Service, Snapshot, TooOld};
use crate::dependencies::find_cycle;
use crate::journal::{Entry, Kind};
use crate::model::{
    CheckKind, CheckReport, History, Instance, InstanceId, Operator, Record, ServiceName, Source, Status,
    Transition,
};
use crate::time::Now;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// How many removed services keep the index of their removal, so that a long poll on one wakes with the right index.
const TOMBSTONES: usize = 4096;

#[derive(Debug)]
pub(super) struct State {
    settings: Settings,
    world: World,
    log: Log,
    deadlines: Deadlines,
    tombstones: HashMap<ServiceName, u64>,
    tombstone_order: VecDeque<ServiceName>,
}

/// What a batch of commands works on: a clone shares everything, so giving up a batch means dropping it.
#[derive(Clone, Debug, Default)]
pub(in crate::registry) struct World {
    snapshot: Snapshot,
    incarnations: u64,
    held: held::Held,
}

/// What a batch does beyond the world; carried out once the whole batch is accepted.
#[derive(Default)]
struct Outcome {
    changes: Vec<Change>,
    entries: Vec<Entry>,
    checks: Vec<(Arc<History>, Arc<CheckReport>)>,
    transitions: Vec<(Arc<History>, Transition)>,
    renewed: Vec<(ServiceName, InstanceId, Arc<History>)>,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            world: World::default(),
            log: Log::default(),
            deadlines: Deadlines::default(),
            tombstones: HashMap::new(),
            tombstone_order: VecDeque::new(),
        }
    }

    pub(super) fn rehearsal(&self) -> Rehearsal {
        Rehearsal::new(self.world.clone(), self.settings.clone())
    }

    pub(super) fn apply_all(
        &mut self,
        commands: Vec<Command>,
        now: Now,
    ) -> Result<(Vec<Change>, Vec<Entry>), Rejected> {
        let mut world = self.world.clone();
        let mut out = Outcome::default();
        for command in commands {
            world.apply(command, now, &self.settings, &mut out)?;
        }
        self.world = world;
        for (history, report) in out.checks {
            history.record_check(report);
        }
        for (history, transition) in out.transitions {
            history.record_transition(transition);
        }
        for (name, id, history) in out.renewed {
            history.record_heartbeat(now.wall);
            let ttl =
                self.world.snapshot.instance(name.as_str(), id.as_str()).and_then(|i| i.registration.ttl);
            self.deadlines.renew(name, id, ttl.map(|ttl| now.instant + ttl));
        }
        for change in &out.changes {
            self.follow(change, now);
            self.log.push(change.clone());
        }
        Ok((out.changes, out.entries))
    }

    /// Keeps deadlines and tombstones in step with one change.
    fn follow(&mut self, change: &Change, now: Now) {
        if change.kind == ChangeKind::Deregistered {
            self.deadlines.forget(&change.name, &change.id);
            if !self.world.snapshot.services.contains_key(&change.name) {
                self.bury(change.name.clone(), change.index);
            }
            return;
        }
        if self.tombstones.remove(&change.name).is_some() {
            self.tombstone_order.retain(|name| *name != change.name);
        }
        self.deadlines.schedule(&change.instance, change.kind, &self.settings, now);
    }

    fn bury(&mut self, name: ServiceName, index: u64) {
        if self.tombstones.insert(name.clone(), index).is_none() {
            self.tombstone_order.push_back(name);
        }
        if self.tombstone_order.len() > TOMBSTONES
            && let Some(oldest) = self.tombstone_order.pop_front()
        {
            self.tombstones.remove(&oldest);
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.world.snapshot.clone()
    }

    pub(super) fn service_index(&self, name: &ServiceName) -> u64 {
        match self.world.snapshot.services.get(name) {
            Some(service) => service.index,
            None => self.tombstones.get(name).copied().unwrap_or(0),
        }
    }

    pub(super) fn changes_since(&self, index: u64) -> Result<Vec<Change>, TooOld> {
        self.log.since(index, self.world.snapshot.index)
    }

    pub(super) fn lease_deadline(&self, name: &ServiceName, id: &InstanceId) -> Option<Instant> {
        self.deadlines.lease(name, id)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub(super) fn due(&mut self, now: Now) -> (Vec<Command>, Vec<Entry>) {
        self.deadlines.due(&self.settings, now)
    }

    pub(super) fn expiry_paused(&self) -> Option<String> {
        self.deadlines.paused_reason()
    }

    pub(super) fn configure(&mut self, settings: Settings, now: Now) {
        self.settings = settings;
        for instance in self.world.snapshot.instances() {
            self.deadlines.schedule(instance, ChangeKind::Status, &self.settings, now);
        }
    }
}

impl World {
    fn apply(
        &mut self,
        command: Command,
        now: Now,
        settings: &Settings,
        out: &mut Outcome,
    ) -> Result<(), Rejected> {
        let (name, id) = command.key();
        let current = self.snapshot.instance(name.as_str(), id.as_str()).cloned();
        let record = current.as_deref().map(Instance::record);
        if self.hold(&command, current.as_deref(), settings)? {
            return Ok(());
        }
        let next = plan(&command, record.as_ref(), now)?;
        match (command, current, next) {
            (Command::Heartbeat { name, id, status }, Some(old), _) => {
                self.heartbeat(name, id, status, &old, now, out);
            }
            (Command::Observe { incarnation, report, status, .. }, Some(old), _) => {
                if old.incarnation == incarnation {
                    out.checks.push((old.history.clone(), report.clone()));
                    self.set_status(&old, status, &report.output, "health check", now, out);
                }
            }
            (command @ (Command::Register { .. } | Command::Restore(_)), current, Some(record)) => {
                self.register(&command, current.as_deref(), record, now, settings, out)?;
            }
            (command, Some(old), Some(record)) => self.operate(&command, &old, record.operator, out),
            (Command::Deregister { actor, cause, .. }, Some(old), None) => {
                self.remove(&old, cause, actor.as_str(), out);
                self.promote(&old, now, settings, out);
            }
            (Command::Withdraw { source, .. }, Some(old), None) => {
                self.remove(&old, Cause::Gone, &source.to_string(), out);
                self.promote(&old, now, settings, out);
            }
            (Command::Withdraw { .. }, _, _) => {}
            // `plan` refuses what needs an instance that is not there.
            (_, _, _) => {}
        }
        Ok(())
    }

    fn register(
        &mut self,
        command: &Command,
        old: Option<&Instance>,
        record: Record,
        now: Now,
        settings: &Settings,
        out: &mut Outcome,
    ) -> Result<(), Rejected> {
        if old.is_none() && self.snapshot.counts.total() >= settings.max_instances {
            return Err(Rejected::Full { limit: settings.max_instances });
        }
        let r = &record.registration;
        // The same process registering again keeps what is known of it; a check of another kind starts anew.
        let kept = old.filter(|o| {
            o.registration.same_endpoint(r)
                && o.registration.check.kind.is_active() == r.check.kind.is_active()
        });
        let (status, reason): (Status, Arc<str>) = match (kept, r.initial_reason()) {
            (Some(o), _) if r.check.kind != CheckKind::None => (o.status, o.reason.clone()),
            (_, Some(reason)) => (Status::Unhealthy, reason.into()),
            (_, None) => (Status::Healthy, "never checked (health check `none`)".into()),
        };
        let incarnation = match kept {
            Some(o) => o.incarnation,
            None => {
                self.incarnations += 1;
                self.incarnations
            }
        };
        self.step_aside(old, &record.source);
        let index = self.snapshot.index + 1;
        let instance = Arc::new(Instance {
            registration: record.registration.clone(),
            source: record.source,
            operator: record.operator,
            status,
            reason,
            since: kept.map_or(now.wall, |o| o.since),
            registered_at: record.registered_at,
            incarnation,
            created_index: old.map_or(index, |o| o.created_index),
            modified_index: index,
            history: kept.map(|o| o.history.clone()).unwrap_or_default(),
        });
        let grown = self.put(&instance, old, index);
        let is_new = !matches!(command, Command::Restore(_));
        if grown && is_new {
            self.refuse_cycle(&instance)?;
        }
        let kind = if old.is_some() { ChangeKind::Replaced } else { ChangeKind::Registered };
        if let Command::Register { actor, .. } = command {
            let what = if old.is_some() { Kind::Replaced } else { Kind::Registered };
            let r = &instance.registration;
            let message =
                format!("{} {}, version {}, by {}", r.protocol, r.authority(), r.version, instance.source);
            out.entries.push(entry(what, &instance, actor.as_str(), message));
        }
        out.changes.push(change(index, kind, &instance));
        Ok(())
    }

    fn heartbeat(
        &mut self,
        name: ServiceName,
        id: InstanceId,
        status: Option<Status>,
        old: &Arc<Instance>,
        now: Now,
        out: &mut Outcome,
    ) {
        out.renewed.push((name, id, old.history.clone()));
        // An active check knows better than the instance's own word.
        if !old.registration.check.kind.is_active() {
            let status = status.unwrap_or(Status::Healthy);
            self.set_status(old, status, &format!("heartbeat says {status}"), "heartbeat", now, out);
        }
    }

    fn set_status(
        &mut self,
        old: &Arc<Instance>,
        to: Status,
        why: &str,
        actor: &str,
        now: Now,
        out: &mut Outcome,
    ) {
        if old.status == to {
            // The first result of an instance that stays as it is takes the place of "awaiting first check".
            if old.registration.initial_reason() == Some(&*old.reason) {
                let index = self.snapshot.index + 1;
                let instance =
                    Arc::new(Instance { reason: why.into(), modified_index: index, ..Instance::clone(old) });
                self.put(&instance, Some(old), index);
                out.changes.push(change(index, ChangeKind::Status, &instance));
            }
            return;
        }
        let index = self.snapshot.index + 1;
        let instance = Arc::new(Instance {
            status: to,
            reason: why.into(),
            since: now.wall,
            modified_index: index,
            ..Instance::clone(old)
        });
        self.put(&instance, Some(old), index);
        let transition = Transition { from: old.status, to, reason: why.into(), at: now.wall };
        out.transitions.push((instance.history.clone(), transition));
        out.entries.push(entry(
            Kind::StatusChanged,
            &instance,
            actor,
            format!("{} → {to}: {why}", old.status),
        ));
        out.changes.push(change(index, ChangeKind::Status, &instance));
    }

    fn operate(&mut self, command: &Command, old: &Arc<Instance>, operator: Operator, out: &mut Outcome) {
        if old.operator == operator {
            return;
        }
        let index = self.snapshot.index + 1;
        let instance = Arc::new(Instance { operator, modified_index: index, ..Instance::clone(old) });
        self.put(&instance, Some(old), index);
        let (actor, message) = match command {
            Command::Operate { operation, ttl, reason, actor, .. } => {
                let what = match operation {
                    super::Operation::Drain => "drain".into(),
                    super::Operation::Undrain => "undrain".into(),
                    super::Operation::Maintenance(true) => "maintenance".into(),
                    super::Operation::Maintenance(false) => "end of maintenance".into(),
                    super::Operation::Weight(Some(w)) => format!("weight {w}"),
                    super::Operation::Weight(None) => "the registered weight".into(),
                };
                let ttl = ttl.map(|t| format!(" for {t:?}")).unwrap_or_default();
                let why = reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
                (actor.as_str(), format!("{what}{ttl}{why}"))
            }
            _ => ("ttl", "an operator state's time ran out".into()),
        };
        out.entries.push(entry(Kind::OperatorChanged, &instance, actor, message));
        out.changes.push(change(index, ChangeKind::Operator, &instance));
    }

    fn remove(&mut self, old: &Arc<Instance>, cause: Cause, actor: &str, out: &mut Outcome) {
        let index = self.snapshot.index + 1;
        self.snapshot.index = index;
        let r = &old.registration;
        if let Some(service) = self.snapshot.services.get(&r.name) {
            let mut service = Service::clone(service);
            service.index = index;
            service.instances.remove(&r.id);
            *service.counts.slot(old.status) -= 1;
            adjust_needs(&mut service, Some(&r.dependencies), &[]);
            if service.instances.is_empty() {
                self.snapshot.services.remove(&r.name);
            } else {
                self.snapshot.services.insert(r.name.clone(), Arc::new(service));
            }
            *self.snapshot.counts.slot(old.status) -= 1;
        }
        let (kind, message) = match cause {
            Cause::Asked => (Kind::Deregistered, "deregistered".to_owned()),
            Cause::Lease => {
                let ttl = r.ttl.unwrap_or_default();
                (Kind::LeaseExpired, format!("its lease of {ttl:?} was not renewed"))
            }
            Cause::Unhealthy => {
                (Kind::Deregistered, format!("its checks failed for too long: {}", old.reason))
            }
            Cause::Gone => (Kind::Deregistered, format!("{} no longer lists it", old.source)),
        };
        out.entries.push(entry(kind, old, actor, message));
        out.changes.push(change(index, ChangeKind::Deregistered, old));
    }

    /// Puts `instance` in the place of `old`; tells whether its service now needs more than before.
    fn put(&mut self, instance: &Arc<Instance>, old: Option<&Instance>, index: u64) -> bool {
        let r = &instance.registration;
        let mut service = match self.snapshot.services.get(&r.name) {
            Some(service) => Service::clone(service),
            None => Service::empty(r.name.clone()),
        };
        if let Some(old) = old {
            *service.counts.slot(old.status) -= 1;
            *self.snapshot.counts.slot(old.status) -= 1;
        }
        *service.counts.slot(instance.status) += 1;
        *self.snapshot.counts.slot(instance.status) += 1;
        let before = service.needs.len();
        let grown = match old.map(|o| &o.registration.dependencies) {
            Some(deps) if *deps == r.dependencies => false,
            deps => {
                let added = r.dependencies.iter().any(|d| !service.needs.contains_key(d));
                adjust_needs(&mut service, deps.map(Vec::as_slice), &r.dependencies);
                added || service.needs.len() > before
            }
        };
        service.index = index;
        service.instances.insert(r.id.clone(), instance.clone());
        self.snapshot.services.insert(r.name.clone(), Arc::new(service));
        self.snapshot.index = index;
        grown
    }

    fn refuse_cycle(&self, instance: &Instance) -> Result<(), Rejected> {
        let needs = |name: &str| match self.snapshot.services.get(name) {
            Some(service) => service.dependencies().map(str::to_owned).collect(),
            None => Vec::new(),
        };
        match find_cycle(instance.registration.name.as_str(), needs) {
            Some(cycle) => Err(Rejected::Cycle(cycle)),
            None => Ok(()),
        }
    }
}

fn adjust_needs(service: &mut Service, old: Option<&[String]>, new: &[String]) {
    let old = old.unwrap_or_default();
    if old.is_empty() && new.is_empty() {
        return;
    }
    let needs = Arc::make_mut(&mut service.needs);
    for d in new {
        *needs.entry(d.clone()).or_insert(0) += 1;
    }
    for d in old {
        if let Some(n) = needs.get_mut(d) {
            *n -= 1;
            if *n == 0 {
                needs.remove(d);
            }
        }
    }
}

fn change(index: u64, kind: ChangeKind, instance: &Arc<Instance>) -> Change {
    let r = &instance.registration;
    Change { index, kind, name: r.name.clone(), id: r.id.clone(), instance: instance.clone() }
}

fn entry(kind: Kind, instance: &Instance, actor: &str, message: String) -> Entry {
    let r = &instance.registration;
    Entry {
        kind,
        service: Some(r.name.to_string()),
        instance: Some(r.id.to_string()),
        actor: if instance.source == Source::Config && actor.is_empty() {
            "config".into()
        } else {
            actor.to_owned()
        },
        message,
    }
}
