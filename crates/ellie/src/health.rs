//! How the services fare.

use ellie_core::model::{CheckReport, Instance};
use ellie_core::registry::{Counts, Registry, Service, Snapshot};
use ellie_core::{Fault, InstanceId, Now, ServiceName, Status};
use ellie_health::{HealthChecker, Refused};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Health of everything that is registered.
#[derive(Clone, Debug)]
pub struct SystemHealth {
    /// Healthy while every service is, unhealthy where none works, degraded between.
    pub status: Status,
    /// When this was looked at.
    pub timestamp: SystemTime,
    /// How all instances fare.
    pub counts: Counts,
    /// The registry's index.
    pub index: u64,
    /// The services, by name.
    pub services: BTreeMap<String, ServiceHealth>,
}

/// Health of a service, or of one instance of it.
#[derive(Clone, Debug)]
pub struct ServiceHealth {
    /// The service.
    pub name: ServiceName,
    /// Of the whole: healthy while at least half of its instances are, degraded while anything works.
    pub status: Status,
    /// How its instances fare.
    pub counts: Counts,
    /// The services that it says it needs and how they fare; `None` where no such service is registered.
    pub dependencies: BTreeMap<String, Option<Status>>,
    /// The instances: with the last check, the last transitions and the reason for their status.
    pub instances: Vec<Arc<Instance>>,
}

/// Why a check was not carried out at once.
#[derive(Clone, Debug)]
pub enum Error {
    /// What was given is no name or id.
    Invalid(Vec<Fault>),
    /// The checker refused: no such instance, nothing to be checked, or no room.
    Refused(Refused),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(faults) => crate::settings::write_faults(f, faults),
            Self::Refused(refused) => refused.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Refused(refused) => Some(refused),
        }
    }
}

/// The health checks and what they found.
#[derive(Clone)]
pub struct HealthCheckService {
    registry: Arc<Registry>,
    checker: Arc<HealthChecker>,
}

impl fmt::Debug for HealthCheckService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCheckService").finish_non_exhaustive()
    }
}

impl HealthCheckService {
    pub(crate) fn new(registry: Arc<Registry>, checker: Arc<HealthChecker>) -> Self {
        Self { registry, checker }
    }

    /// How everything fares.
    #[must_use]
    pub fn get_system_health(&self) -> SystemHealth {
        let snapshot = self.registry.snapshot();
        let services: BTreeMap<String, ServiceHealth> = snapshot
            .services
            .values()
            .map(|service| (service.name.to_string(), of_service(&snapshot, service)))
            .collect();
        let any = |status| services.values().any(|s| s.status == status);
        let status = match (any(Status::Healthy), any(Status::Degraded), any(Status::Unhealthy)) {
            (_, false, false) => Status::Healthy,
            (false, false, true) => Status::Unhealthy,
            _ => Status::Degraded,
        };
        SystemHealth {
            status,
            timestamp: Now::read().wall,
            counts: snapshot.counts,
            index: snapshot.index,
            services,
        }
    }

    /// How a service fares, or one instance: `id_or_name` is looked up among the names of services first, then among
    /// the ids of instances. `None` where there is neither.
    #[must_use]
    pub fn get_service_health(&self, id_or_name: &str) -> Option<ServiceHealth> {
        let snapshot = self.registry.snapshot();
        if let Some(service) = snapshot.service(id_or_name) {
            return Some(of_service(&snapshot, service));
        }
        let (service, instance) =
            snapshot.services.values().find_map(|s| s.instances.get(id_or_name).map(|i| (s, i)))?;
        Some(of_instance(&snapshot, service, instance))
    }

    /// How one instance fares.
    #[must_use]
    pub fn get_instance_health(&self, name: &str, id: &str) -> Option<ServiceHealth> {
        let snapshot = self.registry.snapshot();
        let service = snapshot.service(name)?;
        Some(of_instance(&snapshot, service, service.instances.get(id)?))
    }

    /// Checks an instance now, beside its schedule, and tells what the check found.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn check_now(&self, name: &str, id: &str) -> Result<Arc<CheckReport>, Error> {
        let invalid = |fault| Error::Invalid(vec![fault]);
        let (name, id) = (ServiceName::new(name).map_err(invalid)?, InstanceId::new(id).map_err(invalid)?);
        self.checker.check_now(&name, &id).await.map_err(Error::Refused)
    }

    /// What the checks cost and did.
    #[must_use]
    pub fn stats(&self) -> ellie_health::Stats {
        self.checker.stats()
    }

    /// The checker itself.
    #[must_use]
    pub fn checker(&self) -> &Arc<HealthChecker> {
        &self.checker
    }
}

fn of_service(snapshot: &Snapshot, service: &Service) -> ServiceHealth {
    ServiceHealth {
        name: service.name.clone(),
        status: service.status(),
        counts: service.counts,
        dependencies: dependencies(snapshot, service.dependencies()),
        instances: service.instances.values().cloned().collect(),
    }
}

fn of_instance(snapshot: &Snapshot, service: &Service, instance: &Arc<Instance>) -> ServiceHealth {
    let is = |status| usize::from(instance.status == status);
    ServiceHealth {
        name: service.name.clone(),
        status: instance.status,
        counts: Counts {
            healthy: is(Status::Healthy),
            degraded: is(Status::Degraded),
            unhealthy: is(Status::Unhealthy),
        },
        dependencies: dependencies(snapshot, instance.registration.dependencies.iter().map(String::as_str)),
        instances: vec![instance.clone()],
    }
}

fn dependencies<'a>(
    snapshot: &Snapshot,
    names: impl Iterator<Item = &'a str>,
) -> BTreeMap<String, Option<Status>> {
    names.map(|name| (name.to_owned(), snapshot.service(name).map(|s| s.status()))).collect()
}
