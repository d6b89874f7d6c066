//! What a breaker must hold, one test a promise.
#![cfg(not(loom))]
#![allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ellie_policy::breaker::{
    Breaker, Cause, Config, Forced, Outcome, Permit, Reason, Rejected, State, Transition,
};

const S: Duration = Duration::from_secs(1);

/// A breaker on a clock that the test moves, and everything it reported.
struct Fixture {
    breaker: Arc<Breaker>,
    now: Instant,
    seen: Arc<Mutex<Vec<Transition>>>,
}

impl Fixture {
    fn new(config: Config) -> Self {
        let now = Instant::now();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let breaker = Breaker::with_seed(config, now, 1)
            .listen(Box::new(move |transition| log.lock().expect("no listener panics").push(*transition)));
        Self { breaker: Arc::new(breaker), now, seen }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn acquire(&self) -> Result<Permit, Rejected> {
        self.breaker.try_acquire(self.now)
    }

    fn call(&self, outcome: Outcome) {
        let permit = self.acquire().expect("admitted");
        self.breaker.record(permit, outcome, self.now);
    }

    fn state(&self) -> State {
        self.breaker.state(self.now)
    }

    /// Opens it by failures and waits until it lets probes through.
    fn half_open(config: Config) -> Self {
        let mut fixture = Self::new(config);
        fixture.trip();
        let wait = fixture.breaker.snapshot(fixture.now).retry_in.expect("open");
        fixture.wait(wait);
        assert_eq!(fixture.state(), State::HalfOpen);
        fixture
    }

    fn trip(&mut self) {
        while self.state() == State::Closed {
            self.call(Outcome::Failure);
        }
        assert_eq!(self.state(), State::Open);
    }

    fn causes(&self) -> Vec<(State, State, Cause)> {
        let seen = self.seen.lock().expect("no listener panics");
        assert!(seen.iter().zip(1..).all(|(t, n)| t.sequence == n), "no gap, no repetition");
        seen.iter().map(|t| (t.from, t.to, t.cause)).collect()
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = Config::default();
    assert_eq!((config.failure_threshold, config.success_threshold), (5, 3));
    assert_eq!((config.recovery_timeout, config.timeout), (60 * S, 30 * S));
    assert_eq!((config.monitoring_period, config.minimum_failure_rate), (300 * S, 0.1));
    assert_eq!(config.validate(), Ok(()));
    let metrics = [State::Closed, State::HalfOpen, State::Open].map(|s| (s.as_metric(), s.as_str()));
    assert_eq!(metrics, [(0, "closed"), (1, "half_open"), (2, "open")]);
}

#[test]
fn every_fault_of_a_configuration_is_reported() {
    let bad = Config {
        failure_threshold: 0,
        recovery_timeout: Duration::ZERO,
        success_threshold: 0,
        timeout: Duration::ZERO,
        monitoring_period: Duration::MAX,
        minimum_failure_rate: f64::NAN,
        max_recovery_timeout: Duration::ZERO,
    };
    let fields: Vec<_> = bad.validate().unwrap_err().iter().map(|fault| fault.field).collect();
    assert_eq!(
        fields,
        [
            "failure_threshold",
            "recovery_timeout",
            "success_threshold",
            "timeout",
            "monitoring_period",
            "minimum_failure_rate",
            "max_recovery_timeout"
        ]
    );
    // Even so it can be used: every setting is taken as the nearest possible one.
    let breaker = Breaker::new(bad, Instant::now());
    assert_eq!(breaker.config().validate(), Ok(()));
}

#[test]
fn opens_on_the_threshold_and_not_before() {
    let fixture = Fixture::new(Config::default());
    for _ in 0..4 {
        fixture.call(Outcome::Failure);
    }
    assert_eq!(fixture.state(), State::Closed);
    fixture.call(Outcome::Failure);
    assert_eq!(fixture.state(), State::Open);
    let refused = fixture.acquire().unwrap_err();
    assert_eq!(refused, Rejected { reason: Reason::Open, retry_after: Some(60 * S) });
    assert_eq!(fixture.causes(), [(State::Closed, State::Open, Cause::FailureThreshold)]);
}

#[test]
fn failures_must_be_enough_of_all_calls_unless_the_rate_is_zero() {
    for (rate, successes, opens) in [(0.1, 45, true), (0.1, 46, false), (0.0, 1_000_000, true)] {
        let fixture = Fixture::new(Config { minimum_failure_rate: rate, ..Config::default() });
        for _ in 0..successes {
            fixture.call(Outcome::Success);
        }
        for _ in 0..5 {
            fixture.call(Outcome::Failure);
        }
        assert_eq!(fixture.state() == State::Open, opens, "{rate} {successes}");
    }
}

#[test]
fn failures_older_than_the_period_do_not_count() {
    let mut fixture = Fixture::new(Config::default());
    for _ in 0..4 {
        fixture.call(Outcome::Failure);
    }
    fixture.wait(300 * S);
    fixture.call(Outcome::Failure);
    assert_eq!(fixture.state(), State::Closed);
    assert_eq!(fixture.breaker.snapshot(fixture.now).failures, 1);

    let mut fixture = Fixture::new(Config::default());
    for _ in 0..4 {
        fixture.call(Outcome::Failure);
    }
    fixture.wait(299 * S);
    fixture.call(Outcome::Failure);
    assert_eq!(fixture.state(), State::Open);
}

#[test]
fn half_open_admits_as_many_probes_as_must_succeed() {
    let fixture = Fixture::half_open(Config::default());
    let permits: Vec<_> = (0..3).map(|_| fixture.acquire().expect("a probe")).collect();
    assert!(permits.iter().all(Permit::is_probe));
    let refused = fixture.acquire().unwrap_err();
    assert_eq!(refused, Rejected { reason: Reason::HalfOpenFull, retry_after: Some(30 * S) });
    assert!(!fixture.breaker.admits(fixture.now));
    for permit in permits {
        assert_eq!(fixture.state(), State::HalfOpen);
        fixture.breaker.record(permit, Outcome::Success, fixture.now);
    }
    assert_eq!(fixture.state(), State::Closed);
    assert_eq!(
        fixture.causes(),
        [
            (State::Closed, State::Open, Cause::FailureThreshold),
            (State::Open, State::HalfOpen, Cause::RecoveryElapsed),
            (State::HalfOpen, State::Closed, Cause::ProbesSucceeded),
        ]
    );
    assert_eq!(fixture.breaker.snapshot(fixture.now).calls, 0, "it starts afresh");
}

#[test]
fn cancelled_ignored_and_panicking_probes_give_their_place_back() {
    let fixture = Fixture::half_open(Config { success_threshold: 1, ..Config::default() });
    let (breaker, now) = (&*fixture.breaker, fixture.now);
    for _ in 0..10 {
        drop(Breaker::enter(breaker, now).expect("the last one was cancelled"));
        fixture.call(Outcome::Ignored);
    }
    let snapshot = breaker.snapshot(now);
    assert_eq!((snapshot.probes_in_flight, snapshot.ignored_total), (0, 20));
    assert_eq!((snapshot.state, snapshot.probe_successes), (State::HalfOpen, 0));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = Breaker::enter(breaker, now).expect("a probe");
        panic!("the call panics");
    }));
    assert!(panicked.is_err());
    let snapshot = breaker.snapshot(now);
    assert_eq!((snapshot.state, snapshot.probes_in_flight, snapshot.reopen_count), (State::Open, 0, 1));
}

