//! The outermost layer: counts every request, survives a panic, and writes the body of every problem.

use super::problem::{Error, Pending};
use super::state::AdminState;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ellie_api::Problem;
use ellie_api::problem::{KINDS, MEDIA_TYPE, kind};
use ellie_core::Now;
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, header};
use std::panic::AssertUnwindSafe;

/// The middleware.
pub(super) async fn outer(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let begun = Now::read();
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let template = request.extensions().get::<MatchedPath>().cloned();
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Error::internal(&"a handler panicked").into_response(),
    };
    let response = write_problem(response, &path, &method);
    let template = template.as_ref().map(MatchedPath::as_str);
    let took = Now::read().instant.saturating_duration_since(begun.instant);
    state.counters().record(&method, template, response.status().as_u16(), took);
    response
}

/// Gives a problem its body. An error that no handler wrote, such as a path that is not UTF-8, becomes one.
fn write_problem(mut response: Response, path: &str, method: &Method) -> Response {
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Pending>() {
        Some(Pending(problem)) => Problem { instance: Some(path.to_owned()), ..problem },
        None if status.is_client_error() || status.is_server_error() => {
            let is_written = response
                .headers()
                .get(header::CONTENT_TYPE)
                .is_some_and(|v| !v.as_bytes().starts_with(b"text/plain"));
            if is_written {
                return response;
            }
            unspecific(status, path)
        }
        None => return response,
    };
    let body = match serde_json::to_vec(&problem) {
        Ok(body) if *method != Method::HEAD => Body::from(body),
        _ => Body::empty(),
    };
    *response.body_mut() = body;
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::CONTENT_ENCODING);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

fn unspecific(status: StatusCode, path: &str) -> Problem {
    let uri = match status {
        StatusCode::NOT_FOUND => kind::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED => kind::METHOD_NOT_ALLOWED,
        _ if status.is_client_error() => kind::BAD_REQUEST,
        _ => kind::INTERNAL,
    };
    let title = KINDS.iter().find(|k| k.uri == uri).map_or("", |k| k.title);
    Problem {
        kind: uri.into(),
        title: title.into(),
        status: status.as_u16(),
        detail: None,
        instance: Some(path.to_owned()),
        errors: Vec::new(),
    }
}
