//! Every call: its method, its path and the scope it needs. The router, the document and the guard are held against it.

use crate::auth::Scope;
use http::Method;

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) scope: Scope,
}

const fn call(method: Method, path: &'static str, scope: Scope) -> Call {
    Call { method, path, scope }
}

pub(super) const CALLS: &[Call] = &[
    call(Method::GET, "/services", Scope::Read),
    call(Method::POST, "/services", Scope::Register),
    call(Method::POST, "/services/batch", Scope::Register),
    call(Method::GET, "/services/watch", Scope::Read),
    call(Method::GET, "/services/health", Scope::Read),
    call(Method::GET, "/services/stats", Scope::Read),
    call(Method::GET, "/services/{name}", Scope::Read),
    call(Method::GET, "/services/{name}/health", Scope::Read),
    call(Method::GET, "/services/{name}/resolve", Scope::Read),
    call(Method::GET, "/services/{name}/instances/{id}", Scope::Read),
    call(Method::DELETE, "/services/{name}/instances/{id}", Scope::Register),
    call(Method::PUT, "/services/{name}/instances/{id}/heartbeat", Scope::Register),
    call(Method::PUT, "/services/{name}/instances/{id}/check", Scope::Operate),
    call(Method::PUT, "/services/{name}/instances/{id}/drain", Scope::Operate),
    call(Method::PUT, "/services/{name}/instances/{id}/undrain", Scope::Operate),
    call(Method::PUT, "/services/{name}/instances/{id}/maintenance", Scope::Operate),
    call(Method::PUT, "/services/{name}/instances/{id}/weight", Scope::Operate),
    call(Method::GET, "/routes", Scope::Read),
    call(Method::POST, "/routes", Scope::Operate),
    call(Method::GET, "/routes/{id}", Scope::Read),
    call(Method::PUT, "/routes/{id}", Scope::Operate),
    call(Method::DELETE, "/routes/{id}", Scope::Operate),
    call(Method::GET, "/breakers", Scope::Read),
    call(Method::GET, "/breakers/{name}", Scope::Read),
    call(Method::PUT, "/breakers/{name}/force-open", Scope::Operate),
    call(Method::PUT, "/breakers/{name}/force-close", Scope::Operate),
    call(Method::PUT, "/breakers/{name}/reset", Scope::Operate),
    call(Method::GET, "/load-balancer/strategy", Scope::Read),
    call(Method::PUT, "/load-balancer/strategy", Scope::Operate),
    call(Method::GET, "/providers", Scope::Read),
    call(Method::GET, "/processes", Scope::Read),
    call(Method::PUT, "/processes/down", Scope::Operate),
    call(Method::GET, "/processes/{name}", Scope::Read),
    call(Method::PUT, "/processes/{name}/start", Scope::Operate),
    call(Method::PUT, "/processes/{name}/stop", Scope::Operate),
    call(Method::PUT, "/processes/{name}/restart", Scope::Operate),
    call(Method::GET, "/processes/{name}/logs", Scope::Read),
    call(Method::GET, "/events", Scope::Read),
    call(Method::PUT, "/reload", Scope::Operate),
    call(Method::GET, "/health", Scope::Read),
    call(Method::GET, "/metrics", Scope::Read),
    call(Method::GET, "/openapi.json", Scope::Read),
];

/// What the dashboard's pages read, below `/api` at its listener alone. No part of the documented API.
pub(super) const UI_CALLS: &[Call] = &[
    call(Method::GET, "/ui/stream", Scope::Read),
    call(Method::GET, "/ui/history", Scope::Read),
    call(Method::GET, "/ui/config", Scope::Read),
    call(Method::GET, "/ui/service/{name}", Scope::Read),
    call(Method::GET, "/ui/instance/{name}/{id}", Scope::Read),
    // A question that needs a body; it changes nothing.
    call(Method::POST, "/ui/route-test", Scope::Read),
];

/// Every call there is.
pub(super) fn all() -> impl Iterator<Item = &'static Call> {
    CALLS.iter().chain(UI_CALLS)
}

/// The scope that a request needs. What is no call needs only what a read needs: it is answered 404 or 405.
pub(super) fn scope(method: &Method, template: Option<&str>) -> Scope {
    all().find(|c| c.method == *method && Some(c.path) == template).map_or(Scope::Read, |c| c.scope)
}
