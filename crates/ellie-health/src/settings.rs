//! What the checker is told: defaults for checks that say nothing themselves, and bounds.

use ellie_policy::config::{Fault, MAX_DURATION};
use ellie_policy::threshold;
use std::fmt;
use std::time::Duration;

/// The shortest interval, timeout or age; as short as a registration may ask for.
const SHORTEST: Duration = Duration::from_millis(10);

/// Defaults for checks, and the bounds of the whole. All of it can be changed while running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From the start of one probe of an instance to the start of the next, where its check does not say. Each one is
    /// lengthened or shortened at random by up to 5 %.
    pub interval: Duration,
    /// Until a probe has failed, where the check does not say: name resolution, connecting, TLS and the whole answer.
    pub timeout: Duration,
    /// Verdicts in a row that change an instance's status, where its check does not say.
    pub thresholds: threshold::Config,
    /// The most probes in flight at once. A quarter of it is kept free for new instances and a quarter for those that
    /// answered last, so that none can hold up the others; those whose last probe used its time up get half at most.
    /// No service has more than three quarters of what its kind may have.
    pub concurrency: usize,
    /// The most connections kept open between probes, each a file descriptor; beyond them every probe dials anew.
    pub kept_connections: usize,
    /// How long a kept connection is used. Dialling anew now and then shows whether the instance still accepts
    /// connections, and follows a changed DNS entry.
    pub connection_age: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            thresholds: threshold::Config::default(),
            concurrency: 256,
            kept_connections: 16_384,
            connection_age: Duration::from_secs(300),
        }
    }
}

impl Settings {
    /// Checks every field.
    ///
    /// # Errors
    /// All faults, one a field.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut faults = Vec::new();
        for (field, value) in
            [("interval", self.interval), ("timeout", self.timeout), ("connection_age", self.connection_age)]
        {
            if !(SHORTEST..=MAX_DURATION).contains(&value) {
                let message = format!("must be from {SHORTEST:?} to 366 days, is {value:?}");
                faults.push(Fault { field, message });
            }
        }
        for (field, value) in
            [("failure_threshold", self.thresholds.failure), ("success_threshold", self.thresholds.success)]
        {
            if !(1..=1000).contains(&value) {
                faults.push(Fault { field, message: format!("must be from 1 to 1000, is {value}") });
            }
        }
        if !(1..=65_536).contains(&self.concurrency) {
            let message = format!("must be from 1 to 65536, is {}", self.concurrency);
            faults.push(Fault { field: "concurrency", message });
        }
        if faults.is_empty() { Ok(()) } else { Err(Invalid(faults)) }
    }
}

/// Settings that can't be used: every fault, one a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Fault>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_at_once() {
        assert_eq!(Settings::default().validate(), Ok(()));
        let bad = Settings {
            interval: Duration::ZERO,
            timeout: Duration::MAX,
            thresholds: threshold::Config { failure: 0, success: 1001 },
            concurrency: 0,
            kept_connections: 0,
            connection_age: Duration::from_millis(1),
        };
        let fields: Vec<_> = bad.validate().unwrap_err().0.into_iter().map(|f| f.field).collect();
        assert_eq!(
            fields,
            [
                "interval",
                "timeout",
                "connection_age",
                "failure_threshold",
                "success_threshold",
                "concurrency"
            ]
        );
    }
}
