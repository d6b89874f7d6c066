//! The faults of definitions, each found on its own so that all are told at once.

use super::{Fault, MAX_DEFINITIONS, MAX_REPLICAS, unit_name};
use crate::definition::{Address, Check, Condition, Definition, Port};
use crate::restart::When;
use ellie_core::ServiceName;
use ellie_core::model::excerpt;
use std::collections::BTreeMap;
use std::time::Duration;

/// The shortest interval and timeout of a check.
const SHORTEST: Duration = Duration::from_millis(10);

/// Notes what is wrong with one definition.
struct Notes<'a> {
    definition: usize,
    name: &'a str,
    faults: &'a mut Vec<Fault>,
}

impl Notes<'_> {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault {
            definition: self.definition,
            name: self.name.to_owned(),
            field: field.into(),
            message: message.into(),
        });
    }
}

/// Every fault but cycles.
pub(super) fn all(definitions: &[Definition]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut units: BTreeMap<String, usize> = BTreeMap::new();
    for (i, definition) in definitions.iter().enumerate() {
        let mut notes = Notes { definition: i, name: &definition.name, faults: &mut faults };
        if i == MAX_DEFINITIONS {
            notes.add("name", format!("is one too many: at most {MAX_DEFINITIONS} processes are taken"));
            break;
        }
        if let Err(fault) = ServiceName::new(&definition.name) {
            notes.add("name", fault.message);
        }
        if let Some(first) = seen.insert(&definition.name, i) {
            notes.add("name", format!("is taken: it is that of the {} process as well", nth(first + 1)));
        } else if definition.replicas <= MAX_REPLICAS {
            for n in 1..=definition.replicas {
                let unit = unit_name(definition, n);
                if let Some(other) = units.insert(unit.clone(), i) {
                    let other = &definitions[other].name;
                    notes.add("name", format!("`{unit}` would be that of a replica of `{other}` as well"));
                }
            }
        }
        one(definition, &mut notes);
        dependencies(definition, definitions, &mut notes);
    }
    faults
}

fn nth(n: usize) -> String {
    let ending = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}

fn one(d: &Definition, notes: &mut Notes<'_>) {
    match (&d.external, d.command.first()) {
        (None, None) => notes.add("command", "is missing: say what to run, or `external` what to wait for"),
        (None, Some(program)) if program.trim().is_empty() => {
            notes.add("command", "begins with an empty word");
        }
        (Some(_), Some(_)) => notes.add("external", "stands beside a command: one of the two"),
        _ => {}
    }
    if d.command.iter().any(|word| word.contains('\0')) {
        notes.add("command", "has a NUL character in it");
    }
    for (name, value) in &d.environment {
        let field = format!("environment.{}", excerpt(name));
        if name.is_empty() || name.contains(['=', '\0']) {
            notes.add(field, "is no name of a variable");
        } else if value.contains('\0') {
            notes.add(field, "has a NUL character in it");
        }
    }
    if d.replicas == 0 || d.replicas > MAX_REPLICAS {
        notes.add("replicas", format!("must be from 1 to {MAX_REPLICAS}"));
    }
    match d.port {
        Port::Fixed(0) => notes.add("port", "must be from 1 to 65535; `auto` takes a free one"),
        Port::Fixed(_) if d.replicas > 1 => {
            notes.add("port", "can't be the same for all replicas; `auto` takes a free one for each");
        }
        _ => {}
    }
    if d.host.is_empty() || d.host.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/') {
        notes.add("host", "is neither an address nor a name");
    }
    if d.external.is_some() && d.replicas > 1 {
        notes.add("replicas", "is for what is started here");
    }
    for (field, check) in [("ready", d.ready.as_ref()), ("live", d.live.as_ref().map(|(check, _)| check))] {
        if let Some(check) = check {
            own_check(field, check, d, notes);
        }
    }
    match &d.external {
        Some(Check::Log(_)) => notes.add("external", "has no log here; use http, tcp or exec"),
        Some(check) => own_check("external", check, d, notes),
        None => {}
    }
    if let Some((Check::Log(_), _)) = &d.live {
        notes.add("live", "can't be told from a log line; use http, tcp or exec");
    }
    let timings = [("ready", Some(d.ready_timing)), ("live", d.live.as_ref().map(|(_, timing)| *timing))];
    for (field, timing) in timings {
        let Some(timing) = timing else { continue };
        if timing.interval < SHORTEST {
            notes.add(format!("{field}.interval"), "must be at least 10ms");
        }
        if timing.timeout < SHORTEST {
            notes.add(format!("{field}.timeout"), "must be at least 10ms");
        }
        if timing.failures == 0 {
            notes.add(format!("{field}.failures"), "must be at least 1");
        }
    }
    if d.start_timeout < SHORTEST {
        notes.add("start_timeout", "must be at least 10ms");
    }
    if let Err(faults) = d.restart.backoff.validate() {
        for fault in faults {
            notes.add(format!("restart.{}", fault.field), fault.message);
        }
    }
    if d.restart.crash_loop == 0 {
        notes.add("restart.crash_loop", "must be at least 1");
    }
}

