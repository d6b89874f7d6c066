//! The one way for a durable change.
//!
//! Submissions wait in a bounded queue for one writer thread, for the store blocks. The writer takes all that wait, up
//! to a bound, and for each submission rehearses its commands on a copy of the registry that already holds the earlier
//! ones of the batch; so everything the registry could refuse (an unknown instance, a cycle, a full registry) is known
//! before the disk is touched. What was accepted is committed in one transaction, then applied to the registry, then
//! answered. A failed commit refuses these submissions and changes nothing in memory.
//!
//! Changes that no store keeps (of a configuration file's services or a provider's) take the same way, so that the
//! changes of an instance keep their order, and cost no commit. Heartbeats and verdicts of health checks go straight to
//! the registry.

mod writer;

use crate::{Error as StoreError, Stats, Store};
use ellie_core::model::{InstanceId, Offer, Registration, ServiceName, Source, Status};
use ellie_core::registry::{Change, Command, Registry, Rejected};
use ellie_core::{Fault, Now};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use writer::{Answer, Job, Work, Writer};

/// The bounds of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Submissions that wait for the writer; more wait in their callers.
    pub queue: usize,
    /// Commands in one submission.
    pub submission: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 1024, submission: 10_000 }
    }
}

/// A submission that is durable and true.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The registry's index with it.
    pub index: u64,
    /// What it changed, in order.
    pub changes: Vec<Change>,
}

/// A set that replaced a source's earlier one.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// The registry's index with it.
    pub index: u64,
    /// What it changed, in order.
    pub changes: Vec<Change>,
    /// What of the set the registry didn't take, and why; the rest of it holds.
    pub refused: Vec<(ServiceName, InstanceId, Rejected)>,
}

/// Why a submission changed nothing.
#[derive(Clone, Debug)]
pub enum Error {
    /// The registry doesn't take one of its commands.
    Rejected {
        /// Which, from 0.
        at: usize,
        /// Why.
        rejected: Rejected,
    },
    /// It has more commands than one submission may have.
    TooLarge(Fault),
    /// It isn't certain that it is durable.
    Storage(Arc<StoreError>),
    /// The registrar has been closed.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { rejected, .. } => rejected.fmt(f),
            Self::TooLarge(fault) => fault.fmt(f),
            Self::Storage(e) => write!(f, "not stored, nothing has changed: {e}"),
            Self::Closed => f.write_str("the registry is shutting down"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected { rejected, .. } => Some(rejected),
            Self::TooLarge(fault) => Some(fault),
            Self::Storage(e) => Some(e.as_ref()),
            Self::Closed => None,
        }
    }
}

/// Why a registry can't be started from its store.
#[derive(Clone, Debug)]
pub enum StartError {
    /// The store can't be read.
    Store(StoreError),
    /// The registry doesn't take what the store holds.
    Restore {
        /// How many records there are.
        records: usize,
        /// Why.
        rejected: Rejected,
    },
    /// The operating system gave no thread.
    Thread(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(e) => e.fmt(f),
            Self::Restore { records, rejected } => {
                write!(f, "the store holds {records} instances that can't be restored: {rejected}")
            }
            Self::Thread(e) => write!(f, "can't start the writer's thread: {e}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(e) => Some(e),
            Self::Restore { rejected, .. } => Some(rejected),
            Self::Thread(_) => None,
        }
    }
}

/// What the registrar did so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The store's name.
    pub store: &'static str,
    /// How much it keeps, and where.
    pub kept: Stats,
    /// Submissions applied.
    pub submissions: u64,
    /// Transactions made durable: fewer than submissions where many came at once.
    pub commits: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Submissions waiting now.
    pub waiting: usize,
    /// The last failure, while no commit has succeeded since.
    pub failing: Option<Arc<StoreError>>,
}

/// The way for changes. Cheap to clone; the writer ends when it is closed or when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Registrar {
    registry: Arc<Registry>,
    jobs: mpsc::Sender<Job>,
    settings: Settings,
    // Copied out and in under it, once a batch and once a look.
    report: Arc<Mutex<Report>>,
}

