//! The state machine proper. It lives under the breaker's lock and knows nothing of atomics.

use std::collections::VecDeque;

use super::state::{Cause, Forced, Outcome, Reason, Rejected, State, Transition};
use super::window::{Counts, Window};
use super::{Config, Permit};
use crate::Rng;
use crate::time::{duration, instant, nanos};

/// How many transitions may wait for a listener that does not return. A breaker cannot change
/// state this often by itself; only operators and `reset` in a loop could.
const MAX_PENDING: usize = 1024;

/// A probe that was admitted and has not come back.
#[derive(Debug)]
struct Probe {
    number: u64,
    expires: i64,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) ignored: u64,
    pub(super) rejected: u64,
    pub(super) stale: u64,
    pub(super) opened: u64,
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) config: Config,
    pub(super) state: State,
    /// Changes with every state and every act of an operator; results of another one are stale.
    pub(super) generation: u64,
    pub(super) window: Window,
    pub(super) forced: Option<(State, Option<i64>)>,
    pub(super) opened_at: i64,
    /// While open: when probes may pass. `i64::MAX`: never by itself.
    pub(super) retry_at: i64,
    pub(super) reopens: u32,
    probes: Vec<Probe>,
    next_probe: u64,
    pub(super) probe_successes: u32,
    pub(super) totals: Totals,
    pub(super) transitions: u64,
    pub(super) last: Option<Transition>,
    /// Transitions on their way to the listener.
    pub(super) pending: VecDeque<Transition>,
    pub(super) keep_pending: bool,
    /// A thread is handing them over.
    pub(super) delivering: bool,
    /// The latest instant seen, for results that come without one.
    pub(super) latest: i64,
    rng: Rng,
}

impl Core {
    pub(super) fn new(config: Config, now: i64, seed: u64) -> Self {
        let window = Window::new(nanos(config.monitoring_period), now);
        Self {
            config,
            state: State::Closed,
            generation: 1,
            window,
            forced: None,
            opened_at: now,
            retry_at: i64::MAX,
            reopens: 0,
            probes: Vec::new(),
            next_probe: 1,
            probe_successes: 0,
            totals: Totals::default(),
            transitions: 0,
            last: None,
            pending: VecDeque::new(),
            keep_pending: false,
            delivering: false,
            latest: now,
            rng: Rng::new(seed),
        }
    }

    fn see(&mut self, now: i64) {
        self.latest = self.latest.max(now);
    }

    /// Whether a forced state still holds at `now`.
    fn forced_at(&self, now: i64) -> Option<State> {
        match self.forced {
            Some((state, until)) if until.is_none_or(|until| now < until) => Some(state),
            _ => None,
        }
    }

    pub(super) fn forced_view(&self, now: i64) -> Option<Forced> {
        let state = self.forced_at(now)?;
        let left = self.forced.and_then(|(_, until)| until);
        Some(Forced { state, left: left.map(|until| duration(until - now)) })
    }

    pub(super) fn state_at(&self, now: i64) -> State {
        if self.state == State::Open && now >= self.retry_at { State::HalfOpen } else { self.state }
    }

    pub(super) fn acquire(&mut self, now: i64) -> Result<Permit, Rejected> {
        self.see(now);
        if self.state == State::Open {
            if now < self.retry_at {
                self.totals.rejected += 1;
                return Err(self.refusal(now));
            }
            let cause = if self.forced.is_some() { Cause::ForceLapsed } else { Cause::RecoveryElapsed };
            self.forced = None;
            self.enter(State::HalfOpen, cause, now);
        }
        if self.state == State::Closed {
            return Ok(self.permit(0));
        }
        self.probes.retain(|probe| now < probe.expires);
        if self.probes.len() >= self.config.success_threshold as usize {
            self.totals.rejected += 1;
            let first = self.probes.iter().map(|probe| probe.expires).min();
            return Err(Rejected {
                reason: Reason::HalfOpenFull,
                retry_after: first.map(|expires| duration(expires - now)),
            });
        }
        let number = self.next_probe;
        self.next_probe += 1;
        self.probes.push(Probe { number, expires: now.saturating_add(nanos(self.config.timeout)) });
        Ok(self.permit(number))
    }

    fn permit(&self, probe: u64) -> Permit {
        Permit { generation: self.generation, probe }
    }

    pub(super) fn refusal(&self, now: i64) -> Rejected {
        Rejected {
            reason: if self.forced.is_some() { Reason::ForcedOpen } else { Reason::Open },
            retry_after: (self.retry_at != i64::MAX).then(|| duration(self.retry_at - now)),
        }
    }

    pub(super) fn probes_at(&self, now: i64) -> usize {
        self.probes.iter().filter(|probe| now < probe.expires).count()
    }

