//! What a request needs to know, in one immutable piece: routes, and the clusters that answer them.

use crate::cluster::{Cluster, Clusters, Set};
use crate::explain::Authorize;
use crate::limits::{Limiter, Verdict};
use crate::matcher::{Found, Index, RequestView};
use crate::metrics::{GatewayCounters, RouteStats, Totals};
use crate::route::{RetryOn, Route, RouteSet, Routes};
use arc_swap::{ArcSwap, Guard};
use ellie_core::ServiceName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a route leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// For a whole request.
    pub timeout: Duration,
    /// For one try on one instance; `None`: as long as the whole request may take.
    pub try_timeout: Option<Duration>,
    /// More tries on other instances, for what may be retried.
    pub retries: u32,
    /// Which statuses of an instance are tried again elsewhere, where the request may be; none by default: an answer is
    /// an answer.
    pub retry_on: RetryOn,
    /// Bytes of a request body; `None`: any number.
    pub max_body: Option<u64>,
    /// How many leading bits of an IPv6 address make one client of a rate limit.
    pub ipv6_prefix: u8,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            try_timeout: None,
            retries: 2,
            retry_on: RetryOn::default(),
            max_body: None,
            ipv6_prefix: Limiter::IPV6_PREFIX,
        }
    }
}

/// A route with all that a request on it needs.
#[derive(Debug)]
pub struct CompiledRoute {
    /// As it was told.
    pub route: Arc<Route>,
    /// Who answers.
    pub cluster: Arc<Cluster>,
    /// For the whole request, retries included.
    pub timeout: Duration,
    /// For one try on one instance; never longer than `timeout`.
    pub try_timeout: Duration,
    /// More tries on other instances, for what may be retried.
    pub retries: u32,
    /// Which statuses of an instance are tried again elsewhere, where the request may be.
    pub retry_on: RetryOn,
    /// Bytes of a request body; `None`: any number.
    pub max_body: Option<u64>,
    /// Its counters.
    pub stats: Arc<RouteStats>,
    limiter: Option<Arc<Limiter>>,
    /// The whole service, of which `cluster` may be the part with some tags.
    base: Arc<Cluster>,
}

impl CompiledRoute {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.route.id
    }

    /// The name of the service that answers.
    #[must_use]
    pub fn service(&self) -> &str {
        self.route.service.as_str()
    }

    /// Writes the request target for the service: see [`Route::write_target`].
    pub fn write_target(&self, path: &[u8], query: Option<&[u8]>, out: &mut Vec<u8>) {
        self.route.write_target(path, query, out);
    }

    /// Counts the request against the route's limit; `None` where it has none.
    #[must_use]
    pub fn check_limit(&self, request: &RequestView<'_>, now: Instant) -> Option<Verdict> {
        self.limiter.as_ref().map(|limiter| limiter.check(request.client, request.fields, now))
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub enum Routed<'t> {
    /// To the service of this route.
    Route(&'t Arc<CompiledRoute>),
    /// Nowhere: its path has routes, but for other methods; these, for the field `Allow`.
    MethodNotAllowed(String),
    /// Nowhere.
    NotFound,
}

/// All routes and clusters at one moment.
#[derive(Debug, Default)]
pub struct Table {
    routes_version: u64,
    set_version: u64,
    index: Arc<Index>,
    routes: Box<[Arc<CompiledRoute>]>,
    /// Which routes a service answers.
    by_service: Arc<HashMap<ServiceName, Vec<usize>>>,
}

impl Table {
    /// The route of a request, whose path is normalised ([`crate::matcher::normalise`]).
    #[must_use]
    pub fn route<'t>(&'t self, request: &RequestView<'_>) -> Routed<'t> {
        match self.index.find(request.path, request) {
            Found::Route(i) => Routed::Route(&self.routes[i]),
            Found::MethodNotAllowed => Routed::MethodNotAllowed(self.index.allow(request.path, request)),
            Found::NotFound => Routed::NotFound,
        }
    }

    /// All routes, in the order in which they win over each other.
    #[must_use]
    pub fn routes(&self) -> &[Arc<CompiledRoute>] {
        &self.routes
    }
}

/// What outlives tables of one route.
#[derive(Debug)]
struct RouteLive {
    stats: Arc<RouteStats>,
    limiter: Option<Arc<Limiter>>,
}

#[derive(Debug, Default)]
struct State {
    defaults: Defaults,
    live: HashMap<String, RouteLive>,
}

/// The current table, and how it is made. Share it in an `Arc`.
pub struct TableHandle {
    clusters: Arc<Clusters>,
    routes: Arc<Routes>,
    table: ArcSwap<Table>,
    metrics: Arc<GatewayCounters>,
    explain: Option<Authorize>,
    // Held while a table is compiled; requests never take it.
    state: Mutex<State>,
}

impl std::fmt::Debug for TableHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableHandle").field("routes", &self.routes.snapshot().len()).finish_non_exhaustive()
    }
}

