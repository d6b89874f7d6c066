//! Asks a configuration for its keys. What is asked for is what is known: whatever is left over at the end is an
//! unknown key, so the code that reads a key is also the only list of keys there is.

use super::fault::{Fault, Faults};
use super::origin::{Effective, Origin};
use super::raw::{Entry, Table, Typed, Value, find};
use super::show::Show;
use ellie_core::model::excerpt;
use std::collections::BTreeSet;

/// What comes of reading: faults, values in force, warnings.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: Vec<Fault>,
    pub(super) effective: Vec<Effective>,
    pub(super) warnings: Vec<String>,
    /// `section.key` as they were asked for, in order.
    known: Vec<(String, String)>,
    unknown: Vec<(String, Entry)>,
}

impl Findings {
    pub(super) fn fault(&mut self, origin: &Origin, key: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Fault { origin: origin.clone(), key: key.into(), message: message.into() });
    }

    pub(super) fn extend(&mut self, faults: Vec<Fault>) {
        self.faults.extend(faults);
    }

    pub(super) fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.unknown.is_empty()
    }

    /// The line of a value in force, for a fault that is about several of them.
    pub(super) fn origin_of(&self, key: &str) -> Origin {
        self.effective.iter().find(|e| e.key == key).map_or(Origin::Default, |e| e.origin.clone())
    }

    /// All faults, those of unknown keys included.
    pub(super) fn finish(&mut self) -> Option<Faults> {
        for (section, entry) in std::mem::take(&mut self.unknown) {
            let key = if section.is_empty() { entry.key.clone() } else { format!("{section}.{}", entry.key) };
            let message = self.unknown_message(&section, &entry);
            self.faults.push(Fault { origin: entry.origin, key: excerpt(&key), message });
        }
        Faults::new(std::mem::take(&mut self.faults))
    }

    fn unknown_message(&self, section: &str, entry: &Entry) -> String {
        let sections: BTreeSet<&str> =
            self.known.iter().map(|(s, _)| s.as_str()).filter(|s| !s.contains(['[', '.'])).collect();
        if section.is_empty() {
            let names = sections.iter().copied().filter(|s| !s.is_empty());
            return match nearest(&entry.key, names) {
                Some(near) => format!("unknown section; did you mean `{near}`?"),
                None => "unknown section".into(),
            };
        }
        let here = self.known.iter().filter(|(s, _)| same_section(s, section)).map(|(_, k)| k.as_str());
        if let Some(near) = nearest(&entry.key, here.clone()) {
            return match &entry.origin {
                Origin::Env(_) => {
                    format!(
                        "unknown key; did you mean {}?",
                        super::env::variable(&format!("{section}.{near}"))
                    )
                }
                _ => format!("unknown key; did you mean `{near}`?"),
            };
        }
        if let Some((other, _)) =
            self.known.iter().find(|(s, k)| *k == entry.key && sections.contains(s.as_str()))
        {
            return format!("unknown key here; it belongs to [{other}]");
        }
        let mut all: Vec<&str> = here.filter(|key| !key.is_empty()).collect();
        all.sort_unstable();
        all.dedup();
        format!("unknown key; the keys here are {}", all.join(", "))
    }
}

