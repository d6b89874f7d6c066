use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::endpoint::{get, set};
use super::slab::Slab;
use crate::Rng;
use crate::shard::Padded;

/// The live state of one service, shared by all threads and all tables made for it.
#[derive(Debug)]
pub struct Service {
    cursor: Padded<AtomicU64>,
    averages: Padded<Averages>,
    slab: Slab,
}

#[derive(Debug, Default)]
struct Averages {
    /// Tracks the median of the instances' latencies, each counted once per answer: one over its
    /// square root in seconds, f32, which is what picks need; zero without history.
    inverse_root: AtomicU32,
    /// Tracks the 99th percentile of single latencies; seconds, f32.
    tail: AtomicU32,
    /// Failure rate of the whole service, f32.
    failure: AtomicU32,
    /// Share of sick instances among those drawn, f32.
    sick: AtomicU32,
    /// Trials of sick instances that requests have earned, f32.
    credit: AtomicU32,
}

impl Service {
    /// `seed` decides at which member round robin begins: different on every node, so that nodes
    /// that start together do not send their first requests to the same member.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            cursor: Padded(AtomicU64::new(Rng::new(seed).next_u64() >> 1)),
            averages: Padded::default(),
            slab: Slab::default(),
        }
    }

    /// Its figures now. Looks only.
    #[must_use]
    pub fn stats(&self) -> ServiceStats {
        let seconds = |value: f32| (value > 0.0).then(|| Duration::from_secs_f32(value));
        ServiceStats {
            median_latency: seconds(self.median()),
            p99_latency: seconds(self.tail()),
            failure_rate: f64::from(self.failure()),
        }
    }

    pub(super) fn slab(&self) -> &Slab {
        &self.slab
    }

    #[inline]
    pub(super) fn inverse_root(&self) -> f32 {
        get(&self.averages.inverse_root)
    }

    /// The next turn of round robin.
    #[inline]
    pub(super) fn turn(&self) -> u64 {
        self.cursor.fetch_add(1, Relaxed)
    }

    pub(super) fn next_turn(&self) -> u64 {
        self.cursor.load(Relaxed)
    }

    pub(super) fn set_inverse_root(&self, inverse: f32) {
        set(&self.averages.inverse_root, inverse);
    }

    /// The median in seconds, zero without history.
    fn median(&self) -> f32 {
        let inverse = self.inverse_root();
        if inverse > 0.0 { 1.0 / (inverse * inverse) } else { 0.0 }
    }

    #[inline]
    pub(super) fn tail(&self) -> f32 {
        get(&self.averages.tail)
    }

    pub(super) fn set_tail(&self, seconds: f32) {
        set(&self.averages.tail, seconds);
    }

    #[inline]
    pub(super) fn failure(&self) -> f32 {
        get(&self.averages.failure)
    }

    pub(super) fn set_failure(&self, rate: f32) {
        set(&self.averages.failure, rate);
    }

    pub(super) fn sick(&self) -> f32 {
        get(&self.averages.sick)
    }

    pub(super) fn credit(&self) -> f32 {
        get(&self.averages.credit)
    }

    pub(super) fn set_credit(&self, trials: f32) {
        set(&self.averages.credit, trials);
    }

    pub(super) fn set_sick(&self, share: f32) {
        set(&self.averages.sick, share);
    }
}

/// A service's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceStats {
    /// The median of its instances' latencies, as health based balancing tracks it.
    pub median_latency: Option<Duration>,
    /// The 99th percentile of its answers' latencies, as health based balancing tracks it.
    pub p99_latency: Option<Duration>,
    /// Recent share of failures.
    pub failure_rate: f64,
}