impl TableHandle {
    /// A handle whose table is compiled already. Only [`refresh`](Self::refresh), which
    /// [`crate::compile::run`] calls, makes another one.
    #[must_use]
    pub fn new(clusters: Arc<Clusters>, routes: Arc<Routes>, defaults: Defaults, now: Instant) -> Self {
        let handle = Self {
            clusters,
            routes,
            table: ArcSwap::default(),
            metrics: Arc::default(),
            explain: None,
            state: Mutex::new(State { defaults, live: HashMap::new() }),
        };
        handle.refresh(now);
        handle
    }

    /// Lets those explain requests whom `authorize` allows; without it, nobody may.
    #[must_use]
    pub fn with_explain(mut self, authorize: Authorize) -> Self {
        self.explain = Some(authorize);
        self
    }

    /// Whether the bearer token of a request entitles it to `x-ellie-explain`.
    #[must_use]
    pub fn explain_allowed(&self, token: Option<&[u8]>) -> bool {
        match (&self.explain, token) {
            (Some(authorize), Some(token)) => authorize(token),
            _ => false,
        }
    }

    /// The current table.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Where the table is kept, for a cache of one's own.
    #[must_use]
    pub fn cell(&self) -> &ArcSwap<Table> {
        &self.table
    }

    /// The clusters.
    #[must_use]
    pub fn clusters(&self) -> &Arc<Clusters> {
        &self.clusters
    }

    /// The routes.
    #[must_use]
    pub fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The counters of the whole gateway.
    #[must_use]
    pub fn metrics(&self) -> &Arc<GatewayCounters> {
        &self.metrics
    }

    /// The counters of each route, in the order in which they win over each other. Looks only.
    #[must_use]
    pub fn route_totals(&self) -> Vec<(Arc<Route>, Totals)> {
        self.load().routes.iter().map(|r| (r.route.clone(), r.stats.totals())).collect()
    }