#[test]
fn a_probe_that_never_returns_expires_and_its_late_result_is_stale() {
    let mut fixture = Fixture::half_open(Config { success_threshold: 1, ..Config::default() });
    let lost = fixture.acquire().expect("a probe");
    fixture.wait(30 * S - Duration::from_nanos(1));
    assert!(fixture.acquire().is_err());
    fixture.wait(Duration::from_nanos(1));
    assert!(fixture.breaker.admits(fixture.now));
    let next = fixture.acquire().expect("the place is free again");
    fixture.breaker.record(lost, Outcome::Failure, fixture.now);
    assert_eq!(fixture.state(), State::HalfOpen);
    assert_eq!(fixture.breaker.snapshot(fixture.now).stale_total, 1);
    fixture.breaker.record(next, Outcome::Success, fixture.now);
    assert_eq!(fixture.state(), State::Closed);
}

#[test]
fn a_panic_is_a_failure_and_a_dropped_call_is_neither() {
    let fixture = Fixture::new(Config { failure_threshold: 1, ..Config::default() });
    let (breaker, now) = (&*fixture.breaker, fixture.now);
    for _ in 0..100 {
        drop(Breaker::enter(breaker, now).expect("closed"));
    }
    let snapshot = breaker.snapshot(now);
    assert_eq!((snapshot.calls, snapshot.ignored_total), (0, 100));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = Breaker::enter(Arc::clone(&fixture.breaker), now).expect("closed");
        panic!("the call panics");
    }));
    assert!(panicked.is_err());
    assert_eq!(fixture.state(), State::Open);
}

