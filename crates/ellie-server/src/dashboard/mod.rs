//! The page at the dashboard's listener: an overview rendered here, without a script.
//!
//! It shows what an operator looks for first. The screens with actions are a later step; this page never changes
//! anything, so it needs no token where reads need none.

mod page;

use crate::admin::{self, AdminState};
use crate::app::Addresses;
use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

#[derive(Clone)]
struct Dashboard {
    state: AdminState,
    addresses: Addresses,
}

/// Nothing is loaded from anywhere, no script runs, no other page may frame it.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The dashboard's pages, behind the same checks of host and token as the API.
pub(crate) fn router(state: AdminState, addresses: Addresses) -> Router {
    let pages = Router::new()
        .route("/", get(overview))
        .route("/ui/", get(overview))
        .with_state(Dashboard { state: state.clone(), addresses });
    admin::guard(state, pages)
}

async fn overview(State(dashboard): State<Dashboard>) -> impl IntoResponse {
    let html = page::render(&page::View::of(dashboard.state.ellie(), &dashboard.addresses));
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, html)
}
