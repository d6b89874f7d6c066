//! The breaker against a model that remembers everything and computes nothing ahead.
#![cfg(not(loom))]
#![allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::time::{Duration, Instant};

use ellie_policy::breaker::{Breaker, Config, Outcome, Permit, State};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const PERIOD: u64 = 600 * MS;
const RECOVERY: u64 = 100 * MS;
const TIMEOUT: u64 = 80 * MS;

fn config(failure_threshold: u32, success_threshold: u32, minimum_failure_rate: f64) -> Config {
    Config {
        failure_threshold,
        success_threshold,
        minimum_failure_rate,
        recovery_timeout: Duration::from_nanos(RECOVERY),
        // As long as the recovery timeout, so that nothing is left to chance.
        max_recovery_timeout: Duration::from_nanos(RECOVERY),
        timeout: Duration::from_nanos(TIMEOUT),
        monitoring_period: Duration::from_nanos(PERIOD),
    }
}

#[derive(Debug, Clone)]
enum Act {
    Wait(u64),
    Acquire,
    /// Ends the n-th of the calls under way.
    End(usize, Outcome),
    /// Forgets it.
    Lose(usize),
    ForceOpen(Option<u64>),
    ForceClose(Option<u64>),
    Reset,
    Look,
}

fn act() -> impl Strategy<Value = Act> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Failure),
        3 => Just(Outcome::Success),
        1 => Just(Outcome::Ignored),
    ];
    let ttl = prop_oneof![Just(None), (1_u64..200).prop_map(|ms| Some(ms * MS))];
    prop_oneof![
        4 => (0_u64..40).prop_map(|ms| Act::Wait(ms * MS)),
        1 => (0_u64..1500).prop_map(|ms| Act::Wait(ms * MS)),
        8 => Just(Act::Acquire),
        8 => (any::<usize>(), outcome).prop_map(|(n, o)| Act::End(n, o)),
        1 => any::<usize>().prop_map(Act::Lose),
        1 => ttl.clone().prop_map(Act::ForceOpen),
        1 => ttl.prop_map(Act::ForceClose),
        1 => Just(Act::Reset),
        2 => Just(Act::Look),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Ticket {
    era: u64,
    probe: Option<u64>,
}

struct Model {
    config: Config,
    state: State,
    era: u64,
    calls: Vec<(u64, bool)>,
    until: Option<u64>,
    forced_closed: Option<Option<u64>>,
    probes: Vec<(u64, u64)>,
    issued: u64,
    successes: u32,
    stale: u64,
    transitions: u64,
}

impl Model {
    fn enter(&mut self, state: State) {
        self.transitions += u64::from(self.state != state);
        self.state = state;
        self.era += 1;
        self.probes.clear();
        self.successes = 0;
        if state == State::Closed {
            self.calls.clear();
        }
    }

    fn acquire(&mut self, now: u64) -> Option<Ticket> {
        if self.state == State::Open {
            if self.until.is_none_or(|until| now < until) {
                return None;
            }
            self.enter(State::HalfOpen);
        }
        if self.state == State::Closed {
            return Some(Ticket { era: self.era, probe: None });
        }
        self.probes.retain(|&(_, at)| now < at + TIMEOUT);
        if self.probes.len() == self.config.success_threshold as usize {
            return None;
        }
        self.issued += 1;
        self.probes.push((self.issued, now));
        Some(Ticket { era: self.era, probe: Some(self.issued) })
    }

    fn end(&mut self, ticket: Ticket, outcome: Outcome, now: u64) {
        if ticket.era != self.era {
            self.stale += 1;
            return;
        }
        if let Some(number) = ticket.probe {
            let known = self.probes.iter().position(|&(n, at)| n == number && now < at + TIMEOUT);
            self.probes.retain(|&(n, _)| n != number);
            if known.is_none() {
                self.stale += 1;
                return;
            }
        }
        match outcome {
            Outcome::Ignored => return,
            Outcome::Success => self.calls.push((now, false)),
            Outcome::Failure => self.calls.push((now, true)),
        }
        let failed = outcome == Outcome::Failure;
        if self.state == State::HalfOpen {
            if failed {
                self.open(now);
            } else {
                self.successes += 1;
                if self.successes == self.config.success_threshold {
                    self.enter(State::Closed);
                }
            }
        } else if failed {
            let (failures, calls) = self.window(now);
            let held = self.forced_closed.is_some_and(|until| until.is_none_or(|until| now < until));
            let rate = failures as f64 / calls as f64;
            if !held
                && failures >= u64::from(self.config.failure_threshold)
                && rate >= self.config.minimum_failure_rate
            {
                self.forced_closed = None;
                self.open(now);
            }
        }
    }

    fn open(&mut self, now: u64) {
        self.until = Some(now + RECOVERY);
        self.enter(State::Open);
    }

    /// Failures and calls in the last sixty buckets.
    fn window(&self, now: u64) -> (u64, u64) {
        let bucket = PERIOD / 60;
        let inside = |at: u64| now / bucket - at / bucket < 60;
        let calls: Vec<_> = self.calls.iter().filter(|&&(at, _)| inside(at)).collect();
        (calls.iter().filter(|&&&(_, failed)| failed).count() as u64, calls.len() as u64)
    }

    fn seen(&self, now: u64) -> State {
        match self.state {
            State::Open if self.until.is_some_and(|until| now >= until) => State::HalfOpen,
            state => state,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn equals_the_model(
        failure_threshold in 1_u32..6,
        success_threshold in 1_u32..4,
        rate in prop_oneof![Just(0.0), Just(0.3), Just(1.0)],
        acts in proptest::collection::vec(act(), 1..200),
    ) {
        let start = Instant::now();
        let config = config(failure_threshold, success_threshold, rate);
        let breaker = Breaker::new(config.clone(), start);
        let mut model = Model {
            config,
            state: State::Closed,
            era: 0,
            calls: Vec::new(),
            until: None,
            forced_closed: None,
            probes: Vec::new(),
            issued: 0,
            successes: 0,
            stale: 0,
            transitions: 0,
        };
        let mut calls: Vec<(Permit, Ticket)> = Vec::new();
        let mut now = 0_u64;
        for act in acts {
            let at = start + Duration::from_nanos(now);
            match act {
                Act::Wait(time) => now += time,
                Act::Acquire => {
                    prop_assert_eq!(breaker.admits(at), {
                        let mut copy = Model { config: model.config.clone(), calls: Vec::new(), probes: model.probes.clone(), ..model };
                        copy.acquire(now).is_some()
                    });
                    let (permit, ticket) = (breaker.try_acquire(at), model.acquire(now));
                    prop_assert_eq!(permit.is_ok(), ticket.is_some());
                    if let (Ok(permit), Some(ticket)) = (permit, ticket) {
                        prop_assert_eq!(permit.is_probe(), ticket.probe.is_some());
                        calls.push((permit, ticket));
                    }
                }
                Act::End(n, outcome) if !calls.is_empty() => {
                    let (permit, ticket) = calls.swap_remove(n % calls.len());
                    breaker.record(permit, outcome, at);
                    model.end(ticket, outcome, now);
                }
                Act::Lose(n) if !calls.is_empty() => {
                    drop(calls.swap_remove(n % calls.len()));
                }
                Act::End(..) | Act::Lose(_) => {}
                Act::ForceOpen(ttl) => {
                    breaker.force_open(at, ttl.map(Duration::from_nanos));
                    model.until = ttl.map(|ttl| now + ttl);
                    model.forced_closed = None;
                    model.enter(State::Open);
                }
                Act::ForceClose(ttl) => {
                    breaker.force_close(at, ttl.map(Duration::from_nanos));
                    model.forced_closed = Some(ttl.map(|ttl| now + ttl));
                    model.enter(State::Closed);
                }
                Act::Reset => {
                    breaker.reset(at);
                    model.forced_closed = None;
                    model.enter(State::Closed);
                }
                Act::Look => {
                    let snapshot = breaker.snapshot(at);
                    prop_assert_eq!(snapshot.state, model.seen(now));
                    prop_assert_eq!(breaker.state(at), model.seen(now));
                    prop_assert_eq!((snapshot.failures, snapshot.calls), model.window(now));
                    prop_assert_eq!(snapshot.stale_total, model.stale);
                    prop_assert_eq!(snapshot.transitions_total, model.transitions);
                    prop_assert!(snapshot.probes_in_flight <= success_threshold);
                }
            }
        }
    }
}
