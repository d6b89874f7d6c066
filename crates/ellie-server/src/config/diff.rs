//! What a reload changes, and what of it has to wait for a restart.

use super::resolved::{Resolved, Route, UpstreamTls};
use ellie_core::Registration;
use std::collections::BTreeMap;
use std::fmt;

/// Keys, or whole sections, that are read only at start: what is bound, opened or spawned then.
/// [`in_force`] holds them back: the two are one list.
const AT_START: [&str; 13] = [
    "api.listen",
    "api.max_connections",
    "api.request_timeout",
    "dashboard",
    "gateway.listen",
    "gateway.threads",
    "gateway.max_connections",
    "gateway.max_head",
    "gateway.access_log",
    "discovery.enabled",
    "storage",
    "service",
    "log.format",
];

/// One key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, or `services NAME/ID`, `routes ID`.
    pub key: String,
    /// Before; `None` where it was not there.
    pub from: Option<String>,
    /// After; `None` where it is gone.
    pub to: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from != to => write!(f, "{}: {from} → {to}", self.key),
            (Some(_), Some(_)) => write!(f, "{}: changed", self.key),
            (None, Some(to)) if to.is_empty() => write!(f, "{}: added", self.key),
            (None, Some(to)) => write!(f, "{}: set to {to}", self.key),
            (Some(from), None) if from.is_empty() => write!(f, "{}: removed", self.key),
            (Some(from), None) => write!(f, "{}: {from} → not set", self.key),
            (None, None) => f.write_str(&self.key),
        }
    }
}

/// All differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// In force at once.
    pub live: Vec<Change>,
    /// In force after a restart; until then the old value stays.
    pub restart: Vec<Change>,
}

impl Diff {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.restart.is_empty()
    }
}

pub(crate) fn is_at_start(key: &str) -> bool {
    let section = key.split('.').next().unwrap_or(key);
    AT_START.contains(&key) || AT_START.contains(&section)
}

/// What is in force once a process that runs with `running` has taken `next`: all of `next`, but for what is read only
/// at start, which stays as it is.
#[must_use]
pub fn in_force(running: &Resolved, mut next: Resolved) -> Resolved {
    next.api.listen = running.api.listen;
    next.api.max_connections = running.api.max_connections;
    next.api.request_timeout = running.api.request_timeout;
    next.dashboard = running.dashboard.clone();
    next.gateway.listen = running.gateway.listen;
    next.gateway.threads = running.gateway.threads;
    next.gateway.max_connections = running.gateway.max_connections;
    next.gateway.max_head = running.gateway.max_head;
    next.gateway.access_log = running.gateway.access_log;
    next.discovery.enabled = running.discovery.enabled;
    next.storage = running.storage.clone();
    // A listener speaks TLS or it does not; with which certificate can change.
    if next.tls.is_some() != running.tls.is_some() {
        next.tls = running.tls.clone();
        keep(&mut next, running, |key| key.starts_with("tls."));
    }
    next.own = running.own.clone();
    next.processes.clone_from(&running.processes);
    next.log.format = running.log.format;
    keep(&mut next, running, is_at_start);
    next
}

/// Shows the values of `running` under the keys that `those` are.
fn keep(next: &mut Resolved, running: &Resolved, those: impl Fn(&str) -> bool) {
    for effective in next.effective.iter_mut().filter(|e| those(&e.key)) {
        if let Some(kept) = running.effective.iter().find(|e| e.key == effective.key) {
            effective.clone_from(kept);
        }
    }
}

/// The files of certificates and keys whose content differs although their names don't.
fn renewed(old: &Resolved, new: &Resolved) -> Vec<&'static str> {
    let mut renewed = Vec::new();
    if let (Some(old), Some(new)) = (&old.tls, &new.tls)
        && (&old.cert, &old.key) == (&new.cert, &new.key)
        && old.identity != new.identity
    {
        renewed.push("tls.cert");
    }
    let (old, new) = (&old.upstream_tls, &new.upstream_tls);
    if old.ca_file == new.ca_file && old.options.extra_roots != new.options.extra_roots {
        renewed.push("upstream_tls.ca_file");
    }
    let files = |u: &UpstreamTls| (u.client_cert.clone(), u.client_key.clone());
    if files(old) == files(new) && old.options.identity != new.options.identity {
        renewed.push("upstream_tls.client_cert");
    }
    renewed
}

/// What differs between two configurations.
#[must_use]
pub fn diff(old: &Resolved, new: &Resolved) -> Diff {
    let mut diff = Diff::default();
    let before: BTreeMap<&str, &Option<String>> =
        old.effective.iter().map(|e| (e.key.as_str(), &e.value)).collect();
    for effective in &new.effective {
        let key = effective.key.as_str();
        let from = before.get(key).copied().cloned().flatten();
        // Secrets look alike when shown; they are compared as what they are.
        let is_secret = key == "auth.operator_token";
        if if is_secret {
            old.auth.operator_token == new.auth.operator_token
        } else {
            from == effective.value
        } {
            continue;
        }
        let tls_comes_or_goes = key.starts_with("tls.") && old.tls.is_some() != new.tls.is_some();
        let list = if is_at_start(key) || tls_comes_or_goes { &mut diff.restart } else { &mut diff.live };
        let (from, to) = if is_secret { (there(), there()) } else { (from, effective.value.clone()) };
        list.push(Change { key: key.into(), from, to });
    }
    let renewed = renewed(old, new).into_iter();
    diff.live.extend(renewed.map(|key| Change { key: key.into(), from: there(), to: there() }));
    let service = |s: &Registration| format!("services {}/{}", s.name, s.id);
    compare(
        "services",
        old.services.iter().map(|s| (service(s), &**s)),
        new.services.iter().map(|s| (service(s), &**s)),
        &mut diff.live,
    );
    let route = |r: &Route| format!("routes {}", r.id);
    compare(
        "routes",
        old.routes.iter().map(|r| (route(r), r)),
        new.routes.iter().map(|r| (route(r), r)),
        &mut diff.live,
    );
    if old.processes != new.processes {
        diff.restart.push(Change { key: "processes".into(), from: there(), to: there() });
    }
    diff
}

/// In place of a value that is not told.
#[allow(clippy::unnecessary_wraps, reason = "it stands where a value may be absent")]
fn there() -> Option<String> {
    Some(String::new())
}

fn compare<'a, T: PartialEq + 'a>(
    what: &str,
    old: impl Iterator<Item = (String, &'a T)>,
    new: impl Iterator<Item = (String, &'a T)>,
    changes: &mut Vec<Change>,
) {
    let old: Vec<_> = old.collect();
    let new: Vec<_> = new.collect();
    let find = |list: &[(String, &'a T)], key: &str| list.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
    let before = changes.len();
    for (key, value) in &new {
        match find(&old, key) {
            None => changes.push(Change { key: key.clone(), from: None, to: there() }),
            Some(was) if was != *value => {
                changes.push(Change { key: key.clone(), from: there(), to: there() });
            }
            Some(_) => {}
        }
    }
    for (key, _) in old.iter().filter(|(key, _)| find(&new, key).is_none()) {
        changes.push(Change { key: key.clone(), from: there(), to: None });
    }
    // Of two routes that match equally well the older wins: an order is a meaning too.
    if changes.len() == before && old.iter().map(|(k, _)| k).ne(new.iter().map(|(k, _)| k)) {
        changes.push(Change { key: format!("{what} order"), from: there(), to: there() });
    }
}
