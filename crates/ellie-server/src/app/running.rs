//! The system while it runs: every part started in order, and stopped in the reverse one.

use super::providers::Providers;
use super::ready::Addresses;
use super::{Error, Handed, listen, own_entry, settings};
use crate::admin;
use crate::admin::configured::{Configured, Loaded};
use crate::auth::{Operator, Tokens};
use crate::config::{Backend, Resolved};
use crate::dashboard;
use arc_swap::ArcSwap;
use ellie::core::Now;
use ellie::core::journal::Kind;
use ellie::{Actor, Ellie, InstanceId, Registration, ServiceName, Source};
use ellie_tls::Identity;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A running system. Cheap to clone: everything is shared.
#[derive(Clone)]
pub struct Running(Arc<Inner>);

struct Inner {
    ellie: Ellie,
    tokens: Arc<Tokens>,
    operator: Operator,
    addresses: Addresses,
    own: Option<(ServiceName, InstanceId)>,
    admin: admin::Control,
    configured: Arc<Configured>,
    /// How long requests may finish after a stop; a reload can change it.
    drain_timeout: ArcSwap<Duration>,
    providers: Providers,
    /// What the listeners show of themselves. Held to compare and replace it, by one reload at a time.
    identity: Mutex<Option<Identity>>,
    /// The API's and the dashboard's side of TLS, where they speak it.
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    /// Ends the API's and the dashboard's listeners.
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Starts everything that `resolved` asks for; returns when all listeners accept.
    ///
    /// # Errors
    /// What could not be started; nothing is left running then.
    pub async fn start(resolved: Resolved) -> Result<Self, Error> {
        Self::start_on(resolved, Handed::default()).await
    }

    /// Like [`Running::start`], on the listeners that were handed over and on own ones for the rest.
    ///
    /// # Errors
    /// Those of [`Running::start`].
    pub async fn start_on(resolved: Resolved, handed: Handed) -> Result<Self, Error> {
        for warning in &resolved.warnings {
            tracing::warn!("{warning}");
        }
        let (tokens, operator) = open_tokens(&resolved)?;
        let tokens = Arc::new(tokens);
        // Bound before anything is written or probed: a taken port ends the start with nothing done.
        let (api, api_address) = listen::open("api", resolved.api.listen, handed.api)?;
        let dashboard = match resolved.dashboard.enabled {
            true => Some(listen::open("dashboard", resolved.dashboard.listen, handed.dashboard)?),
            false => None,
        };
        let tls = settings::tls(&resolved)?;
        let parts = settings::of(&resolved, tls.clone());
        let explain = tokens.clone();
        let mut builder = Ellie::builder().settings(parts).explain_to(Arc::new(move |bearer: &[u8]| {
            std::str::from_utf8(bearer).is_ok_and(|bearer| explain.verify(bearer).is_some())
        }));
        if is_kept(&resolved) {
            builder = builder.data_dir(resolved.storage.data_dir.clone());
        }
        let ellie = builder.start().await.map_err(Error::Start)?;
        configure(&ellie, &resolved).await?;
        // Before the gateway accepts: a route that was acknowledged is in force for the first request.
        let kept = is_kept(&resolved).then(|| keep_routes(&ellie, &resolved)).transpose()?;
        let gateway = match handed.gateway {
            Some(listener) => ellie.gateway.start_on(listener).await,
            None => ellie.gateway.start(resolved.gateway.listen).await,
        };
        let gateway = gateway.map_err(|source| Error::Bind {
            listener: "gateway",
            address: resolved.gateway.listen,
            source,
        })?;
        let tls = tls.map(|tls| Arc::new(ArcSwap::new(tls)));
        let addresses = Addresses {
            api: api_address,
            dashboard: dashboard.as_ref().map(|(_, address)| *address),
            gateway,
            scheme: if tls.is_some() { "https" } else { "http" },
        };

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let state = admin::AdminState::new(
            ellie.clone(),
            tokens.clone(),
            settings::admin(&resolved, api_address, addresses.dashboard),
        );
        if let Some(kept) = kept {
            state.keep_routes(kept);
        }
        state.configured().set(Loaded {
            resolved: Arc::new(resolved.clone()),
            at: Now::read().wall,
            pending: Vec::new(),
            rejected: None,
        });
        let configured = state.configured().clone();
        let control = state.control();
        let limits = settings::admin_limits(&resolved, tls.clone());
        tasks.spawn(admin::serve(api, admin::router(state.clone()), limits.clone(), stop.clone()));
        if let Some((listener, address)) = dashboard {
            let ui = admin::ui::Ui::new(state.clone(), &addresses);
            let router = dashboard::router(state, ui.clone());
            tasks.spawn(admin::ui::sample(ui, stop.clone()));
            tracing::debug!(%address, "dashboard listens");
            tasks.spawn(admin::serve(listener, router, limits, stop.clone()));
        }
        let own = register_itself(&ellie, &resolved, api_address).await?;
        let providers = Providers::new(ellie.clone());
        control.show_providers(providers.configure(&resolved).await);
        let message = format!(
            "version {}, {}",
            env!("CARGO_PKG_VERSION"),
            crate::say::count(ellie.discovery.snapshot().counts.total(), "instance")
        );
        ellie.journal().record(Now::read(), own_entry(Kind::Started, "ellie", message));
        let drain_timeout = ArcSwap::from_pointee(resolved.gateway.drain_timeout);
        let admin = control;
        Ok(Self(Arc::new(Inner {
            ellie,
            tokens,
            operator,
            addresses,
            own,
            admin,
            configured,
            drain_timeout,
            providers,
            identity: Mutex::new(resolved.tls.and_then(|tls| tls.identity)),
            tls,
            stop,
            tasks,
        })))
    }

