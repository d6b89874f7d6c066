use std::time::Duration;

use crate::config::{Check, Fault, MAX_DURATION};

/// The most probes a half-open breaker may be configured to need: each is a slot in a list.
pub const MAX_SUCCESS_THRESHOLD: u32 = 1024;

/// When a breaker opens, how long it stays open and what closes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Failures within [`monitoring_period`](Self::monitoring_period) that open the breaker. At least 1.
    pub failure_threshold: u32,
    /// How long the breaker stays open before it lets probes through.
    pub recovery_timeout: Duration,
    /// Probes that must succeed to close it, and the most that may be under way at once.
    pub success_threshold: u32,
    /// How long a call may take. The caller enforces it; here it is the time after which a probe
    /// that never came back gives up its place.
    pub timeout: Duration,
    /// The window over which failures are counted, in sixty buckets.
    pub monitoring_period: Duration,
    /// The least share of the window's calls that must have failed, from 0 (the count alone
    /// decides) to 1.
    pub minimum_failure_rate: f64,
    /// The longest a breaker stays open when probes keep failing: each failed attempt to recover
    /// doubles [`recovery_timeout`](Self::recovery_timeout) up to this, less up to a fifth of jitter.
    pub max_recovery_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            recovery_timeout: Duration::from_secs(60),
            success_threshold: 3,
            timeout: Duration::from_secs(30),
            monitoring_period: Duration::from_secs(300),
            minimum_failure_rate: 0.1,
            max_recovery_timeout: Duration::from_secs(300),
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
        check.require(self.failure_threshold >= 1, "failure_threshold", "must be at least 1");
        check.duration(self.recovery_timeout, ms, "recovery_timeout");
        check.require(
            (1..=MAX_SUCCESS_THRESHOLD).contains(&self.success_threshold),
            "success_threshold",
            format!("must be from 1 to {MAX_SUCCESS_THRESHOLD}"),
        );
        check.duration(self.timeout, ms, "timeout");
        check.duration(self.monitoring_period, ms, "monitoring_period");
        check.require(
            (0.0..=1.0).contains(&self.minimum_failure_rate),
            "minimum_failure_rate",
            "must be from 0 to 1",
        );
        check.duration(self.max_recovery_timeout, ms, "max_recovery_timeout");
        check.require(
            self.max_recovery_timeout >= self.recovery_timeout,
            "max_recovery_timeout",
            "must not be below recovery_timeout",
        );
        check.finish()
    }

    /// The nearest configuration that [`validate`](Self::validate) accepts.
    pub(super) fn clamped(mut self) -> Self {
        let ms = Duration::from_millis(1);
        self.failure_threshold = self.failure_threshold.max(1);
        self.success_threshold = self.success_threshold.clamp(1, MAX_SUCCESS_THRESHOLD);
        self.recovery_timeout = self.recovery_timeout.clamp(ms, MAX_DURATION);
        self.timeout = self.timeout.clamp(ms, MAX_DURATION);
        self.monitoring_period = self.monitoring_period.clamp(ms, MAX_DURATION);
        self.max_recovery_timeout = self.max_recovery_timeout.clamp(self.recovery_timeout, MAX_DURATION);
        self.minimum_failure_rate = if self.minimum_failure_rate.is_nan() {
            Self::default().minimum_failure_rate
        } else {
            self.minimum_failure_rate.clamp(0.0, 1.0)
        };
        self
    }
}
