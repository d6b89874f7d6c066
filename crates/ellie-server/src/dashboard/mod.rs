//! The dashboard's listener: the pages under `/ui/`, and under `/api/` the whole API and what pages alone read.
//!
//! All addresses in answers are relative, so that it works below any path that a proxy puts before it.

mod assets;

use crate::admin::ui::Shared;
use crate::admin::{self, AdminState};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri, header};
use tower::ServiceExt;

/// Where the API is mounted.
const API: &str = "/api";
/// Where the pages are.
const PAGES: &str = "/ui/";
/// Of every answer that says nothing else of it: it is data, nothing of it runs, nobody frames or embeds it.
const DATA: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

#[derive(Clone)]
struct Mounted {
    api: Router,
    pages: Router,
}

/// Everything at the listener.
pub(crate) fn router(state: AdminState, ui: Shared) -> Router {
    let api = admin::router_with(state.clone(), admin::ui::calls(ui));
    let pages = admin::guard_public(state, Router::new().fallback(pages));
    Router::new().fallback(dispatch).with_state(Mounted { api, pages })
}

/// The API sees its own paths: its table of scopes and its counters know no prefix.
async fn dispatch(State(mounted): State<Mounted>, mut request: Request) -> Response {
    let stripped = request.uri().path().strip_prefix(API).filter(|rest| rest.starts_with('/'));
    let router = match stripped.and_then(|rest| below(request.uri(), rest)) {
        Some(uri) => {
            *request.uri_mut() = uri;
            mounted.api
        }
        None => mounted.pages,
    };
    let Ok(mut response) = router.oneshot(request).await;
    let fields = response.headers_mut();
    for (name, value) in DATA {
        fields.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The same address with another path.
fn below(uri: &Uri, path: &str) -> Option<Uri> {
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.ok()?);
    Uri::from_parts(parts).ok()
}

async fn pages(request: Request) -> Response {
    let path = request.uri().path();
    match path.strip_prefix(PAGES) {
        Some(rest) => assets::serve(request.method(), rest, request.headers()),
        None if matches!(path, "/" | "/ui") => Redirect::temporary("ui/").into_response(),
        None => http::StatusCode::NOT_FOUND.into_response(),
    }
}