    /// The parts.
    pub fn ellie(&self) -> &Ellie {
        &self.0.ellie
    }

    /// Where the listeners are.
    pub fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    /// The tokens that are accepted.
    pub(super) fn tokens(&self) -> &Arc<Tokens> {
        &self.0.tokens
    }

    /// Makes a service manager known to the API.
    pub(super) fn manage(&self, managed: admin::Managed) {
        self.0.admin.manage(managed);
    }

    /// Where the operator token comes from.
    pub fn operator(&self) -> &Operator {
        &self.0.operator
    }

    /// How long requests may finish after a stop, as configured last.
    pub(super) fn drain_timeout(&self) -> Duration {
        **self.0.drain_timeout.load()
    }

    /// The configuration in force, as it is told to those who ask.
    pub(super) fn configured(&self) -> &Arc<Configured> {
        &self.0.configured
    }

    /// Puts a new configuration into force; what is read only at start has to be as it was
    /// ([`crate::config::in_force`]).
    ///
    /// # Errors
    /// Why not; the old one stays in force.
    pub(super) async fn reconfigure(&self, next: &Resolved) -> Result<(), String> {
        let inner = &self.0;
        let identity = next.tls.as_ref().and_then(|tls| tls.identity.clone());
        // The same certificate keeps its sessions.
        let same = *inner.identity.lock().unwrap_or_else(PoisonError::into_inner) == identity;
        let tls = match &inner.tls {
            Some(current) if same => Some(current.load_full()),
            Some(_) => settings::tls(next).map_err(|e| e.to_string())?,
            None => None,
        };
        inner
            .ellie
            .reconfigure(settings::of(next, tls.clone()))
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        if let (Some(current), Some(tls)) = (&inner.tls, tls) {
            current.store(tls);
            *inner.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
        }
        configure(&inner.ellie, next).await.map_err(|e| e.to_string())?;
        inner.drain_timeout.store(Arc::new(next.gateway.drain_timeout));
        inner.admin.show_providers(inner.providers.configure(next).await);
        inner.tokens.set_operator(next.auth.operator_token.as_ref());
        inner.admin.reconfigure(settings::admin(next, inner.addresses.api, inner.addresses.dashboard));
        Ok(())
    }

