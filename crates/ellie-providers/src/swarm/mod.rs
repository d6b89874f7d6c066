//! Swarm's tasks, or its services at their virtual addresses, as instances by their labels.

mod api;
mod translate;
mod watch;

pub use watch::Swarm;

use crate::Address;
use crate::endpoint::{Endpoint, Tls};
use std::time::Duration;

/// The name of this provider's source.
pub const NAME: &str = "swarm";

/// What to follow, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where a manager of the swarm answers.
    pub endpoint: Endpoint,
    /// TLS to it, over TCP.
    pub tls: Option<Tls>,
    /// From one listing to the next. A daemon tells no events of tasks on other nodes, so they are only found by it;
    /// while a task is on its way, listings come faster.
    pub refresh: Duration,
    /// Which address is registered, where a service's `ellie.address` says nothing.
    pub address: Address,
    /// The network whose address is registered, where `ellie.network` says nothing.
    pub network: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::Unix("/var/run/docker.sock".into()),
            tls: None,
            refresh: Duration::from_secs(2),
            address: Address::Container,
            network: None,
        }
    }
}