#[test]
fn a_guard_made_while_unwinding_did_not_cause_the_panic() {
    struct Cleanup<'a>(&'a Breaker, Instant);
    impl Drop for Cleanup<'_> {
        fn drop(&mut self) {
            drop(Breaker::enter(self.0, self.1));
        }
    }
    let fixture = Fixture::new(Config { failure_threshold: 1, ..Config::default() });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _cleanup = Cleanup(&fixture.breaker, fixture.now);
        panic!("elsewhere");
    }));
    assert!(panicked.is_err());
    assert_eq!(fixture.state(), State::Closed);
}

#[test]
fn results_from_before_a_change_of_state_are_stale() {
    let mut fixture = Fixture::new(Config { success_threshold: 1, ..Config::default() });
    let early: Vec<_> = (0..20).map(|_| fixture.acquire().expect("closed")).collect();
    fixture.trip();
    let mut early = early.into_iter();
    let mut late = |fixture: &Fixture, outcome| {
        fixture.breaker.record(early.next().expect("enough"), outcome, fixture.now);
    };
    late(&fixture, Outcome::Success);
    late(&fixture, Outcome::Failure);
    assert_eq!(fixture.state(), State::Open);
    fixture.wait(60 * S);
    let probe = fixture.acquire().expect("a probe");
    late(&fixture, Outcome::Failure);
    late(&fixture, Outcome::Success);
    assert_eq!(fixture.state(), State::HalfOpen);
    fixture.breaker.record(probe, Outcome::Success, fixture.now);
    for _ in 0..5 {
        late(&fixture, Outcome::Failure);
    }
    late(&fixture, Outcome::Success);
    late(&fixture, Outcome::Ignored);
    let snapshot = fixture.breaker.snapshot(fixture.now);
    assert_eq!((snapshot.state, snapshot.calls, snapshot.stale_total), (State::Closed, 0, 11));
}

#[test]
fn the_state_follows_from_the_instant_alone() {
    let mut fixture = Fixture::new(Config::default());
    fixture.trip();
    // Nobody calls anything for a year.
    let later = fixture.now + 365 * 24 * 3600 * S;
    assert_eq!(fixture.breaker.state(fixture.now + 60 * S - Duration::from_nanos(1)), State::Open);
    assert_eq!(fixture.breaker.state(fixture.now + 60 * S), State::HalfOpen);
    assert_eq!(fixture.breaker.state(later), State::HalfOpen);
    assert!(fixture.breaker.try_acquire(later).is_ok());
}

#[test]
fn any_failed_probe_reopens_whatever_the_count_and_the_rate() {
    let config = Config { failure_threshold: 100, minimum_failure_rate: 1.0, ..Config::default() };
    let fixture = Fixture::half_open(config);
    fixture.call(Outcome::Success);
    fixture.call(Outcome::Success);
    fixture.call(Outcome::Failure);
    assert_eq!(fixture.state(), State::Open);
    assert_eq!(fixture.causes().last(), Some(&(State::HalfOpen, State::Open, Cause::ProbeFailed)));
}

#[test]
fn reopening_backs_off_with_jitter_up_to_the_cap_and_forgets_once_closed() {
    let mut fixture = Fixture::half_open(Config::default());
    let mut waits = Vec::new();
    for _ in 0..6 {
        fixture.call(Outcome::Failure);
        let wait = fixture.breaker.snapshot(fixture.now).retry_in.expect("open");
        waits.push(wait);
        fixture.wait(wait);
    }
    for (wait, full) in waits.iter().zip([120, 240, 300, 300, 300, 300]) {
        assert!(*wait <= full * S && *wait >= full * S * 4 / 5, "{waits:?}");
    }
    let mut capped = waits[2..].to_vec();
    capped.dedup();
    assert!(capped.len() > 1, "chance spreads the attempts: {waits:?}");
    for _ in 0..3 {
        fixture.call(Outcome::Success);
    }
    fixture.trip();
    assert_eq!(fixture.breaker.snapshot(fixture.now).retry_in, Some(60 * S));
}

