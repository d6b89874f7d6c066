//! `GET /services/watch`: a snapshot, then every change. Nothing is queued for a slow reader: it is sent what came
//! after the last thing it took, and a new snapshot when that is no longer kept.

use super::problem::{Error, Result};
use super::query::Query;
use super::services::{self, Filter, view};
use super::state::AdminState;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use ellie_api::Resync;
use ellie_api::problem::kind;
use ellie_core::ServiceName;
use ellie_core::registry::Change;
use futures_util::stream::{Stream, unfold};
use http::{HeaderMap, HeaderName, Uri};
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// A comment is sent when nothing else was for this long, so that both sides notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `Last-Event-ID`, where it was sent.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(value) = headers.get(HeaderName::from_static("last-event-id")) else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok("") => Ok(None),
        Ok(text) if text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u64>().is_ok() => {
            Ok(text.parse().ok())
        }
        _ => Err(Error::new(kind::INVALID_HEADER, "`Last-Event-ID` is not a whole number")
            .with_field("last-event-id", "is not a whole number")),
    }
}

/// An answer of events that ends when the API does.
pub(super) fn sse<S>(stream: S) -> Response
where
    S: Stream<Item = std::result::Result<Event, Infallible>> + Send + 'static,
{
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // Proxies that buffer would hold events back.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), http::HeaderValue::from_static("no"));
    response
}

/// An event with its data as JSON.
pub(super) fn json_event(name: &'static str, id: u64, data: &impl Serialize) -> Event {
    let text = serde_json::to_string(data).unwrap_or_else(|_| "{}".into());
    Event::default().event(name).id(id.to_string()).data(text)
}

/// Where one reader is.
struct Cursor {
    state: AdminState,
    only: Option<ServiceName>,
    changes: watch::Receiver<u64>,
    /// The index up to which everything was sent; `None` before the first snapshot.
    at: Option<u64>,
    ready: VecDeque<Ready>,
    _place: OwnedSemaphorePermit,
}

enum Ready {
    Resync(Resync),
    Snapshot,
    Change(Box<Change>),
}

/// The handler.
pub(super) async fn watch(State(state): State<AdminState>, headers: HeaderMap, uri: Uri) -> Result<Response> {
    let mut query = Query::new(uri.query());
    let service = query.one("service");
    query.finish()?;
    let at = last_event_id(&headers)?;
    let only = match service {
        Some(name) => Some(ServiceName::new(&name).map_err(|fault| {
            Error::new(kind::INVALID_QUERY, "the query string has faults")
                .with_field("service", fault.message)
        })?),
        None => None,
    };
    let place = state.stream()?;
    let changes = state.ellie().registry().watch();
    let cursor = Cursor { state, only, changes, at, ready: VecDeque::new(), _place: place };
    Ok(sse(unfold(cursor, |mut cursor| async move {
        let event = cursor.next().await?;
        Some((Ok(event), cursor))
    })))
}

impl Cursor {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(self.event(ready));
            }
            if self.fill() {
                continue;
            }
            let ending = self.state.ending().clone();
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = ending.cancelled() => return None,
            }
        }
    }

    /// Gathers what is to be sent next; false where there is nothing.
    fn fill(&mut self) -> bool {
        // Seen before the registry is read: what comes later wakes again.
        self.changes.borrow_and_update();
        let registry = self.state.ellie().registry();
        let Some(at) = self.at else {
            self.ready.push_back(Ready::Snapshot);
            return true;
        };
        match registry.changes_since(at) {
            Ok(changes) => {
                if let Some(last) = changes.last() {
                    self.at = Some(last.index);
                }
                let only = &self.only;
                let wanted = changes.into_iter().filter(|c| only.as_ref().is_none_or(|name| c.name == *name));
                self.ready.extend(wanted.map(|c| Ready::Change(Box::new(c))));
                !self.ready.is_empty()
            }
            Err(too_old) => {
                let index = registry.snapshot().index;
                self.ready.push_back(Ready::Resync(Resync { oldest: too_old.oldest, index }));
                self.ready.push_back(Ready::Snapshot);
                true
            }
        }
    }

    fn event(&mut self, ready: Ready) -> Event {
        match ready {
            // Without an id of its own: a reader that is cut off here begins with a snapshot again.
            Ready::Resync(resync) => {
                Event::default().event("resync").data(serde_json::to_string(&resync).unwrap_or_default())
            }
            Ready::Snapshot => {
                let listed = services::snapshot(&self.state, &Filter::default(), self.only.as_ref());
                self.at = Some(listed.index);
                json_event("snapshot", listed.index, &listed)
            }
            Ready::Change(change) => {
                let sent = view(&self.state).change(&change);
                json_event("change", sent.index, &sent)
            }
        }
    }
}