    /// Deregisters itself, stops accepting, lets requests in flight finish for at most `deadline`, closes the store.
    pub async fn stop(&self, deadline: Duration) {
        let inner = &self.0;
        let actor = Actor::new("shutdown");
        inner.ellie.journal().record(Now::read(), own_entry(Kind::Stopping, "ellie", "asked to stop"));
        if let Some((name, id)) = &inner.own {
            let discovery = inner.ellie.discovery.acting_as(actor);
            if let Err(e) = discovery.deregister_service(name.as_str(), id.as_str()).await {
                tracing::warn!("its own registration could not be removed: {e}");
            }
        }
        inner.providers.stop().await;
        let done = inner.ellie.shutdown(deadline).await;
        inner.admin.end_streams();
        inner.stop.cancel();
        inner.tasks.close();
        // Long polls and event streams end with `stop`; what is left after a second is a client that does not read.
        let _ = tokio::time::timeout(Duration::from_secs(1), inner.tasks.wait()).await;
        if done.drained {
            tracing::info!("stopped");
        } else {
            tracing::warn!(
                left = done.in_flight_left,
                "stopped after {deadline:?} with requests still in flight"
            );
        }
    }
}

fn open_tokens(resolved: &Resolved) -> Result<(Tokens, Operator), Error> {
    let configured = resolved.auth.operator_token.as_ref();
    if resolved.storage.backend == Backend::Ephemeral {
        return Tokens::ephemeral(configured).map_err(Error::Runtime);
    }
    let path = &resolved.storage.data_dir;
    Tokens::open(path, configured).map_err(|source| Error::DataDir { path: path.clone(), source })
}

/// Whether what is registered outlives this process.
fn is_kept(resolved: &Resolved) -> bool {
    resolved.discovery.enabled && resolved.storage.backend == Backend::Embedded
}

/// Puts the routes of an earlier process into the gateway.
fn keep_routes(ellie: &Ellie, resolved: &Resolved) -> Result<admin::KeptRoutes, Error> {
    let path = &resolved.storage.data_dir;
    admin::KeptRoutes::open(path, &ellie.gateway)
        .map_err(|source| Error::DataDir { path: path.clone(), source })
}

/// The services and routes of the file take the place of those it had before.
async fn configure(ellie: &Ellie, resolved: &Resolved) -> Result<(), Error> {
    let services: Vec<Registration> = resolved.services.iter().map(|r| Registration::clone(r)).collect();
    let discovery = ellie.discovery.acting_as(Actor::new("config"));
    let replaced = discovery
        .replace_set(Source::Config, services)
        .await
        .map_err(|e| Error::Configuration(format!("the configured services can't be registered: {e}")))?;
    for (name, id, why) in replaced.refused {
        tracing::warn!("the configured service {name}/{id} is not registered: {why}");
    }
    let routes = settings::routes(resolved).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Error::Configuration(format!("the configured routes are not valid: {}", faults.join("; ")))
    })?;
    ellie.gateway.replace_configured_routes(routes).map_err(|e| Error::Configuration(e.to_string()))
}

/// ellie's own entry in its registry, where `SERVICE_*` or `[service]` asks for one.
async fn register_itself(
    ellie: &Ellie,
    resolved: &Resolved,
    api: SocketAddr,
) -> Result<Option<(ServiceName, InstanceId)>, Error> {
    let Some(own) = &resolved.own else { return Ok(None) };
    let registration = own.registration(api).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Error::Configuration(format!("its own registration is not valid: {}", faults.join("; ")))
    })?;
    let key = (registration.name.clone(), registration.id.clone());
    let discovery = ellie.discovery.acting_as(Actor::new("ellie")).with_source(Source::Own);
    discovery
        .register_service(registration)
        .await
        .map_err(|e| Error::Configuration(format!("its own registration was refused: {e}")))?;
    Ok(Some(key))
}
