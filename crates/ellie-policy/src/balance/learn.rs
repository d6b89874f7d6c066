//! What an answer teaches about its instance and its service.

use std::sync::atomic::Ordering::Relaxed;

use super::Outcome;
use super::endpoint::{BACKOFF_MIN, set};
use super::service::Service;
use super::slab::{Cold, Hot};
use crate::time::seconds;

/// Time constant of the averages.
const TAU: f32 = 3.0;
/// Below this many nanoseconds since the last observation both averages move by their least, and
/// the exponential need not be computed: 1 - e^(-0.095/3) < 1/32.
const SOON: i64 = 95_000_000;
/// An answer this many times slower than the median ends a streak.
const SLOW: f32 = 3.0;
/// Good answers in a row that make up for failed trials.
const HEALED: u32 = 8;
/// The most between trials of an instance that answers fast, in milliseconds.
const BACKOFF_MAX: u32 = 4_000;

/// How far an average moves after `dt`, between bounds.
fn step(dt: i64, least: f32, most: f32, trial: bool) -> f32 {
    let moved = if dt < SOON { least } else { (1.0 - (-seconds(dt) / TAU).exp()).clamp(least, most) };
    // A trial is rare, so it counts for more.
    if trial { moved.max(0.25) } else { moved }
}

/// Takes in an answer (not a cancellation) after `latency` nanoseconds.
pub(super) fn learn(
    hot: &Hot,
    cold: &Cold,
    service: &Service,
    outcome: Outcome,
    latency: i64,
    trial: bool,
    now: i64,
) {
    let failed = outcome != Outcome::Success;
    let took = seconds(latency.max(1_000));
    learn_failure(hot, cold, service, failed, trial, now);
    // A fast failure says nothing about latency, a timeout does.
    if outcome != Outcome::Failure {
        learn_latency(hot, cold, service, took, trial, now);
    }
    let slow = took > SLOW * service.median();
    if failed || slow {
        cold.streak.store(0, Relaxed);
        if trial || outcome == Outcome::Timeout {
            let patience = (5.0 * took * 1e3) as u32;
            let doubled = cold.backoff.load(Relaxed).saturating_mul(2);
            let backoff = doubled.clamp(BACKOFF_MIN, BACKOFF_MAX).max(patience);
            cold.backoff.store(backoff, Relaxed);
            cold.tried.store(now, Relaxed);
        }
    } else {
        let streak = cold.streak.load(Relaxed).saturating_add(1);
        cold.streak.store(streak, Relaxed);
        if streak == HEALED {
            cold.backoff.store(0, Relaxed);
        }
    }
    if !failed {
        learn_service(hot, service, took);
    }
}

fn learn_failure(hot: &Hot, cold: &Cold, service: &Service, failed: bool, trial: bool, now: i64) {
    let seen = f32::from(u8::from(failed));
    let whole = service.failure();
    // An average that has all but vanished is zero: a healthy service writes nothing here.
    let moved = vanish(whole + 0.01 * (seen - whole));
    if moved.to_bits() != whole.to_bits() {
        service.set_failure(moved);
    }
    let dt = now - cold.failure_at.load(Relaxed);
    cold.failure_at.store(now, Relaxed);
    let rate = hot.failure();
    set(&hot.failure, vanish(rate + step(dt, 0.1, 0.5, trial) * (seen - rate)));
}

fn vanish(rate: f32) -> f32 {
    if rate < 1e-5 { 0.0 } else { rate }
}

/// The mean of square roots lies between the mean, which one outlier ruins, and the geometric mean,
/// which is blind to them.
fn learn_latency(hot: &Hot, cold: &Cold, service: &Service, took: f32, trial: bool, now: i64) {
    if service.median() <= 0.0 {
        service.set_median(took);
    }
    let mut root = hot.root();
    let mut since = cold.latency_at.load(Relaxed);
    if root == 0.0 {
        // A newcomer is taken to be like the others until it has shown otherwise: its first
        // answers are slow for reasons that pass.
        root = if hot.joined() == i64::MIN { took.sqrt() } else { service.median().sqrt() };
        since = now;
    }
    cold.latency_at.store(now, Relaxed);
    let moved = step(now - since, 1.0 / 32.0, 1.0 / 8.0, trial);
    set(&hot.root, root + moved * (took.sqrt() - root));
}

/// Quantiles by stochastic steps (Robbins and Monro 1951, in the multiplicative form): up and down
/// by as much for the median, 99 times more up than down for the 99th percentile.
fn learn_service(hot: &Hot, service: &Service, took: f32) {
    let tail = service.tail();
    service.set_tail(if tail <= 0.0 {
        4.0 * took
    } else if took > tail {
        tail * 1.1041
    } else {
        tail * 0.999
    });
    let (median, latency) = (service.median(), hot.latency());
    // Far off, it catches up fast.
    let pace = if latency > median * 2.0 || latency < median * 0.5 { 1.15 } else { 1.01 };
    service.set_median(if latency > median { median * pace } else { median / pace });
}
