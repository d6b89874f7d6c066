//! The loop: follow the registry, start what is due, take in what came back.

use crate::checker::Refused;
use crate::probe::{Limits, Outcome, Probe, Probed};
use crate::roster::{Asker, Doing, Roster};
use crate::schedule::{Lane, Schedule, Slot, Who};
use crate::settings::Settings;
use crate::stats::Counters;
use crate::target::Target;
use crate::verdict::Answer;
use ellie_core::model::{CheckReport, Instance, InstanceId, ServiceName};
use ellie_core::registry::ChangeKind;
use ellie_core::{Command, Now, Registry, Status};
use ellie_policy::{Rng, threshold};
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable};
use futures_util::stream::FuturesUnordered;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How soon an inconclusive probe is repeated, at the latest.
const INCONCLUSIVE_RETRY: Duration = Duration::from_secs(5);

/// Probes that fall due within this time of each other are started together: the process then wakes once for them, and
/// mostly once for their answers, which is half of what a probe costs. No probe is later by more than this.
const TICK: Duration = Duration::from_millis(10);

/// Somebody wants one instance probed now.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) name: ServiceName,
    pub(crate) id: InstanceId,
    pub(crate) reply: Asker,
}

/// A probe that ended; `None` inside where it was called off.
struct Landed<C> {
    who: Who,
    generation: u64,
    lane: Lane,
    probed: Option<Probed<C>>,
}

type Flight<'a, C> = Pin<Box<dyn Future<Output = Landed<C>> + Send + 'a>>;

pub(crate) struct Engine<'a, P: Probe> {
    registry: &'a Registry,
    probe: &'a P,
    counters: &'a Counters,
    updates: watch::Receiver<Settings>,
    settings: Settings,
    roster: Roster<P::Connection>,
    schedule: Schedule,
    /// At most the concurrency and a few that were asked for.
    flights: FuturesUnordered<Flight<'a, P::Connection>>,
    /// How many entries keep a connection, and how many may.
    kept: usize,
    may_keep: usize,
    /// The registry's index up to which the roster follows it.
    index: u64,
    warned: Option<Instant>,
    /// The time up to which what is due has been looked for.
    tick: Instant,
}

impl<'a, P: Probe> Engine<'a, P> {
    pub(crate) fn new(
        registry: &'a Registry,
        probe: &'a P,
        counters: &'a Counters,
        mut updates: watch::Receiver<Settings>,
        rng: Rng,
    ) -> Self {
        let settings = updates.borrow_and_update().clone();
        Self {
            registry,
            probe,
            counters,
            updates,
            roster: Roster::default(),
            schedule: Schedule::new(settings.concurrency, rng),
            flights: FuturesUnordered::new(),
            kept: 0,
            may_keep: settings.kept_connections,
            settings,
            index: 0,
            warned: None,
            tick: now(),
        }
    }

