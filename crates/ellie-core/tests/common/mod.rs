//! Builders shared by the registry's tests.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its own part")]

use ellie_core::model::{
    Actor, CheckDraft, CheckReport, Draft, InstanceId, Registration, ServiceName, Source, Status,
};
use ellie_core::registry::{Cause, Operation, Settings};
use ellie_core::{Command, Now, Registry};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A hand-moved clock.
pub struct Clock(pub Now);

impl Clock {
    pub fn new() -> Self {
        Self(Now { wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000), ..Now::read() })
    }

    pub fn advance(&mut self, by: Duration) -> Now {
        self.0 = self.0.after(by);
        self.0
    }
}

pub fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

pub fn registry(settings: Settings) -> Registry {
    Registry::new(settings, Arc::default())
}

pub fn draft(name: &str, id: &str) -> Draft {
    Draft {
        name: Some(name.into()),
        id: Some(id.into()),
        host: Some("10.0.0.1".into()),
        port: Some(80),
        ..Draft::default()
    }
}

pub fn registration(draft: Draft) -> Arc<Registration> {
    Arc::new(draft.validate().unwrap())
}

pub fn register(draft: Draft) -> Command {
    register_from(draft, Source::Api)
}

pub fn register_from(draft: Draft, source: Source) -> Command {
    Command::Register { registration: registration(draft), source, actor: Actor::new("test") }
}

pub fn leased(name: &str, id: &str, ttl_ms: i128) -> Command {
    register(Draft {
        ttl: Some(ttl_ms),
        check: Some(CheckDraft { kind: Some("ttl".into()), ..CheckDraft::default() }),
        ..draft(name, id)
    })
}

pub fn key(name: &str, id: &str) -> (ServiceName, InstanceId) {
    (ServiceName::new(name).unwrap(), InstanceId::new(id).unwrap())
}

pub fn deregister(name: &str, id: &str) -> Command {
    let (name, id) = key(name, id);
    Command::Deregister { name, id, actor: Actor::new("test"), cause: Cause::Asked }
}

pub fn heartbeat(name: &str, id: &str, status: Option<Status>) -> Command {
    let (name, id) = key(name, id);
    Command::Heartbeat { name, id, status }
}

pub fn operate(name: &str, id: &str, operation: Operation, ttl: Option<Duration>) -> Command {
    let (name, id) = key(name, id);
    Command::Operate { name, id, operation, ttl, reason: Some("why".into()), actor: Actor::new("op") }
}

pub fn observe(registry: &Registry, name: &str, id: &str, status: Status) -> Command {
    let incarnation = registry.snapshot().instance(name, id).map_or(0, |i| i.incarnation);
    observe_incarnation(name, id, incarnation, status)
}

pub fn observe_incarnation(name: &str, id: &str, incarnation: u64, status: Status) -> Command {
    let (name, id) = key(name, id);
    let report = Arc::new(CheckReport {
        at: SystemTime::UNIX_EPOCH,
        took: Duration::from_millis(3),
        verdict: status,
        output: format!("probe says {status}"),
        code: None,
        body: None,
    });
    Command::Observe { name, id, incarnation, report, status }
}
