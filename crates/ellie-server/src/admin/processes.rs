//! The service manager: what runs, what it writes, and orders to it. The name `-` stands for all.

use super::problem::{Error, Result};
use super::query::Query;
use super::state::AdminState;
use super::watch::{json_event, last_event_id, sse};
use super::wire;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::sse::Event as SseEvent;
use axum::response::{IntoResponse, Response};
use ellie::ServiceManager;
use ellie::supervisor::logs::Line;
use ellie::supervisor::status::{How, UnitStatus};
use ellie::supervisor::supervisor;
use ellie_api::problem::kind;
use ellie_api::process::{Dependency, Exit, LogLine, Logs, Process, Processes, Times};
use futures_util::stream::unfold;
use http::{HeaderMap, StatusCode, Uri};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

/// All processes.
const ALL: &str = "-";
/// How many past lines are told where nothing else is asked for.
const DEFAULT_TAIL: u64 = 100;
/// The most lines that one answer or one step of a stream has.
const MAX_LINES: usize = 10_000;

/// The service manager, and the way to end what it runs in.
#[derive(Clone, Debug)]
pub struct Managed {
    /// The processes.
    pub manager: ServiceManager,
    /// Ends everything in order.
    pub end: CancellationToken,
}

fn managed(state: &AdminState) -> Result<&Managed> {
    state.managed().ok_or_else(|| {
        let why = "this server runs no processes: start it by `ellie up`";
        Error::new(kind::PROCESS_NOT_FOUND, why)
    })
}

fn refused(error: &supervisor::Error) -> Error {
    match error {
        supervisor::Error::Unknown { .. } => Error::new(kind::PROCESS_NOT_FOUND, error.to_string()),
        other => Error::internal(other),
    }
}

/// The processes that `name` stands for, as they are now.
fn named(managed: &Managed, name: &str) -> Result<Processes> {
    let status = managed.manager.status();
    let units: Vec<Process> = match name {
        ALL => status.units.iter().map(process).collect(),
        name => status.named(name).map(process).collect(),
    };
    if units.is_empty() && name != ALL {
        let nearest = managed.manager.plan().nearest(name).map(Into::into);
        return Err(refused(&supervisor::Error::Unknown { name: name.into(), nearest }));
    }
    Ok(Processes { count: units.len(), processes: units })
}

/// One as sent.
pub(super) fn process(unit: &UnitStatus) -> Process {
    let time = |at: Option<SystemTime>| at.map(wire::time);
    let times = &unit.times;
    Process {
        name: unit.unit.to_string(),
        process: unit.process.to_string(),
        external: unit.external,
        state: unit.phase.as_str().into(),
        reason: unit.reason.clone(),
        since: wire::time(unit.since),
        pid: unit.pid,
        port: unit.port,
        restarts: unit.restarts,
        failures: unit.failures,
        last_exit: unit.last_exit.as_ref().map(|exit| Exit {
            code: if let How::Code(code) = exit.how { Some(code) } else { None },
            signal: if let How::Signal(signal) = exit.how { Some(signal) } else { None },
            left: exit.left,
        }),
        retry_in: unit.retry_in.map(wire::millis),
        times: Times {
            asked: time(times.asked),
            unblocked: time(times.unblocked),
            blocker: times.blocker.as_ref().map(ToString::to_string),
            started: time(times.started),
            ready: time(times.ready),
            ended: time(times.ended),
        },
        dependencies: unit
            .needs
            .iter()
            .map(|need| Dependency {
                name: need.name.clone(),
                condition: need.condition.clone(),
                met: need.met,
            })
            .collect(),
    }
}

/// `GET /processes`
pub(super) async fn list(State(state): State<AdminState>, uri: Uri) -> Result<Json<Processes>> {
    Query::new(uri.query()).finish()?;
    // No manager manages nothing: a list of nothing, for who looks at any server.
    match state.managed() {
        Some(managed) => named(managed, ALL).map(Json),
        None => Ok(Json(Processes { count: 0, processes: Vec::new() })),
    }
}

