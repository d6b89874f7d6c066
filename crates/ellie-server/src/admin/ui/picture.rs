//! All that the pages show, at one moment, sharing what has not changed with the moment before; and the difference of
//! two.

use super::super::{processes, providers, routes, state::AdminState, wire};
use super::Ui;
use bytes::Bytes;
use ellie::policy::breaker;
use ellie::supervisor::status;
use ellie_api::instance::Operator;
use ellie_api::process::Process;
use ellie_api::provider::Provider;
use ellie_api::ui::{Delta, Mode, Rejected, Row, Service, Snapshot};
use ellie_core::Now;
use ellie_core::discovery::{Selection, Standing, select};
use ellie_core::journal::{Event, Journal};
use ellie_core::model::Instance;
use ellie_core::registry;
use ellie_gateway::cluster::Strategies;
use ellie_gateway::route::Route;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// Events that one delta tells; more are counted.
const MAX_EVENTS: usize = 200;

/// One moment.
#[derive(Debug)]
pub(super) struct Picture {
    /// Higher with every delta.
    pub(super) seq: u64,
    now: Now,
    registry: Arc<registry::Snapshot>,
    strategies: Strategies,
    routes_version: u64,
    routes: Arc<Vec<Arc<Route>>>,
    breaker: breaker::Config,
    mode: Mode,
    /// `None` where there is no service manager.
    processes: Option<Arc<status::Status>>,
    providers: Vec<Provider>,
    last_event: u64,
    /// As sent to whoever begins here; written by the first.
    encoded: OnceLock<Bytes>,
}

impl Picture {
    /// What is now; what has not changed is taken from the picture before.
    pub(super) fn take(ui: &Ui, before: Option<&Self>, now: Now) -> Self {
        let ellie = ui.state.ellie();
        let table = ellie.gateway.table();
        let set = table.routes().snapshot();
        let routes = match before {
            Some(before) if before.routes_version == set.version => before.routes.clone(),
            _ => Arc::new(set.list()),
        };
        // Read before the registry: an event whose change is not in the picture yet is told, not lost.
        let last_event = ellie.journal().last_id();
        Self {
            seq: before.map_or(0, |before| before.seq),
            now,
            registry: ellie.registry().snapshot(),
            strategies: ellie.balancer.strategies(),
            routes_version: set.version,
            routes,
            breaker: table.clusters().breakers().default_config(),
            mode: ui.mode(),
            processes: ui.state.managed().map(|managed| managed.manager.status()),
            providers: ui.state.providers().iter().map(|p| providers::provider(p, false)).collect(),
            last_event,
            encoded: OnceLock::new(),
        }
    }

    /// The event `snapshot`, written once.
    pub(super) fn encoded(&self, epoch: &str) -> Bytes {
        let write = || super::stream::event("snapshot", Some((epoch, self.seq)), &self.snapshot());
        self.encoded.get_or_init(write).clone()
    }

    fn snapshot(&self) -> Snapshot {
        let services = self.registry.services.values().map(|s| {
            let selection = self.select(s);
            let rows =
                selection.all.iter().map(|(i, standing)| (i.registration.id.to_string(), row(i, *standing)));
            (s.name.to_string(), self.service(s, &selection, rows.collect(), Vec::new()))
        });
        Snapshot {
            index: self.registry.index,
            at: wire::time(self.now.wall),
            mode: self.mode.clone(),
            services: services.collect(),
            routes: self.routes(),
            breaker_config: wire::breaker_config(&self.breaker),
            processes: self.processes.as_deref().map(told_of),
            providers: self.providers.clone(),
            last_event_id: self.last_event,
        }
    }

    fn routes(&self) -> Vec<ellie_api::Route> {
        self.routes.iter().map(|r| routes::sent(r)).collect()
    }

    fn select(&self, service: &registry::Service) -> Selection {
        select::<&str>(service, &[], self.mode.panic_threshold)
    }

    fn service(
        &self,
        s: &registry::Service,
        selection: &Selection,
        instances: BTreeMap<String, Row>,
        removed: Vec<String>,
    ) -> Service {
        let name = s.name.as_str();
        Service {
            status: wire::status(s.status()),
            level: wire::level(selection.level).into(),
            strategy: self.strategies.of(name).as_str().into(),
            own_strategy: self.strategies.services.contains_key(name),
            healthy: s.counts.healthy,
            degraded: s.counts.degraded,
            unhealthy: s.counts.unhealthy,
            routable: selection.routable().count(),
            total: s.counts.total(),
            dependencies: s.dependencies().map(Into::into).collect(),
            instances,
            removed,
        }
    }

