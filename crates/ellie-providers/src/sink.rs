//! Between a provider and whoever keeps what it tells.

use crate::runner::Report;
use ellie_core::model::{InstanceId, Offer, ServiceName, Source, Stale};
use ellie_core::{Now, Registration};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Notes that are kept of one set; more are only counted.
pub(crate) const MAX_NOTES: usize = 1000;

/// Why a provider could not go on, in a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Follows one platform.
pub trait Provider: Send + Sync + 'static {
    /// The name of its source: `docker`.
    fn name(&self) -> &'static str;

    /// Tells `sink` the complete set whenever it changes, until `stop`.
    ///
    /// # Errors
    /// Why it can't go on. It never tries again by itself.
    fn run<'a>(&'a self, sink: &'a Sink, stop: CancellationToken) -> BoxFuture<'a, Result<(), Failure>>;
}

/// What of a set was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The service.
    pub name: ServiceName,
    /// The instance.
    pub id: InstanceId,
    /// Why.
    pub why: String,
}

/// Who keeps what providers tell.
pub trait Target: Send + Sync + 'static {
    /// Makes `set` all that `source` tells. An offer that is refused doesn't hold up the others.
    ///
    /// # Errors
    /// Why nothing was taken.
    fn replace(&self, source: Source, set: Vec<Offer>) -> BoxFuture<'_, Result<Vec<Refusal>, Failure>>;

    /// Notes that `source` can't be asked at the moment; what it told last stays.
    fn stale(&self, source: &Source, reason: &str);
}

/// How a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is not registered, for a mistake.
    Fault,
    /// It is not registered, for its state: paused, for example.
    Absent,
    /// It is registered, but something is probably not meant so.
    Warning,
}

impl Severity {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Absent => "absent",
            Self::Warning => "warning",
        }
    }
}

/// Something to know about one container, task or service of the platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// How it matters.
    pub severity: Severity,
    /// Its name there.
    pub subject: String,
    /// Its id there.
    pub id: String,
    /// The service it tells of, where that is known.
    pub service: Option<String>,
    /// What, and what would be right.
    pub message: String,
}

/// The complete set of a provider. Of two offers with the same service and id the first holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    offers: BTreeMap<(ServiceName, InstanceId), Offer>,
    notes: Vec<Note>,
}

impl Set {
    /// Adds an instance; where its service and id are taken, the earlier offer.
    pub fn offer(&mut self, offer: Offer) -> Result<(), Arc<Registration>> {
        let r = &offer.registration;
        match self.offers.entry((r.name.clone(), r.id.clone())) {
            Entry::Vacant(free) => {
                free.insert(offer);
                Ok(())
            }
            Entry::Occupied(taken) => Err(taken.get().registration.clone()),
        }
    }

    /// Its instances and its notes.
    #[cfg(test)]
    pub(crate) fn parts(self) -> (Vec<Offer>, Vec<Note>) {
        (self.offers.into_values().collect(), self.notes)
    }

    /// Adds a note.
    pub fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

/// What a provider tells its set to: bound to one source.
pub struct Sink {
    source: Source,
    target: Arc<dyn Target>,
    // Copied in and out; never held across an await.
    report: Arc<Mutex<Report>>,
}

impl Sink {
    pub(crate) fn new(source: Source, target: Arc<dyn Target>, report: Arc<Mutex<Report>>) -> Self {
        Self { source, target, report }
    }

    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Report) -> T) -> T {
        f(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes `set` all that the provider tells; an empty one means that there is nothing.
    ///
    /// # Errors
    /// It can't be kept; the provider ends with it.
    pub async fn replace(&self, set: Set) -> Result<(), Failure> {
        let Set { offers, mut notes } = set;
        let offered = offers.len();
        let refusals = self.target.replace(self.source.clone(), offers.into_values().collect()).await?;
        let refused = refusals.len();
        notes.extend(refusals.into_iter().map(|refusal| Note {
            severity: Severity::Fault,
            subject: refusal.id.to_string(),
            id: refusal.id.to_string(),
            service: Some(refusal.name.to_string()),
            message: refusal.why,
        }));
        notes.sort_unstable();
        let more_notes = notes.len().saturating_sub(MAX_NOTES);
        notes.truncate(MAX_NOTES);
        let now = Now::read();
        let fresh: Vec<Note> = self.with(|report| {
            let known = std::mem::take(&mut report.notes);
            let is_new =
                |note: &&Note| note.severity != Severity::Absent && known.binary_search(note).is_err();
            let fresh = notes.iter().filter(is_new).cloned().collect();
            report.up = true;
            report.stale = None;
            report.error = None;
            report.last_sync = Some(now.wall);
            report.syncs += 1;
            report.instances = offered - refused.min(offered);
            report.notes = notes;
            report.more_notes = more_notes;
            fresh
        });
        for note in fresh {
            tracing::warn!(provider = %self.source, container = note.subject, "{}", note.message);
        }
        Ok(())
    }

    /// Notes that the platform can't be asked at the moment, and why.
    pub fn stale(&self, reason: &str) {
        let now = Now::read();
        self.target.stale(&self.source, reason);
        self.with(|report| {
            report.up = false;
            report.error = Some(reason.to_owned());
            let since = report.stale.as_ref().map_or(now.wall, |stale| stale.since);
            report.stale = Some(Stale { since, reason: reason.to_owned() });
        });
    }
}
