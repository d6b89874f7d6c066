//! What can be set, gathered.

use ellie_core::{Fault, registry};
use std::fmt;

/// The settings of the whole system. Every part's own defaults are those of the documentation.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Leases and removal.
    pub registry: registry::Settings,
    /// Health checks.
    pub health: ellie_health::Settings,
    /// Whom the gateway and health checks believe when they call an instance over TLS, and what they show of
    /// themselves. It takes the place of `gateway.live.upstream_tls`.
    pub upstream_tls: ellie_tls::client::Options,
    /// Balancing, breakers, outliers, retries.
    pub clusters: ellie_gateway::cluster::Settings,
    /// The gateway's threads, limits and timeouts. Its address is given to [`crate::ApiGateway::start`]; of the rest,
    /// `live` can change while it runs.
    pub gateway: ellie_gateway::Config,
    /// What routes leave open: timeout, retries, the largest body.
    pub routes: ellie_gateway::table::Defaults,
    /// The bounds of the queue for changes. Read at the start alone.
    pub registrar: ellie_store::registrar::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            registry: registry::Settings::default(),
            health: ellie_health::Settings::default(),
            upstream_tls: ellie_tls::client::Options::default(),
            clusters: ellie_gateway::cluster::Settings::default(),
            gateway: ellie_gateway::Config::new(([127, 0, 0, 1], 8000).into()),
            routes: ellie_gateway::table::Defaults::default(),
            registrar: ellie_store::registrar::Settings::default(),
        }
    }
}

impl Settings {
    /// Checks every part.
    ///
    /// # Errors
    /// All faults.
    pub fn validate(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        let share = self.registry.mass_expiry_share;
        if !(0.0..=1.0).contains(&share) {
            faults.push(Fault::new(
                "discovery.mass_expiry_share",
                format!("is {share}; a share from 0 to 1 is allowed"),
            ));
        }
        if let Err(invalid) = self.health.validate() {
            faults
                .extend(invalid.0.into_iter().map(|f| Fault::new(format!("health.{}", f.field), f.message)));
        }
        if let Err(more) = self.clusters.validate() {
            faults.extend(more);
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// Faults in one line, for a message.
pub(crate) fn write_faults(f: &mut fmt::Formatter<'_>, faults: &[Fault]) -> fmt::Result {
    for (n, fault) in faults.iter().enumerate() {
        write!(f, "{}{fault}", if n == 0 { "" } else { "; " })?;
    }
    Ok(())
}