#[test]
fn a_listener_may_use_the_breaker_and_hears_of_what_it_causes() {
    let now = Instant::now();
    let slot: Arc<Mutex<Option<Arc<Breaker>>>> = Arc::default();
    let seen: Arc<Mutex<Vec<(u64, State)>>> = Arc::default();
    let (inner, log) = (Arc::clone(&slot), Arc::clone(&seen));
    let breaker = Breaker::new(Config::default(), now).listen(Box::new(move |transition| {
        log.lock().unwrap().push((transition.sequence, transition.to));
        let breaker = inner.lock().unwrap().clone().expect("set below");
        assert_eq!(breaker.state(now), transition.to);
        if transition.to == State::Open {
            breaker.reset(now);
        }
    }));
    let breaker = Arc::new(breaker);
    *slot.lock().unwrap() = Some(Arc::clone(&breaker));
    breaker.force_open(now, None);
    assert_eq!(*seen.lock().unwrap(), [(1, State::Open), (2, State::Closed)]);
    *slot.lock().unwrap() = None;
}

#[test]
fn a_listener_that_panics_does_not_silence_the_breaker() {
    let now = Instant::now();
    let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
    let log = Arc::clone(&seen);
    let breaker = Breaker::new(Config::default(), now).listen(Box::new(move |transition| {
        log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(transition.sequence);
        assert_ne!(transition.sequence, 1, "the first one panics");
    }));
    assert!(catch_unwind(AssertUnwindSafe(|| breaker.force_open(now, None))).is_err());
    breaker.reset(now);
    assert_eq!(*seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner), [1, 2]);
}

#[test]
fn threads_that_fail_together_cause_one_transition() {
    let fixture = Fixture::new(Config { minimum_failure_rate: 0.0, ..Config::default() });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    if let Ok(permit) = fixture.acquire() {
                        fixture.breaker.record(permit, Outcome::Failure, fixture.now);
                    }
                }
            });
        }
    });
    assert_eq!(fixture.causes(), [(State::Closed, State::Open, Cause::FailureThreshold)]);
    let snapshot = fixture.breaker.snapshot(fixture.now);
    assert_eq!((snapshot.failed_total, snapshot.opened_total), (5, 1));
    assert_eq!(snapshot.rejected_total + snapshot.stale_total, 3_995);
}

#[test]
fn no_success_of_any_thread_is_lost() {
    let fixture = Fixture::new(Config::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..20_000_u64 {
                    let now = fixture.now + Duration::from_millis(i);
                    let permit = fixture.breaker.try_acquire(now).expect("closed");
                    fixture.breaker.record(permit, Outcome::Success, now);
                }
            });
        }
    });
    let snapshot = fixture.breaker.snapshot(fixture.now + 20 * S);
    assert_eq!((snapshot.successes, snapshot.succeeded_total), (80_000, 80_000));
}

#[test]
fn forced_open_holds_against_results_and_time_until_its_ttl() {
    let mut fixture = Fixture::new(Config::default());
    let early = fixture.acquire().expect("closed");
    fixture.breaker.force_open(fixture.now, Some(600 * S));
    fixture.breaker.record(early, Outcome::Success, fixture.now);
    fixture.wait(599 * S);
    let refused = fixture.acquire().unwrap_err();
    assert_eq!(refused, Rejected { reason: Reason::ForcedOpen, retry_after: Some(S) });
    let snapshot = fixture.breaker.snapshot(fixture.now);
    assert_eq!(snapshot.forced, Some(Forced { state: State::Open, left: Some(S) }));
    fixture.wait(S);
    assert_eq!(fixture.breaker.snapshot(fixture.now).forced, None);
    assert_eq!(fixture.state(), State::HalfOpen);
    for _ in 0..3 {
        fixture.call(Outcome::Success);
    }
    assert_eq!(
        fixture.causes(),
        [
            (State::Closed, State::Open, Cause::ForcedOpen),
            (State::Open, State::HalfOpen, Cause::ForceLapsed),
            (State::HalfOpen, State::Closed, Cause::ProbesSucceeded),
        ]
    );
}

