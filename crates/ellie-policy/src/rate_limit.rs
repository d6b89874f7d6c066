//! Limits how often each of many keys may call.
//!
//! The generic cell rate algorithm (ATM Forum, 1996): for each key one instant, at which a full
//! bucket would have drained. `max` calls may come at once, further ones as the window passes, one
//! each `window/max`; there are no window edges at which everyone may call again.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Check, Fault};
use crate::time::{duration, nanos, ticks};

/// What every key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Calls within a window. At least 1.
    pub max: u32,
    /// The window.
    pub window: Duration,
    /// How many keys are remembered. With more, the one that has not called for longest is
    /// forgotten, as if it had never called. At least 1.
    pub max_keys: usize,
}

impl Config {
    /// `max` calls per `window`, for up to 65,536 keys (about 4 MiB when all are in use).
    #[must_use]
    pub fn new(max: u32, window: Duration) -> Self {
        Self { max, window, max_keys: 65_536 }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// All faults, one a field.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let mut check = Check::default();
        check.require(self.max >= 1, "max", "must be at least 1");
        check.duration(self.window, Duration::from_millis(1), "window");
        check.require(
            (1..=MAX_KEYS).contains(&self.max_keys),
            "max_keys",
            format!("must be from 1 to {MAX_KEYS}"),
        );
        check.finish()
    }
}

/// The most keys that may be configured.
pub const MAX_KEYS: usize = 16_777_216;

/// Who calls: 128 bits that stand for an address, a token, a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl From<u128> for Key {
    /// Something that is 128 bits already, for example an IPv6 address.
    fn from(bits: u128) -> Self {
        Self(bits)
    }
}

/// Whether a call may pass, with the figures for the `RateLimit` and `Retry-After` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// The most calls at once, as configured.
    pub limit: u32,
    /// How many more calls may come right now.
    pub remaining: u32,
    /// How long until all of the limit is available again.
    pub reset_after: Duration,
    /// If refused: how long until a call may pass.
    pub retry_after: Option<Duration>,
}

/// A limit over many keys, shared by all threads.
#[derive(Debug)]
pub struct RateLimiter {
    max: u32,
    /// Nanoseconds that a call costs.
    interval: i64,
    window: i64,
    shards: Box<[Mutex<Shard>]>,
    /// Secret, so that nobody can choose keys that collide or share a shard.
    hashers: (RandomState, RandomState),
}

/// Shards are only worth it with many keys; with few, one shard forgets the oldest exactly.
const KEYS_PER_SHARD: usize = 1024;
const MAX_SHARDS: usize = 16;

impl RateLimiter {
    /// Knows no key yet. Settings that [`Config::validate`] would refuse are taken as the nearest
    /// accepted ones.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let max = config.max.max(1);
        let window = nanos(config.window).clamp(1_000_000, nanos(crate::config::MAX_DURATION));
        let keys = config.max_keys.clamp(1, MAX_KEYS);
        let shards = (keys / KEYS_PER_SHARD).clamp(1, MAX_SHARDS).next_power_of_two().min(MAX_SHARDS);
        Self {
            max,
            interval: (window / i64::from(max)).max(1),
            window,
            shards: (0..shards).map(|_| Mutex::new(Shard::new(keys.div_ceil(shards)))).collect(),
            hashers: (RandomState::new(), RandomState::new()),
        }
    }

    /// The key for any bytes: a keyed hash.
    #[must_use]
    pub fn key(&self, bytes: &[u8]) -> Key {
        let high = self.hashers.0.hash_one(bytes);
        let low = self.hashers.1.hash_one(bytes);
        Key(u128::from(high) << 64 | u128::from(low))
    }

    /// Asks for one call by `key`, and counts it if it may pass.
    pub fn check(&self, key: Key, now: Instant) -> Decision {
        let now = ticks(now);
        let hash = self.hashers.0.hash_one(key);
        let shard = &self.shards[(hash >> 48) as usize & (self.shards.len() - 1)];
        // The lists are consistent whenever the code between two statements could panic: never.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let drained = shard.touch(Hashed { key: key.0, hash });
        // A bucket that has drained long ago is like one that drains now.
        let full = (*drained).max(now);
        let next = full + self.interval;
        let burst = self.interval * i64::from(self.max);
        let earliest = next - burst;
        let allowed = earliest <= now;
        if allowed {
            *drained = next;
        }
        let until_empty = (*drained).max(now) - now;
        Decision {
            allowed,
            limit: self.max,
            remaining: u32::try_from((burst - until_empty) / self.interval).unwrap_or(0),
            reset_after: duration(until_empty.min(self.window)),
            retry_after: (!allowed).then(|| duration(earliest - now)),
        }
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).nodes.len()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A key with its keyed hash, so that it is hashed once.
#[derive(Debug, Clone, Copy)]
struct Hashed {
    key: u128,
    hash: u64,
}

impl PartialEq for Hashed {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Hashed {}

impl std::hash::Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Passes a hash on.
#[derive(Default)]
struct Ready(u64);

impl Hasher for Ready {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

const NONE: u32 = u32::MAX;

/// Keys in the order of their last call: a map to nodes that form a list.
#[derive(Debug)]
struct Shard {
    capacity: usize,
    places: HashMap<Hashed, u32, BuildHasherDefault<Ready>>,
    nodes: Vec<Node>,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Node {
    key: Hashed,
    /// When the key's bucket has drained.
    drained: i64,
    newer: u32,
    older: u32,
}

impl Shard {
    fn new(capacity: usize) -> Self {
        Self { capacity, places: HashMap::default(), nodes: Vec::new(), newest: NONE, oldest: NONE }
    }