    pub(crate) async fn run(mut self, mut asks: mpsc::Receiver<Ask>, stop: CancellationToken) {
        let mut changed = self.registry.watch();
        self.start_over();
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            self.launch();
            let wake_at = self.schedule.wake_at().map(|due| due.max(self.tick + TICK).into());
            if let Some(at) = wake_at
                && at != timer.deadline()
            {
                timer.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                // Probes in flight move only as they are polled here: before the registry, whose changes may come
                // without a pause, or they would time out by ellie's own fault. The timer is ready once a tick at most.
                () = &mut stopped => break,
                Some(landed) = self.flights.next(), if !self.flights.is_empty() => self.land(landed),
                () = &mut timer, if wake_at.is_some() => self.tick = now(),
                Ok(()) = self.updates.changed() => self.reconfigure(),
                Some(ask) = asks.recv() => self.ask(ask),
                Ok(()) = changed.changed() => self.follow(),
            }
        }
    }

    /// Starts every probe that is due and has room.
    fn launch(&mut self) {
        let now = now();
        while let Some((who, lane)) = self.schedule.next(self.tick) {
            let Some(entry) = self.roster.get(who.slot) else {
                // Entries leave the schedule as they leave the roster.
                self.schedule.landed(who, lane);
                continue;
            };
            if let Doing::Waiting(place) = entry.doing {
                self.counters.started(now.saturating_duration_since(place.due), entry.interval);
            }
            let kept = entry.connection.take();
            self.kept -= usize::from(kept.is_some());
            let limits = Limits { timeout: entry.timeout, connection_age: self.settings.connection_age };
            let (abort, registration) = AbortHandle::new_pair();
            let probe = Abortable::new(self.probe.probe(entry.target.clone(), kept, limits), registration);
            let generation = entry.generation;
            entry.doing = Doing::Probing(abort);
            entry.started = Some(now);
            entry.asking.append(&mut entry.asked);
            self.flights
                .push(Box::pin(async move { Landed { who, generation, lane, probed: probe.await.ok() } }));
        }
        self.gauge();
    }

    fn land(&mut self, landed: Landed<P::Connection>) {
        self.schedule.landed(landed.who, landed.lane);
        let Some(probed) = landed.probed else { return };
        if probed.retried {
            self.counters.retried.fetch_add(1, Relaxed);
        }
        let now = Now::read();
        let Some(entry) = self.roster.get(landed.who.slot).filter(|e| e.generation == landed.generation)
        else {
            return;
        };
        if std::mem::take(&mut entry.outdated) {
            // It answers a question that nobody has any more.
            entry.asked.append(&mut entry.asking);
            let schedule = &mut self.schedule;
            let place = if entry.asked.is_empty() {
                schedule.first(landed.who, now.instant)
            } else {
                schedule.asked(landed.who, now.instant)
            };
            entry.doing = Doing::Waiting(place);
            return;
        }
        let result = match probed.outcome {
            Outcome::Answer(answer) => {
                let verdict = verdict_of(answer.verdict);
                self.counters.ended(entry.target.kind, answer.verdict, probed.took);
                // By what it cost: one that fails after most of its time is as dear as one that never answers.
                entry.silent = answer.verdict == Status::Unhealthy && probed.took >= entry.timeout / 2;
                let thresholds = entry.thresholds(&self.settings);
                let hysteresis = match &mut entry.hysteresis {
                    Some(hysteresis) => {
                        hysteresis.observe(verdict);
                        hysteresis
                    }
                    first => first.insert(threshold::Hysteresis::new(thresholds, verdict)),
                };
                let report = report(answer, probed.took, now);
                let observed = Command::Observe {
                    name: entry.name.clone(),
                    id: entry.id.clone(),
                    incarnation: entry.incarnation,
                    report: report.clone(),
                    status: status_of(hysteresis.verdict()),
                };
                // Refused only where the instance is gone, which the roster is about to learn.
                let _ = self.registry.apply(observed, now);
                Ok(report)
            }
            Outcome::Inconclusive(why) => {
                self.counters.inconclusive.fetch_add(1, Relaxed);
                Err(Refused::Inconclusive(why))
            }
        };
        let ran_out = result.is_err();
        for asker in entry.asking.drain(..) {
            let _ = asker.send(result.clone());
        }
        let (who, silent) = (landed.who, entry.silent);
        let place = if !entry.asked.is_empty() {
            self.schedule.asked(who, now.instant)
        } else if ran_out {
            let soon = entry.interval.min(INCONCLUSIVE_RETRY);
            self.schedule.after(who, silent, now.instant, soon, now.instant)
        } else if landed.lane == Lane::First {
            // They came together; from here on they part.
            self.schedule.spread(who, silent, entry.interval, now.instant)
        } else {
            let started = entry.started.unwrap_or(now.instant);
            self.schedule.after(who, silent, started, entry.interval, now.instant)
        };
        entry.doing = Doing::Waiting(place);
        if let Some(connection) = probed.connection
            && self.kept < self.may_keep
        {
            entry.connection = Some(connection);
            self.kept += 1;
        }
        if let Err(Refused::Inconclusive(why)) = &result {
            self.shed(why, now.instant);
        }
    }

    /// Gives kept connections back when ellie ran out of something, and keeps fewer from now on.
    fn shed(&mut self, why: &str, now: Instant) {
        if self.warned.is_none_or(|at| now.saturating_duration_since(at) > Duration::from_secs(10)) {
            self.warned = Some(now);
            tracing::warn!(kept = self.kept, "a health check was inconclusive: {why}");
            if self.kept > 0 {
                self.may_keep = self.kept / 2;
                for entry in self.roster.entries() {
                    entry.connection = None;
                }
                self.kept = 0;
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        // Whoever registers and asks at once is to be understood.
        self.follow();
        let Some(slot) = self.roster.find(&ask.name, &ask.id) else {
            let snapshot = self.registry.snapshot();
            let refused = match snapshot.instance(ask.name.as_str(), ask.id.as_str()) {
                Some(instance) => Refused::Passive(instance.registration.check.kind),
                None => Refused::NotFound,
            };
            let _ = ask.reply.send(Err(refused));
            return;
        };
        let Some(entry) = self.roster.get(slot) else { return };
        entry.asked.push(ask.reply);
        if let Doing::Waiting(place) = entry.doing {
            self.schedule.forget(entry.who, place);
            entry.doing = Doing::Waiting(self.schedule.asked(entry.who, now()));
        }
    }

    /// Takes the registry's changes in.
    fn follow(&mut self) {
        match self.registry.changes_since(self.index) {
            Ok(changes) => {
                for change in changes {
                    self.index = change.index;
                    match change.kind {
                        ChangeKind::Registered | ChangeKind::Replaced => self.put(&change.instance),
                        ChangeKind::Deregistered => self.remove(&change.name, &change.id),
                        ChangeKind::Status | ChangeKind::Operator => {}
                    }
                }
            }
            Err(_) => self.start_over(),
        }
    }

    /// Compares the roster with the whole registry: at the start, and where too much changed to be told one by one.
    fn start_over(&mut self) {
        let snapshot = self.registry.snapshot();
        self.index = snapshot.index;
        let gone: Vec<(ServiceName, InstanceId)> = self
            .roster
            .keys()
            .filter(|(name, id)| snapshot.instance(name.as_str(), id.as_str()).is_none())
            .cloned()
            .collect();
        for (name, id) in gone {
            self.remove(&name, &id);
        }
        for instance in snapshot.instances() {
            self.put(instance);
        }
    }

    fn put(&mut self, instance: &Instance) {
        let registration = &instance.registration;
        let found = self.roster.find(&registration.name, &registration.id);
        let Some(target) = Target::of(registration) else {
            if found.is_some() {
                self.remove(&registration.name, &registration.id);
            }
            return;
        };
        if let Some(slot) = found {
            match self.roster.get(slot) {
                // The same process registered again, and is what it was.
                Some(entry) if entry.incarnation == instance.incarnation => {
                    entry.check = registration.check.clone();
                    if *entry.target != target {
                        self.ask_differently(slot, target);
                    }
                    self.settle(slot);
                    return;
                }
                _ => self.remove(&registration.name, &registration.id),
            }
        }
        let is_new = instance.history.checks() == 0;
        let known = (!is_new).then(|| verdict_of(instance.status));
        let (schedule, now) = (&mut self.schedule, now());
        self.roster.insert(instance, target, &self.settings, known, |who, interval| {
            if is_new { schedule.first(who, now) } else { schedule.spread(who, false, interval, now) }
        });
    }

    /// Whoever corrects a check is to see at once what it finds now.
    fn ask_differently(&mut self, slot: Slot, target: Target) {
        let Some(entry) = self.roster.get(slot) else { return };
        if entry.target.kind != target.kind && entry.connection.take().is_some() {
            self.kept -= 1;
        }
        entry.target = Arc::new(target);
        match entry.doing {
            Doing::Probing(_) => entry.outdated = true,
            Doing::Waiting(place) if place.lane.is_timed() => {
                self.schedule.forget(entry.who, place);
                entry.doing = Doing::Waiting(self.schedule.first(entry.who, now()));
            }
            Doing::Waiting(_) => {}
        }
    }

    fn remove(&mut self, name: &ServiceName, id: &InstanceId) {
        let Some(slot) = self.roster.find(name, id) else { return };
        let Some(entry) = self.roster.remove(slot) else { return };
        self.kept -= usize::from(entry.connection.is_some());
        if let Doing::Waiting(place) = entry.doing {
            self.schedule.forget(entry.who, place);
        }
        for asker in entry.asking.into_iter().chain(entry.asked) {
            let _ = asker.send(Err(Refused::NotFound));
        }
    }

    fn reconfigure(&mut self) {
        self.settings = self.updates.borrow_and_update().clone();
        self.schedule.set_concurrency(self.settings.concurrency);
        self.may_keep = self.settings.kept_connections;
        for slot in self.roster.slots() {
            self.settle(slot);
        }
    }

    /// Brings an entry in line with its check and the settings.
    fn settle(&mut self, slot: Slot) {
        let Some(entry) = self.roster.get(slot) else { return };
        let before = entry.interval;
        entry.configure(&self.settings);
        let Doing::Waiting(place) = entry.doing else { return };
        if before == entry.interval || !place.lane.is_timed() {
            return;
        }
        self.schedule.forget(entry.who, place);
        let now = now();
        let next = match entry.started {
            Some(started) if started + entry.interval > now => {
                self.schedule.after(entry.who, entry.silent, started, entry.interval, now)
            }
            // Overdue by the new interval, as all others are now: not all at once.
            _ => self.schedule.spread(entry.who, entry.silent, entry.interval, now),
        };
        entry.doing = Doing::Waiting(next);
    }

    fn gauge(&self) {
        self.counters.scheduled.store(self.roster.len(), Relaxed);
        self.counters.waiting_first.store(self.schedule.waiting_first(), Relaxed);
        self.counters.in_flight.store(self.schedule.in_flight(), Relaxed);
        self.counters.kept_connections.store(self.kept, Relaxed);
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn report(answer: Answer, took: Duration, now: Now) -> Arc<CheckReport> {
    Arc::new(CheckReport {
        at: now.wall,
        took,
        verdict: answer.verdict,
        output: answer.output,
        code: answer.code,
        body: answer.body,
    })
}

fn verdict_of(status: Status) -> threshold::Verdict {
    match status {
        Status::Healthy => threshold::Verdict::Healthy,
        Status::Degraded => threshold::Verdict::Degraded,
        Status::Unhealthy => threshold::Verdict::Unhealthy,
    }
}

fn status_of(verdict: threshold::Verdict) -> Status {
    match verdict {
        threshold::Verdict::Healthy => Status::Healthy,
        threshold::Verdict::Degraded => Status::Degraded,
        threshold::Verdict::Unhealthy => Status::Unhealthy,
    }
}

#[cfg(test)]
mod tests;
