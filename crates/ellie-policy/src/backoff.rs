//! Exponential back-off with a cap and jitter.

use std::time::Duration;

use crate::Rng;
use crate::config::{Check, Fault};

/// How long to wait before another attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Before the second attempt.
    pub base: Duration,
    /// What each further wait is multiplied by. At least 1.
    pub factor: f64,
    /// The longest wait.
    pub cap: Duration,
    /// The share of each wait that chance may take off, from 0 (none) to 1 ("full jitter" as in
    /// Brooker, *Exponential Backoff And Jitter*, AWS 2015).
    pub jitter: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { base: Duration::from_millis(100), factor: 2.0, cap: Duration::from_secs(30), jitter: 0.5 }
    }
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// All faults, one a field.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let mut check = Check::default();
        check.duration(self.base, Duration::from_nanos(1), "base");
        check.require((1.0..=1000.0).contains(&self.factor), "factor", "must be from 1 to 1000");
        check.duration(self.cap, Duration::from_nanos(1), "cap");
        check.require(self.cap >= self.base, "cap", "must not be below base");
        check.require((0.0..=1.0).contains(&self.jitter), "jitter", "must be from 0 to 1");
        check.finish()
    }

    /// The wait after `failed` failed attempts beyond the first (0: after the first failure).
    #[must_use]
    pub fn delay(&self, failed: u32, rng: &mut Rng) -> Duration {
        let cap = self.cap.as_secs_f64();
        let exponent = i32::try_from(failed).unwrap_or(i32::MAX);
        // An infinite power becomes the cap, as does a NaN from a factor that is not a number.
        let full = (self.base.as_secs_f64() * self.factor.powi(exponent)).min(cap);
        let waited = full * (1.0 - self.jitter.clamp(0.0, 1.0) * rng.unit());
        Duration::try_from_secs_f64(waited).unwrap_or(self.cap)
    }
}

/// Counts the failures, so that the caller need not.
#[derive(Debug, Clone, PartialEq)]
pub struct Backoff {
    config: Config,
    failed: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, failed: 0 }
    }

    /// Notes a failure and tells how long to wait.
    pub fn next_delay(&mut self, rng: &mut Rng) -> Duration {
        let delay = self.config.delay(self.failed, rng);
        self.failed = self.failed.saturating_add(1);
        delay
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failed
    }

    /// Notes a success.
    pub fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_starts_over_after_a_success() {
        let config =
            Config { base: Duration::from_secs(1), factor: 2.0, cap: Duration::from_secs(10), jitter: 0.0 };
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::new(config);
        let mut next = || backoff.next_delay(&mut rng).as_secs();
        assert_eq!([next(), next(), next(), next(), next(), next()], [1, 2, 4, 8, 10, 10]);
        backoff.reset();
        assert_eq!(backoff.next_delay(&mut rng), Duration::from_secs(1));
    }

    #[test]
    fn jitter_only_shortens_and_never_below_its_share() {
        let config = Config::default();
        let mut rng = Rng::new(2);
        let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
        for _ in 0..10_000 {
            let delay = config.delay(3, &mut rng);
            least = least.min(delay);
            most = most.max(delay);
        }
        assert!(least >= Duration::from_millis(400) && least < Duration::from_millis(404));
        assert!(most <= Duration::from_millis(800) && most > Duration::from_millis(796));
    }

    #[test]
    fn absurd_attempts_and_settings_stay_at_the_cap() {
        let mut rng = Rng::new(3);
        let config = Config { jitter: 0.0, ..Config::default() };
        assert_eq!(config.delay(u32::MAX, &mut rng), config.cap);
        let broken = Config { factor: f64::NAN, jitter: f64::NAN, ..Config::default() };
        let _ = broken.delay(3, &mut rng);
        let fields: Vec<_> = broken.validate().unwrap_err().iter().map(|f| f.field).collect();
        assert_eq!(fields, ["factor", "jitter"]);
    }
}
