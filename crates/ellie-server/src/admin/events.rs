//! `GET /events`: the journal, as a stream or as a list.

use super::problem::{Error, Result};
use super::query::Query;
use super::state::AdminState;
use super::watch::{json_event, last_event_id, sse};
use super::wire;
use axum::Json;
use axum::extract::State;
use axum::response::sse::Event as SseEvent;
use axum::response::{IntoResponse, Response};
use ellie_api::problem::kind;
use ellie_api::{Events, Resync};
use ellie_core::journal::{CAPACITY, Event, Journal};
use futures_util::stream::unfold;
use http::{HeaderMap, Uri, header};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How many past events are told where nothing else is asked for.
const DEFAULT_LAST: u64 = 100;

/// Which events are meant.
#[derive(Clone, Debug, Default)]
struct Wanted {
    service: Option<String>,
    kind: Option<String>,
}

impl Wanted {
    fn takes(&self, e: &Event) -> bool {
        self.service.as_ref().is_none_or(|s| e.entry.service.as_ref() == Some(s))
            && self.kind.as_ref().is_none_or(|k| e.entry.kind.as_str() == k)
    }
}

/// Those after `since`, and of these the last so many.
fn past(journal: &Journal, since: u64, last: u64, wanted: &Wanted) -> VecDeque<Arc<Event>> {
    let mut events: VecDeque<_> = journal.since(since).into_iter().filter(|e| wanted.takes(e)).collect();
    let surplus = events.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
    events.drain(..surplus);
    events
}

/// The handler.
pub(super) async fn events(
    State(state): State<AdminState>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    let mut query = Query::new(uri.query());
    let since = query.number("since");
    let last = query.number("last");
    let wanted = Wanted { service: query.one("service"), kind: query.one("kind") };
    query.finish()?;
    if last.is_some_and(|n| n > CAPACITY as u64) {
        let message = format!("at most {CAPACITY} are kept");
        return Err(
            Error::new(kind::INVALID_QUERY, "the query string has faults").with_field("last", message)
        );
    }
    let resume = last_event_id(&headers)?.or(since);
    let journal = state.ellie().journal().clone();
    let all_since = if resume.is_some() { CAPACITY as u64 } else { DEFAULT_LAST };
    let last = last.unwrap_or(all_since);
    if wants_list(&headers) {
        let events = past(&journal, resume.unwrap_or(0), last, &wanted);
        let list = Events {
            last_id: journal.last_id(),
            count: events.len(),
            events: events.iter().map(|e| wire::event(e)).collect(),
        };
        return Ok(Json(list).into_response());
    }
    let place = state.stream()?;
    let head = journal.subscribe();
    let mut ready: VecDeque<Ready> = VecDeque::new();
    let newest = journal.last_id();
    // An id that is no longer kept, or of another life of the process.
    let mut from = resume.unwrap_or(0);
    let oldest = newest.saturating_sub(CAPACITY as u64);
    if resume.is_some_and(|id| id > newest || id < oldest) {
        ready.push_back(Ready::Resync(Resync { oldest, index: newest }));
        from = 0;
    }
    let past = past(&journal, from, last, &wanted);
    let at = newest.max(past.back().map_or(0, |e| e.id));
    ready.extend(past.into_iter().map(Ready::Event));
    let cursor = Cursor { state, journal, wanted, head, at, ready, _place: place };
    Ok(sse(unfold(cursor, |mut cursor| async move {
        let event = cursor.next().await?;
        Some((Ok(event), cursor))
    })))
}

/// A list is sent to whoever names JSON and not an event stream; a browser's `EventSource` and curl get the stream.
fn wants_list(headers: &HeaderMap) -> bool {
    let accepted: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
    let accepted = accepted.join(",").to_ascii_lowercase();
    accepted.contains("application/json") && !accepted.contains("text/event-stream")
}

enum Ready {
    Resync(Resync),
    Event(Arc<Event>),
}

struct Cursor {
    state: AdminState,
    journal: Arc<Journal>,
    wanted: Wanted,
    head: watch::Receiver<u64>,
    at: u64,
    ready: VecDeque<Ready>,
    _place: OwnedSemaphorePermit,
}

impl Cursor {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            match self.ready.pop_front() {
                Some(Ready::Event(e)) => return Some(json_event("event", e.id, &wire::event(&e))),
                Some(Ready::Resync(r)) => {
                    return Some(
                        SseEvent::default()
                            .event("resync")
                            .data(serde_json::to_string(&r).unwrap_or_default()),
                    );
                }
                None => {}
            }
            self.head.borrow_and_update();
            let newer = self.journal.since(self.at);
            if let Some(first) = newer.first()
                && first.id > self.at + 1
            {
                self.ready
                    .push_back(Ready::Resync(Resync { oldest: first.id - 1, index: self.journal.last_id() }));
            }
            if let Some(last) = newer.last() {
                self.at = last.id;
            }
            let wanted = &self.wanted;
            self.ready.extend(newer.into_iter().filter(|e| wanted.takes(e)).map(Ready::Event));
            if !self.ready.is_empty() {
                continue;
            }
            let ending = self.state.ending().clone();
            tokio::select! {
                changed = self.head.changed() => changed.ok()?,
                () = ending.cancelled() => return None,
            }
        }
    }
}
