//! Health of the system and of one service.

use super::problem::{Error, Result};
use super::query::Query;
use super::services::{view, worst};
use super::state::AdminState;
use super::wire;
use axum::Json;
use axum::extract::{Path, State};
use ellie_api::Status;
use ellie_api::health::{Health, InstanceCounts, InstanceHealth, NamedHealth, ServiceHealth, Summary};
use ellie_core::Now;
use ellie_core::discovery::select;
use ellie_core::registry::{Service, Snapshot};
use http::Uri;
use std::collections::BTreeMap;

/// `GET /services/health`
pub(super) async fn system(State(state): State<AdminState>, uri: Uri) -> Result<Json<Health>> {
    Query::new(uri.query()).finish()?;
    Ok(Json(system_health(&state)))
}

/// Health of everything registered, as of now.
pub(super) fn system_health(state: &AdminState) -> Health {
    let snapshot = state.ellie().registry().snapshot();
    let services: BTreeMap<String, ServiceHealth> =
        snapshot.services.values().map(|s| (s.name.to_string(), of(&snapshot, s))).collect();
    let count = |status| services.values().filter(|s| s.status == status).count();
    let counts = snapshot.counts;
    let summary = Summary {
        total: services.len(),
        healthy: count(Status::Healthy),
        degraded: count(Status::Degraded),
        unhealthy: count(Status::Unhealthy),
        instances: InstanceCounts {
            total: counts.total(),
            healthy: counts.healthy,
            degraded: counts.degraded,
            unhealthy: counts.unhealthy,
        },
    };
    // The system is unhealthy when nothing of it works, and degraded while something does not.
    let status = match worst(services.values().map(|s| s.status)) {
        Status::Unhealthy if summary.unhealthy < summary.total => Status::Degraded,
        status => status,
    };
    Health { status, timestamp: wire::time(Now::read().wall), summary, services }
}

fn of(snapshot: &Snapshot, service: &Service) -> ServiceHealth {
    ServiceHealth {
        status: wire::status(service.status()),
        healthy: service.counts.healthy,
        degraded: service.counts.degraded,
        unhealthy: service.counts.unhealthy,
        total: service.counts.total(),
        dependencies: service
            .dependencies()
            .map(|d| (d.to_owned(), available(snapshot, service, d)))
            .collect(),
    }
}

/// Whether a dependency is there: as registered here, else as the instances' own health endpoints report it.
fn available(snapshot: &Snapshot, service: &Service, dependency: &str) -> Option<bool> {
    if let Some(registered) = snapshot.service(dependency) {
        return Some(registered.status() != ellie_core::Status::Unhealthy);
    }
    let reports = service.instances.values().filter_map(|i| i.history.last_check());
    let told = reports.filter_map(|r| r.body.as_ref().and_then(|b| b.dependencies.get(dependency).copied()));
    told.reduce(|a, b| a && b)
}

/// `GET /services/{name}/health`
pub(super) async fn service(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<NamedHealth>> {
    Query::new(uri.query()).finish()?;
    named(&state, &name).map(Json).ok_or_else(|| Error::service_not_found(&name))
}

/// One service's health, as of now.
pub(super) fn named(state: &AdminState, name: &str) -> Option<NamedHealth> {
    let snapshot = state.ellie().registry().snapshot();
    let service = snapshot.service(name)?;
    let instances = select::<&str>(service, &[], view(state).panic_threshold)
        .all
        .iter()
        .map(|(i, standing)| {
            let health = InstanceHealth {
                status: wire::status(i.status),
                reason: i.reason.to_string(),
                since: wire::time(i.since),
                standing: standing.as_str().into(),
            };
            (i.registration.id.to_string(), health)
        })
        .collect();
    let health = of(&snapshot, service);
    Some(NamedHealth { name: name.to_owned(), timestamp: wire::time(Now::read().wall), health, instances })
}