impl Registrar {
    /// Restores into `registry` what `store` keeps and starts the writer. Restored instances are unhealthy until their
    /// first check, and their leases begin anew.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        registry: Arc<Registry>,
        mut store: Box<dyn Store>,
        settings: Settings,
    ) -> Result<Self, StartError> {
        let records = store.load().map_err(StartError::Store)?;
        let count = records.len();
        let restored = records.into_iter().map(Command::Restore).collect();
        registry
            .apply_all(restored, Now::read())
            .map_err(|rejected| StartError::Restore { records: count, rejected })?;
        let (jobs, queue) = mpsc::channel(settings.queue.max(1));
        let report =
            Arc::new(Mutex::new(Report { store: store.name(), kept: store.stats(), ..Report::default() }));
        let writer = Writer::new(registry.clone(), store, report.clone());
        // Where there is a runtime, its clock is the writer's too.
        let runtime = tokio::runtime::Handle::try_current().ok();
        std::thread::Builder::new()
            .name("ellie-registrar".into())
            .spawn(move || {
                let _entered = runtime.as_ref().map(tokio::runtime::Handle::enter);
                writer.run(queue);
            })
            .map_err(|e| StartError::Thread(e.to_string()))?;
        Ok(Self { registry, jobs, settings, report })
    }

    /// The registry that it changes.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Makes commands durable and true, all or none. Waits while the queue is full. A caller that gives up waiting
    /// leaves the outcome open.
    ///
    /// # Errors
    /// [`Error`]; nothing has changed then.
    pub async fn submit(&self, commands: Vec<Command>) -> Result<Applied, Error> {
        if commands.len() > self.settings.submission {
            return Err(Error::TooLarge(Fault::new(
                "",
                format!("has {} commands; at most {} are allowed", commands.len(), self.settings.submission),
            )));
        }
        let answer = self.ask(Work::Submit(commands)).await?;
        Ok(Applied { index: answer.index, changes: answer.changes })
    }

    /// Makes `set` all that `source` tells: what it no longer lists is removed, what is new or different is registered,
    /// the rest is left alone. An entry that the registry refuses doesn't hold up the others.
    ///
    /// # Errors
    /// [`Error::Storage`] and [`Error::Closed`]; nothing has changed then.
    pub async fn replace_set(&self, source: Source, set: Vec<Registration>) -> Result<Replaced, Error> {
        self.replace_offers(source, set.into_iter().map(Offer::from).collect()).await
    }

    /// The same for a source that also knows which of its instances shall get no new requests for now. The source
    /// counts as asked: a mark that it is stale goes.
    ///
    /// # Errors
    /// [`Error::Storage`] and [`Error::Closed`]; nothing has changed then.
    pub async fn replace_offers(&self, source: Source, set: Vec<Offer>) -> Result<Replaced, Error> {
        let answer = self.ask(Work::Replace(source, set)).await?;
        Ok(Replaced { index: answer.index, changes: answer.changes, refused: answer.refused })
    }

    /// Carries out what time made due, each for itself: what is no longer due by the time it is its turn is left alone.
    ///
    /// # Errors
    /// [`Error::Storage`] and [`Error::Closed`]; nothing has changed then.
    pub async fn carry_out(&self, due: Vec<Command>) -> Result<Applied, Error> {
        let answer = self.ask(Work::Due(due)).await?;
        Ok(Applied { index: answer.index, changes: answer.changes })
    }

    /// Renews a lease, at once and in memory alone.
    ///
    /// # Errors
    /// [`Rejected::NotFound`]: the instance has to register again.
    pub fn heartbeat(
        &self,
        name: ServiceName,
        id: InstanceId,
        status: Option<Status>,
    ) -> Result<Option<Change>, Rejected> {
        self.registry.apply(Command::Heartbeat { name, id, status }, Now::read())
    }

    /// What it did so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        report.waiting = self.jobs.max_capacity() - self.jobs.capacity();
        report
    }

    /// Finishes what waits, refuses what comes later, and closes the store. Returns when the store is free.
    pub async fn close(&self) {
        // An error means that it has been closed before.
        let _ = self.ask(Work::Close).await;
    }

    async fn ask(&self, work: Work) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { work, reply }).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}