#[test]
fn forced_open_without_ttl_stays_until_reset() {
    let mut fixture = Fixture::new(Config::default());
    fixture.breaker.force_open(fixture.now, None);
    fixture.wait(10_000_000 * S);
    let refused = fixture.acquire().unwrap_err();
    assert_eq!(refused, Rejected { reason: Reason::ForcedOpen, retry_after: None });
    fixture.breaker.reset(fixture.now);
    assert_eq!(fixture.state(), State::Closed);
    assert_eq!(fixture.causes().last(), Some(&(State::Open, State::Closed, Cause::Reset)));
}

#[test]
fn forced_closed_counts_failures_without_opening_until_its_ttl() {
    let mut fixture = Fixture::new(Config::default());
    fixture.trip();
    fixture.breaker.force_close(fixture.now, Some(60 * S));
    for _ in 0..20 {
        fixture.call(Outcome::Failure);
    }
    let snapshot = fixture.breaker.snapshot(fixture.now);
    assert_eq!((snapshot.state, snapshot.failures), (State::Closed, 20));
    assert_eq!(snapshot.forced, Some(Forced { state: State::Closed, left: Some(60 * S) }));
    fixture.wait(60 * S);
    assert_eq!(fixture.state(), State::Closed);
    fixture.call(Outcome::Failure);
    assert_eq!(fixture.state(), State::Open);
    assert_eq!(fixture.breaker.snapshot(fixture.now).forced, None);
}

#[test]
fn a_forced_state_beats_probes_under_way() {
    let fixture = Fixture::half_open(Config { success_threshold: 1, ..Config::default() });
    let probe = fixture.acquire().expect("a probe");
    fixture.breaker.force_open(fixture.now, None);
    fixture.breaker.record(probe, Outcome::Success, fixture.now);
    assert_eq!(fixture.state(), State::Open);
    let other = Fixture::half_open(Config::default());
    let probe = other.acquire().expect("a probe");
    other.breaker.force_close(other.now, None);
    other.breaker.record(probe, Outcome::Failure, other.now);
    assert_eq!(other.state(), State::Closed);
}

#[test]
fn settings_change_at_run_time_and_history_stays() {
    let mut fixture = Fixture::new(Config::default());
    for _ in 0..4 {
        fixture.call(Outcome::Failure);
    }
    let permit = fixture.acquire().expect("closed");
    let longer = Config { monitoring_period: 600 * S, ..Config::default() };
    fixture.breaker.update_config(longer.clone(), fixture.now);
    assert_eq!(fixture.breaker.config(), longer);
    fixture.wait(400 * S);
    fixture.breaker.record(permit, Outcome::Failure, fixture.now);
    assert_eq!(fixture.state(), State::Open, "the four were kept, and the fifth was not stale");
    let sooner = Config { recovery_timeout: 10 * S, ..longer };
    fixture.breaker.update_config(sooner, fixture.now);
    assert_eq!(fixture.breaker.snapshot(fixture.now).retry_in, Some(10 * S));
    fixture.wait(10 * S);
    fixture.call(Outcome::Success);
    let fewer = Config { success_threshold: 1, ..Config::default() };
    fixture.breaker.update_config(fewer, fixture.now);
    assert_eq!(fixture.state(), State::Closed, "one success is enough now");
}

#[test]
fn looking_changes_nothing() {
    let mut fixture = Fixture::new(Config::default());
    fixture.trip();
    fixture.wait(1_000 * S);
    let first = fixture.breaker.snapshot(fixture.now);
    for _ in 0..10 {
        let _ = fixture.breaker.state(fixture.now + 100 * S);
        let _ = fixture.breaker.admits(fixture.now + 100 * S);
        let _ = fixture.breaker.snapshot(fixture.now + 100 * S);
    }
    assert_eq!(fixture.breaker.snapshot(fixture.now), first);
    assert_eq!(fixture.causes().len(), 1);
}
