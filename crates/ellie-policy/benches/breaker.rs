//! What an admitted call costs on the closed path, and a refused one.
#![allow(missing_docs, clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use ellie_policy::breaker::{Breaker, Config, Outcome};

fn closed(c: &mut Criterion) {
    let now = Instant::now();
    let breaker = Breaker::new(Config::default(), now);
    c.bench_function("breaker/closed", |b| {
        b.iter(|| {
            let permit = breaker.try_acquire(black_box(now)).expect("closed");
            breaker.record(permit, Outcome::Success, black_box(now));
        });
    });
    c.bench_function("breaker/closed guard", |b| {
        b.iter(|| {
            let guard = Breaker::enter(&breaker, black_box(now)).expect("closed");
            guard.record(Outcome::Success, black_box(now));
        });
    });
    // One call in a hundred fails: below the least rate, so it stays closed.
    let mut number = 0_u32;
    c.bench_function("breaker/closed 1 % failures", |b| {
        b.iter(|| {
            number = number.wrapping_add(1);
            let outcome = if number.is_multiple_of(100) { Outcome::Failure } else { Outcome::Success };
            let permit = breaker.try_acquire(black_box(now)).expect("closed");
            breaker.record(permit, outcome, black_box(now));
        });
    });
}

/// The same while another thread does it, too: nothing on the path may be shared.
fn contended(c: &mut Criterion) {
    let now = Instant::now();
    let breaker = Breaker::new(Config::default(), now);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let permit = breaker.try_acquire(now).expect("closed");
                breaker.record(permit, Outcome::Success, now);
            }
        });
        c.bench_function("breaker/closed, two threads", |b| {
            b.iter(|| {
                let permit = breaker.try_acquire(black_box(now)).expect("closed");
                breaker.record(permit, Outcome::Success, black_box(now));
            });
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

fn open(c: &mut Criterion) {
    let now = Instant::now();
    let breaker = Breaker::new(Config::default(), now);
    breaker.force_open(now, Some(Duration::from_secs(60)));
    c.bench_function("breaker/open", |b| {
        b.iter(|| breaker.try_acquire(black_box(now)).is_err());
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = closed, contended, open
}
criterion_main!(benches);
