//! The services of a compose file as processes.
//!
//! What compose says of a process is honoured: command, environment, dependencies with their conditions, working
//! directory, ports, health check, restart, grace period, replicas. What it says of a container can't be: there is none.
//! A service that makes no sense without one (an image and no command) is a fault; the rest is told and left out.

mod interpolate;
mod ports;
mod service;
mod tree;

use super::Fault;
use crate::definition::{Definition, EnvFile};
use ellie_core::model::excerpt;
use std::collections::BTreeMap;
use std::path::Path;
use tree::{Entry, Kind, Node};

/// Keys at the top that are of no consequence here.
const QUIET: [&str; 2] = ["name", "version"];
/// Keys at the top that declare what containers share.
const CONTAINERS: [&str; 5] = ["networks", "volumes", "secrets", "configs", "models"];

/// What a compose file defines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compose {
    /// The processes, in the order of the file.
    pub definitions: Vec<Definition>,
    /// The line on which each of them begins.
    pub lines: Vec<usize>,
    /// What could not be honoured, and was left out.
    pub notes: Vec<Fault>,
}

/// What is found while reading.
struct Reader<'a> {
    directory: &'a Path,
    /// The names of all services that are to run.
    defined: Vec<String>,
    variable: &'a dyn Fn(&str) -> Option<String>,
    faults: Vec<Fault>,
    notes: Vec<Fault>,
}

/// The definitions of a compose file that lies in `directory`. `variable` tells the values that are filled in.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub fn parse(
    text: &str,
    directory: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Compose, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut root = tree::parse(text).map_err(|fault| vec![fault])?;
    let mut reader =
        Reader { directory, defined: Vec::new(), variable, faults: Vec::new(), notes: Vec::new() };
    let Kind::Map(entries) = &mut root.kind else {
        let message = format!("is {}; a mapping with `services` is wanted", root.is());
        return Err(vec![Fault { line: root.line, message }]);
    };
    let mut compose = Compose::default();
    let mut seen = false;
    for entry in entries.iter_mut() {
        match entry.key.as_str() {
            "services" => {
                seen = true;
                reader.services(&mut entry.value, &mut compose);
            }
            key if QUIET.contains(&key) || key.starts_with("x-") => {}
            key if CONTAINERS.contains(&key) => {
                reader.note(entry.line, format!("`{key}` is for containers; processes share this machine's"));
            }
            "include" => reader.fault(entry.line, "`include` is not followed; name the file itself"),
            key => {
                let message = format!("unknown key `{}`; `services` is what is read", excerpt(key));
                reader.fault(entry.line, message);
            }
        }
    }
    if !seen {
        reader.fault(root.line, "has no `services`");
    }
    compose.notes = reader.notes;
    if reader.faults.is_empty() { Ok(compose) } else { Err(reader.faults) }
}

/// The variables of the file `.env` in `directory`, where there is one.
///
/// # Errors
/// It can't be read.
pub fn dotenv(directory: &Path) -> Result<BTreeMap<String, String>, String> {
    let file = EnvFile { path: directory.join(".env"), required: false };
    crate::environment::read(&file).map(|pairs| pairs.into_iter().collect())
}

/// Whether a service is started only where somebody asks for a profile, which nobody can here.
fn has_profiles(service: &Node) -> bool {
    let Kind::Map(entries) = &service.kind else { return false };
    entries
        .iter()
        .any(|entry| entry.key == "profiles" && !matches!(&entry.value.kind, Kind::List(l) if l.is_empty()))
}

impl Reader<'_> {
    fn fault(&mut self, line: usize, message: impl Into<String>) {
        self.faults.push(Fault { line, message: message.into() });
    }

    fn note(&mut self, line: usize, message: impl Into<String>) {
        self.notes.push(Fault { line, message: message.into() });
    }

    fn services(&mut self, node: &mut Node, compose: &mut Compose) {
        let line = node.line;
        let Kind::Map(entries) = &mut node.kind else {
            let message = format!("`services` is {}; a mapping of names is wanted", node.is());
            return self.fault(line, message);
        };
        self.defined =
            entries.iter().filter(|entry| !has_profiles(&entry.value)).map(|e| e.key.clone()).collect();
        for entry in entries {
            self.fill(&mut entry.value, &entry.key);
            let Entry { key, line, value } = entry;
            if let Some(definition) = self.service(key, *line, value) {
                compose.definitions.push(definition);
                compose.lines.push(*line);
            }
        }
    }

    /// Fills variables into every text below `node`.
    fn fill(&mut self, node: &mut Node, key: &str) {
        let line = node.line;
        match &mut node.kind {
            Kind::Null => {}
            Kind::Text(text) => match interpolate::fill(text, self.variable) {
                Ok(filled) => {
                    *text = filled.text;
                    for name in filled.unset {
                        self.note(line, format!("`{key}`: the variable `{name}` is not set: it is empty"));
                    }
                }
                Err(why) => self.fault(line, format!("`{}` {why}", excerpt(key))),
            },
            Kind::List(items) => items.iter_mut().for_each(|item| self.fill(item, key)),
            Kind::Map(entries) => {
                entries.iter_mut().for_each(|entry| self.fill(&mut entry.value, &entry.key));
            }
        }
    }

    /// A text, or a fault.
    fn text<'n>(&mut self, key: &str, node: &'n Node) -> Option<&'n str> {
        match &node.kind {
            Kind::Text(text) => Some(text),
            _ => {
                self.fault(node.line, format!("`{}` is {}; a text is wanted", excerpt(key), node.is()));
                None
            }
        }
    }

    /// What a text stands for, or a fault.
    fn parsed<T>(&mut self, key: &str, node: &Node, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key, node)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.fault(node.line, format!("`{}`: {why}", excerpt(key)));
                None
            }
        }
    }

    /// The entries of a mapping, or a fault.
    fn map<'n>(&mut self, key: &str, node: &'n Node) -> &'n [Entry] {
        match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            _ => {
                self.fault(node.line, format!("`{}` is {}; a mapping is wanted", excerpt(key), node.is()));
                &[]
            }
        }
    }

    /// A list of texts, or one text as the only one.
    fn texts(&mut self, key: &str, node: &Node) -> Vec<(usize, String)> {
        match &node.kind {
            Kind::Null => Vec::new(),
            Kind::Text(text) => vec![(node.line, text.clone())],
            Kind::List(items) => items
                .iter()
                .filter_map(|item| self.text(key, item).map(|t| (item.line, t.to_owned())))
                .collect(),
            Kind::Map(_) => {
                self.fault(
                    node.line,
                    format!("`{}` is a mapping; a text or a list of them is wanted", excerpt(key)),
                );
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
