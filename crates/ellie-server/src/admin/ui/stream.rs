//! `GET /ui/stream`: made once a second for all pages together, by a task that is there only while somebody reads.
//!
//! A frame is encoded once and shared. A reader that falls behind is sent a fresh snapshot in place of what it missed,
//! so no more than a few frames are ever kept for it; one that takes nothing is closed by the listener.

use super::super::problem::Result;
use super::super::query::Query;
use super::figures::{Instances, tick};
use super::picture::Picture;
use super::sampler::Sample;
use super::{Shared, Ui};
use axum::body::Body;
use axum::extract::Extension;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ellie_core::Now;
use futures_util::stream::unfold;
use http::{HeaderMap, HeaderName, Uri, header};
use serde::Serialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Frames that a reader may be behind before it is given a snapshot.
pub(super) const BEHIND: usize = 4;
/// Seconds for which the task goes on without readers, so that one that comes back goes on where it was.
pub(super) const LINGER: u32 = 15;
/// Deltas that are kept for readers that come back, by number and by bytes.
const KEPT: usize = 60;
const KEPT_BYTES: usize = 8 << 20;
/// A comment is sent when nothing else was for this long.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// One second.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    delta: Option<Bytes>,
    /// Absent where nobody read when the frame was begun.
    tick: Option<Bytes>,
}

/// What there is while somebody reads.
#[derive(Debug)]
pub(super) struct Live {
    /// Tells the numbers of this life of the task from those of another.
    epoch: Arc<str>,
    frames: broadcast::Sender<Frame>,
    picture: Arc<Picture>,
    kept: VecDeque<(u64, Bytes)>,
    kept_bytes: usize,
    lonely: u32,
    /// Frames made.
    made: u64,
}

