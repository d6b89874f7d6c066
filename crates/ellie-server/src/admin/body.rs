//! Reading a request's body: bounded in size and time, and only JSON.

use super::json::{self, Value};
use super::problem::{Error, Result};
use super::state::AdminState;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use ellie_api::problem::kind;
use http::{HeaderValue, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::time::Duration;

/// How much of a refused body is taken so that its sender reads the answer, and for how long.
const DISCARD: u64 = 32 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// How many times the usual size a batch may have.
const BATCH_FACTOR: usize = 8;

/// Reads a body as JSON. An empty one is an empty object where `optional`.
pub(super) async fn json(state: &AdminState, request: Request, optional: bool) -> Result<Value> {
    read(state, request, optional, 1).await
}

/// [`json`] with the larger bound of a batch.
pub(super) async fn large_json(state: &AdminState, request: Request) -> Result<Value> {
    read(state, request, false, BATCH_FACTOR).await
}

async fn read(state: &AdminState, request: Request, optional: bool, factor: usize) -> Result<Value> {
    let settings = state.settings();
    if let Err(error) = check_type(&request) {
        discard(request).await;
        return Err(error);
    }
    let limit = settings.max_body.saturating_mul(factor);
    let too_large = || Error::new(kind::BODY_TOO_LARGE, format!("the body has more than {limit} bytes"));
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > limit as u64) {
        discard(request).await;
        return Err(too_large().with_header(header::CONNECTION, HeaderValue::from_static("close")));
    }
    let close = |error: Error| error.with_header(header::CONNECTION, HeaderValue::from_static("close"));
    let mut body = request.into_body();
    let collected =
        tokio::time::timeout(settings.request_timeout, Limited::new(&mut body, limit).collect()).await;
    let bytes: Bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            drain(body).await;
            return Err(close(too_large()));
        }
        Ok(Err(e)) => {
            return Err(close(Error::new(kind::BAD_REQUEST, format!("the body broke off: {}", root(&*e)))));
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {:?}", settings.request_timeout);
            return Err(close(Error::new(kind::BODY_TIMEOUT, detail)));
        }
    };
    if optional && bytes.is_empty() {
        return Ok(Value::Object(Vec::new()));
    }
    json::parse(&bytes)
}

fn root(e: &(dyn std::error::Error + 'static)) -> String {
    let mut e = e;
    while let Some(source) = e.source() {
        e = source;
    }
    e.to_string()
}

/// JSON, nothing said, or what `curl -d` says unless told otherwise.
fn check_type(request: &Request) -> Result<()> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence =
        value.to_str().unwrap_or("?").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fine = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
        || essence == "application/x-www-form-urlencoded";
    if fine {
        return Ok(());
    }
    let essence = ellie_core::model::excerpt(&essence);
    Err(Error::new(
        kind::UNSUPPORTED_MEDIA_TYPE,
        format!("`{essence}` is not read here; send application/json"),
    ))
}

/// Takes what a refused request still sends, within bounds: a client that is cut off while it writes never sees why.
/// One that waits for `100 Continue` has sent nothing and is not asked to.
pub(super) async fn discard(request: Request) {
    if !request.headers().contains_key(header::EXPECT) {
        drain(request.into_body()).await;
    }
}

async fn drain(mut body: Body) {
    let taking = async {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, |d| d.len() as u64);
            if taken > DISCARD {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, taking).await;
}
