//! The immutable picture of the registry that everyone reads.

use crate::model::{Instance, InstanceId, ServiceName, Source, Stale, Status};
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many instances have which status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Healthy.
    pub healthy: usize,
    /// Degraded.
    pub degraded: usize,
    /// Unhealthy.
    pub unhealthy: usize,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.healthy + self.degraded + self.unhealthy
    }

    pub(super) fn slot(&mut self, status: Status) -> &mut usize {
        match status {
            Status::Healthy => &mut self.healthy,
            Status::Degraded => &mut self.degraded,
            Status::Unhealthy => &mut self.unhealthy,
        }
    }
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// The index of its last change.
    pub index: u64,
    /// Its instances, never empty in a snapshot.
    pub instances: OrdMap<InstanceId, Arc<Instance>>,
    /// How they fare.
    pub counts: Counts,
    /// What its instances say they need, and how many say so.
    pub(super) needs: Arc<BTreeMap<String, usize>>,
}

impl Service {
    pub(super) fn empty(name: ServiceName) -> Self {
        Self { name, index: 0, instances: OrdMap::new(), counts: Counts::default(), needs: Arc::default() }
    }

    /// The names of the services it depends on, in alphabetical order.
    pub fn dependencies(&self) -> impl Iterator<Item = &str> {
        self.needs.keys().map(String::as_str)
    }

    /// How the service fares as a whole: healthy while at least half of its instances are healthy (none withdrawn ones
    /// counted), degraded while anything works, unhealthy otherwise.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut counts = Counts::default();
        for i in self.instances.values().filter(|i| !i.is_withdrawn()) {
            *counts.slot(i.status) += 1;
        }
        if counts.healthy > 0 && counts.healthy * 2 >= counts.total() {
            Status::Healthy
        } else if counts.healthy + counts.degraded > 0 {
            Status::Degraded
        } else {
            Status::Unhealthy
        }
    }
}

/// The whole registry at one index.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The index of the last change.
    pub index: u64,
    /// The services that have instances.
    pub services: OrdMap<ServiceName, Arc<Service>>,
    /// How all instances fare.
    pub counts: Counts,
    /// The sources that can't be asked at the moment. A mark alone is no new index: no instance changes by it.
    pub stale: OrdMap<Source, Arc<Stale>>,
}

impl Snapshot {
    /// A service by name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Arc<Service>> {
        self.services.get(name)
    }

    /// An instance by service and id.
    #[must_use]
    pub fn instance(&self, name: &str, id: &str) -> Option<&Arc<Instance>> {
        self.services.get(name)?.instances.get(id)
    }

    /// All instances, by service and id.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.services.values().flat_map(|s| s.instances.values())
    }
}
