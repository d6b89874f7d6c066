//! Limits retries to a share of requests, so that they cannot multiply an outage
//! (in the manner of Finagle's retry budget).

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Check, Fault};
use crate::shard::{self, Padded};
use crate::time::{nanos, ticks};

/// How many retries are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Retries as a share of requests within the window, from 0.
    pub ratio: f64,
    /// Retries a second that are allowed on top, so that little traffic can be retried at all.
    pub floor_per_second: f64,
    /// What requests and retries are counted over.
    pub window: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { ratio: 0.2, floor_per_second: 3.0, window: Duration::from_secs(10) }
    }
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// All faults, one a field.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let mut check = Check::default();
        check.require((0.0..=10.0).contains(&self.ratio), "ratio", "must be from 0 to 10");
        check.require(
            (0.0..=1e6).contains(&self.floor_per_second),
            "floor_per_second",
            "must be from 0 to 1000000",
        );
        check.duration(self.window, Duration::from_millis(100), "window");
        check.finish()
    }
}

const BUCKETS: usize = 10;

/// The budget of one service, shared by all threads.
#[derive(Debug)]
pub struct RetryBudget {
    config: Config,
    width: i64,
    /// Requests since the lock was last held, one counter a thread: this is on every request's way.
    requests: Box<[Padded<AtomicU64>]>,
    /// The first instant after the newest bucket.
    end: AtomicI64,
    /// Taken once a bucket, and for every retry.
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    head: i64,
    /// Requests and retries.
    ring: [(u64, u64); BUCKETS],
}

/// A budget at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests within the window.
    pub requests: u64,
    /// Retries within the window.
    pub retries: u64,
    /// Retries that would be allowed now.
    pub available: u64,
}

impl RetryBudget {
    /// A budget with nothing counted.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let width = (nanos(config.window) / BUCKETS as i64).max(1);
        let head = ticks(now).div_euclid(width);
        Self {
            config,
            width,
            requests: (0..shard::count()).map(|_| Padded::default()).collect(),
            end: AtomicI64::new((head + 1).saturating_mul(width)),
            window: Mutex::new(Window { head, ring: [(0, 0); BUCKETS] }),
        }
    }

    /// Counts a request (not its retries).
    #[inline]
    pub fn request(&self, now: Instant) {
        let now = ticks(now);
        if now >= self.end.load(Relaxed) {
            drop(self.advance(now));
        }
        self.requests[shard::current() & (self.requests.len() - 1)].fetch_add(1, Relaxed);
    }

    /// Takes one retry out of the budget, if there is one.
    pub fn try_retry(&self, now: Instant) -> bool {
        let mut window = self.advance(ticks(now));
        if self.available(&window) == 0 {
            return false;
        }
        let slot = slot(window.head);
        window.ring[slot].1 += 1;
        true
    }

    /// The budget now. Looks only.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let window = self.lock();
        let pending: u64 = self.requests.iter().map(|shard| shard.load(Relaxed)).sum();
        let to = ticks(now).div_euclid(self.width).max(window.head);
        let mut seen = Window { head: window.head, ring: window.ring };
        seen.ring[slot(seen.head)].0 += pending;
        seen.advance(to);
        let (requests, retries) = seen.sum();
        Snapshot { requests, retries, available: self.available(&seen) }
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        // The counts are in order after every statement.
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves to the bucket of `now`, having put what the threads counted into the one before.
    fn advance(&self, now: i64) -> MutexGuard<'_, Window> {
        let mut window = self.lock();
        let pending: u64 = self.requests.iter().map(|shard| shard.swap(0, Relaxed)).sum();
        let head = slot(window.head);
        window.ring[head].0 += pending;
        window.advance(now.div_euclid(self.width));
        let end = (window.head + 1).saturating_mul(self.width);
        self.end.store(end, Relaxed);
        window
    }

    fn available(&self, window: &Window) -> u64 {
        let (requests, retries) = window.sum();
        let floor = self.config.floor_per_second * self.config.window.as_secs_f64();
        // `as` saturates, and makes 0 of a NaN.
        let allowed = (floor + self.config.ratio * requests as f64 + 1e-9) as u64;
        allowed.saturating_sub(retries)
    }
}

impl Window {
    fn advance(&mut self, to: i64) {
        if to <= self.head {
            return;
        }
        if to - self.head >= BUCKETS as i64 {
            self.ring = [(0, 0); BUCKETS];
        } else {
            for index in self.head + 1..=to {
                self.ring[slot(index)] = (0, 0);
            }
        }
        self.head = to;
    }

    fn sum(&self) -> (u64, u64) {
        self.ring.iter().fold((0, 0), |sum, bucket| (sum.0 + bucket.0, sum.1 + bucket.1))
    }
}

fn slot(index: i64) -> usize {
    index.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    fn retries(budget: &RetryBudget, now: Instant) -> usize {
        (0..100_000).take_while(|_| budget.try_retry(now)).count()
    }

    #[test]
    fn a_fifth_of_requests_and_the_floor() {
        let now = Instant::now();
        let budget = RetryBudget::new(Config::default(), now);
        assert_eq!(retries(&budget, now), 30);
        for _ in 0..1000 {
            budget.request(now);
        }
        let expected = Snapshot { requests: 1000, retries: 30, available: 200 };
        assert_eq!(budget.snapshot(now), expected);
        assert_eq!(retries(&budget, now), 200);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let now = Instant::now();
        let config = Config { floor_per_second: 0.0, ..Config::default() };
        let budget = RetryBudget::new(config, now);
        for _ in 0..100 {
            budget.request(now);
        }
        let later = now + Duration::from_secs(8);
        assert_eq!(retries(&budget, later), 20);
        let after = now + Duration::from_secs(11);
        assert_eq!(budget.snapshot(after).requests, 0);
        assert_eq!(retries(&budget, after), 0);
        for _ in 0..200 {
            budget.request(after);
        }
        // The twenty retries are still within the window.
        assert_eq!(retries(&budget, after), 20);
    }

    #[test]
    fn no_request_of_any_thread_is_lost() {
        let now = Instant::now();
        let budget = RetryBudget::new(Config::default(), now);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..10_000_u64 {
                        budget.request(now + Duration::from_micros(i * 100));
                    }
                });
            }
        });
        let end = now + Duration::from_secs(1);
        assert_eq!(budget.snapshot(end).requests, 40_000);
        assert_eq!(retries(&budget, end), 8_030);
    }
}
