//! What a service, an instance and its state are. A value that exists is valid: parsing happens once, in the constructors.

mod check;
mod instance;
mod name;
mod registration;
mod source;
mod validate;

pub use check::{CheckKind, CheckReport, HealthBody, HealthCheck, Memory};
pub use instance::{History, Instance, MAX_TRANSITIONS, Mark, Operator, Record, Transition};
pub use name::{InstanceId, MAX_NAME, RESERVED_NAMES, ServiceName};
pub use registration::{Protocol, Registration};
pub use source::{Actor, Offer, Source, Stale};
pub use validate::{CheckDraft, Draft, limits};

use std::fmt;
use std::str::FromStr;

/// How an instance, or a service, fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Fully operational.
    Healthy,
    /// Operational with reduced performance.
    Degraded,
    /// Not operational, or not yet checked.
    Unhealthy,
}

impl Status {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = Fault;

    fn from_str(s: &str) -> Result<Self, Fault> {
        match s.to_ascii_lowercase().as_str() {
            "healthy" => Ok(Self::Healthy),
            "degraded" => Ok(Self::Degraded),
            "unhealthy" => Ok(Self::Unhealthy),
            _ => Err(Fault::new("status", format!("`{}` is not healthy, degraded or unhealthy", excerpt(s)))),
        }
    }
}

/// One thing wrong with an input: which field, what about it, and so how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field in the spelling of the wire (`healthCheck.interval`, `tags[3]`).
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for Fault {}

/// At most 64 characters of an input, control characters escaped, for an error message.
#[must_use]
pub fn excerpt(s: &str) -> String {
    let mut out: String = s.chars().take(64).flat_map(char::escape_debug).collect();
    if s.chars().nth(64).is_some() {
        out.push('…');
    }
    out
}
