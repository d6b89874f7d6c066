//! The breaker under every interleaving of a few threads, by the loom model checker:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p ellie-policy --test loom_breaker --release --target-dir target/loom
//! ```
#![cfg(loom)]
#![allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize as PlainUsize;
use std::time::{Duration, Instant};

use ellie_policy::breaker::{Breaker, Config, Outcome, State};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

fn check(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

fn config(failure_threshold: u32, success_threshold: u32) -> Config {
    Config { failure_threshold, success_threshold, minimum_failure_rate: 0.0, ..Config::default() }
}

/// Open since `now`, and the instant from which probes may pass.
fn tripped(success_threshold: u32, now: Instant) -> (Breaker, Instant) {
    let breaker = Breaker::with_seed(config(1, success_threshold), now, 1);
    let permit = breaker.try_acquire(now).expect("closed");
    breaker.record(permit, Outcome::Failure, now);
    assert_eq!(breaker.state(now), State::Open);
    (breaker, now + Duration::from_secs(60))
}

#[test]
fn probes_never_exceed_their_places() {
    check(|| {
        let (breaker, now) = tripped(1, Instant::now());
        let breaker = Arc::new(breaker);
        let under_way = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (breaker, under_way) = (Arc::clone(&breaker), Arc::clone(&under_way));
                thread::spawn(move || {
                    if let Ok(permit) = breaker.try_acquire(now) {
                        assert!(permit.is_probe());
                        let before = under_way.fetch_add(1, Ordering::SeqCst);
                        assert_eq!(before, 0, "two probes at once");
                        under_way.fetch_sub(1, Ordering::SeqCst);
                        breaker.record(permit, Outcome::Ignored, now);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(breaker.snapshot(now).probes_in_flight, 0);
        assert!(breaker.admits(now));
    });
}

#[test]
fn no_place_leaks_when_guards_drop_or_panic_or_someone_resets() {
    check(|| {
        let (breaker, now) = tripped(2, Instant::now());
        let breaker = Arc::new(breaker);
        let threads = [
            thread::spawn({
                let breaker = Arc::clone(&breaker);
                move || drop(Breaker::enter(&*breaker, now))
            }),
            thread::spawn({
                let breaker = Arc::clone(&breaker);
                move || drop(Breaker::enter(&*breaker, now))
            }),
        ];
        breaker.reset(now);
        for thread in threads {
            thread.join().expect("no panic");
        }
        // After the others: the model's threads share one real thread, so one's unwinding would look like everyone's.
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let guard = Breaker::enter(&*breaker, now);
            // Unwinds without printing.
            std::panic::resume_unwind(Box::new(guard.is_ok()));
        }));
        assert!(panicked.is_err());
        let snapshot = breaker.snapshot(now + Duration::from_secs(1));
        assert_eq!(snapshot.probes_in_flight, 0);
        // Whatever state it ended in, it can be left.
        assert!(breaker.admits(now + Duration::from_secs(301)));
    });
}

#[test]
fn failures_at_once_cause_one_transition_and_one_event() {
    check(|| {
        let now = Instant::now();
        let events = std::sync::Arc::new(PlainUsize::new(0));
        let count = std::sync::Arc::clone(&events);
        let breaker = Breaker::with_seed(config(2, 1), now, 1).listen(Box::new(move |transition| {
            let before = count.fetch_add(1, Ordering::SeqCst) as u64;
            assert_eq!(transition.sequence, before + 1, "in order");
            assert_eq!(transition.to, State::Open);
        }));
        let breaker = Arc::new(breaker);
        let permits = [(); 3].map(|()| breaker.try_acquire(now).expect("closed"));
        let mut permits = permits.into_iter();
        let mut fail = || {
            let (breaker, permit) = (Arc::clone(&breaker), permits.next().expect("three"));
            thread::spawn(move || breaker.record(permit, Outcome::Failure, now))
        };
        let threads = [fail(), fail()];
        breaker.record(permits.next().expect("three"), Outcome::Failure, now);
        for thread in threads {
            thread.join().expect("no panic");
        }
        let snapshot = breaker.snapshot(now);
        assert_eq!((snapshot.state, snapshot.opened_total), (State::Open, 1));
        assert_eq!((snapshot.failed_total, snapshot.stale_total), (2, 1));
        assert_eq!(events.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn transitions_of_two_threads_are_each_reported_once_and_in_order() {
    check(|| {
        let now = Instant::now();
        let events = std::sync::Arc::new(PlainUsize::new(0));
        let count = std::sync::Arc::clone(&events);
        let breaker = Breaker::with_seed(config(1, 1), now, 1).listen(Box::new(move |transition| {
            let before = count.fetch_add(1, Ordering::SeqCst) as u64;
            assert_eq!(transition.sequence, before + 1, "in order");
        }));
        let breaker = Arc::new(breaker);
        let other = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || breaker.force_open(now, None)
        });
        breaker.force_open(now, None);
        breaker.reset(now);
        other.join().expect("no panic");
        let total = breaker.snapshot(now).transitions_total;
        assert_eq!(events.load(Ordering::SeqCst) as u64, total);
    });
}

#[test]
fn a_success_from_before_a_reset_never_counts_after_it() {
    check(|| {
        let now = Instant::now();
        let breaker = Arc::new(Breaker::with_seed(config(2, 1), now, 1));
        let early = breaker.try_acquire(now).expect("closed");
        let thread = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || breaker.record(early, Outcome::Success, now)
        });
        breaker.reset(now);
        let late = breaker.try_acquire(now).expect("closed");
        breaker.record(late, Outcome::Success, now);
        thread.join().expect("no panic");
        let snapshot = breaker.snapshot(now);
        assert_eq!(snapshot.successes, 1, "only the late one");
        assert_eq!(snapshot.succeeded_total + snapshot.stale_total, 2);
    });
}

#[test]
fn successes_are_counted_exactly_while_another_thread_moves_the_window() {
    check(|| {
        let now = Instant::now();
        let later = now + Duration::from_secs(6);
        let breaker = Arc::new(Breaker::with_seed(config(9, 1), now, 1));
        let thread = thread::spawn({
            let breaker = Arc::clone(&breaker);
            move || {
                let permit = breaker.try_acquire(now).expect("closed");
                breaker.record(permit, Outcome::Success, now);
            }
        });
        let permit = breaker.try_acquire(later).expect("closed");
        breaker.record(permit, Outcome::Failure, later);
        thread.join().expect("no panic");
        let snapshot = breaker.snapshot(later);
        assert_eq!((snapshot.successes, snapshot.failures), (1, 1));
    });
}
