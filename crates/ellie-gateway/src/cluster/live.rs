//! What lives on while clusters come and go.

use crate::metrics;
use ellie_core::journal::Journal;
use ellie_core::model::{Instance, Protocol};
use ellie_core::{InstanceId, ServiceName};
use ellie_policy::balance::{self, Endpoint};
use ellie_policy::breaker::Breaker;
use ellie_policy::outlier;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// An instance that was out of rotation for so long starts slowly when it is back, like a newcomer.
const COLD_AFTER: Duration = Duration::from_secs(10);

/// One incarnation of an instance: where it is and how it fares. Its identity never changes its address.
#[derive(Debug)]
pub struct Upstream {
    /// The incarnation: unlike that of any other instance, and of the same one after it moved.
    pub identity: u64,
    /// Its id in the registry.
    pub id: InstanceId,
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Where to connect, if `host` is an address.
    pub addr: Option<SocketAddr>,
    /// Whether it is spoken to over TLS.
    pub tls: bool,
    /// What it speaks.
    pub protocol: Protocol,
    /// `host:port`, an IPv6 address in brackets.
    pub authority: String,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) outlier: outlier::Instance,
    in_rotation: AtomicBool,
    // Since when it is out of rotation; touched only while its service is compiled.
    out_since: Mutex<Option<Instant>>,
}

impl Upstream {
    pub(super) fn new(instance: &Instance, service: &balance::Service, now: Instant) -> Self {
        let r = &instance.registration;
        Self {
            identity: instance.incarnation,
            id: r.id.clone(),
            addr: r.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, r.port)),
            host: r.host.clone(),
            port: r.port,
            tls: r.protocol == Protocol::Https,
            protocol: r.protocol,
            authority: r.authority(),
            endpoint: Arc::new(Endpoint::established(service, now)),
            outlier: outlier::Instance::default(),
            in_rotation: AtomicBool::new(false),
            out_since: Mutex::new(None),
        }
    }

    /// Its figures as the balancer sees them.
    #[must_use]
    pub fn stats(&self) -> balance::EndpointStats {
        self.endpoint.stats()
    }

    /// How much longer it is ejected as an outlier.
    #[must_use]
    pub fn ejected_for(&self, now: Instant) -> Option<Duration> {
        self.outlier.ejected_for(now)
    }

    /// Notes whether it gets traffic from now on. One that comes into a service that is `busy` already, or back after
    /// a while, starts slowly.
    pub(super) fn set_rotation(&self, rotation: bool, busy: bool, now: Instant) {
        if self.in_rotation.swap(rotation, Relaxed) == rotation {
            return;
        }
        let mut out = self.out_since.lock().unwrap_or_else(PoisonError::into_inner);
        if rotation {
            let cold = out.is_none_or(|since| now.saturating_duration_since(since) >= COLD_AFTER);
            if busy && cold {
                self.endpoint.rejoin(now);
            }
        } else {
            *out = Some(now);
        }
    }
}

/// A service's own live state.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) name: ServiceName,
    pub(super) balance: Arc<balance::Service>,
    pub(super) breaker: Arc<Breaker>,
    pub(super) stats: metrics::ServiceCounters,
    pub(super) journal: Arc<Journal>,
}
