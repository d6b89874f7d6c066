//! Takes an instance out of rotation for a while when it keeps failing, for balancing strategies
//! that do not look at failures themselves (in the manner of Envoy's outlier detection).

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::{Check, Fault};
use crate::time::{duration, instant, nanos, ticks};

/// When an instance is ejected, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Failures in a row that eject an instance. At least 1.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts; the n-th lasts n times as long.
    pub base_ejection: Duration,
    /// The longest ejection.
    pub max_ejection: Duration,
    /// The largest share of a service's instances that may be ejected at once, in per cent.
    pub max_ejected_percent: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 50,
        }
    }
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// All faults, one a field.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let ms = Duration::from_millis(1);
        let mut check = Check::default();
        check.require(self.consecutive_failures >= 1, "consecutive_failures", "must be at least 1");
        check.duration(self.base_ejection, ms, "base_ejection");
        check.duration(self.max_ejection, ms, "max_ejection");
        check.require(
            self.max_ejection >= self.base_ejection,
            "max_ejection",
            "must not be below base_ejection",
        );
        check.require(self.max_ejected_percent <= 100, "max_ejected_percent", "must be at most 100");
        check.finish()
    }
}

/// The live state of one instance.
#[derive(Debug)]
pub struct Instance {
    /// Failures in a row.
    failures: AtomicU32,
    /// How many ejections it has behind it, less those it has made up for.
    ejections: AtomicU32,
    /// When its ejection ends.
    until: AtomicI64,
}

impl Default for Instance {
    fn default() -> Self {
        Self { failures: AtomicU32::new(0), ejections: AtomicU32::new(0), until: AtomicI64::new(i64::MIN) }
    }
}

impl Instance {
    /// Whether it is out of rotation.
    #[must_use]
    #[inline]
    pub fn is_ejected(&self, now: Instant) -> bool {
        let until = self.until.load(Relaxed);
        until != i64::MIN && ticks(now) < until
    }

    /// How much longer it is out of rotation.
    #[must_use]
    pub fn ejected_for(&self, now: Instant) -> Option<Duration> {
        self.is_ejected(now).then(|| duration(self.until.load(Relaxed) - ticks(now)))
    }

    /// Failures in a row so far.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }
}

/// An instance that has just been ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// When it is back.
    pub until: Instant,
    /// How long that is from now.
    pub duration: Duration,
    /// The how many-th ejection this counts as.
    pub count: u32,
}

/// Watches the instances of one service.
#[derive(Debug)]
pub struct Detector {
    config: Config,
    /// The ends of current ejections. Taken only when an instance is ejected or brought back, and
    /// to look; it holds at most one entry an instance.
    ends: Mutex<Vec<i64>>,
}

