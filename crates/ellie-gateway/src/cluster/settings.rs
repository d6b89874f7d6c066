//! What can be configured about balancing and breaking.

use ellie_core::Fault;
use ellie_policy::balance::Strategy;
use ellie_policy::{breaker, config, outlier, retry_budget};

/// Settings for all services; a breaker and the strategy can also be set for one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How instances are chosen where nothing else is said for a service.
    pub strategy: Strategy,
    /// With less than this share of a service healthy, traffic goes to all that no operator withdrew; 0: never.
    pub panic_threshold: f64,
    /// When breakers open and close.
    pub breaker: breaker::Config,
    /// When an instance is ejected, under every strategy but health based.
    pub outlier: outlier::Config,
    /// How much may be retried.
    pub retry_budget: retry_budget::Config,
    /// How many breakers there may be under names that are no services.
    pub max_breakers: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            panic_threshold: 0.0,
            breaker: breaker::Config::default(),
            outlier: outlier::Config::default(),
            retry_budget: retry_budget::Config::default(),
            max_breakers: 10_000,
        }
    }
}

impl Settings {
    /// Checks every field.
    ///
    /// # Errors
    /// All faults.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let mut take = |at: &str, result: Result<(), Vec<config::Fault>>| {
            for fault in result.err().into_iter().flatten() {
                faults.push(Fault::new(format!("{at}{}", fault.field), fault.message));
            }
        };
        take("circuit_breaker.", self.breaker.validate());
        take("outlier.", self.outlier.validate());
        take("retry_budget.", self.retry_budget.validate());
        if !(0.0..=1.0).contains(&self.panic_threshold) {
            faults.push(Fault::new(
                "panic_threshold",
                format!("is {}; a share from 0 to 1 is allowed", self.panic_threshold),
            ));
        }
        if self.max_breakers == 0 {
            faults.push(Fault::new("max_breakers", "must be at least 1"));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}
