//! Variables and flags as layers of the configuration. The environment is handed in, never read here.

use super::origin::Origin;
use super::raw::{Entry, Table, Typed, Value};
use std::collections::BTreeMap;

/// The specification's names and the keys they stand for.
pub(crate) const ALIASES: [(&str, &str); 9] = [
    ("SERVICE_DISCOVERY_ENABLED", "discovery.enabled"),
    ("LOAD_BALANCING_STRATEGY", "load_balancing.strategy"),
    ("HEALTH_CHECK_INTERVAL", "health.interval"),
    ("CIRCUIT_BREAKER_THRESHOLD", "circuit_breaker.failure_threshold"),
    ("SERVICE_NAME", "service.name"),
    ("SERVICE_VERSION", "service.version"),
    ("SERVICE_HOST", "service.host"),
    ("SERVICE_PORT", "service.port"),
    ("SERVICE_TAGS", "service.tags"),
];

/// A value given by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key it sets, such as `gateway.listen`.
    pub key: String,
    /// As typed.
    pub value: String,
    /// The flag, such as `--gateway-listen`.
    pub flag: String,
}

/// The variable of a key: `gateway.listen` is `ELLIE_GATEWAY__LISTEN`, each further level begins with `__` again.
pub(super) fn variable(key: &str) -> String {
    format!("ELLIE_{}", key.replace('.', "__").to_ascii_uppercase())
}

fn put(table: &mut Table, section: &str, key: &str, value: &str, origin: &Origin) {
    let entry = |key: &str, value| Entry {
        key: key.into(),
        origin: origin.clone(),
        typed: Typed { value, origin: origin.clone() },
    };
    let at = table.iter().position(|e| e.key == section).unwrap_or_else(|| {
        table.push(entry(section, Value::Table(Vec::new())));
        table.len() - 1
    });
    if let Value::Table(keys) = &mut table[at].typed.value {
        if let Some((section, key)) = key.split_once("__") {
            return put(keys, section, key, value, origin);
        }
        // Of a flag given twice, the last holds.
        keys.retain(|e| e.key != key);
        keys.push(entry(key, Value::Bare(value.into())));
    }
}

/// The layers of the environment, the lower first: the specification's names, then the prefixed ones. A variable set
/// to nothing counts as not set, as `docker compose` passes those it was not given. `ELLIE_` without a double
/// underscore is no key: those are the command line's (`ELLIE_API`), or Kubernetes' for a service called `ellie`
/// (`ELLIE_PORT`).
pub(super) fn environment(env: &BTreeMap<String, String>) -> [Table; 2] {
    let [mut aliases, mut prefixed] = [Table::new(), Table::new()];
    for (name, value) in env.iter().filter(|(_, value)| !value.is_empty()) {
        let origin = Origin::Env(name.clone());
        if let Some((_, key)) = ALIASES.iter().find(|(alias, _)| alias == name) {
            if let Some((section, key)) = key.split_once('.') {
                put(&mut aliases, section, key, value, &origin);
            }
        } else if let Some((section, key)) =
            name.strip_prefix("ELLIE_").and_then(|rest| rest.split_once("__"))
        {
            put(&mut prefixed, &section.to_ascii_lowercase(), &key.to_ascii_lowercase(), value, &origin);
        }
    }
    [aliases, prefixed]
}

/// The layer of the flags.
pub(super) fn flags(settings: &[Setting]) -> Table {
    let mut table = Table::new();
    for Setting { key, value, flag } in settings {
        let (section, key) = key.split_once('.').unwrap_or((key, ""));
        put(&mut table, section, key, value, &Origin::Flag(flag.clone()));
    }
    table
}
