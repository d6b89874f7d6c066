//! `[[services]]`: registrations that last as long as the file says so.

use super::fault::Fault;
use super::origin::Origin;
use super::parse;
use super::raw::{Table, Typed, Value, find};
use super::read::{Findings, Section, tables};
use ellie_core::Registration;
use ellie_core::dependencies::Graph;
use ellie_core::model::{CheckDraft, Draft};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(super) type Services = Vec<Arc<Registration>>;

/// Reads and checks all.
pub(super) fn read(layers: &[&Table], out: &mut Findings) -> Services {
    let mut services: Vec<(Arc<Registration>, Origin)> = Vec::new();
    let mut seen: HashMap<(String, String), Origin> = HashMap::new();
    for (i, (table, origin)) in tables(layers, "services", out).into_iter().enumerate() {
        let path = format!("services[{i}]");
        let draft = draft(Section::inner(path.clone(), table, out));
        match draft.validate() {
            Ok(registration) => {
                let key = (registration.name.to_string(), registration.id.to_string());
                if let Some(first) = seen.get(&key) {
                    let at = find(table, "id").or_else(|| find(table, "name")).map_or(&origin, |e| &e.origin);
                    let message =
                        format!("service `{}` has the instance `{}` already, from {first}", key.0, key.1);
                    out.fault(at, format!("{path}.id"), message);
                } else {
                    seen.insert(key, origin.clone());
                    services.push((Arc::new(registration), origin));
                }
            }
            Err(faults) => {
                let faults = faults.into_iter().filter_map(|fault| place(&fault, &path, table, &origin));
                out.extend(faults.collect());
            }
        }
    }
    check_cycles(&services, out);
    services.into_iter().map(|(registration, _)| registration).collect()
}

fn draft(mut s: Section<'_>) -> Draft {
    let draft = Draft {
        name: s.opt("name", parse::any_text),
        id: s.opt("id", parse::any_text),
        version: s.opt("version", parse::any_text),
        host: s.opt("host", parse::any_text),
        port: s.opt("port", parse::integer),
        protocol: s.opt("protocol", parse::any_text),
        health_endpoint: s.opt("health_endpoint", parse::any_text),
        tags: s.get("tags", Vec::new(), parse::list(usize::MAX, parse::any_text)),
        dependencies: s.get("dependencies", Vec::new(), parse::list(usize::MAX, parse::any_text)),
        metadata: metadata(&mut s),
        weight: s.opt("weight", parse::integer),
        ttl: s.opt("ttl", parse::milliseconds),
        zone: s.opt("zone", parse::any_text),
        check: s.section("health_check").map(check),
    };
    s.finish();
    draft
}

pub(super) fn check(mut s: Section<'_>) -> CheckDraft {
    let draft = CheckDraft {
        kind: s.opt("type", parse::any_text),
        path: s.opt("path", parse::any_text),
        interval: s.opt("interval", parse::milliseconds),
        timeout: s.opt("timeout", parse::milliseconds),
        success_threshold: s.opt("success_threshold", parse::integer),
        failure_threshold: s.opt("failure_threshold", parse::integer),
    };
    s.finish();
    draft
}

pub(super) fn metadata(s: &mut Section<'_>) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let path = s.key("metadata");
    for entry in s.table("metadata").into_iter().flatten() {
        match &entry.typed {
            Typed { value: Value::Text(text), .. } => {
                pairs.insert(entry.key.clone(), text.clone());
            }
            Typed { value, origin } => {
                let message = format!("is {}; write it as text in quotes", value.kind());
                s.out().fault(origin, format!("{path}.{}", entry.key), message);
            }
        }
    }
    pairs
}

/// A fault in the wire's words, in the file's words and at its place.
pub(super) fn place(fault: &ellie_core::Fault, path: &str, table: &Table, origin: &Origin) -> Option<Fault> {
    let key = snake(&fault.field);
    let mut at = origin;
    let mut level = Some(table);
    let mut found = false;
    for part in key.split('.') {
        let part = part.split('[').next().unwrap_or(part);
        found = false;
        if let Some(entry) = level.and_then(|level| find(level, part)) {
            (at, found) = (&entry.typed.origin, true);
            level = match &entry.typed.value {
                Value::Table(inner) => Some(inner),
                _ => None,
            };
        }
    }
    // It is there but could not be read, which has been said already.
    if found && fault.message.starts_with("is required") {
        return None;
    }
    Some(Fault { origin: at.clone(), key: format!("{path}.{key}"), message: snake_words(&fault.message) })
}

/// `healthCheck.interval` as the file writes it.
fn snake(field: &str) -> String {
    // Keys of metadata are the user's own.
    if field.starts_with("metadata.") {
        return field.into();
    }
    field.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

/// A message may name another field.
fn snake_words(message: &str) -> String {
    message.replace("healthCheck.", "health_check.").replace("healthEndpoint", "health_endpoint")
}

fn check_cycles(services: &[(Arc<Registration>, Origin)], out: &mut Findings) {
    let mut graph = Graph::new();
    for (service, _) in services {
        graph.add(service.name.as_str(), service.dependencies.iter().cloned());
    }
    if let Err(cycle) = graph.waves() {
        let on_it = |service: &Registration| cycle.0.iter().any(|name| name == service.name.as_str());
        let origin =
            services.iter().find(|(s, _)| on_it(s)).map_or(Origin::Default, |(_, origin)| origin.clone());
        out.fault(&origin, "services.dependencies", format!("the dependencies form a cycle: {cycle}"));
    }
}
