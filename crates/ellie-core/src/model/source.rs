//! Who says that an instance exists, and who asked for a change.

use std::fmt;
use std::sync::Arc;

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
