//! What handlers share.

use super::configured::Configured;
use super::kept_routes::KeptRoutes;
use super::metrics::{Counted, Counters};
use super::problem::{Error, Result};
use super::processes::Managed;
use super::providers::Shown;
use crate::auth::Tokens;
use arc_swap::ArcSwap;
use ellie::Ellie;
use ellie_api::problem::kind;
use ellie_core::Now;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Event streams and waiting calls at once.
const MAX_STREAMS: usize = 1024;

/// What the composition root decides about the API; everything but the address can change while running.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that is bound.
    pub listen: SocketAddr,
    /// Host names accepted in `Host` beside those of loopback and the bound address; `*` accepts all.
    pub allowed_hosts: Vec<String>,
    /// Origins whose pages may send writes, such as the dashboard's `http://127.0.0.1:8080`; the API's own always may.
    pub origins: Vec<String>,
    /// Reads need a token even on loopback.
    pub protect_reads: bool,
    /// False: registrations are refused, the configuration's services are all there is.
    pub discovery_enabled: bool,
    /// `embedded` or `ephemeral`.
    pub store: &'static str,
    /// Bytes of a request body; a batch may have eight times as many.
    pub max_body: usize,
    /// Until a body has been read whole.
    pub request_timeout: Duration,
    /// The share of healthy instances under which all are routable; 0 never.
    pub panic_threshold: f64,
}

/// The state of the API. Cheap to clone.
#[derive(Clone)]
pub struct AdminState(Arc<Inner>);

struct Inner {
    ellie: Ellie,
    tokens: Arc<Tokens>,
    settings: ArcSwap<Settings>,
    counters: Counters,
    configured: Arc<Configured>,
    providers: ArcSwap<Vec<Shown>>,
    started: Now,
    streams: Arc<Semaphore>,
    ending: CancellationToken,
    /// Set once, where the server runs processes.
    managed: OnceLock<Managed>,
    /// Set once, where routes outlive a restart.
    kept_routes: OnceLock<Arc<KeptRoutes>>,
}

impl AdminState {
    /// The API of `ellie`.
    #[must_use]
    pub fn new(ellie: Ellie, tokens: Arc<Tokens>, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            ellie,
            tokens,
            settings: ArcSwap::from_pointee(settings),
            counters: Counters::default(),
            configured: Arc::default(),
            providers: ArcSwap::default(),
            started: Now::read(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            ending: CancellationToken::new(),
            managed: OnceLock::new(),
            kept_routes: OnceLock::new(),
        }))
    }

    /// What changes it while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control(self.clone())
    }

    /// The system that it shows.
    #[must_use]
    pub fn ellie(&self) -> &Ellie {
        &self.0.ellie
    }

    /// Routes that are registered are kept from now on.
    pub fn keep_routes(&self, kept: KeptRoutes) {
        // Set once, by the composition root.
        let _ = self.0.kept_routes.set(Arc::new(kept));
    }

    pub(super) fn kept_routes(&self) -> Option<Arc<KeptRoutes>> {
        self.0.kept_routes.get().cloned()
    }

    /// The configuration of the process.
    pub(crate) fn configured(&self) -> &Arc<Configured> {
        &self.0.configured
    }

    /// When it was made.
    pub(crate) fn started(&self) -> Now {
        self.0.started
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// The providers that run.
    pub(crate) fn providers(&self) -> Arc<Vec<Shown>> {
        self.0.providers.load_full()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Cancelled when streams and waiting calls have to end.
    pub(super) fn ending(&self) -> &CancellationToken {
        &self.0.ending
    }

    /// What the API counted.
    pub(crate) fn counted(&self) -> Counted {
        self.0.counters.read()
    }

    /// Streams and waiting calls open now.
    pub(crate) fn open_streams(&self) -> usize {
        MAX_STREAMS - self.0.streams.available_permits()
    }

    /// The service manager, where there is one.
    pub(super) fn managed(&self) -> Option<&Managed> {
        self.0.managed.get()
    }

    /// A place for one more stream or waiting call.
    pub(super) fn stream(&self) -> Result<OwnedSemaphorePermit> {
        self.0.streams.clone().try_acquire_owned().map_err(|_| {
            Error::new(kind::TOO_MANY_STREAMS, format!("{MAX_STREAMS} streams and waiting calls are open"))
                .retry_after(5)
        })
    }
}

/// Changes the API while it runs.
#[derive(Clone)]
pub struct Control(AdminState);

impl Control {
    /// Puts new settings into force for the requests that follow.
    pub fn reconfigure(&self, settings: Settings) {
        self.0.0.settings.store(Arc::new(settings));
    }

    /// Shows these providers from now on.
    pub fn show_providers(&self, providers: Vec<Shown>) {
        self.0.0.providers.store(Arc::new(providers));
    }

    /// Makes a service manager known. There is one at most: a second is ignored.
    pub fn manage(&self, managed: Managed) {
        let _ = self.0.0.managed.set(managed);
    }

    /// Ends event streams and answers waiting calls at once; new ones end at once too.
    pub fn end_streams(&self) {
        self.0.0.ending.cancel();
    }
}
