//! The writer's thread: rehearse, commit, apply, answer.

use super::{Error, Report};
use crate::{Store, Write};
use ellie_core::Now;
use ellie_core::model::{Actor, InstanceId, Mark, Offer, Record, Registration, ServiceName, Source, Status};
use ellie_core::registry::{Cause, Change, Command, Operation, Registry, Rehearsal, Rejected, Snapshot};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Submissions in one transaction.
const BATCH: usize = 512;

/// Commands after which a batch takes no more submissions.
const BATCH_COMMANDS: usize = 8192;

pub(super) enum Work {
    Submit(Vec<Command>),
    Replace(Source, Vec<Offer>),
    Due(Vec<Command>),
    Close,
}

impl Work {
    fn weight(&self) -> usize {
        match self {
            Self::Submit(commands) | Self::Due(commands) => commands.len(),
            Self::Replace(_, set) => set.len(),
            Self::Close => 0,
        }
    }
}

pub(super) type Reply = oneshot::Sender<Result<Answer, Error>>;

pub(super) struct Job {
    pub(super) work: Work,
    pub(super) reply: Reply,
}

type Refusal = (ServiceName, InstanceId, Rejected);

pub(super) struct Answer {
    pub(super) index: u64,
    pub(super) changes: Vec<Change>,
    pub(super) refused: Vec<Refusal>,
}

/// A job whose rehearsal went well.
struct Accepted {
    commands: Vec<Command>,
    /// Whose complete set it is.
    told: Option<Source>,
    refused: Vec<Refusal>,
    reply: Reply,
}

type Key = (ServiceName, InstanceId);

pub(super) struct Writer {
    registry: Arc<Registry>,
    store: Box<dyn Store>,
    report: Arc<Mutex<Report>>,
}

