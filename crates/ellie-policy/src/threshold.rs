//! Hysteresis for health verdicts: one slow or failed probe does not make an instance sick.

use crate::config::{Check, Fault};

/// How an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Works.
    Healthy,
    /// Works, with reduced performance.
    Degraded,
    /// Does not work.
    Unhealthy,
}

impl Verdict {
    /// `healthy`, `degraded` or `unhealthy`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How many observations in a row change the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Observations in a row that are worse than the verdict, to make it worse. At least 1.
    pub failure: u32,
    /// Observations in a row that are better than the verdict, to make it better. At least 1.
    pub success: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { failure: 2, success: 1 }
    }
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// All faults, one a field.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let mut check = Check::default();
        check.require(self.failure >= 1, "failure", "must be at least 1");
        check.require(self.success >= 1, "success", "must be at least 1");
        check.finish()
    }
}

/// A verdict that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The verdict before.
    pub from: Verdict,
    /// The verdict now.
    pub to: Verdict,
}

/// The verdict on one instance, from a series of observations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hysteresis {
    config: Config,
    verdict: Verdict,
    /// Observations in a row that were worse than the verdict, and the mildest among them.
    worse: u32,
    mildest: Verdict,
    /// Observations in a row that were better, and the gravest among them.
    better: u32,
    gravest: Verdict,
}

impl Hysteresis {
    /// Starts from `initial`.
    #[must_use]
    pub fn new(config: Config, initial: Verdict) -> Self {
        Self {
            config,
            verdict: initial,
            worse: 0,
            mildest: Verdict::Unhealthy,
            better: 0,
            gravest: Verdict::Healthy,
        }
    }

    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How many observations in a row were worse than the verdict.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.worse
    }

    /// How many observations in a row were better than the verdict.
    #[must_use]
    pub fn successes(&self) -> u32 {
        self.better
    }

    /// Other thresholds from now on; runs that have begun are kept.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Takes an observation in, and tells if it changed the verdict.
    ///
    /// A run of worse observations leads to the mildest of them (so a failure followed by a
    /// degraded answer makes a healthy instance degraded), a run of better ones to the gravest.
    pub fn observe(&mut self, seen: Verdict) -> Option<Change> {
        if seen > self.verdict {
            self.better = 0;
            self.mildest = if self.worse == 0 { seen } else { self.mildest.min(seen) };
            self.worse = self.worse.saturating_add(1);
            if self.worse >= self.config.failure {
                return Some(self.change(self.mildest));
            }
        } else if seen < self.verdict {
            self.worse = 0;
            self.gravest = if self.better == 0 { seen } else { self.gravest.max(seen) };
            self.better = self.better.saturating_add(1);
            if self.better >= self.config.success {
                return Some(self.change(self.gravest));
            }
        } else {
            self.worse = 0;
            self.better = 0;
        }
        None
    }

    fn change(&mut self, to: Verdict) -> Change {
        self.worse = 0;
        self.better = 0;
        Change { from: std::mem::replace(&mut self.verdict, to), to }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Degraded as D, Healthy as H, Unhealthy as U};
    use super::*;

    fn run(config: Config, initial: Verdict, seen: &[Verdict]) -> Vec<Verdict> {
        let mut hysteresis = Hysteresis::new(config, initial);
        seen.iter()
            .map(|&seen| {
                let before = hysteresis.verdict();
                let change = hysteresis.observe(seen);
                let after = hysteresis.verdict();
                assert_eq!(change, (before != after).then_some(Change { from: before, to: after }));
                after
            })
            .collect()
    }

    #[test]
    fn two_failures_in_a_row_make_unhealthy_and_one_success_healthy() {
        let seen = [U, H, U, U, U, H, U, H];
        assert_eq!(run(Config::default(), H, &seen), [H, H, H, U, U, H, H, H]);
    }

    #[test]
    fn degraded_needs_a_run_too_and_a_mixed_run_is_the_milder() {
        assert_eq!(run(Config::default(), H, &[D, H, D, D]), [H, H, H, D]);
        assert_eq!(run(Config::default(), H, &[U, D, U, U]), [H, D, D, U]);
        assert_eq!(run(Config::default(), U, &[D, H]), [D, H]);
    }

    #[test]
    fn thresholds_are_configurable() {
        let config = Config { failure: 1, success: 3 };
        assert_eq!(run(config, U, &[H, H, U, H, D, H]), [U, U, U, U, U, D]);
        assert_eq!(run(config, H, &[U]), [U]);
        let bad = Config { failure: 0, success: 0 };
        let fields: Vec<_> = bad.validate().unwrap_err().into_iter().map(|f| f.field).collect();
        assert_eq!(fields, ["failure", "success"]);
    }
}
