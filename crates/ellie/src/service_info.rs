//! What a program says of a service that it registers.

use ellie_core::Fault;
use ellie_core::model::{CheckDraft, Draft, Registration};
use std::sync::Arc;
use std::time::Duration;

/// A registration in the making. Nothing is checked before it is registered; then every fault is told at once.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "it is registered by `ServiceDiscovery::register_service`"]
pub struct ServiceInfo(Draft);

impl ServiceInfo {
    /// An instance of the service `name` at `host` (a host name or an address) and `port`.
    pub fn new(name: impl Into<String>, host: impl Into<String>, port: u16) -> Self {
        Self(Draft {
            name: Some(name.into()),
            host: Some(host.into()),
            port: Some(port.into()),
            ..Draft::default()
        })
    }

    /// The instance's id, unique in the service. Where absent, the same endpoint always gets the same one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.0.id = Some(id.into());
        self
    }

    /// Free text; `0.0.0` where absent.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.0.version = Some(version.into());
        self
    }

    /// `http` (the default), `https`, `grpc` or `tcp`.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.0.protocol = Some(protocol.into());
        self
    }

    /// The path that answers health checks.
    pub fn health_endpoint(mut self, path: impl Into<String>) -> Self {
        self.0.health_endpoint = Some(path.into());
        self
    }

    /// Tags to discover it by.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.0.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Names of the services that it needs.
    pub fn dependencies<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.0.dependencies.extend(names.into_iter().map(Into::into));
        self
    }

    /// One pair of metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// Its share beside others, 0 to 65535; 1 where absent.
    pub fn weight(mut self, weight: u32) -> Self {
        self.0.weight = Some(weight.into());
        self
    }

    /// A lease: it is removed when no heartbeat came for this long.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.0.ttl = Some(i128::try_from(ttl.as_millis()).unwrap_or(i128::MAX));
        self
    }

    /// Where it runs.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.0.zone = Some(zone.into());
        self
    }

    /// How its health is found out, where the endpoint and the protocol don't say it.
    pub fn check(mut self, check: CheckDraft) -> Self {
        self.0.check = Some(check);
        self
    }
}

impl From<Draft> for ServiceInfo {
    fn from(draft: Draft) -> Self {
        Self(draft)
    }
}

/// What can be registered.
pub trait IntoRegistration {
    /// The registration.
    ///
    /// # Errors
    /// Every fault of it.
    fn into_registration(self) -> Result<Arc<Registration>, Vec<Fault>>;
}

impl IntoRegistration for ServiceInfo {
    fn into_registration(self) -> Result<Arc<Registration>, Vec<Fault>> {
        self.0.validate().map(Arc::new)
    }
}

impl IntoRegistration for Draft {
    fn into_registration(self) -> Result<Arc<Registration>, Vec<Fault>> {
        self.validate().map(Arc::new)
    }
}

impl IntoRegistration for Registration {
    fn into_registration(self) -> Result<Arc<Registration>, Vec<Fault>> {
        Ok(Arc::new(self))
    }
}

impl IntoRegistration for Arc<Registration> {
    fn into_registration(self) -> Result<Arc<Registration>, Vec<Fault>> {
        Ok(self)
    }
}