    /// Makes `key` the newest, and gives its instant.
    fn touch(&mut self, key: Hashed) -> &mut i64 {
        let place = if let Some(&place) = self.places.get(&key) {
            if place != self.newest {
                self.unlink(place);
                self.push(place);
            }
            place
        } else if self.nodes.len() < self.capacity {
            let place = self.nodes.len() as u32;
            self.nodes.push(Node { key, drained: i64::MIN, newer: NONE, older: NONE });
            self.places.insert(key, place);
            self.push(place);
            place
        } else {
            let place = self.oldest;
            self.unlink(place);
            let forgotten = std::mem::replace(&mut self.nodes[place as usize].key, key);
            self.places.remove(&forgotten);
            self.places.insert(key, place);
            self.nodes[place as usize].drained = i64::MIN;
            self.push(place);
            place
        };
        &mut self.nodes[place as usize].drained
    }

    fn unlink(&mut self, place: u32) {
        let Node { newer, older, .. } = self.nodes[place as usize];
        match newer {
            NONE => self.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
    }

    fn push(&mut self, place: u32) {
        let second = std::mem::replace(&mut self.newest, place);
        let node = &mut self.nodes[place as usize];
        node.newer = NONE;
        node.older = second;
        match second {
            NONE => self.oldest = place,
            second => self.nodes[second as usize].newer = place,
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_of_the_maximum_then_one_an_interval() {
        let now = Instant::now();
        let limiter = RateLimiter::new(&Config::new(100, 60 * S));
        let key = limiter.key(b"127.0.0.1");
        for left in (0..100).rev() {
            let decision = limiter.check(key, now);
            assert!(decision.allowed);
            assert_eq!((decision.limit, decision.remaining), (100, left));
        }
        let refused = limiter.check(key, now);
        assert!(!refused.allowed);
        assert_eq!(refused.remaining, 0);
        assert_eq!(refused.retry_after, Some(Duration::from_millis(600)));
        assert_eq!(refused.reset_after, 60 * S);
        assert!(!limiter.check(key, now + Duration::from_millis(599)).allowed);
        assert!(limiter.check(key, now + Duration::from_millis(600)).allowed);
        assert!(!limiter.check(key, now + Duration::from_millis(600)).allowed);
        let rested = limiter.check(key, now + 200 * S);
        assert_eq!(rested.remaining, 99);
    }

    #[test]
    fn keys_do_not_share() {
        let now = Instant::now();
        let limiter = RateLimiter::new(&Config::new(1, S));
        assert!(limiter.check(limiter.key(b"a"), now).allowed);
        assert!(limiter.check(limiter.key(b"b"), now).allowed);
        assert!(!limiter.check(limiter.key(b"a"), now).allowed);
        assert!(limiter.check(Key::from(1), now).allowed);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_forgotten() {
        let now = Instant::now();
        let config = Config { max_keys: 3, ..Config::new(1, 60 * S) };
        let limiter = RateLimiter::new(&config);
        for key in [1, 2, 3, 1] {
            limiter.check(Key(key), now);
        }
        assert!(limiter.check(Key(4), now).allowed, "takes the place of 2");
        assert_eq!(limiter.len(), 3);
        assert!(!limiter.check(Key(1), now).allowed);
        assert!(!limiter.check(Key(3), now).allowed);
        assert!(limiter.check(Key(2), now).allowed, "was forgotten");
        let large = RateLimiter::new(&Config { max_keys: 10_000, ..config });
        for key in 0..100_000 {
            large.check(Key(key), now);
        }
        assert!(large.len() <= 10_000 + MAX_SHARDS);
    }

    #[test]
    fn threads_together_get_exactly_the_maximum() {
        let now = Instant::now();
        let limiter = RateLimiter::new(&Config::new(1_000, 60 * S));
        let key = limiter.key(b"x");
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).filter(|_| limiter.check(key, now).allowed).count()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(passed, 1_000);
    }

    proptest! {
        /// Never more than a burst plus what the time since allows, and a caller that waits as
        /// long as it is told is let through.
        #[test]
        fn is_never_exceeded_and_keeps_its_word(
            max in 1_u32..20,
            gaps in proptest::collection::vec(0_u64..2_000, 1..200),
        ) {
            let start = Instant::now();
            let limiter = RateLimiter::new(&Config::new(max, S));
            let (mut now, mut passed) = (start, 0_u32);
            for gap in gaps {
                now += Duration::from_millis(gap % 200);
                let decision = limiter.check(Key(1), now);
                if decision.allowed {
                    passed += 1;
                } else {
                    let told = now + decision.retry_after.unwrap();
                    prop_assert!(told > now);
                    let decision = limiter.check(Key(1), told);
                    prop_assert!(decision.allowed);
                    passed += 1;
                    now = told;
                }
                let elapsed = (now - start).as_secs_f64();
                prop_assert!(f64::from(passed) <= f64::from(max) * (1.0 + elapsed) + 1.0);
            }
        }
    }
}
