//! Builders shared by the store's tests.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its own part")]

use ellie_core::model::{Actor, CheckDraft, Draft, InstanceId, Record, Registration, ServiceName, Source};
use ellie_core::registry::{Cause, Operation, Registry, Settings as RegistrySettings};
use ellie_core::{Command, Now};
use ellie_store::registrar::Settings;
use ellie_store::{Error, Registrar, Stats, Store, Write};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

pub fn draft(name: &str, id: &str) -> Draft {
    Draft {
        name: Some(name.into()),
        id: Some(id.into()),
        host: Some("10.0.0.1".into()),
        port: Some(80),
        ..Draft::default()
    }
}

pub fn registration(name: &str, id: &str) -> Registration {
    draft(name, id).validate().unwrap()
}

pub fn leased(name: &str, id: &str, ttl_ms: i128) -> Registration {
    let check = CheckDraft { kind: Some("ttl".into()), ..CheckDraft::default() };
    Draft { ttl: Some(ttl_ms), check: Some(check), ..draft(name, id) }.validate().unwrap()
}

pub fn needing(name: &str, id: &str, dependency: &str) -> Registration {
    Draft { dependencies: vec![dependency.into()], ..draft(name, id) }.validate().unwrap()
}

pub fn register(registration: Registration, source: Source) -> Command {
    Command::Register { registration: Arc::new(registration), source, actor: Actor::new("test") }
}

pub fn add(name: &str, id: &str) -> Command {
    register(registration(name, id), Source::Api)
}

pub fn key(name: &str, id: &str) -> (ServiceName, InstanceId) {
    (ServiceName::new(name).unwrap(), InstanceId::new(id).unwrap())
}

pub fn remove(name: &str, id: &str) -> Command {
    let (name, id) = key(name, id);
    Command::Deregister { name, id, actor: Actor::new("test"), cause: Cause::Asked }
}

pub fn operate(name: &str, id: &str, operation: Operation) -> Command {
    let (name, id) = key(name, id);
    Command::Operate { name, id, operation, ttl: None, reason: Some("why".into()), actor: Actor::new("op") }
}

pub fn record(name: &str, id: &str) -> Record {
    Record {
        registration: Arc::new(registration(name, id)),
        source: Source::Api,
        operator: Default::default(),
        registered_at: Now::read().wall,
    }
}

pub fn registry(settings: RegistrySettings) -> Arc<Registry> {
    Arc::new(Registry::new(settings, Arc::default()))
}

pub fn start(registry: &Arc<Registry>, store: impl Store) -> Registrar {
    Registrar::start(registry.clone(), Box::new(store), Settings::default()).unwrap()
}

/// What a [`Memory`] store keeps, to be looked at and made to fail from outside.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Commits begun.
    pub begun: usize,
    pub records: BTreeMap<(ServiceName, InstanceId), Record>,
    pub commits: usize,
    pub failing: bool,
}

/// A store in memory whose commits can be made to fail, and that waits for `gate` before each.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub shelf: Arc<Mutex<Shelf>>,
    pub gate: Option<Arc<Mutex<std::sync::mpsc::Receiver<()>>>>,
}

impl Memory {
    pub fn ids(&self) -> Vec<String> {
        self.shelf.lock().unwrap().records.keys().map(|(name, id)| format!("{name}/{id}")).collect()
    }

    pub fn begun(&self) -> usize {
        self.shelf.lock().unwrap().begun
    }

    pub fn commits(&self) -> usize {
        self.shelf.lock().unwrap().commits
    }

    pub fn fail(&self, failing: bool) {
        self.shelf.lock().unwrap().failing = failing;
    }
}

impl Store for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn load(&mut self) -> Result<Vec<Record>, Error> {
        Ok(self.shelf.lock().unwrap().records.values().cloned().collect())
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), Error> {
        self.shelf.lock().unwrap().begun += 1;
        if let Some(gate) = &self.gate {
            gate.lock().unwrap().recv().unwrap();
        }
        let mut shelf = self.shelf.lock().unwrap();
        if shelf.failing {
            return Err(Error::Failed { store: "memory", detail: "told to".into() });
        }
        shelf.commits += 1;
        for write in writes {
            match write {
                Write::Put(record) => {
                    let r = &record.registration;
                    shelf.records.insert((r.name.clone(), r.id.clone()), record.clone());
                }
                Write::Remove(name, id) => {
                    shelf.records.remove(&(name.clone(), id.clone()));
                }
            }
        }
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats { records: self.shelf.lock().unwrap().records.len() as u64, ..Stats::default() }
    }
}
