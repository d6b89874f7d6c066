//! Who says that an instance exists, and who asked for a change.

use super::Registration;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Where a registration comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Registered through the API, the CLI or the library; made durable.
    Api,
    /// `[[services]]` of the configuration file; follows the file and is not stored.
    Config,
    /// ellie's own registration (`SERVICE_*`).
    Own,
    /// A provider such as `docker`, by its name; follows what the provider reports and is not stored.
    Provider(Arc<str>),
}

impl Source {
    /// Whether a store has to keep it: what another source can tell again is not written.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        matches!(self, Self::Api)
    }

    /// Whose word counts where two sources tell of the same service and id: ellie's own before the configuration's
    /// before the API's before a provider's, of two providers the alphabetically first. What a provider says meanwhile
    /// is held back and comes into force once nobody stronger tells of it.
    #[must_use]
    pub fn outranks(&self, other: &Self) -> bool {
        let rank = |source: &Self| match source {
            Self::Own => 0,
            Self::Config => 1,
            Self::Api => 2,
            Self::Provider(_) => 3,
        };
        match (self, other) {
            (Self::Provider(a), Self::Provider(b)) => a.cmp(b) == Ordering::Less,
            (a, b) => rank(a) < rank(b),
        }
    }
}

/// One instance of the complete set that a source tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it says of it.
    pub registration: Arc<Registration>,
    /// Why it shall get no new requests for now, where it shall not: it is about to stop, or its platform's own check
    /// fails. It is marked as draining, by the source.
    pub withheld: Option<String>,
}

impl From<Registration> for Offer {
    fn from(registration: Registration) -> Self {
        Self { registration: Arc::new(registration), withheld: None }
    }
}

/// A source can't be asked at the moment: what it told last is still served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Since when.
    pub since: SystemTime,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api => f.write_str("api"),
            Self::Config => f.write_str("config"),
            Self::Own => f.write_str("own"),
            Self::Provider(name) => f.write_str(name),
        }
    }
}

/// Who asked for a change, as the journal tells it: a token's name, `cli`, `lease`, `health check`, `config`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor(Arc<str>);

impl Actor {
    /// An actor by name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
