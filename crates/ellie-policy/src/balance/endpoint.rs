use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::time::ticks;

/// One request in flight and waiting for its answer, as counted in [`Hot::loads`].
pub(super) const WAITING: u64 = 1;
/// One request in flight.
pub(super) const IN_FLIGHT: u64 = 1 << 32;

/// The least between two trials, in milliseconds.
pub(super) const BACKOFF_MIN: u32 = 500;

/// The live state of one instance, shared by all threads: two cache lines of atomics.
///
/// Averages are read and written without a lock. Two threads that finish at the same moment may
/// lose one of two observations, never more, and never a count.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) hot: Hot,
    pub(super) cold: Cold,
}

/// What a pick reads.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Hot {
    /// Upper half: requests in flight. Lower half: those of them still waiting for an answer.
    loads: AtomicU64,
    /// The sum of the ticks at which the waiting ones began, modulo 2⁶⁴.
    starts: AtomicU64,
    /// Average latency in seconds, f32; zero without history.
    latency: AtomicU32,
    /// Average failure rate, f32.
    failure: AtomicU32,
    /// When it joined a service that was already running.
    joined: AtomicI64,
    /// When it was last given a request, or failed a trial.
    pub(super) tried: AtomicI64,
    /// Good answers in a row.
    pub(super) streak: AtomicU32,
    /// Milliseconds between trials while sick.
    pub(super) backoff: AtomicU32,
}

/// What only a completed request reads and writes.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Cold {
    /// Average of the square root of latency, f32.
    root: AtomicU32,
    pub(super) latency_at: AtomicI64,
    pub(super) failure_at: AtomicI64,
    pub(super) successes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) cancelled: AtomicU64,
}

/// An f32 in an atomic.
pub(super) fn get(cell: &AtomicU32) -> f32 {
    f32::from_bits(cell.load(Relaxed))
}

pub(super) fn set(cell: &AtomicU32, value: f32) {
    cell.store(value.to_bits(), Relaxed);
}

impl Endpoint {
    /// An instance that was there when its service was first seen: it takes its full share at once.
    #[must_use]
    pub fn established(now: Instant) -> Self {
        Self::new(i64::MIN, ticks(now))
    }

    /// An instance that joined a running service. Under health based balancing its share grows
    /// over ten seconds, because caches are cold and code is not yet compiled.
    #[must_use]
    pub fn newcomer(now: Instant) -> Self {
        Self::new(ticks(now), ticks(now))
    }

    fn new(joined: i64, now: i64) -> Self {
        Self {
            hot: Hot {
                loads: AtomicU64::new(0),
                starts: AtomicU64::new(0),
                latency: AtomicU32::new(0),
                failure: AtomicU32::new(0),
                joined: AtomicI64::new(joined),
                tried: AtomicI64::new(now),
                streak: AtomicU32::new(0),
                backoff: AtomicU32::new(0),
            },
            cold: Cold {
                root: AtomicU32::new(0),
                latency_at: AtomicI64::new(now),
                failure_at: AtomicI64::new(now),
                successes: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                timeouts: AtomicU64::new(0),
                cancelled: AtomicU64::new(0),
            },
        }
    }

    /// Makes it a newcomer again, for example after it was out of service for long.
    pub fn rejoin(&self, now: Instant) {
        self.hot.joined.store(ticks(now), Relaxed);
    }

    /// Its figures now. Looks only.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        let load = self.load();
        let latency = self.latency();
        EndpointStats {
            in_flight: load.in_flight,
            waiting: load.waiting,
            successes: self.cold.successes.load(Relaxed),
            failures: self.cold.failures.load(Relaxed),
            timeouts: self.cold.timeouts.load(Relaxed),
            cancelled: self.cold.cancelled.load(Relaxed),
            latency: (latency > 0.0).then(|| Duration::from_secs_f32(latency)),
            failure_rate: f64::from(self.failure()),
        }
    }

    #[inline]
    pub(super) fn load(&self) -> Load {
        let loads = self.hot.loads.load(Relaxed);
        Load { in_flight: (loads >> 32) as u32, waiting: loads as u32 }
    }

    #[inline]
    pub(super) fn latency(&self) -> f32 {
        get(&self.hot.latency)
    }

    #[inline]
    pub(super) fn failure(&self) -> f32 {
        get(&self.hot.failure)
    }

    pub(super) fn set_failure(&self, rate: f32) {
        set(&self.hot.failure, rate);
    }

    pub(super) fn root(&self) -> f32 {
        get(&self.cold.root)
    }

    /// Sets the average of the square roots, and with it the latency.
    pub(super) fn set_root(&self, root: f32) {
        set(&self.cold.root, root);
        set(&self.hot.latency, root * root);
    }

    #[inline]
    pub(super) fn joined(&self) -> i64 {
        self.hot.joined.load(Relaxed)
    }

    /// How long it is left alone between trials while sick.
    pub(super) fn backoff(&self) -> i64 {
        i64::from(self.hot.backoff.load(Relaxed).max(BACKOFF_MIN)) * 1_000_000
    }

    /// The summed age of the `waiting` requests, in nanoseconds. The counter and the sum are two
    /// words; a reader between them sees too young an age, never too old a one: a beginning
    /// request enters the sum first, an ending one leaves it last.
    #[inline]
    pub(super) fn summed_age(&self, waiting: u32, now: i64) -> i64 {
        let starts = self.hot.starts.load(Relaxed);
        (now as u64).wrapping_mul(u64::from(waiting)).wrapping_sub(starts) as i64
    }

    #[inline]
    pub(super) fn enter(&self, now: i64) {
        self.hot.tried.store(now, Relaxed);
        self.hot.starts.fetch_add(now as u64, Relaxed);
        self.hot.loads.fetch_add(IN_FLIGHT | WAITING, Relaxed);
    }

    /// `what`: [`WAITING`], [`IN_FLIGHT`] or both.
    #[inline]
    pub(super) fn leave(&self, what: u64, start: i64) {
        self.hot.loads.fetch_sub(what, Relaxed);
        if what & WAITING != 0 {
            self.hot.starts.fetch_sub(start as u64, Relaxed);
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) in_flight: u32,
    pub(super) waiting: u32,
}

/// An instance's figures at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndpointStats {
    /// Requests that have begun and not finished.
    pub in_flight: u32,
    /// Those of them that have not been answered.
    pub waiting: u32,
    /// Answered requests.
    pub successes: u64,
    /// Failed requests.
    pub failures: u64,
    /// Requests not answered in time.
    pub timeouts: u64,
    /// Requests whose requester went away.
    pub cancelled: u64,
    /// Recent average latency (the square of an exponentially weighted mean of square roots, which
    /// a few outliers move less than they would a plain mean); `None` before the first answer.
    pub latency: Option<Duration>,
    /// Recent average of failure, 0 to 1.
    pub failure_rate: f64,
}
