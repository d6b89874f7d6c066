//! From a JSON body to validated registrations, with every fault of every one.

use super::fields::{Faults, Fields};
use super::json::Value;
use ellie_core::model::{CheckDraft, Draft};
use ellie_core::{InstanceId, Registration, ServiceName};
use std::collections::HashMap;

/// Registrations and deregistrations in one batch.
pub(super) const MAX_BATCH: usize = 10_000;

/// What a batch asks for.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) registrations: Vec<Registration>,
    pub(super) deregistrations: Vec<(ServiceName, InstanceId)>,
}

/// Reads one registration at `path` (empty for a whole body). `None` means that faults were noted.
pub(super) fn registration(value: Value, path: &str, faults: &mut Faults) -> Option<Registration> {
    let mut own = Faults::default();
    let registration = read(value, path, &mut own);
    let clean = own.is_empty();
    let (list, _) = own.into_parts();
    for fault in list {
        faults.push(fault);
    }
    registration.filter(|_| clean)
}

fn read(value: Value, path: &str, faults: &mut Faults) -> Option<Registration> {
    let mut f = Fields::of(value, path, faults)?;
    let mut draft = Draft {
        id: f.string("id"),
        name: f.string("name"),
        version: f.string("version"),
        host: f.string("host"),
        port: f.integer("port"),
        protocol: f.string("protocol"),
        health_endpoint: f.string("healthEndpoint"),
        tags: f.strings("tags"),
        dependencies: f.strings("dependencies"),
        metadata: f.pairs("metadata", false).into_iter().map(|(k, v)| (k, v.unwrap_or_default())).collect(),
        weight: f.integer("weight"),
        ttl: f.integer("ttl"),
        zone: f.string("zone"),
        check: None,
    };
    if let Some(check) = f.take("healthCheck") {
        let at = f.path("healthCheck");
        draft.check = check_draft(check, &at, f.faults());
    }
    let prefix = f.path("");
    f.finish();
    match draft.validate() {
        Ok(registration) => Some(registration),
        Err(found) => {
            faults.merge(&prefix, found);
            None
        }
    }
}

fn check_draft(value: Value, path: &str, faults: &mut Faults) -> Option<CheckDraft> {
    let mut f = Fields::of(value, path, faults)?;
    let check = CheckDraft {
        kind: f.string("type"),
        path: f.string("path"),
        interval: f.integer("interval"),
        timeout: f.integer("timeout"),
        success_threshold: f.integer("successThreshold"),
        failure_threshold: f.integer("failureThreshold"),
    };
    f.finish();
    Some(check)
}

/// Reads a batch: `registrations` and `deregistrations`, either may be absent, not both empty.
pub(super) fn batch(value: Value, faults: &mut Faults) -> Option<Batch> {
    let mut f = Fields::of(value, "", faults)?;
    let registrations = f.array("registrations").unwrap_or_default();
    let deregistrations = f.array("deregistrations").unwrap_or_default();
    f.finish();
    let total = registrations.len() + deregistrations.len();
    if total > MAX_BATCH {
        faults.add("(body)", format!("has {total} items; at most {MAX_BATCH} are allowed"));
        return None;
    }
    if total == 0 && faults.is_empty() {
        faults.add("registrations", "is empty, and so is deregistrations; give at least one item");
    }
    let mut batch = Batch::default();
    let mut seen: HashMap<(ServiceName, InstanceId), usize> = HashMap::new();
    for (i, item) in registrations.into_iter().enumerate() {
        let at = format!("registrations[{i}]");
        let Some(r) = registration(item, &at, faults) else { continue };
        match seen.insert((r.name.clone(), r.id.clone()), i) {
            Some(first) => faults.add(at, format!("has the same name and id as registrations[{first}]")),
            None => batch.registrations.push(r),
        }
    }
    let mut seen: HashMap<(ServiceName, InstanceId), usize> = HashMap::new();
    for (i, item) in deregistrations.into_iter().enumerate() {
        let at = format!("deregistrations[{i}]");
        let Some(key) = key(item, &at, faults) else { continue };
        match seen.insert(key.clone(), i) {
            Some(first) => faults.add(at, format!("has the same name and id as deregistrations[{first}]")),
            None => batch.deregistrations.push(key),
        }
    }
    faults.is_empty().then_some(batch)
}

fn key(value: Value, path: &str, faults: &mut Faults) -> Option<(ServiceName, InstanceId)> {
    let mut f = Fields::of(value, path, faults)?;
    let name = f.string("name");
    let id = f.string("id");
    for (key, missing) in [("name", name.is_none()), ("id", id.is_none())] {
        if missing {
            f.fault(key, "is required");
        }
    }
    let prefix = f.path("");
    f.finish();
    let name = ServiceName::new(&name?);
    let id = InstanceId::new(&id?);
    match (name, id) {
        (Ok(name), Ok(id)) => Some((name, id)),
        (name, id) => {
            faults.merge(&prefix, [name.err(), id.err()].into_iter().flatten().collect());
            None
        }
    }
}