    /// Redeems a permit. `pending` is what the shards held for the head's bucket; it has been
    /// taken out of them.
    pub(super) fn record(&mut self, permit: &Permit, outcome: Outcome, now: i64) {
        self.see(now);
        if permit.generation != self.generation {
            self.totals.stale += 1;
            return;
        }
        match self.state {
            State::Closed => {
                self.count(outcome, now);
                if outcome == Outcome::Failure && self.too_many() && self.forced_at(now).is_none() {
                    self.forced = None;
                    self.open(Cause::FailureThreshold, now);
                }
            }
            State::HalfOpen => {
                let Some(place) = self.probes.iter().position(|p| p.number == permit.probe) else {
                    // It expired, and its place may be taken.
                    self.totals.stale += 1;
                    return;
                };
                let probe = self.probes.swap_remove(place);
                if now >= probe.expires {
                    self.totals.stale += 1;
                    return;
                }
                self.count(outcome, now);
                match outcome {
                    Outcome::Ignored => {}
                    Outcome::Failure => {
                        self.reopens = self.reopens.saturating_add(1);
                        self.open(Cause::ProbeFailed, now);
                    }
                    Outcome::Success => {
                        self.probe_successes += 1;
                        if self.probe_successes >= self.config.success_threshold {
                            self.close(Cause::ProbesSucceeded, now);
                        }
                    }
                }
            }
            // No permit is ever issued in this state.
            State::Open => self.totals.stale += 1,
        }
    }

    fn count(&mut self, outcome: Outcome, now: i64) {
        self.window.record(outcome, now);
        match outcome {
            Outcome::Success => self.totals.succeeded += 1,
            Outcome::Failure => self.totals.failed += 1,
            Outcome::Ignored => self.totals.ignored += 1,
        }
    }

    /// Successes that the shards counted for the head's bucket.
    pub(super) fn absorb(&mut self, successes: u64) {
        self.totals.succeeded += successes;
        self.window.add(Counts { successes, failures: 0 });
    }

    fn too_many(&self) -> bool {
        let counts = self.window.counts();
        counts.failures >= u64::from(self.config.failure_threshold)
            && counts.failure_rate() >= self.config.minimum_failure_rate
    }

    fn open(&mut self, cause: Cause, now: i64) {
        let wait = self.wait();
        self.retry_at = now.saturating_add(wait);
        self.opened_at = now;
        self.enter(State::Open, cause, now);
    }

    /// The recovery timeout exactly at first; after failed attempts doubled for each, capped, and
    /// shortened by up to a fifth so that many breakers on one dead service do not probe in step.
    fn wait(&mut self) -> i64 {
        let first = nanos(self.config.recovery_timeout);
        if self.reopens == 0 {
            return first;
        }
        let cap = nanos(self.config.max_recovery_timeout);
        let doubled =
            if self.reopens < 32 { first.saturating_mul(1_i64 << self.reopens).min(cap) } else { cap };
        let jittered = doubled - (doubled as f64 * 0.2 * self.rng.unit()) as i64;
        jittered.max(first)
    }

    fn close(&mut self, cause: Cause, now: i64) {
        self.reopens = 0;
        self.window.clear();
        self.window.advance(now);
        self.enter(State::Closed, cause, now);
    }

    /// Starts a generation, and reports the change if the state did change.
    fn enter(&mut self, to: State, cause: Cause, now: i64) {
        let from = std::mem::replace(&mut self.state, to);
        self.generation += 1;
        self.probes.clear();
        self.probe_successes = 0;
        if to != State::Open {
            self.retry_at = i64::MAX;
        }
        if from == to {
            return;
        }
        if to == State::Open {
            self.totals.opened += 1;
        }
        self.transitions += 1;
        let transition = Transition { sequence: self.transitions, from, to, cause, at: instant(now) };
        self.last = Some(transition);
        if self.keep_pending {
            if self.pending.len() >= MAX_PENDING {
                self.pending.pop_front();
            }
            self.pending.push_back(transition);
        }
    }

    pub(super) fn force(&mut self, state: State, ttl: Option<i64>, now: i64) {
        self.see(now);
        let until = ttl.map(|ttl| now.saturating_add(ttl));
        self.forced = Some((state, until));
        if state == State::Open {
            if self.state != State::Open {
                self.opened_at = now;
            }
            self.retry_at = until.unwrap_or(i64::MAX);
            self.enter(State::Open, Cause::ForcedOpen, now);
        } else {
            self.close(Cause::ForcedClosed, now);
        }
    }

    pub(super) fn reset(&mut self, now: i64) {
        self.see(now);
        self.forced = None;
        self.close(Cause::Reset, now);
    }

    pub(super) fn configure(&mut self, config: Config, now: i64) {
        self.see(now);
        self.window = self.window.resized(nanos(config.monitoring_period), now);
        let recovery = config.recovery_timeout != self.config.recovery_timeout
            || config.max_recovery_timeout != self.config.max_recovery_timeout;
        self.config = config;
        match self.state {
            State::Open if recovery && self.forced.is_none() => {
                let wait = self.wait();
                self.retry_at = self.opened_at.saturating_add(wait);
            }
            State::HalfOpen if self.probe_successes >= self.config.success_threshold => {
                self.close(Cause::ProbesSucceeded, now);
            }
            _ => {}
        }
    }
}
