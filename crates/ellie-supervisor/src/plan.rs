//! Definitions, checked against each other: who starts when, and what can't be.

pub(crate) mod check;
mod graph;

pub use graph::{Edge, Node, Twig, dot, tree};

use crate::definition::{Condition, Definition};
use ellie_core::dependencies::Graph;
use std::fmt;

/// How many definitions a plan may have.
pub const MAX_DEFINITIONS: usize = 1000;
/// How many of one process may run at once.
pub const MAX_REPLICAS: u32 = 100;

/// What is wrong with one definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which, from 0 in the order given.
    pub definition: usize,
    /// Its name.
    pub name: String,
    /// The field: `command`, `dependencies[2]`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ellie_core::model::excerpt(&self.name);
        write!(f, "process `{name}`, {}: {}", self.field, self.message)
    }
}

impl std::error::Error for Fault {}

/// One process that is to run: a definition, or one of its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `NAME`, or `NAME.2` where there are replicas.
    pub unit: String,
    /// Of which definition.
    pub definition: usize,
}

/// Definitions that go together. Every name that is depended on exists, and no dependency leads back to itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    definitions: Vec<Definition>,
    slots: Vec<Slot>,
    waves: Vec<Vec<String>>,
}

impl Plan {
    /// Checks all definitions.
    ///
    /// # Errors
    /// Every fault of them; a cycle is told with its whole path.
    pub fn new(definitions: Vec<Definition>) -> Result<Self, Vec<Fault>> {
        let mut faults = check::all(&definitions);
        let waves = match order(&definitions) {
            Ok(waves) => waves,
            Err(fault) => {
                faults.push(fault);
                Vec::new()
            }
        };
        if !faults.is_empty() {
            faults.sort_by_key(|fault| fault.definition);
            return Err(faults);
        }
        let slots = definitions.iter().enumerate().flat_map(|(i, definition)| {
            (1..=definition.replicas).map(move |n| Slot { unit: unit_name(definition, n), definition: i })
        });
        Ok(Self { slots: slots.collect(), waves, definitions })
    }

    /// The definitions, in the order given.
    #[must_use]
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// One definition and its place.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &Definition)> {
        self.definitions.iter().enumerate().find(|(_, definition)| definition.name == name)
    }

    /// Every process that is to run, in the order of the definitions.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The places in [`Plan::slots`] that `name` stands for: a definition's, or one replica's.
    #[must_use]
    pub fn places(&self, name: &str) -> Vec<usize> {
        let of = |test: &dyn Fn(&Slot) -> bool| {
            self.slots.iter().enumerate().filter(|(_, slot)| test(slot)).map(|(i, _)| i).collect::<Vec<_>>()
        };
        match self.find(name) {
            Some((definition, _)) => of(&|slot| slot.definition == definition),
            None => of(&|slot| slot.unit == name),
        }
    }

    /// The known name that is nearest to `name`, for a message about one that is not known.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        check::nearest(name, self.definitions.iter().map(|definition| definition.name.as_str()))
    }

    /// The waves of a start: what is in one wave starts at once, when what it depends on in earlier ones has got so
    /// far as it is asked for.
    #[must_use]
    pub fn waves(&self) -> &[Vec<String>] {
        &self.waves
    }

    /// What is awaited of the log of a definition, by itself and by others.
    pub(crate) fn patterns(&self, definition: usize) -> Vec<String> {
        let name = &self.definitions[definition].name;
        let awaited = self.definitions.iter().flat_map(|other| &other.dependencies).filter_map(|d| match &d
            .condition
        {
            Condition::Log(text) if d.name == *name => Some(text.clone()),
            _ => None,
        });
        let own = [&self.definitions[definition].ready, &self.definitions[definition].external];
        let own = own.into_iter().flatten().filter_map(|check| match check {
            crate::Check::Log(text) => Some(text.clone()),
            _ => None,
        });
        let mut patterns: Vec<String> = awaited.chain(own).collect();
        patterns.sort();
        patterns.dedup();
        patterns
    }
}

fn unit_name(definition: &Definition, replica: u32) -> String {
    match definition.replicas {
        1 => definition.name.clone(),
        _ => format!("{}.{replica}", definition.name),
    }
}

/// The waves, or the cycle as a fault of the first definition on it. Unknown names are somebody else's fault.
fn order(definitions: &[Definition]) -> Result<Vec<Vec<String>>, Fault> {
    let known = |name: &str| definitions.iter().any(|definition| definition.name == name);
    let mut graph = Graph::new();
    for definition in definitions {
        let needs = definition.dependencies.iter().map(|d| d.name.as_str()).filter(|name| known(name));
        graph.add(&definition.name, needs);
    }
    graph.waves().map_err(|cycle| {
        let definition = definitions.iter().position(|d| cycle.0.contains(&d.name)).unwrap_or_default();
        Fault {
            definition,
            name: definitions.get(definition).map(|d| d.name.clone()).unwrap_or_default(),
            field: "dependencies".into(),
            message: format!("form a cycle, so that none of it could start: {cycle}"),
        }
    })
}

#[cfg(test)]
mod tests;