/// `services[3]` and `services[0]` have the same keys.
fn same_section(a: &str, b: &str) -> bool {
    let bare = |s: &str| {
        s.split('.').map(|part| part.split('[').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    bare(a) == bare(b)
}

/// The name among `names` that somebody who typed `typed` most likely meant.
pub(crate) fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    let allowed = (typed.chars().count() / 3).clamp(1, 4);
    names
        .map(|name| (strsim::osa_distance(&typed, &name.to_ascii_lowercase().replace('-', "_")), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// A section, over all layers: defaults < file < environment < flags.
pub(super) struct Section<'a> {
    path: String,
    /// The lowest first.
    tables: Vec<&'a Table>,
    out: &'a mut Findings,
    /// Whether values in force are recorded: those of lists of tables are shown whole.
    recorded: bool,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The section `name` of all layers.
    pub(super) fn of(layers: &[&'a Table], name: &'static str, out: &'a mut Findings) -> Self {
        let mut tables = Vec::new();
        for entry in layers.iter().filter_map(|layer| find(layer, name)) {
            match &entry.typed.value {
                Value::Table(table) => tables.push(table),
                other => out.fault(
                    &entry.origin,
                    name,
                    format!("is {}; [{name}] is a section with keys of its own", other.kind()),
                ),
            }
        }
        Self { path: name.into(), tables, out, recorded: true, asked: Vec::new() }
    }

    /// One table of a list, or a table in it.
    pub(super) fn inner(path: String, table: &'a Table, out: &'a mut Findings) -> Self {
        Self { path, tables: vec![table], out, recorded: false, asked: Vec::new() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    pub(super) fn out(&mut self) -> &mut Findings {
        self.out
    }

    fn ask(&mut self, key: &'static str) {
        self.asked.push(key);
        self.out.known.push((self.path.clone(), key.into()));
    }

    /// The value of the highest layer that has one. Values below it must be right all the same.
    fn read<T>(
        &mut self,
        key: &'static str,
        parse: &dyn Fn(&Value) -> Result<T, String>,
    ) -> Option<(T, Origin)> {
        let mut found = None;
        for i in 0..self.tables.len() {
            let Some(entry) = find(self.tables[i], key) else { continue };
            match parse(&entry.typed.value) {
                Ok(value) => found = Some((value, entry.typed.origin.clone())),
                Err(message) => {
                    let full = self.key(key);
                    self.out.fault(&entry.typed.origin, full, message);
                }
            }
        }
        found
    }

    fn record(&mut self, key: &str, value: Option<String>, origin: Origin) {
        if self.recorded {
            self.out.effective.push(Effective { key: format!("{}.{key}", self.path), value, origin });
        }
    }

    /// A key with a default.
    pub(super) fn get<T: Show>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> T {
        self.ask(key);
        let (value, origin) = self.read(key, &parse).unwrap_or((default, Origin::Default));
        self.record(key, Some(value.show()), origin);
        value
    }

    /// A key without a default.
    pub(super) fn opt<T: Show>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.ask(key);
        match self.read(key, &parse) {
            Some((value, origin)) => {
                self.record(key, Some(value.show()), origin);
                Some(value)
            }
            None => {
                self.record(key, None, Origin::Default);
                None
            }
        }
    }

    /// Where a key was written, else where its table begins.
    pub(super) fn origin(&self, key: &str) -> Option<Origin> {
        self.tables.iter().rev().find_map(|table| find(table, key)).map(|entry| entry.origin.clone())
    }

    /// The layer in which a key was last set: a higher number beats a lower one.
    pub(super) fn layer(&self, key: &str) -> Option<usize> {
        self.tables.iter().rposition(|table| find(table, key).is_some())
    }

    /// A section below this one, over all layers too: `[providers.docker]`.
    pub(super) fn below(&mut self, key: &'static str) -> Section<'_> {
        self.ask(key);
        let path = self.key(key);
        let mut tables = Vec::new();
        for entry in self.tables.iter().filter_map(|table| find(table, key)) {
            match &entry.typed.value {
                Value::Table(table) => tables.push(table),
                other => self.out.fault(
                    &entry.origin,
                    path.as_str(),
                    format!("is {}; [{path}] is a section with keys of its own", other.kind()),
                ),
            }
        }
        Section { path, tables, out: self.out, recorded: self.recorded, asked: Vec::new() }
    }

    /// A table under a key of this table.
    pub(super) fn table(&mut self, key: &'static str) -> Option<&'a Table> {
        self.ask(key);
        for i in (0..self.tables.len()).rev() {
            let Some(entry) = find(self.tables[i], key) else { continue };
            if let Value::Table(table) = &entry.typed.value {
                return Some(table);
            }
            let full = self.key(key);
            self.out.fault(
                &entry.typed.origin,
                full,
                format!("is {}; a table is wanted", entry.typed.value.kind()),
            );
        }
        None
    }

    /// A table under a key, as a section.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'_>> {
        let table = self.table(key)?;
        Some(Section::inner(self.key(key), table, self.out))
    }

    /// Ends reading: what was not asked for is unknown.
    pub(super) fn finish(self) {
        for table in &self.tables {
            for entry in table.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
                self.out.unknown.push((self.path.clone(), entry.clone()));
            }
        }
    }
}

fn as_table(typed: &Typed) -> Option<(&Table, Origin)> {
    match &typed.value {
        Value::Table(table) => Some((table, typed.origin.clone())),
        _ => None,
    }
}

/// The tables of a list such as `[[routes]]`.
pub(super) fn tables<'a>(
    layers: &[&'a Table],
    name: &'static str,
    out: &mut Findings,
) -> Vec<(&'a Table, Origin)> {
    out.known.push((name.into(), String::new()));
    let mut found = Vec::new();
    for entry in layers.iter().filter_map(|layer| find(layer, name)) {
        match (&entry.typed.value, &entry.origin) {
            (_, origin @ (Origin::Env(_) | Origin::Flag(_))) => {
                out.fault(origin, name, format!("can't be set here; write [[{name}]] in the file"));
            }
            (Value::List(items), _) if items.iter().all(|item| as_table(item).is_some()) => {
                found.extend(items.iter().filter_map(as_table));
            }
            (other, origin) => {
                out.fault(origin, name, format!("is {}; write [[{name}]] above each", other.kind()));
            }
        }
    }
    found
}

/// Top-level names that are neither sections nor lists.
pub(super) fn leftover(layers: &[&Table], names: &[&str], out: &mut Findings) {
    for entry in layers.iter().flat_map(|layer| layer.iter()).filter(|e| !names.contains(&e.key.as_str())) {
        out.unknown.push((String::new(), entry.clone()));
    }
}