impl Writer {
    pub(super) fn new(registry: Arc<Registry>, store: Box<dyn Store>, report: Arc<Mutex<Report>>) -> Self {
        Self { registry, store, report }
    }

    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut closers = Vec::new();
        while let Some(first) = queue.blocking_recv() {
            let mut weight = first.work.weight();
            let mut batch = vec![first];
            while batch.len() < BATCH && weight < BATCH_COMMANDS {
                let Ok(job) = queue.try_recv() else { break };
                weight += job.work.weight();
                batch.push(job);
            }
            let mut jobs = Vec::with_capacity(batch.len());
            for job in batch {
                match job.work {
                    // What was sent before the close is still done: the loop goes on until the queue is empty.
                    Work::Close => {
                        queue.close();
                        closers.push(job.reply);
                    }
                    work => jobs.push(Job { work, reply: job.reply }),
                }
            }
            self.batch(jobs);
        }
        let index = self.registry.snapshot().index;
        drop(self);
        for reply in closers {
            let _ = reply.send(Ok(Answer { index, changes: Vec::new(), refused: Vec::new() }));
        }
    }

    fn batch(&mut self, jobs: Vec<Job>) {
        let now = Now::read();
        let mut rehearsal = self.registry.rehearsal();
        let accepted: Vec<Accepted> =
            jobs.into_iter().filter_map(|job| rehearse(&self.registry, &mut rehearsal, job, now)).collect();
        let keys: HashSet<Key> = accepted
            .iter()
            .flat_map(|a| &a.commands)
            .filter(|command| command.is_durable())
            .map(|command| {
                let (name, id) = command.key();
                (name.clone(), id.clone())
            })
            .collect();
        let writes = self.writes(&keys, &rehearsal);
        if !self.commit(&writes, &accepted) {
            let failing = self.report().failing.clone();
            for job in accepted {
                let error = failing.clone().map_or(Error::Closed, Error::Storage);
                let _ = job.reply.send(Err(error));
            }
            return;
        }
        for job in accepted {
            let answer = match self.registry.apply_all(job.commands, now) {
                Ok(changes) => {
                    self.report().submissions += 1;
                    if let Some(source) = &job.told {
                        self.registry.mark_stale(source, None, now);
                    }
                    let index = changes.last().map_or_else(|| self.registry.snapshot().index, |c| c.index);
                    Ok(Answer { index, changes, refused: job.refused })
                }
                // Only if the registry's limit was lowered since the rehearsal.
                Err(rejected) => {
                    self.take_back(&keys);
                    Err(Error::Rejected { at: 0, rejected })
                }
            };
            // Whoever no longer waits for it doesn't need the answer.
            let _ = job.reply.send(answer);
        }
    }

    /// What a store has to change so that it keeps what the rehearsal came to, instead of what the registry holds.
    fn writes(&self, keys: &HashSet<Key>, rehearsal: &Rehearsal) -> Vec<Write> {
        let snapshot = self.registry.snapshot();
        let kept = |record: Option<Record>| record.filter(|r| r.source.is_durable());
        keys.iter()
            .filter_map(|(name, id)| {
                let before = snapshot.instance(name.as_str(), id.as_str()).map(|i| i.record());
                let after = kept(rehearsal.record(name.as_str(), id.as_str()));
                match (kept(before), after) {
                    (before, Some(after)) if before.as_ref() != Some(&after) => Some(Write::Put(after)),
                    (Some(_), None) => Some(Write::Remove(name.clone(), id.clone())),
                    _ => None,
                }
            })
            .collect()
    }

    fn commit(&mut self, writes: &[Write], accepted: &[Accepted]) -> bool {
        if writes.is_empty() {
            return true;
        }
        let result = self.store.commit(writes);
        let kept = self.store.stats();
        let mut report = self.report();
        report.kept = kept;
        match result {
            Ok(()) => {
                report.commits += 1;
                report.failing = None;
                true
            }
            Err(e) => {
                tracing::error!(error = %e, submissions = accepted.len(), "a commit failed; nothing has changed");
                report.failures += 1;
                report.failing = Some(Arc::new(e));
                false
            }
        }
    }

    /// Makes the store keep what the registry holds of `keys`, after a commit that the registry didn't follow.
    fn take_back(&mut self, keys: &HashSet<Key>) {
        let snapshot = self.registry.snapshot();
        let writes: Vec<Write> = keys
            .iter()
            .map(|(name, id)| {
                let held = snapshot.instance(name.as_str(), id.as_str()).map(|i| i.record());
                match held.filter(|r| r.source.is_durable()) {
                    Some(record) => Write::Put(record),
                    None => Write::Remove(name.clone(), id.clone()),
                }
            })
            .collect();
        self.commit(&writes, &[]);
    }

    fn report(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries a job; answers it at once where it can't be done.
fn rehearse(registry: &Registry, rehearsal: &mut Rehearsal, job: Job, now: Now) -> Option<Accepted> {
    let Job { work, reply } = job;
    let told = match &work {
        Work::Replace(source, _) => Some(source.clone()),
        _ => None,
    };
    let (commands, refused) = match work {
        Work::Submit(commands) => match rehearsal.try_all(&commands, now) {
            Ok(()) => (commands, Vec::new()),
            Err((at, rejected)) => {
                let _ = reply.send(Err(Error::Rejected { at, rejected }));
                return None;
            }
        },
        Work::Replace(source, set) => replacement(rehearsal, &source, set, now),
        Work::Due(due) => {
            let commands = due.into_iter().filter(|c| still_due(registry, rehearsal, c, now)).collect();
            (keep_accepted(rehearsal, commands, now).0, Vec::new())
        }
        Work::Close => return None,
    };
    Some(Accepted { commands, told, refused, reply })
}

/// The commands that make `set` all that `source` tells.
fn replacement(
    rehearsal: &mut Rehearsal,
    source: &Source,
    set: Vec<Offer>,
    now: Now,
) -> (Vec<Command>, Vec<Refusal>) {
    let actor = Actor::new(&source.to_string());
    // A set that lists an instance twice means the last one.
    let set: BTreeMap<Key, Offer> =
        set.into_iter().map(|o| ((o.registration.name.clone(), o.registration.id.clone()), o)).collect();
    let told: HashMap<Key, Arc<Registration>> =
        rehearsal.told_by(source).map(|r| ((r.name.clone(), r.id.clone()), r.clone())).collect();
    let mut gone: Vec<&Key> = told.keys().filter(|key| !set.contains_key(key)).collect();
    gone.sort_unstable();
    let mut commands: Vec<Command> = gone
        .into_iter()
        .map(|(name, id)| Command::Withdraw { name: name.clone(), id: id.clone(), source: source.clone() })
        .collect();
    let is_new = |key: &Key, offer: &Offer| {
        told.get(key).is_none_or(|r| !Arc::ptr_eq(r, &offer.registration) && *r != offer.registration)
    };
    commands.extend(set.iter().filter(|(key, offer)| is_new(key, offer)).map(|(_, offer)| {
        Command::Register {
            registration: offer.registration.clone(),
            source: source.clone(),
            actor: actor.clone(),
        }
    }));
    let (mut commands, refused) = keep_accepted(rehearsal, commands, now);
    let marks =
        set.into_values().filter_map(|offer| mark(rehearsal.snapshot(), source, &actor, offer)).collect();
    commands.extend(keep_accepted(rehearsal, marks, now).0);
    (commands, refused)
}

/// The command that makes an instance's draining what its source wants. What an operator said is left alone.
fn mark(snapshot: &Snapshot, source: &Source, actor: &Actor, offer: Offer) -> Option<Command> {
    let Offer { registration: r, withheld } = offer;
    let held = snapshot.instance(r.name.as_str(), r.id.as_str()).filter(|i| i.source == *source)?;
    let is_ours = |mark: &Mark| mark.by == actor.as_str();
    let operation = match (&held.operator.draining, &withheld) {
        (None, Some(_)) => Operation::Drain,
        (Some(mark), Some(why)) if is_ours(mark) && mark.reason.as_ref() != Some(why) => Operation::Drain,
        (Some(mark), None) if is_ours(mark) => Operation::Undrain,
        _ => return None,
    };
    Some(Command::Operate {
        name: r.name.clone(),
        id: r.id.clone(),
        operation,
        ttl: None,
        reason: withheld,
        actor: actor.clone(),
    })
}

/// Tries each command for itself.
fn keep_accepted(
    rehearsal: &mut Rehearsal,
    commands: Vec<Command>,
    now: Now,
) -> (Vec<Command>, Vec<Refusal>) {
    let mut refused = Vec::new();
    let mut accepted = Vec::with_capacity(commands.len());
    for command in commands {
        match rehearsal.try_all(std::slice::from_ref(&command), now) {
            Ok(()) => accepted.push(command),
            Err((_, rejected)) => {
                let (name, id) = command.key();
                refused.push((name.clone(), id.clone(), rejected));
            }
        }
    }
    (accepted, refused)
}

/// Whether what made a removal due still holds: an instance may have recovered or renewed its lease while the removal
/// waited.
fn still_due(registry: &Registry, rehearsal: &Rehearsal, command: &Command, now: Now) -> bool {
    match command {
        Command::Deregister { name, id, cause: Cause::Unhealthy, .. } => rehearsal
            .snapshot()
            .instance(name.as_str(), id.as_str())
            .is_some_and(|i| i.status == Status::Unhealthy),
        Command::Deregister { name, id, cause: Cause::Lease, .. } => {
            registry.lease_deadline(name, id).is_some_and(|deadline| deadline <= now.instant)
        }
        _ => true,
    }
}