    /// Changes what routes leave open.
    pub fn configure(&self, defaults: Defaults, now: Instant) {
        let mut state = self.lock();
        if state.defaults != defaults {
            state.defaults = defaults;
            let set = self.clusters.update(now);
            let table = self.compile(&mut state, &self.routes.snapshot(), &set, now);
            self.table.store(Arc::new(table));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compiles what has changed in registry and routes, and puts it in force. Says whether anything had.
    pub fn refresh(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let set = self.clusters.update(now);
        let routes = self.routes.snapshot();
        let old = self.table.load_full();
        let table = if old.routes_version != routes.version {
            self.compile(&mut state, &routes, &set, now)
        } else if old.set_version != set.version {
            self.exchange(&old, &set, now)
        } else {
            return false;
        };
        self.table.store(Arc::new(table));
        true
    }

    /// A table of these routes.
    fn compile(&self, state: &mut State, routes: &RouteSet, set: &Set, now: Instant) -> Table {
        let list = routes.list();
        let mut live = HashMap::with_capacity(list.len());
        let mut bases: HashMap<ServiceName, Arc<Cluster>> = HashMap::new();
        let mut by_service: HashMap<ServiceName, Vec<usize>> = HashMap::new();
        // What is not registered has an empty cluster; it stays the same as long as nothing else comes.
        let old = self.table.load();
        for (name, places) in old.by_service.iter() {
            let base = places.first().and_then(|&i| old.routes.get(i)).map(|r| &r.base);
            if let Some(base) = base
                && is_current(base, set.get(name.as_str()))
            {
                bases.insert(name.clone(), base.clone());
            }
        }
        let mut compiled = Vec::with_capacity(list.len());
        for (i, route) in list.iter().enumerate() {
            let base = bases
                .entry(route.service.clone())
                .or_insert_with(|| self.clusters.get_or_empty(&route.service, set, now))
                .clone();
            by_service.entry(route.service.clone()).or_default().push(i);
            let before = state.live.remove(&route.id);
            let prefix = state.defaults.ipv6_prefix;
            let limiter = route.rate_limit.as_ref().map(|limit| {
                let kept = before.as_ref().and_then(|l| l.limiter.clone());
                kept.filter(|l| l.limit() == limit && l.ipv6_prefix() == prefix)
                    .unwrap_or_else(|| Arc::new(Limiter::new(limit.clone(), prefix)))
            });
            let stats = before.map_or_else(|| Arc::new(RouteStats::new(self.metrics.clone())), |l| l.stats);
            live.insert(route.id.clone(), RouteLive { stats: stats.clone(), limiter: limiter.clone() });
            let defaults = &state.defaults;
            let timeout = route.timeout.unwrap_or(defaults.timeout);
            compiled.push(Arc::new(CompiledRoute {
                cluster: base.with_tags(&route.tags, now),
                timeout,
                try_timeout: route.try_timeout.or(defaults.try_timeout).map_or(timeout, |t| t.min(timeout)),
                retries: route.retries.unwrap_or(defaults.retries),
                retry_on: route.retry_on.unwrap_or(defaults.retry_on),
                max_body: route.max_body.or(defaults.max_body),
                stats,
                limiter,
                base,
                route: route.clone(),
            }));
        }
        state.live = live;
        Table {
            routes_version: routes.version,
            set_version: set.version,
            index: Arc::new(Index::new(&list)),
            routes: compiled.into(),
            by_service: Arc::new(by_service),
        }
    }

    /// The same routes on other clusters: touches only the routes of services that changed.
    fn exchange(&self, old: &Table, set: &Set, now: Instant) -> Table {
        let mut routes = old.routes.clone();
        let mut touch = |name: &ServiceName, places: &[usize]| {
            let Some(base) = places.first().map(|&i| &old.routes[i].base) else { return };
            if is_current(base, set.get(name.as_str())) {
                return;
            }
            let base = self.clusters.get_or_empty(name, set, now);
            for &i in places {
                let r = &old.routes[i];
                routes[i] = Arc::new(CompiledRoute {
                    route: r.route.clone(),
                    cluster: base.with_tags(&r.route.tags, now),
                    timeout: r.timeout,
                    try_timeout: r.try_timeout,
                    retries: r.retries,
                    retry_on: r.retry_on,
                    max_body: r.max_body,
                    stats: r.stats.clone(),
                    limiter: r.limiter.clone(),
                    base: base.clone(),
                });
            }
        };
        match set.changed().filter(|_| old.set_version + 1 == set.version) {
            Some(names) => {
                for name in names {
                    if let Some(places) = old.by_service.get(name) {
                        touch(name, places);
                    }
                }
            }
            None => {
                for (name, places) in old.by_service.iter() {
                    touch(name, places);
                }
            }
        }
        Table {
            routes_version: old.routes_version,
            set_version: set.version,
            index: old.index.clone(),
            routes,
            by_service: old.by_service.clone(),
        }
    }
}

fn is_current(base: &Arc<Cluster>, registered: Option<&Arc<Cluster>>) -> bool {
    match registered {
        Some(cluster) => Arc::ptr_eq(base, cluster),
        None => base.service().is_none(),
    }
}