fn own_check(field: &str, check: &Check, d: &Definition, notes: &mut Notes<'_>) {
    let own = match check {
        Check::Http(url) => url.address == Address::Own,
        Check::Tcp(address) => *address == Address::Own,
        Check::Log(text) => {
            if text.is_empty() {
                notes.add(format!("{field}.log"), "must not be empty: every line contains it");
            }
            false
        }
        Check::Exec(words) => {
            if words.first().is_none_or(|word| word.trim().is_empty()) {
                notes.add(format!("{field}.exec"), "must not be empty");
            }
            false
        }
    };
    if own && d.external.is_some() {
        notes.add(field, "needs an address: it has no port here; write http://host:port/… or host:port");
    } else if own && d.port == Port::None {
        notes.add(field, "asks its own port, and it has none: set `port`, or write host:port");
    }
}

fn dependencies(d: &Definition, all: &[Definition], notes: &mut Notes<'_>) {
    if d.external.is_some() && !d.dependencies.is_empty() {
        notes.add("dependencies", "are for what is started here");
    }
    for (i, dependency) in d.dependencies.iter().enumerate() {
        let field = format!("dependencies[{i}]");
        let name = excerpt(&dependency.name);
        if d.dependencies[..i]
            .iter()
            .any(|other| other.name == dependency.name && other.condition == dependency.condition)
        {
            notes.add(field, format!("`{name}` is listed twice"));
            continue;
        }
        let Some(other) = all.iter().find(|other| other.name == dependency.name) else {
            let near = match nearest(&dependency.name, all.iter().map(|other| other.name.as_str())) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => "; if somebody else runs it, define it with `external` and a check".to_owned(),
            };
            notes.add(field, format!("`{name}` is not defined{near}"));
            continue;
        };
        match &dependency.condition {
            Condition::Completed if other.external.is_some() => {
                notes.add(field, format!("`{name}` runs elsewhere: it can only be healthy"));
            }
            Condition::Completed if other.restart.when == When::Always => {
                notes.add(field, format!("`{name}` never completes: its restart is `always`"));
            }
            Condition::Log(_) if other.external.is_some() => {
                notes.add(field, format!("`{name}` runs elsewhere: its log can't be read"));
            }
            Condition::Log(text) if text.is_empty() => {
                notes.add(
                    field,
                    "a log line that contains nothing in particular is any: say what to wait for",
                );
            }
            _ => {}
        }
    }
}

/// The one of `names` that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Two letters that have changed places in a short name are far apart by the measure below.
    let names = names.collect::<Vec<_>>().into_iter();
    if let Some(other) = names.clone().find(|other| strsim::osa_distance(name, other) == 1) {
        return Some(other);
    }
    let scored =
        names.map(|other| (strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase()), other));
    scored.filter(|(score, _)| *score >= 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
}
