//! Labels as a registration: `service.name=…`, or `ellie.name=…` where the other spelling is taken.

use ellie_core::Fault;
use ellie_core::model::{CheckDraft, Draft, excerpt};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// What is left of a label's key is one of these, in any case, with or without `-` and `_`; or `metadata.KEY`.
const KNOWN: &str = "name, id, version, tags, port, protocol, healthEndpoint, weight, dependencies, zone, metadata.*, \
                     healthCheck.type, healthCheck.path, healthCheck.interval, healthCheck.timeout, \
                     healthCheck.successThreshold, healthCheck.failureThreshold; with `ellie.` also enable, network, \
                     address";

/// Which address of a container is registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Address {
    /// Its own, on one of its networks.
    #[default]
    Container,
    /// The host's, with the port published there.
    Published,
    /// The one virtual address of a service of Swarm, behind which Swarm chooses among its tasks.
    Vip,
}

impl Address {
    /// The name in labels and in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Published => "published",
            Self::Vip => "vip",
        }
    }
}

/// What labels say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Labels {
    /// The registration as far as labels tell it.
    pub(crate) draft: Draft,
    /// `ellie.enable`
    pub(crate) enable: Option<bool>,
    /// `ellie.network`
    pub(crate) network: Option<String>,
    /// `ellie.address`
    pub(crate) address: Option<Address>,
    /// What can't be read.
    pub(crate) faults: Vec<Fault>,
    /// What is not known.
    pub(crate) unknown: Vec<String>,
}

impl Labels {
    /// Whether somebody wants the thing that has these labels to be registered.
    pub(crate) fn is_wanted(&self) -> bool {
        self.enable.unwrap_or(self.draft.name.is_some())
    }
}

/// Whether a key may concern us at all.
pub(crate) fn is_ours(key: &str) -> bool {
    key.starts_with("service.") || key.starts_with("ellie.")
}

/// Reads all; `ellie.*` wins over `service.*`.
pub(crate) fn read(labels: &HashMap<String, String>) -> Labels {
    let mut out = Labels::default();
    let mut check = CheckDraft::default();
    for prefix in ["service.", "ellie."] {
        let ours: BTreeMap<&str, &str> =
            labels.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?, v.trim()))).collect();
        for (key, value) in ours {
            one(&mut out, &mut check, prefix, key, value);
        }
    }
    if check != CheckDraft::default() {
        out.draft.check = Some(check);
    }
    out
}

fn one(out: &mut Labels, check: &mut CheckDraft, prefix: &str, key: &str, value: &str) {
    let label = format!("{prefix}{key}");
    if let Some(key) = key.strip_prefix("metadata.") {
        out.draft.metadata.insert(key.to_owned(), value.to_owned());
        return;
    }
    let folded: String = key.chars().filter(|c| !matches!(c, '-' | '_')).collect();
    let text = || Some(value.to_owned());
    let faults = &mut out.faults;
    let draft = &mut out.draft;
    match folded.to_ascii_lowercase().as_str() {
        "name" => draft.name = text(),
        "id" => draft.id = text(),
        "version" => draft.version = text(),
        "tags" => draft.tags = list(value),
        "port" => draft.port = integer(faults, &label, value),
        "protocol" => draft.protocol = text(),
        "healthendpoint" => draft.health_endpoint = text(),
        "weight" => draft.weight = integer(faults, &label, value),
        "dependencies" => draft.dependencies = list(value),
        "zone" => draft.zone = text(),
        "healthcheck.type" => check.kind = text(),
        "healthcheck.path" => check.path = text(),
        "healthcheck.interval" => check.interval = milliseconds(faults, &label, value),
        "healthcheck.timeout" => check.timeout = milliseconds(faults, &label, value),
        "healthcheck.successthreshold" => check.success_threshold = integer(faults, &label, value),
        "healthcheck.failurethreshold" => check.failure_threshold = integer(faults, &label, value),
        "enable" if prefix == "ellie." => match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => out.enable = Some(true),
            "false" | "0" | "no" => out.enable = Some(false),
            _ => {
                // Whoever writes this label wants to decide; what was meant can't be known, so nothing is done.
                out.enable = Some(true);
                faults.push(Fault::new(label, format!("`{}` is not true or false", excerpt(value))));
            }
        },
        "network" if prefix == "ellie." => out.network = text(),
        "address" if prefix == "ellie." => match value.to_ascii_lowercase().as_str() {
            "container" | "task" => out.address = Some(Address::Container),
            "published" => out.address = Some(Address::Published),
            "vip" => out.address = Some(Address::Vip),
            _ => {
                let message = format!("`{}` is not container, task, published or vip", excerpt(value));
                faults.push(Fault::new(label, message));
            }
        },
        _ => out.unknown.push(label),
    }
}