/// An event of the stream.
pub(super) fn event(name: &str, id: Option<(&str, u64)>, data: &impl Serialize) -> Bytes {
    let mut out = format!("event: {name}\n").into_bytes();
    if let Some((epoch, seq)) = id {
        out.extend_from_slice(format!("id: {epoch}-{seq}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
    // Compact JSON has no line breaks. Writing to memory can't fail, and these types have string keys.
    if serde_json::to_writer(&mut out, data).is_err() {
        out.extend_from_slice(b"{}");
    }
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// Where a reader begins.
enum Begin {
    /// With everything.
    Snapshot(Arc<Picture>),
    /// With what it missed.
    Deltas(Vec<Bytes>),
}

impl Live {
    fn new(ui: &Ui, number: u64) -> Self {
        let now = Now::read();
        let started = now.wall.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        Self {
            epoch: format!("{started:x}.{number}").into(),
            frames: broadcast::channel(BEHIND).0,
            picture: Arc::new(Picture::take(ui, None, now)),
            kept: VecDeque::new(),
            kept_bytes: 0,
            lonely: 0,
            made: 0,
        }
    }

    /// What a reader needs that has taken everything up to `last`.
    fn begin(&self, last: Option<&str>) -> Begin {
        let seq = last.and_then(|id| {
            let (epoch, seq) = id.rsplit_once('-')?;
            seq.parse::<u64>().ok().filter(|seq| epoch == &*self.epoch && *seq <= self.picture.seq)
        });
        match seq {
            Some(seq) if self.picture.seq - seq <= self.kept.len() as u64 => {
                Begin::Deltas(self.kept.iter().filter(|(n, _)| *n > seq).map(|(_, b)| b.clone()).collect())
            }
            _ => Begin::Snapshot(self.picture.clone()),
        }
    }

    fn keep(&mut self, seq: u64, delta: Bytes) {
        self.kept_bytes += delta.len();
        self.kept.push_back((seq, delta));
        while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            let Some((_, old)) = self.kept.pop_front() else { return };
            self.kept_bytes -= old.len();
        }
    }
}

/// A reader's place.
pub(super) struct Reader {
    ui: Shared,
    epoch: Arc<str>,
    frames: broadcast::Receiver<Frame>,
    ready: VecDeque<Bytes>,
    begin: Option<Begin>,
    _place: OwnedSemaphorePermit,
}

/// The handler.
pub(super) async fn stream(
    Extension(ui): Extension<Shared>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    Query::new(uri.query()).finish()?;
    let last = headers.get(HeaderName::from_static("last-event-id")).and_then(|id| id.to_str().ok());
    let reader = Reader::open(&ui, last)?;
    let body = Body::from_stream(unfold(reader, |mut reader| async move {
        let chunk = reader.next().await?;
        Some((Ok::<_, Infallible>(chunk), reader))
    }));
    let fields = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Proxies that buffer would hold events back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((fields, body).into_response())
}

/// A place in the stream that misses nothing: what it begins with and what follows fit together.
fn subscribe(ui: &Shared, last: Option<&str>) -> (Arc<str>, broadcast::Receiver<Frame>, Begin) {
    let mut live = ui.live();
    let lives = live.1;
    let current = live.0.get_or_insert_with(|| {
        let made = Live::new(ui, lives);
        // Followed from here on: the look that comes next is not missed.
        tokio::spawn(run(ui.clone(), made.epoch.clone(), ui.samples()));
        made
    });
    current.lonely = 0;
    let out = (current.epoch.clone(), current.frames.subscribe(), current.begin(last));
    live.1 += 1;
    out
}

impl Reader {
    /// A reader that has taken everything up to `last`.
    pub(super) fn open(ui: &Shared, last: Option<&str>) -> Result<Self> {
        let place = ui.state.stream()?;
        let (epoch, frames, begin) = subscribe(ui, last);
        let ready = VecDeque::from([Bytes::from_static(b"retry: 1000\n\n")]);
        Ok(Self { ui: ui.clone(), epoch, frames, ready, begin: Some(begin), _place: place })
    }

    /// Frames that wait for it.
    #[cfg(test)]
    pub(super) fn behind(&self) -> usize {
        self.frames.len().min(BEHIND)
    }

    /// The next piece of the answer; `None` at its end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            match self.begin.take() {
                Some(Begin::Deltas(deltas)) => {
                    self.ready.extend(deltas);
                    continue;
                }
                Some(Begin::Snapshot(picture)) => {
                    let epoch = self.epoch.clone();
                    // Ten thousand instances take tens of milliseconds.
                    let encoded = tokio::task::spawn_blocking(move || picture.encoded(&epoch));
                    return encoded.await.ok();
                }
                None => {}
            }
            let ending = self.ui.state.ending().clone();
            let frame = tokio::select! {
                () = ending.cancelled() => return None,
                frame = tokio::time::timeout(HEARTBEAT, self.frames.recv()) => frame,
            };
            match frame {
                Err(_) => return Some(Bytes::from_static(b": \n\n")),
                Ok(Ok(frame)) => self.ready.extend(frame.delta.into_iter().chain(frame.tick)),
                Ok(Err(RecvError::Lagged(_))) => {
                    let (epoch, frames, begin) = subscribe(&self.ui, None);
                    (self.epoch, self.frames, self.begin) = (epoch, frames, Some(begin));
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }
}

/// Takes the stream away when its task ends, however it ends: the next reader begins anew.
struct Ends(Shared, Arc<str>);

impl Drop for Ends {
    fn drop(&mut self) {
        let mut live = self.0.live();
        if live.0.as_ref().is_some_and(|l| l.epoch == self.1) {
            live.0 = None;
        }
    }
}

/// Makes a frame of every sample until nobody has read for a while.
async fn run(ui: Shared, epoch: Arc<str>, mut samples: watch::Receiver<Option<Arc<Sample>>>) {
    let _ends = Ends(ui.clone(), epoch);
    let mut instances = Instances::default();
    while next(&mut samples, &ui).await {
        let work = ui.clone();
        // Off the threads that answer: with ten thousand instances a frame takes milliseconds.
        let made = tokio::task::spawn_blocking(move || {
            let goes_on = frame(&work, &mut instances);
            (goes_on, instances)
        });
        match made.await {
            Ok((true, kept)) => instances = kept,
            Ok((false, _)) => return,
            Err(error) => {
                tracing::error!(%error, "the dashboard's stream ended");
                return;
            }
        }
    }
}

async fn next(samples: &mut watch::Receiver<Option<Arc<Sample>>>, ui: &Ui) -> bool {
    tokio::select! {
        () = ui.state.ending().cancelled() => false,
        changed = samples.changed() => changed.is_ok(),
    }
}

/// Makes and sends one frame. False when nobody has read for a while: the stream is gone then.
fn frame(ui: &Ui, instances: &mut Instances) -> bool {
    let Some(sample) = ui.samples().borrow().clone() else { return true };
    let (epoch, before, read) = {
        let mut live = ui.live();
        let Some(current) = &mut live.0 else { return false };
        let read = current.frames.receiver_count() > 0;
        current.lonely = if read { 0 } else { current.lonely + 1 };
        if current.lonely > LINGER {
            live.0 = None;
            return false;
        }
        (current.epoch.clone(), current.picture.clone(), read)
    };
    let mut picture = Picture::take(ui, Some(&before), Now::read());
    let delta = picture.delta(&before, ui.state.ellie().journal());
    let delta = delta.map(|delta| event("delta", Some((&epoch, picture.seq)), &delta));
    let tick = read.then(|| event("tick", None, &tick(&ui.state, &sample, instances)));
    let mut live = ui.live();
    let Some(current) = &mut live.0 else { return false };
    current.made += 1;
    if let Some(delta) = &delta {
        current.keep(picture.seq, delta.clone());
        current.picture = Arc::new(picture);
    }
    // To whoever reads by now, and be it since a moment ago. Nobody there is no error.
    let _ = current.frames.send(Frame { delta, tick });
    true
}

/// How many frames this life of the stream has made; `None` while there is none.
#[cfg(test)]
pub(super) fn position(ui: &Ui) -> Option<u64> {
    ui.live().0.as_ref().map(|live| live.made)
}