    /// What has changed since `before`; `None` where nothing has. Counts the picture on where something has.
    pub(super) fn delta(&mut self, before: &Self, journal: &Journal) -> Option<Delta> {
        let mut delta = Delta {
            index: self.registry.index,
            at: wire::time(self.now.wall),
            last_event_id: self.last_event,
            ..Delta::default()
        };
        let mut changed = false;
        if self.mode != before.mode {
            delta.mode = Some(self.mode.clone());
            changed = true;
        }
        if self.routes_version != before.routes_version {
            delta.routes = Some(self.routes());
            changed = true;
        }
        if self.breaker != before.breaker {
            delta.breaker_config = Some(wire::breaker_config(&self.breaker));
            changed = true;
        }
        if let Some(status) = &self.processes
            && !before.processes.as_ref().is_some_and(|known| Arc::ptr_eq(known, status))
        {
            delta.processes = Some(told_of(status));
            changed = true;
        }
        if self.providers != before.providers {
            delta.providers = Some(self.providers.clone());
            changed = true;
        }
        self.services_since(before, &mut delta);
        changed |= !delta.services.is_empty() || !delta.removed.is_empty();
        if self.last_event != before.last_event {
            (delta.events, delta.events_skipped) = told(journal, before.last_event, self.last_event);
            changed = true;
        }
        if changed {
            self.seq = before.seq + 1;
        }
        changed.then_some(delta)
    }

    fn services_since(&self, before: &Self, delta: &mut Delta) {
        let same_rule = self.mode.panic_threshold == before.mode.panic_threshold;
        let same_strategies = self.strategies == before.strategies;
        if self.registry.index == before.registry.index && same_rule && same_strategies {
            return;
        }
        // Both are in the order of names.
        let mut old = before.registry.services.iter().peekable();
        for (name, service) in &self.registry.services {
            while let Some((gone, _)) = old.next_if(|(old, _)| *old < name) {
                delta.removed.push(gone.to_string());
            }
            let known = old.next_if(|(old, _)| *old == name).map(|(_, s)| s);
            let same = known.is_some_and(|k| Arc::ptr_eq(k, service));
            let strategy = |of: &Self| {
                (of.strategies.of(name.as_str()), of.strategies.services.contains_key(name.as_str()))
            };
            if same && same_rule && (same_strategies || strategy(self) == strategy(before)) {
                continue;
            }
            let selection = self.select(service);
            let (rows, removed) = rows_since(&selection, known.map(|k| before.select(k)));
            delta.services.insert(name.to_string(), self.service(service, &selection, rows, removed));
        }
        delta.removed.extend(old.map(|(gone, _)| gone.to_string()));
    }
}

/// The rows that are new or different, and the ids that are gone. An instance whose neighbours changed may have
/// another standing without having changed itself.
fn rows_since(now: &Selection, before: Option<Selection>) -> (BTreeMap<String, Row>, Vec<String>) {
    let (mut rows, mut removed) = (BTreeMap::new(), Vec::new());
    let before = before.map_or_else(Vec::new, |before| before.all);
    let mut old = before.iter().peekable();
    for (i, standing) in &now.all {
        let id = &i.registration.id;
        while let Some((gone, _)) = old.next_if(|(old, _)| old.registration.id < *id) {
            removed.push(gone.registration.id.to_string());
        }
        let known = old.next_if(|(old, _)| old.registration.id == *id);
        if !known.is_some_and(|(k, was)| Arc::ptr_eq(k, i) && was == standing) {
            rows.insert(id.to_string(), row(i, *standing));
        }
    }
    removed.extend(old.map(|(gone, _)| gone.registration.id.to_string()));
    (rows, removed)
}

fn row(i: &Instance, standing: Standing) -> Row {
    let r = &i.registration;
    let operator = wire::operator(i);
    Row {
        host: r.host.clone(),
        port: r.port,
        protocol: r.protocol.to_string(),
        version: r.version.clone(),
        tags: r.tags.clone(),
        zone: r.zone.clone(),
        weight: i.weight(),
        registered_weight: (i.weight() != r.weight).then_some(r.weight),
        status: wire::status(i.status),
        standing: standing.as_str().into(),
        reason: i.reason.to_string(),
        since: wire::time(i.since),
        check: r.check.kind.to_string(),
        source: i.source.to_string(),
        index: i.modified_index,
        operator: (operator != Operator::default()).then_some(operator),
    }
}

fn told_of(status: &status::Status) -> Vec<Process> {
    status.units.iter().map(processes::process).collect()
}

/// What the journal has after one event up to another: the newest of it, and how many more there were.
fn told(journal: &Journal, after: u64, until: u64) -> (Vec<ellie_api::Event>, u64) {
    let new: Vec<Arc<Event>> = journal.since(after).into_iter().filter(|e| e.id <= until).collect();
    let told = &new[new.len().saturating_sub(MAX_EVENTS)..];
    let skipped = (until - after).saturating_sub(told.len() as u64);
    (told.iter().map(|e| wire::event(e)).collect(), skipped)
}

/// What of the figures is the same for all pages and changes rarely.
pub(super) fn mode(state: &AdminState, fixed: &Mode) -> Mode {
    let settings = state.settings();
    Mode {
        store: settings.store.into(),
        discovery_enabled: settings.discovery_enabled,
        reads_protected: settings.protect_reads || !settings.listen.ip().is_loopback(),
        strategy: state.ellie().balancer.strategy(None).as_str().into(),
        panic_threshold: settings.panic_threshold,
        expiry_paused: state.ellie().registry().expiry_paused(),
        config_rejected: state.configured().get().and_then(|loaded| {
            let (at, message) = loaded.rejected.as_ref()?;
            Some(Rejected { at: wire::time(*at), message: message.clone() })
        }),
        ..fixed.clone()
    }
}
