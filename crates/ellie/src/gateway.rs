//! An HTTP gateway in front of the services.

pub use ellie_gateway::route::{Draft, RateLimitDraft, Route};

use ellie_core::model::Actor;
use ellie_core::{Fault, Now, Source};
use ellie_gateway::route::{self, Routes};
use ellie_gateway::table::TableHandle;
use ellie_gateway::{Config, Gateway};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

/// Why routes were not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// What was given is not valid; every fault of it.
    Invalid(Vec<Fault>),
    /// It can't be taken as things are.
    Refused(route::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(faults) => crate::settings::write_faults(f, faults),
            Self::Refused(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Refused(e) => Some(e),
        }
    }
}

/// A route in the making. Nothing is checked before it is registered; then every fault is told at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "it is registered by `ApiGateway::register_route`"]
pub struct RouteInfo(Draft);

impl RouteInfo {
    /// Requests to `path` (`/users`, or `/users/*` with all below it) are answered by the service `service_name`.
    pub fn new(path: impl Into<String>, service_name: impl Into<String>) -> Self {
        Self(Draft { path: Some(path.into()), service_name: Some(service_name.into()), ..Draft::default() })
    }

    /// An id of its own; made from method, host and path where absent.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.0.id = Some(id.into());
        self
    }

    /// One more method it is for; any where none is given.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.0.methods.push(method.into());
        self
    }

    /// The host it is for: `api.example.com` or `*.example.com`.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.0.host = Some(host.into());
        self
    }

    /// A header field that must be there, with this value or with any.
    pub fn header(mut self, name: impl Into<String>, value: Option<&str>) -> Self {
        self.0.headers.push((name.into(), value.map(str::to_owned)));
        self
    }

    /// A query parameter that must be there, with this value or with any.
    pub fn query(mut self, name: impl Into<String>, value: Option<&str>) -> Self {
        self.0.query.push((name.into(), value.map(str::to_owned)));
        self
    }

    /// The path that the service is asked for; what a star matched is appended.
    pub fn target_path(mut self, path: impl Into<String>) -> Self {
        self.0.target_path = Some(path.into());
        self
    }

    /// Only instances that have all of these tags.
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.0.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// For the whole request, retries included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = Some(millis(timeout));
        self
    }

    /// For one try on one instance; a try that runs into it is followed by one on another instance, if the request may
    /// be retried.
    pub fn try_timeout(mut self, timeout: Duration) -> Self {
        self.0.try_timeout = Some(millis(timeout));
        self
    }

    /// Bytes of a request body.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.0.max_body = Some(bytes.into());
        self
    }

    /// More tries on other instances, for what may be retried.
    pub fn retries(mut self, retries: u32) -> Self {
        self.0.retries = Some(retries.into());
        self
    }

    /// Statuses of an instance (429, 500 to 599) after which a request that may be retried is tried elsewhere.
    pub fn retry_on(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.0.retry_on = Some(statuses.into_iter().map(i128::from).collect());
        self
    }

    /// At most `max` requests in a `window` for each client address.
    pub fn rate_limit(mut self, max: u32, window: Duration) -> Self {
        self.0.rate_limit = Some(RateLimitDraft {
            window_ms: Some(millis(window)),
            max: Some(max.into()),
            ..RateLimitDraft::default()
        });
        self
    }
}

fn millis(d: Duration) -> i128 {
    i128::try_from(d.as_millis()).unwrap_or(i128::MAX)
}

/// What can be registered as a route.
pub trait IntoRoute {
    /// The route, and whether its id was given rather than made up.
    ///
    /// # Errors
    /// Every fault of it.
    fn into_route(self) -> Result<(Route, bool), Vec<Fault>>;
}

impl IntoRoute for RouteInfo {
    fn into_route(self) -> Result<(Route, bool), Vec<Fault>> {
        self.0.into_route()
    }
}

impl IntoRoute for Draft {
    fn into_route(self) -> Result<(Route, bool), Vec<Fault>> {
        let id_was_given = self.id.is_some();
        self.validate().map(|route| (route, id_was_given))
    }
}

impl IntoRoute for Route {
    fn into_route(self) -> Result<(Route, bool), Vec<Fault>> {
        Ok((self, true))
    }
}

/// The gateway: its routes, which can be changed at any time, and its listener, once it has been started.
#[derive(Clone)]
pub struct ApiGateway {
    inner: Arc<Inner>,
    actor: Actor,
}

struct Inner {
    routes: Arc<Routes>,
    table: Arc<TableHandle>,
    // Held while a gateway is put in or taken out, never while one starts or drains.
    running: Mutex<Running>,
}

struct Running {
    config: Config,
    gateway: Slot,
}

enum Slot {
    Stopped,
    /// Somebody is starting it.
    Starting,
    Started(Arc<Gateway>),
}

impl fmt::Debug for ApiGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiGateway").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

impl ApiGateway {
    pub(crate) fn new(routes: Arc<Routes>, table: Arc<TableHandle>, config: Config, actor: Actor) -> Self {
        let running = Mutex::new(Running { config, gateway: Slot::Stopped });
        Self { inner: Arc::new(Inner { routes, table, running }), actor }
    }

    /// The same gateway; what is done through this handle is told in the journal as done by `actor`.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// Adds a route; it is in force at once.
    ///
    /// # Errors
    /// [`Error`].
    pub fn register_route(&self, route: impl IntoRoute) -> Result<Arc<Route>, Error> {
        let (route, id_was_given) = route.into_route().map_err(Error::Invalid)?;
        let routes = &self.inner.routes;
        let added = routes.add(route, id_was_given, Source::Api, self.actor.as_str(), Now::read());
        self.in_force(added)
    }

