use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::service::Service;
use super::slab::{Cold, Hot, Place};
use super::waits::{Waits, one};
use crate::time::ticks;

/// The least between two trials, in milliseconds.
pub(super) const BACKOFF_MIN: u32 = 500;

/// The live state of one instance, shared by all threads: a line and a quarter of atomics, next to
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
        self.place.joined().store(ticks(now), Relaxed);
    }

    /// Its figures now. Looks only.
    #[must_use]
    pub fn stats(&self) -> EndpointStats {
        let (hot, cold) = (self.place.hot(), self.place.cold());
        let look = hot.look();
        let latency = get(&cold.root).powi(2);
        EndpointStats {
            in_flight: look.in_flight(),
            waiting: look.waits.count(),
            successes: cold.successes.load(Relaxed),
            failures: cold.failures.load(Relaxed),
            timeouts: cold.timeouts.load(Relaxed),
            cancelled: cold.cancelled.load(Relaxed),
            latency: (latency > 0.0).then(|| Duration::from_secs_f32(latency)),
            failure_rate: f64::from(get(&cold.failure)),
        }
    }
}

impl Hot {
    /// What a choice needs to know, read once.
    #[inline(always)]
    pub(super) fn look(&self) -> Look {
        Look {
            waits: Waits(self.waits.load(Relaxed)),
            answered: self.answered.load(Relaxed),
            score: self.score.load(Relaxed),
        }
    }

    #[inline]
    pub(super) fn enter(&self, start: i64) {
        self.waits.fetch_add(one(start), Relaxed);
    }

    /// The request that began at `start` waits no longer.
    #[inline]
    pub(super) fn leave(&self, start: i64) {
        self.waits.fetch_sub(one(start), Relaxed);
    }

    #[inline]
    pub(super) fn set_score(&self, root: f32, failure: f32) {
        self.score.store(upper(root) | upper(failure) >> 16, Relaxed);
    }
}

/// The nearest f32 of which the lower half is zero.
#[inline]
fn upper(value: f32) -> u32 {
    (value.to_bits() + 0x8000) & 0xffff_0000
}

impl Cold {
    /// Notes a request that began at `start` and has ended. Only then, as nobody is tried while
    /// something is in flight, and beginning a request touches a cache line less.
    #[inline]
    pub(super) fn was_tried(&self, start: i64) {
        if start > self.tried.load(Relaxed) {
            self.tried.store(start, Relaxed);
        }
    }

    /// How long it is left alone between trials while sick.
    pub(super) fn backoff(&self) -> i64 {
        i64::from(self.backoff.load(Relaxed).max(BACKOFF_MIN)) * 1_000_000
    }
}

/// An instance at one moment, as a choice sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) waits: Waits,
    pub(super) answered: u32,
    pub(super) score: u32,
}

impl Look {
    #[inline(always)]
    pub(super) fn in_flight(self) -> u32 {
        self.waits.count().wrapping_add(self.answered)
    }

    /// Average of the square root of latency.
    #[inline(always)]
    pub(super) fn root(self) -> f32 {
        f32::from_bits(self.score & 0xffff_0000)
    }

    #[inline(always)]
    pub(super) fn failure(self) -> f32 {
        f32::from_bits(self.score << 16)
    }
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