/// `GET /processes/{name}`
pub(super) async fn get(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Json<Processes>> {
    Query::new(uri.query()).finish()?;
    named(managed(&state)?, &name).map(Json)
}

/// What may be asked of a process.
#[derive(Clone, Copy)]
enum Order {
    Start,
    Stop,
    Restart,
}

async fn order(state: &AdminState, name: &str, uri: &Uri, order: Order) -> Result<Response> {
    Query::new(uri.query()).finish()?;
    let managed = managed(state)?;
    let manager = &managed.manager;
    let names: Vec<String> = match name {
        ALL => manager.plan().definitions().iter().map(|definition| definition.name.clone()).collect(),
        name => vec![name.to_owned()],
    };
    let mut done = Ok(());
    if matches!((order, name), (Order::Stop, ALL)) {
        // In order, which takes as long as it takes: the answer does not wait for it.
        let manager = manager.clone();
        tokio::spawn(async move { manager.down().await });
    } else {
        for name in &names {
            done = done.and(match order {
                Order::Start => manager.start(name).await,
                Order::Stop => manager.stop(name).await,
                Order::Restart => manager.restart(name).await,
            });
        }
    }
    done.map_err(|error| refused(&error))?;
    Ok((StatusCode::ACCEPTED, Json(named(managed, name)?)).into_response())
}

/// `PUT /processes/{name}/start`
pub(super) async fn start(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response> {
    order(&state, &name, &uri, Order::Start).await
}

/// `PUT /processes/{name}/stop`
pub(super) async fn stop(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response> {
    order(&state, &name, &uri, Order::Stop).await
}

/// `PUT /processes/{name}/restart`
pub(super) async fn restart(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response> {
    order(&state, &name, &uri, Order::Restart).await
}

/// `PUT /processes/down`
pub(super) async fn down(State(state): State<AdminState>, uri: Uri) -> Result<Response> {
    Query::new(uri.query()).finish()?;
    let managed = managed(&state)?;
    let answer = named(managed, ALL)?;
    managed.end.cancel();
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

fn line(line: &Line) -> LogLine {
    LogLine {
        id: line.id,
        at: wire::time(line.at()),
        process: line.unit.to_string(),
        stream: line.stream.as_str().into(),
        text: line.text.clone(),
    }
}

/// `GET /processes/{name}/logs`
pub(super) async fn logs(
    State(state): State<AdminState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    let mut query = Query::new(uri.query());
    let follow = query.flag("follow");
    let tail = query.number("tail").unwrap_or(DEFAULT_TAIL);
    query.finish()?;
    let managed = managed(&state)?;
    let units: Vec<Arc<str>> = match name.as_str() {
        ALL => managed.manager.status().units.iter().map(|unit| unit.unit.clone()).collect(),
        name => {
            named(managed, name)?;
            managed.manager.status().named(name).map(|unit| unit.unit.clone()).collect()
        }
    };
    let logs = managed.manager.logs().clone();
    let tail = usize::try_from(tail).unwrap_or(MAX_LINES).min(MAX_LINES);
    if !follow {
        let lines: Vec<LogLine> = logs.last(&units, tail).iter().map(|l| line(l)).collect();
        return Ok(Json(Logs { count: lines.len(), lines }).into_response());
    }
    let resume = last_event_id(&headers)?;
    let place = state.stream()?;
    let changes = logs.subscribe();
    let newest = logs.last_id();
    let (at, ready) = match resume {
        Some(id) => (id, VecDeque::new()),
        None => {
            let past = logs.last(&units, tail);
            (past.last().map_or(newest, |line| line.id.max(newest)), past.into())
        }
    };
    let cursor = Cursor { state: state.clone(), logs, units, changes, at, ready, _place: place };
    Ok(sse(unfold(cursor, |mut cursor| async move {
        let event = cursor.next().await?;
        Some((Ok(event), cursor))
    })))
}

/// Where one reader is. Nothing is queued for a slow one: it is sent what came after the last line that it took, and
/// told when some of that is no longer kept.
struct Cursor {
    state: AdminState,
    logs: Arc<ellie::supervisor::logs::Logs>,
    units: Vec<Arc<str>>,
    changes: watch::Receiver<u64>,
    at: u64,
    ready: VecDeque<Arc<Line>>,
    _place: OwnedSemaphorePermit,
}

impl Cursor {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                self.at = self.at.max(next.id);
                return Some(json_event("line", next.id, &line(&next)));
            }
            self.changes.borrow_and_update();
            let read = self.logs.since(&self.units, self.at, MAX_LINES);
            self.ready = read.lines.into();
            if read.missed {
                return Some(SseEvent::default().event("resync").data("{}"));
            }
            if !self.ready.is_empty() {
                continue;
            }
            let ending = self.state.ending().clone();
            tokio::select! {
                changed = self.changes.changed() => changed.ok()?,
                () = ending.cancelled() => return None,
            }
        }
    }
}
