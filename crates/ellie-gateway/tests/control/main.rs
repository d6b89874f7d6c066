//! Clusters, routes and the table, by a hand-moved clock.
#![allow(clippy::unwrap_used, reason = "tests")]

mod breaking;
mod clusters;
mod explaining;
mod tables;

use ellie_core::journal::{Event, Kind};
use ellie_core::model::{Actor, CheckDraft, Draft, InstanceId, ServiceName, Source, Status};
use ellie_core::registry::{Cause, Operation, Settings as RegistrySettings};
use ellie_core::{Command, Now, Registry};
use ellie_gateway::cluster::{Attempt, Cluster, Clusters, Settings};
use ellie_policy::Rng;
use ellie_policy::balance::Strategy;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) struct World {
    pub(crate) registry: Arc<Registry>,
    pub(crate) clusters: Arc<Clusters>,
    pub(crate) now: Now,
    pub(crate) rng: Rng,
}

pub(crate) fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

impl World {
    pub(crate) fn new(strategy: Strategy) -> Self {
        Self::with(Settings { strategy, ..Settings::default() })
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let registry = Arc::new(Registry::new(RegistrySettings::default(), Arc::default()));
        let now = Now::read();
        let clusters = Arc::new(Clusters::new(registry.clone(), settings, 1, now.instant));
        Self { registry, clusters, now, rng: Rng::new(1) }
    }

    pub(crate) fn at(&self) -> Instant {
        self.now.instant
    }

    pub(crate) fn advance(&mut self, by: Duration) -> Instant {
        self.now = self.now.after(by);
        self.now.instant
    }

    pub(crate) fn apply(&self, command: Command) {
        self.registry.apply(command, self.now).unwrap();
        self.clusters.update(self.at());
    }

    /// A healthy instance, which says of itself how it fares.
    pub(crate) fn add(&self, name: &str, id: &str, edit: impl FnOnce(&mut Draft)) {
        let mut draft = Draft {
            name: Some(name.into()),
            id: Some(id.into()),
            host: Some("10.0.0.1".into()),
            port: Some(8000),
            ttl: Some(86_400_000),
            check: Some(CheckDraft { kind: Some("ttl".into()), ..CheckDraft::default() }),
            ..Draft::default()
        };
        edit(&mut draft);
        let registration = Arc::new(draft.validate().unwrap());
        self.apply(Command::Register { registration, source: Source::Api, actor: Actor::new("test") });
        self.status(name, id, Status::Healthy);
    }

    pub(crate) fn many(&self, name: &str, n: usize) {
        for i in 0..n {
            self.add(name, &format!("i{i}"), |_| {});
        }
    }

    pub(crate) fn status(&self, name: &str, id: &str, status: Status) {
        let (name, id) = key(name, id);
        self.apply(Command::Heartbeat { name, id, status: Some(status) });
    }

    pub(crate) fn remove(&self, name: &str, id: &str) {
        let (name, id) = key(name, id);
        self.apply(Command::Deregister { name, id, actor: Actor::new("test"), cause: Cause::Asked });
    }

    pub(crate) fn operate(&self, name: &str, id: &str, operation: Operation) {
        let (name, id) = key(name, id);
        let (actor, reason) = (Actor::new("ann"), Some("release".to_owned()));
        self.apply(Command::Operate { name, id, operation, ttl: None, reason, actor });
    }

    pub(crate) fn cluster(&self, name: &str) -> Arc<Cluster> {
        self.clusters.get(name, self.at()).unwrap()
    }

    pub(crate) fn admit(&mut self, name: &str) -> Attempt {
        let now = self.at();
        self.cluster(name).admit(now, &mut self.rng, &[]).unwrap()
    }

    /// How many of `n` requests go to which instance.
    pub(crate) fn spread(&mut self, cluster: &Arc<Cluster>, n: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..n {
            let now = self.at();
            let attempt = cluster.admit(now, &mut self.rng, &[]).unwrap();
            *counts.entry(attempt.upstream().id.to_string()).or_default() += 1;
            drop(attempt);
        }
        counts
    }

    pub(crate) fn events(&self, kind: Kind) -> Vec<Arc<Event>> {
        self.registry.journal().since(0).into_iter().filter(|e| e.entry.kind == kind).collect()
    }
}

pub(crate) fn key(name: &str, id: &str) -> (ServiceName, InstanceId) {
    (ServiceName::new(name).unwrap(), InstanceId::new(id).unwrap())
}

pub(crate) fn names(counts: &BTreeMap<String, usize>) -> Vec<&str> {
    counts.keys().map(String::as_str).collect()
}
