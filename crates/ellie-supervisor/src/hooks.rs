//! What the supervisor asks of, and tells to, whoever composes it.

use crate::machine::NoticeKind;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A future that owns what it needs.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One run of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name: that of its definition, with the number of the replica where there are several.
    pub unit: Arc<str>,
    /// The name of its definition.
    pub process: Arc<str>,
    /// The place of its definition in the plan.
    pub definition: usize,
    /// The how-manieth start this is.
    pub run: u64,
    /// The address at which it listens, where it has a port.
    pub host: Arc<str>,
    /// The port that it was told.
    pub port: Option<u16>,
}

/// Something that happened to a process, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its name.
    pub unit: Arc<str>,
    /// What kind of thing.
    pub kind: NoticeKind,
    /// In a sentence without a subject.
    pub message: String,
}

/// A `GET` that has to succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// Whether over TLS.
    pub tls: bool,
    /// Of whom.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// The path, with its query.
    pub path: String,
    /// Until it has failed.
    pub timeout: Duration,
}

impl fmt::Display for Get {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "GET {scheme}://{}:{}{}", self.host, self.port, self.path)
    }
}

/// What whoever composes the supervisor does for it. Each of them may do nothing.
pub trait Hooks: Send + Sync + 'static {
    /// Variables that a process is given, below its own.
    fn environment(&self, instance: &Instance) -> Vec<(String, String)> {
        let _ = instance;
        Vec::new()
    }

    /// It is ready; its dependents start when this returns. Waited for as long as
    /// [`HOOK_TIMEOUT`](crate::supervisor::HOOK_TIMEOUT).
    fn ready(&self, instance: Instance) -> Pending<()> {
        let _ = instance;
        Box::pin(std::future::ready(()))
    }

    /// It is about to be told to stop, which happens when this returns or its drain timeout has passed. Only of one
    /// that was ready.
    fn drain(&self, instance: Instance) -> Pending<()> {
        let _ = instance;
        Box::pin(std::future::ready(()))
    }

    /// It has ended. Only of one that was ready.
    fn gone(&self, instance: Instance) -> Pending<()> {
        let _ = instance;
        Box::pin(std::future::ready(()))
    }

    /// Something happened.
    fn tell(&self, notice: &Notice) {
        let _ = notice;
    }

    /// Sends a `GET`; the supervisor itself speaks no HTTP.
    fn get(&self, get: Get) -> Pending<Result<(), String>> {
        let why = format!("{get}: this program has no HTTP client for checks");
        Box::pin(std::future::ready(Err(why)))
    }
}

/// Does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl Hooks for NoHooks {}
