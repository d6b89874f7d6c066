//! Docker's containers as instances, by their labels.

mod pending;
mod translate;
mod watch;
mod world;

pub use translate::{Settings as Translation, Verdict, translate};
pub use watch::Docker;
pub(crate) use watch::own_networks;

use crate::endpoint::{Endpoint, Tls};
use std::time::Duration;

/// The name of this provider's source.
pub const NAME: &str = "docker";

/// What to follow, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the daemon answers.
    pub endpoint: Endpoint,
    /// TLS to it, over TCP.
    pub tls: Option<Tls>,
    /// From one complete listing to the next. Events tell at once; a listing finds what an event was lost of.
    pub refresh: Duration,
    /// How containers become instances.
    pub translation: Translation,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::Unix("/var/run/docker.sock".into()),
            tls: None,
            refresh: Duration::from_secs(30),
            translation: Translation::default(),
        }
    }
}