    /// Puts a route in the place of the one with this id, which it keeps.
    ///
    /// # Errors
    /// [`Error`].
    pub fn replace_route(&self, id: &str, route: impl IntoRoute) -> Result<Arc<Route>, Error> {
        let (mut route, _) = route.into_route().map_err(Error::Invalid)?;
        id.clone_into(&mut route.id);
        let routes = &self.inner.routes;
        self.in_force(routes.replace(route, Source::Api, self.actor.as_str(), Now::read()))
    }

    /// Removes a route; requests in flight finish.
    ///
    /// # Errors
    /// [`Error`].
    pub fn remove_route(&self, id: &str) -> Result<Arc<Route>, Error> {
        let routes = &self.inner.routes;
        self.in_force(routes.remove(id, &Source::Api, self.actor.as_str(), Now::read()))
    }

    /// Makes `routes` all that the configuration has. One that is refused doesn't hold up the others.
    ///
    /// # Errors
    /// The first that was refused.
    pub fn replace_configured_routes(&self, routes: Vec<Route>) -> Result<(), Error> {
        let all = &self.inner.routes;
        let refused = all.replace_source(&Source::Config, routes, self.actor.as_str(), Now::read());
        self.inner.table.refresh(Now::read().instant);
        match refused.into_iter().next() {
            Some(e) => Err(Error::Refused(e)),
            None => Ok(()),
        }
    }

    /// Makes `routes` all that were registered by [`ApiGateway::register_route`], as they were: after a restart, say. They keep
    /// their age, and nothing is told in the journal. Returned are those that were refused, because the configuration
    /// has a route of that id.
    pub fn restore_routes(&self, routes: Vec<Route>) -> Vec<Error> {
        let now = Now::read();
        let refused = self.inner.routes.restore(&Source::Api, routes, now);
        self.inner.table.refresh(now.instant);
        refused.into_iter().map(Error::Refused).collect()
    }

    /// Who was told that a route is there, or gone, finds it so with the next request: the table is compiled before the
    /// answer, not by the task that follows the registry.
    fn in_force<T>(&self, changed: Result<T, route::Error>) -> Result<T, Error> {
        if changed.is_ok() {
            self.inner.table.refresh(Now::read().instant);
        }
        changed.map_err(Error::Refused)
    }

    /// All routes, in the order in which they win over each other.
    #[must_use]
    pub fn routes(&self) -> Vec<Arc<Route>> {
        self.inner.routes.snapshot().list()
    }

    /// One route.
    #[must_use]
    pub fn route(&self, id: &str) -> Option<Arc<Route>> {
        self.inner.routes.snapshot().get(id).cloned()
    }

    /// Listens on `address` (port 0 takes a free one) and returns where that is. Connections are accepted then.
    ///
    /// # Errors
    /// What the system said, or [`io::ErrorKind::AlreadyExists`] where it listens already.
    pub async fn start(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.launch(address, Gateway::start).await
    }

    /// Like [`ApiGateway::start`], on a listener that somebody else has opened and that outlives this process, as
    /// systemd's socket units do.
    ///
    /// # Errors
    /// Those of [`ApiGateway::start`].
    pub async fn start_on(&self, listener: std::net::TcpListener) -> io::Result<SocketAddr> {
        let address = listener.local_addr()?;
        self.launch(address, move |config, table| Gateway::start_on(&listener, config, table)).await
    }

    async fn launch(
        &self,
        address: SocketAddr,
        start: impl FnOnce(Config, Arc<TableHandle>) -> io::Result<Gateway> + Send + 'static,
    ) -> io::Result<SocketAddr> {
        let config = {
            let mut running = self.running();
            if !matches!(running.gateway, Slot::Stopped) {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "the gateway has been started already",
                ));
            }
            running.gateway = Slot::Starting;
            Config { listen: address, ..running.config.clone() }
        };
        let table = self.inner.table.clone();
        // What is registered by now is in force for the first request. Threads are started and waited for.
        let started = tokio::task::spawn_blocking(move || {
            table.refresh(Now::read().instant);
            start(config, table)
        })
        .await;
        let mut running = self.running();
        match started.map_err(io::Error::other).and_then(|result| result) {
            Ok(gateway) => {
                let address = gateway.local_addr();
                gateway.configure(running.config.live.clone());
                running.gateway = Slot::Started(Arc::new(gateway));
                Ok(address)
            }
            Err(e) => {
                running.gateway = Slot::Stopped;
                Err(e)
            }
        }
    }

    /// Where it listens, once it has been started.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.started().map(|gateway| gateway.local_addr())
    }

    /// Stops accepting and lets requests in flight finish for at most `deadline`; then ends what is left and tells how
    /// many connections that were. It can be started again afterwards.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let taken = {
            let mut running = self.running();
            match std::mem::replace(&mut running.gateway, Slot::Stopped) {
                Slot::Started(gateway) => Some(gateway),
                other => {
                    running.gateway = other;
                    None
                }
            }
        };
        match taken {
            Some(gateway) => gateway.drain(deadline).await,
            None => 0,
        }
    }

    /// Client connections at the moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.started().map_or(0, |gateway| gateway.connections())
    }

    /// What can change while it runs.
    pub(crate) fn configure(&self, config: Config) {
        let mut running = self.running();
        if let Slot::Started(gateway) = &running.gateway {
            gateway.configure(config.live.clone());
        }
        running.config = config;
    }

    /// The compiled routes and the data plane's figures.
    #[must_use]
    pub fn table(&self) -> &Arc<TableHandle> {
        &self.inner.table
    }

    fn started(&self) -> Option<Arc<Gateway>> {
        match &self.running().gateway {
            Slot::Started(gateway) => Some(gateway.clone()),
            _ => None,
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
