//! Reading the registry: lists, one service, and waiting for changes.

use super::problem::{Error, Result};
use super::query::Query;
use super::state::AdminState;
use super::wire::{self, View};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use ellie_api::{INDEX_HEADER, Service, ServiceDetail, Services, Status, instance::Instance};
use ellie_core::discovery::{Selection, Standing, select};
use ellie_core::registry;
use ellie_core::{Now, ServiceName};
use http::{HeaderValue, Uri};
use std::time::Duration;

/// How long a waiting call waits where it does not say, and at most.
const WAIT: Duration = Duration::from_secs(60);
const MAX_WAIT: Duration = Duration::from_secs(600);

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    tags: Vec<String>,
    status: Option<Wanted>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Is(ellie_core::Status),
    Routable,
}

/// `?index=N&wait=30s`
#[derive(Clone, Copy, Debug)]
struct Wait {
    index: u64,
    wait: Duration,
}

impl Filter {
    pub(super) fn read(query: &mut Query) -> Self {
        let tags = query.all("tag");
        let status = match query.choice("status", &["healthy", "degraded", "unhealthy", "routable", "any"]) {
            Some("routable") => Some(Wanted::Routable),
            Some("any") | None => None,
            Some(other) => other.parse().ok().map(Wanted::Is),
        };
        Self { tags, status }
    }

    fn is_set(&self) -> bool {
        !self.tags.is_empty() || self.status.is_some()
    }

    /// The instances of a service that it lets through, by id. `routable` is judged among those with the tags, as
    /// discovery does.
    fn apply(&self, view: &View<'_>, service: &registry::Service) -> Vec<Instance> {
        let all: Selection = match self.status {
            Some(Wanted::Routable) => select(service, &self.tags, view.panic_threshold),
            _ => select::<&str>(service, &[], view.panic_threshold),
        };
        all.all
            .iter()
            .filter(|(i, standing)| match self.status {
                Some(Wanted::Routable) => *standing == Standing::Routable,
                Some(Wanted::Is(status)) => i.status == status && i.registration.has_tags(&self.tags),
                None => i.registration.has_tags(&self.tags),
            })
            .map(|(i, standing)| view.with_standing(i, *standing))
            .collect()
    }
}

fn wait(query: &mut Query) -> Option<Wait> {
    let index = query.number("index");
    let wait = query.duration("wait").unwrap_or(WAIT).min(MAX_WAIT);
    index.map(|index| Wait { index, wait })
}

/// An answer with its index in a header too.
pub(super) fn with_index(index: u64, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(INDEX_HEADER, HeaderValue::from(index));
    response
}

/// `GET /services`
pub(super) async fn list(State(state): State<AdminState>, uri: Uri) -> Result<Response> {
    let mut query = Query::new(uri.query());
    let filter = Filter::read(&mut query);
    let waiting = wait(&mut query);
    query.finish()?;
    if let Some(waiting) = waiting {
        wait_for_any(&state, waiting).await?;
    }
    let listed = snapshot(&state, &filter, None);
    Ok(with_index(listed.index, Json(listed)))
}

/// The present list; of one service alone where it is named.
pub(super) fn snapshot(state: &AdminState, filter: &Filter, only: Option<&ServiceName>) -> Services {
    let discovery = &state.ellie().discovery;
    let view = view(state);
    let snapshot = discovery.snapshot();
    let services: Vec<Service> = snapshot
        .services
        .values()
        .filter(|s| only.is_none_or(|name| s.name == *name))
        .map(|s| Service { name: s.name.to_string(), instances: filter.apply(&view, s) })
        .filter(|s| !(filter.is_set() && s.instances.is_empty()))
        .collect();
    Services { index: snapshot.index, count: services.iter().map(|s| s.instances.len()).sum(), services }
}

/// Converts instances as of now.
pub(super) fn view(state: &AdminState) -> View<'_> {
    View {
        discovery: &state.ellie().discovery,
        panic_threshold: state.settings().panic_threshold,
        now: Now::read(),
    }
}

/// `GET /services/{name}`
pub(super) async fn one(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let mut query = Query::new(uri.query());
    let filter = Filter::read(&mut query);
    let waiting = wait(&mut query);
    query.finish()?;
    // What can't be a name is no service, now or ever.
    let Ok(key) = ServiceName::new(&name) else { return Err(Error::service_not_found(&name)) };
    if let Some(waiting) = waiting {
        wait_for_service(&state, &key, waiting).await?;
    }
    let registry = state.ellie().registry();
    let index = registry.service_index(&key);
    let Some(detail) = detail(&state, &name, &filter) else {
        return Err(Error::service_not_found(&name)
            .with_header(http::HeaderName::from_static(INDEX_HEADER), HeaderValue::from(index)));
    };
    Ok(with_index(detail.index, Json(detail)))
}

/// One service as it is now, with the instances that `filter` lets through.
pub(super) fn detail(state: &AdminState, name: &str, filter: &Filter) -> Option<ServiceDetail> {
    let snapshot = state.ellie().registry().snapshot();
    let service = snapshot.service(name)?;
    let view = view(state);
    let selection = select::<&str>(service, &[], view.panic_threshold);
    let instances = filter.apply(&view, service);
    Some(ServiceDetail {
        index: service.index,
        status: wire::status(service.status()),
        level: wire::level(selection.level).into(),
        strategy: state.ellie().balancer.strategy(Some(name)).as_str().into(),
        healthy: service.counts.healthy,
        degraded: service.counts.degraded,
        unhealthy: service.counts.unhealthy,
        routable: selection.routable().count(),
        total: service.counts.total(),
        count: instances.len(),
        dependencies: service.dependencies().map(Into::into).collect(),
        instances,
        name: name.to_owned(),
    })
}

/// Waits until the registry's index is beyond the one given. An index from another life of the process returns at once.
async fn wait_for_any(state: &AdminState, waiting: Wait) -> Result<()> {
    let registry = state.ellie().registry();
    let mut changes = registry.watch();
    let is_due = || {
        let index = registry.snapshot().index;
        index > waiting.index || waiting.index > index
    };
    if is_due() {
        return Ok(());
    }
    let _place = state.stream()?;
    let wait = async {
        while !is_due() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = wait => {}
        () = tokio::time::sleep(waiting.wait) => {}
        () = state.ending().cancelled() => {}
    }
    Ok(())
}

/// The same for one service: changes of others wake nobody.
async fn wait_for_service(state: &AdminState, name: &ServiceName, waiting: Wait) -> Result<()> {
    let registry = state.ellie().registry();
    let mut changes = registry.watch_service(name);
    let is_due = || registry.service_index(name) > waiting.index || waiting.index > registry.snapshot().index;
    if is_due() {
        return Ok(());
    }
    let _place = state.stream()?;
    let wait = async {
        while !is_due() {
            changes.changed().await;
        }
    };
    tokio::select! {
        () = wait => {}
        () = tokio::time::sleep(waiting.wait) => {}
        () = state.ending().cancelled() => {}
    }
    Ok(())
}

/// What a service's status is on the wire, worst first; for summaries.
pub(super) fn worst(statuses: impl Iterator<Item = Status>) -> Status {
    let rank = |s: Status| match s {
        Status::Healthy => 0,
        Status::Degraded => 1,
        Status::Unhealthy => 2,
    };
    statuses.max_by_key(|s| rank(*s)).unwrap_or(Status::Healthy)
}
