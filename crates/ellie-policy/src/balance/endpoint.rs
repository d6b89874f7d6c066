use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::service::Service;
use super::slab::{Cold, Hot, Place};
use crate::time::ticks;

/// One request in flight and waiting for its answer, as counted in [`Hot::loads`].
pub(super) const WAITING: u64 = 1;
/// One request in flight.
pub(super) const IN_FLIGHT: u64 = 1 << 32;

/// The least between two trials, in milliseconds.
pub(super) const BACKOFF_MIN: u32 = 500;

/// The live state of one instance, shared by all threads: a line and a half of atomics, next to
/// those of the other instances of its service.
///
/// Averages are read and written without a lock. Two threads that finish at the same moment may
/// lose one of two observations, never more, and never a count.
#[derive(Debug)]
pub struct Endpoint {
    pub(super) place: Place,
}

/// An f32 in an atomic.
#[inline]
pub(super) fn get(cell: &AtomicU32) -> f32 {
    f32::from_bits(cell.load(Relaxed))
}

#[inline]
pub(super) fn set(cell: &AtomicU32, value: f32) {
    cell.store(value.to_bits(), Relaxed);
}

impl Endpoint {
    /// An instance that was there when its service was first seen: it takes its full share at once.
    #[must_use]
    pub fn established(service: &Service, now: Instant) -> Self {
        Self { place: service.slab().place(i64::MIN, ticks(now)) }
    }

    /// An instance that joined a running service. Under health based balancing its share grows
    /// over ten seconds, because caches are cold and code is not yet compiled.
    #[must_use]
    pub fn newcomer(service: &Service, now: Instant) -> Self {
        Self { place: service.slab().place(ticks(now), ticks(now)) }
    }

    /// Makes it a newcomer again, for example after it was out of service for long.
    pub fn rejoin(&self, now: Instant) {
        self.place.hot().joined.store(ticks(now), Relaxed);
    }

    /// Its figures now. Looks only.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        let (hot, cold) = (self.place.hot(), self.place.cold());
        let load = hot.load();
        let latency = hot.latency();
        EndpointStats {
            in_flight: load.in_flight,
            waiting: load.waiting,
            successes: cold.successes.load(Relaxed),
            failures: cold.failures.load(Relaxed),
            timeouts: cold.timeouts.load(Relaxed),
            cancelled: cold.cancelled.load(Relaxed),
            latency: (latency > 0.0).then(|| Duration::from_secs_f32(latency)),
            failure_rate: f64::from(hot.failure()),
        }
    }
}

impl Hot {
    #[inline]
    pub(super) fn load(&self) -> Load {
        let loads = self.loads.load(Relaxed);
        Load { in_flight: (loads >> 32) as u32, waiting: loads as u32 }
    }

    /// Average latency in seconds, zero without history.
    #[inline]
    pub(super) fn latency(&self) -> f32 {
        let root = self.root();
        root * root
    }

    /// Average of the square root of latency.
    #[inline]
    pub(super) fn root(&self) -> f32 {
        get(&self.root)
    }

    #[inline]
    pub(super) fn failure(&self) -> f32 {
        get(&self.failure)
    }

    #[inline]
    pub(super) fn joined(&self) -> i64 {
        self.joined.load(Relaxed)
    }

    /// The summed age of the `waiting` requests, in nanoseconds. The counter and the sum are two
    /// words; a reader between them sees too young an age, never too old a one: a beginning
    /// request enters the sum first, an ending one leaves it last.
    #[inline]
    pub(super) fn summed_age(&self, waiting: u32, now: i64) -> i64 {
        let starts = self.starts.load(Relaxed);
        (now as u64).wrapping_mul(u64::from(waiting)).wrapping_sub(starts) as i64
    }

    #[inline]
    pub(super) fn enter(&self, now: i64) {
        self.starts.fetch_add(now as u64, Relaxed);
        self.loads.fetch_add(IN_FLIGHT | WAITING, Relaxed);
    }

    /// `what`: [`WAITING`], [`IN_FLIGHT`] or both.
    #[inline]
    pub(super) fn leave(&self, what: u64, start: i64) {
        self.loads.fetch_sub(what, Relaxed);
        if what & WAITING != 0 {
            self.starts.fetch_sub(start as u64, Relaxed);
        }
    }
}

impl Cold {
    /// How long it is left alone between trials while sick.
    pub(super) fn backoff(&self) -> i64 {
        i64::from(self.backoff.load(Relaxed).max(BACKOFF_MIN)) * 1_000_000
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