impl Detector {
    /// Nobody is ejected yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ends: Mutex::new(Vec::new()) }
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, Vec<i64>> {
        // A list of numbers is in order after every statement.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a request to `instance` ended; `members` is the number of instances of the
    /// service. Tells if this ejected it. Cancelled requests are not to be noted.
    pub fn record(
        &self,
        instance: &Instance,
        failed: bool,
        members: usize,
        now: Instant,
    ) -> Option<Ejection> {
        if !failed {
            if instance.failures.load(Relaxed) != 0 {
                instance.failures.store(0, Relaxed);
            }
            return None;
        }
        let failures = instance.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures < self.config.consecutive_failures || instance.is_ejected(now) {
            return None;
        }
        self.eject(instance, members, ticks(now))
    }

    #[cold]
    fn eject(&self, instance: &Instance, members: usize, now: i64) -> Option<Ejection> {
        let mut ends = self.ends();
        // Another thread may have ejected it meanwhile.
        if now < instance.until.load(Relaxed) {
            return None;
        }
        ends.retain(|&end| now < end);
        let allowed = members as u64 * u64::from(self.config.max_ejected_percent) / 100;
        if ends.len() as u64 >= allowed {
            return None;
        }
        let base = nanos(self.config.base_ejection).max(1);
        let last = instance.until.load(Relaxed);
        // Each base period in good standing makes up for one ejection.
        let paid =
            if last == i64::MIN { u32::MAX } else { u32::try_from((now - last) / base).unwrap_or(u32::MAX) };
        let count = instance.ejections.load(Relaxed).saturating_sub(paid).saturating_add(1);
        let length = base.saturating_mul(i64::from(count)).min(nanos(self.config.max_ejection));
        let until = now.saturating_add(length);
        instance.ejections.store(count, Relaxed);
        instance.failures.store(0, Relaxed);
        instance.until.store(until, Relaxed);
        ends.push(until);
        Some(Ejection { until: instant(until), duration: duration(length), count })
    }

    /// How many instances are ejected now. Looks only.
    #[must_use]
    pub fn ejected(&self, now: Instant) -> usize {
        let now = ticks(now);
        self.ends().iter().filter(|&&end| now < end).count()
    }

    /// Puts an instance back into rotation, with a clean record. Also for an instance that has
    /// left the service, so that it no longer counts as ejected.
    pub fn reinstate(&self, instance: &Instance) {
        let mut ends = self.ends();
        let until = instance.until.swap(i64::MIN, Relaxed);
        instance.failures.store(0, Relaxed);
        instance.ejections.store(0, Relaxed);
        if let Some(place) = ends.iter().position(|&end| end == until) {
            ends.swap_remove(place);
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn fail(detector: &Detector, instance: &Instance, times: u32, now: Instant) -> Option<Ejection> {
        (0..times).fold(None, |last, _| detector.record(instance, true, 10, now).or(last))
    }

    #[test]
    fn five_failures_in_a_row_eject_for_thirty_seconds() {
        let now = Instant::now();
        let detector = Detector::new(Config::default());
        let instance = Instance::default();
        assert_eq!(fail(&detector, &instance, 4, now), None);
        detector.record(&instance, false, 10, now);
        assert_eq!(fail(&detector, &instance, 4, now), None);
        let ejection = detector.record(&instance, true, 10, now).unwrap();
        assert_eq!((ejection.count, ejection.duration), (1, 30 * S));
        assert_eq!(ejection.until, now + 30 * S);
        assert!(instance.is_ejected(now + 29 * S));
        assert_eq!(instance.ejected_for(now + 29 * S), Some(S));
        assert!(!instance.is_ejected(now + 30 * S));
        assert_eq!((detector.ejected(now), detector.ejected(now + 30 * S)), (1, 0));
    }

    #[test]
    fn each_further_ejection_is_longer_until_good_standing_pays_it_off() {
        let start = Instant::now();
        let detector = Detector::new(Config::default());
        let instance = Instance::default();
        let mut now = start;
        for n in 1..=12 {
            let ejection = fail(&detector, &instance, 5, now).unwrap();
            assert_eq!(ejection.duration, (30 * n).min(300) * S);
            now = ejection.until;
        }
        now += 300 * S;
        assert_eq!(fail(&detector, &instance, 5, now).unwrap().count, 3);
        now += 10_000 * S;
        assert_eq!(fail(&detector, &instance, 5, now).unwrap().count, 1);
    }

    #[test]
    fn at_most_half_of_a_service_and_never_the_only_instance() {
        let now = Instant::now();
        for (members, most) in [(1, 0), (2, 1), (3, 1), (10, 5)] {
            let detector = Detector::new(Config::default());
            let instances: Vec<_> = (0..members).map(|_| Instance::default()).collect();
            for instance in &instances {
                for _ in 0..7 {
                    detector.record(instance, true, members, now);
                }
            }
            assert_eq!(detector.ejected(now), most, "of {members}");
            let ejected = instances.iter().filter(|i| i.is_ejected(now)).count();
            assert_eq!(ejected, most);
        }
    }

    #[test]
    fn one_that_was_spared_is_ejected_once_there_is_room() {
        let now = Instant::now();
        let detector = Detector::new(Config::default());
        let (a, b) = (Instance::default(), Instance::default());
        for instance in [&a, &b] {
            for _ in 0..5 {
                detector.record(instance, true, 2, now);
            }
        }
        assert!(a.is_ejected(now) && !b.is_ejected(now));
        detector.reinstate(&a);
        assert!(!a.is_ejected(now));
        assert!(detector.record(&b, true, 2, now).is_some());
    }

    #[test]
    fn threads_that_fail_at_once_eject_once() {
        let now = Instant::now();
        let detector = Detector::new(Config::default());
        let instance = Instance::default();
        let ejections: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..1000).filter(|_| detector.record(&instance, true, 10, now).is_some()).count()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!((ejections, detector.ejected(now)), (1, 1));
    }
}
