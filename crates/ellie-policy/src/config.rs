//! What is wrong with a configuration, one [`Fault`] a field, all at once.

use std::fmt;
use std::time::Duration;

/// One field whose value cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field's name as written in the `Config` struct.
    pub field: &'static str,
    /// What the value must be; does not repeat the field's name.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for Fault {}

/// The longest duration any setting may have. Longer ones are mistakes, and would overflow sums.
pub const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// Collects faults field by field.
#[derive(Default)]
pub(crate) struct Check(Vec<Fault>);

impl Check {
    pub(crate) fn require(&mut self, ok: bool, field: &'static str, message: impl Into<String>) {
        if !ok {
            self.0.push(Fault { field, message: message.into() });
        }
    }

    pub(crate) fn duration(&mut self, value: Duration, min: Duration, field: &'static str) {
        let ok = value >= min && value <= MAX_DURATION;
        self.require(ok, field, format!("must be from {min:?} to 366 days, is {value:?}"));
    }

    pub(crate) fn finish(self) -> Result<(), Vec<Fault>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
