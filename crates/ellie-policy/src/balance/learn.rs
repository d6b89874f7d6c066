//! What an answer teaches about its instance and its service.

use std::sync::atomic::Ordering::Relaxed;

use super::Outcome;
use super::endpoint::{BACKOFF_MIN, get, set};
use super::service::Service;
use super::shelves::At;
use super::slab::Cold;
use crate::time::seconds;

/// Time constant of the averages.
const TAU: f32 = 3.0;
/// Below this many [`coarse`] ticks since the last observation both averages move by their least,
/// and the exponential need not be computed: 1 - e^(-0.095/3) < 1/32.
const SOON: i32 = 90;
/// An answer this many times slower than the median ends a streak.
const SLOW: f32 = 3.0;
/// Good answers in a row that make up for failed trials.
const HEALED: u32 = 8;
/// The most between trials of an instance that answers fast, in milliseconds.
const BACKOFF_MAX: u32 = 4_000;

/// The square root of 2: of latencies so many times the median, or less than its so-manieth part.
const FAR: f32 = std::f32::consts::SQRT_2;
/// The square roots of the steps by which the median follows, 1.01, and of that from far off, 1.15.
const PACE: f32 = 1.004_987_6;
const PACE_FAR: f32 = 1.072_380_5;

/// The moment in units of 2²⁰ ns, about a millisecond, modulo 2³². As dates of averages only steps
/// of up to some seconds matter.
#[inline]
pub(super) fn coarse(tick: i64) -> u32 {
    (tick >> 20) as u32
}

/// How far an average moves after `dt` coarse ticks, between bounds.
#[inline]
fn step(dt: i32, least: f32, most: f32, trial: bool) -> f32 {
    let moved = if dt < SOON { least } else { far_step(dt, least, most) };
    // A trial is rare, so it counts for more.
    if trial { moved.max(0.25) } else { moved }
}

fn far_step(dt: i32, least: f32, most: f32) -> f32 {
    (1.0 - (-seconds(i64::from(dt) << 20) / TAU).exp()).clamp(least, most)
}

/// Takes in an answer (not a cancellation) after `latency` nanoseconds.
#[inline]
pub(super) fn learn(at: At<'_>, service: &Service, outcome: Outcome, latency: i64, trial: bool, now: i64) {
    let cold = at.cold();
    let failed = outcome != Outcome::Success;
    let took = seconds(latency.max(1_000));
    let failure = learn_failure(cold, service, failed, trial, now);
    // A fast failure says nothing about latency, a timeout does.
    let root = if outcome == Outcome::Failure {
        get(&cold.root)
    } else {
        learn_latency(at, service, took, trial, now)
    };
    at.hot().set_score(root, failure);
    let inverse = service.inverse_root();
    let slow = took * inverse * inverse > SLOW || inverse == 0.0;
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
        learn_service(root, service, took);
    }
}

#[inline]
fn learn_failure(cold: &Cold, service: &Service, failed: bool, trial: bool, now: i64) -> f32 {
    let seen = f32::from(u8::from(failed));
    let whole = service.failure();
    // An average that has all but vanished is zero: a healthy service writes nothing here.
    let moved = vanish(whole + 0.01 * (seen - whole));
    if moved.to_bits() != whole.to_bits() {
        service.set_failure(moved);
    }
    let now = coarse(now);
    let dt = now.wrapping_sub(cold.failure_at.load(Relaxed)) as i32;
    cold.failure_at.store(now, Relaxed);
    let rate = get(&cold.failure);
    let moved = vanish(rate + step(dt, 0.1, 0.5, trial) * (seen - rate));
    set(&cold.failure, moved);
    moved
}

fn vanish(rate: f32) -> f32 {
    if rate < 1e-5 { 0.0 } else { rate }
}

/// The mean of square roots lies between the mean, which one outlier ruins, and the geometric mean,
/// which is blind to them.
#[inline]
fn learn_latency(at: At<'_>, service: &Service, took: f32, trial: bool, now: i64) -> f32 {
    let cold = at.cold();
    let took_root = took.sqrt();
    if service.inverse_root() <= 0.0 {
        service.set_inverse_root(1.0 / took_root);
    }
    let coarse_now = coarse(now);
    let mut root = get(&cold.root);
    let mut since = cold.root_at.load(Relaxed);
    if root == 0.0 {
        // A newcomer is taken to be like the others until it has shown otherwise: its first
        // answers are slow for reasons that pass.
        root = if at.joined() == i64::MIN { took_root } else { 1.0 / service.inverse_root() };
        since = coarse_now;
    }
    cold.root_at.store(coarse_now, Relaxed);
    let moved = step(coarse_now.wrapping_sub(since) as i32, 1.0 / 32.0, 1.0 / 8.0, trial);
    root += moved * (took_root - root);
    set(&cold.root, root);
    root
}

/// Quantiles by stochastic steps (Robbins and Monro 1951, in the multiplicative form): up and down
/// by as much for the median, 99 times more up than down for the 99th percentile.
#[inline]
fn learn_service(root: f32, service: &Service, took: f32) {
    let tail = service.tail();
    service.set_tail(if tail <= 0.0 {
        4.0 * took
    } else if took > tail {
        tail * 1.1041
    } else {
        tail * 0.999
    });
    let inverse = service.inverse_root();
    // Relative to the median's square root.
    let relative = root * inverse;
    // Far off, it catches up fast.
    let far = !(1.0 / FAR..=FAR).contains(&relative);
    let pace = if far { PACE_FAR } else { PACE };
    service.set_inverse_root(if relative > 1.0 { inverse / pace } else { inverse * pace });
}
