//! The HTTP API of the registry: every call of `docs/api.md`.
//!
//! A request passes, from the outside in: [`outer`] (counts it, survives a panic, writes problems), compression,
//! [`guard`] (host, origin, token) and its handler. Handlers parse, ask the facade, and convert; nothing is decided
//! here but who may call what.

mod body;
mod breakers;
pub(crate) mod configured;
mod events;
mod fields;
mod guard;
mod health;
mod instances;
mod json;
mod kept_routes;
mod metrics;
mod openapi;
mod outer;
mod problem;
mod processes;
mod providers;
mod query;
mod registration;
mod resolve;
mod routes;
mod serve;
mod services;
mod state;
mod stats;
mod strategy;
mod system;
mod table;
pub(crate) mod ui;
mod unparsed;
mod watch;
mod wire;

pub use guard::guard_public;
pub use kept_routes::KeptRoutes;
pub(crate) use metrics::BOUNDS;
pub use openapi::DOCUMENT;
pub use processes::Managed;
pub use providers::Shown;
pub use serve::{Limits, serve};
pub use state::{AdminState, Control, Settings};

use axum::Router;
use axum::extract::State;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post, put};
use http::header;
use problem::Error;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Answers over this many bytes are compressed where the client accepts it.
const COMPRESS_ABOVE: u64 = 1024;

/// The whole API.
pub fn router(state: AdminState) -> Router {
    router_with(state, Router::new())
}

/// The whole API and `more` calls, which [`table`] has to know.
pub(crate) fn router_with(state: AdminState, more: Router<AdminState>) -> Router {
    let compressed = SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::const_new("text/event-stream"));
    more.route("/services", get(services::list).post(instances::register))
        .route("/services/batch", post(instances::batch))
        .route("/services/watch", get(watch::watch))
        .route("/services/health", get(health::system))
        .route("/services/stats", get(stats::stats))
        .route("/services/{name}", get(services::one))
        .route("/services/{name}/health", get(health::service))
        .route("/services/{name}/resolve", get(resolve::resolve))
        .route("/services/{name}/instances/{id}", get(instances::get).delete(instances::deregister))
        .route("/services/{name}/instances/{id}/heartbeat", put(instances::heartbeat))
        .route("/services/{name}/instances/{id}/check", put(instances::check))
        .route("/services/{name}/instances/{id}/drain", put(instances::drain))
        .route("/services/{name}/instances/{id}/undrain", put(instances::undrain))
        .route("/services/{name}/instances/{id}/maintenance", put(instances::maintenance))
        .route("/services/{name}/instances/{id}/weight", put(instances::weight))
        .route("/routes", get(routes::list).post(routes::add))
        .route("/routes/{id}", get(routes::get).put(routes::replace).delete(routes::remove))
        .route("/breakers", get(breakers::list))
        .route("/breakers/{name}", get(breakers::get))
        .route("/breakers/{name}/force-open", put(breakers::force_open))
        .route("/breakers/{name}/force-close", put(breakers::force_close))
        .route("/breakers/{name}/reset", put(breakers::reset))
        .route("/load-balancer/strategy", get(strategy::get).put(strategy::set))
        .route("/providers", get(providers::list))
        .route("/processes", get(processes::list))
        .route("/processes/down", put(processes::down))
        .route("/processes/{name}", get(processes::get))
        .route("/processes/{name}/start", put(processes::start))
        .route("/processes/{name}/stop", put(processes::stop))
        .route("/processes/{name}/restart", put(processes::restart))
        .route("/processes/{name}/logs", get(processes::logs))
        .route("/events", get(events::events))
        .route("/reload", put(configured::reload))
        .route("/health", get(system::health))
        .route("/metrics", get(system::metrics))
        .route("/openapi.json", get(system::openapi))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), guard::check))
        .layer(CompressionLayer::new().gzip(true).compress_when(compressed))
        .layer(from_fn(add_vary))
        .layer(from_fn_with_state(state.clone(), outer::outer))
        .with_state(state)
}

async fn no_such_path(uri: http::Uri) -> Error {
    let path = ellie_core::model::excerpt(uri.path());
    Error::new(
        ellie_api::problem::kind::NOT_FOUND,
        format!("no call has the path `{path}`; see /openapi.json"),
    )
}

async fn wrong_method(State(_): State<AdminState>, method: http::Method, uri: http::Uri) -> Error {
    let path = ellie_core::model::excerpt(uri.path());
    Error::new(ellie_api::problem::kind::METHOD_NOT_ALLOWED, format!("`{path}` does not answer {method}"))
}

/// What is answered belongs to a token and a moment: no cache keeps it.
async fn add_vary(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(http::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
    response
}