/// What to say of labels that are not known.
pub(crate) fn unknown(labels: &[String]) -> Option<String> {
    let shown: Vec<String> = labels.iter().take(5).map(|label| format!("`{}`", excerpt(label))).collect();
    let more = if labels.len() > 5 { ", …" } else { "" };
    (!labels.is_empty()).then(|| format!("{}{more} means nothing here; known are {KNOWN}", shown.join(", ")))
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Into::into).collect()
}

fn integer(faults: &mut Vec<Fault>, label: &str, value: &str) -> Option<i128> {
    let parsed = value.parse().ok();
    if parsed.is_none() {
        faults.push(Fault::new(label, format!("`{}` is not a whole number", excerpt(value))));
    }
    parsed
}

fn milliseconds(faults: &mut Vec<Fault>, label: &str, value: &str) -> Option<i128> {
    if let Ok(ms) = value.parse() {
        return Some(ms);
    }
    let parsed = humantime::parse_duration(value).map(|d: Duration| d.as_millis() as i128).ok();
    if parsed.is_none() {
        let message = format!("`{}` is not a duration such as 30s or 500ms", excerpt(value));
        faults.push(Fault::new(label, message));
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        read(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn every_label_reaches_its_field_in_either_spelling() {
        let values = [
            ("name", "users"),
            ("id", "u1"),
            ("version", "1.2.3"),
            ("tags", "api, backend,,"),
            ("port", "8080"),
            ("protocol", "https"),
            ("healthEndpoint", "/up"),
            ("weight", "3"),
            ("dependencies", "db,cache"),
            ("zone", "eu"),
            ("metadata.Team-X", "blue"),
            ("healthCheck.type", "http"),
            ("healthCheck.path", "/deep"),
            ("healthCheck.interval", "2s"),
            ("healthCheck.timeout", "500"),
            ("healthCheck.successThreshold", "2"),
            ("healthCheck.failureThreshold", "4"),
        ];
        let spelled = |prefix: &str| -> HashMap<String, String> {
            values.iter().map(|(k, v)| (format!("{prefix}{k}"), (*v).to_owned())).collect()
        };
        let (a, b) = (read(&spelled("service.")), read(&spelled("ellie.")));
        assert_eq!(a, b);
        assert!(a.faults.is_empty() && a.unknown.is_empty() && a.is_wanted());
        let d = a.draft;
        assert_eq!(
            (d.name.as_deref(), d.id.as_deref(), d.port, d.weight),
            (Some("users"), Some("u1"), Some(8080), Some(3))
        );
        assert_eq!(
            (d.tags, d.dependencies),
            (vec!["api".into(), "backend".to_owned()], vec!["db".into(), "cache".to_owned()])
        );
        assert_eq!(d.metadata["Team-X"], "blue");
        let check = d.check.unwrap();
        assert_eq!(
            (check.interval, check.timeout, check.failure_threshold),
            (Some(2000), Some(500), Some(4))
        );
    }

    #[test]
    fn our_own_spelling_wins_and_case_and_dashes_do_not_matter() {
        let l = labels(&[
            ("service.name", "a"),
            ("ellie.name", "b"),
            ("ellie.health-endpoint", "/x"),
            ("ellie.HEALTH_CHECK.TYPE", "tcp"),
        ]);
        assert_eq!((l.draft.name.as_deref(), l.draft.health_endpoint.as_deref()), (Some("b"), Some("/x")));
        assert_eq!(l.draft.check.unwrap().kind.as_deref(), Some("tcp"));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_label() {
        let l = labels(&[
            ("service.name", "a"),
            ("service.port", "eighty"),
            ("service.weight", "1.5"),
            ("service.healthCheck.interval", "soon"),
            ("ellie.enable", "maybe"),
            ("ellie.address", "mars"),
            ("service.prot", "80"),
        ]);
        let faulty: Vec<_> = l.faults.iter().map(|f| f.field.as_str()).collect();
        assert_eq!(
            faulty,
            [
                "service.healthCheck.interval",
                "service.port",
                "service.weight",
                "ellie.address",
                "ellie.enable"
            ]
        );
        assert!(unknown(&l.unknown).unwrap().starts_with("`service.prot` means nothing"));
        assert_eq!(unknown(&[]), None);
    }

    #[test]
    fn a_name_asks_for_it_and_enable_decides() {
        assert!(labels(&[("service.name", "a")]).is_wanted());
        assert!(!labels(&[("service.name", "a"), ("ellie.enable", "false")]).is_wanted());
        assert!(labels(&[("ellie.enable", "true")]).is_wanted());
        assert!(!labels(&[("service.version", "1"), ("com.example", "x")]).is_wanted());
    }
}
