//! What the dashboard's pages read beside the API: the stream of everything, its history, and what a page of one
//! thing shows. Served below `/api/ui/` at the dashboard's listener alone. Reading changes nothing.

mod config;
mod detail;
mod figures;
mod history;
mod meter;
mod picture;
mod route_test;
mod sampler;
mod stream;
mod track;

#[cfg(test)]
mod tests;

use super::state::AdminState;
use super::wire;
use crate::app::Addresses;
use axum::routing::{get, post};
use axum::{Extension, Router};
use ellie_api::ui::Mode;
use ellie_core::Now;
use sampler::{Sample, Sampler};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use stream::Live;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Shared by the handlers, the sampler and the stream.
pub(crate) type Shared = Arc<Ui>;

/// What the pages read.
pub(crate) struct Ui {
    state: AdminState,
    /// What never changes of [`Mode`].
    fixed: Mode,
    // Held while one look is taken, and while history is read.
    sampler: Mutex<Sampler>,
    sample: watch::Sender<Option<Arc<Sample>>>,
    // Held while somebody begins to read, and while a finished frame is handed on. The number tells lives apart.
    live: Mutex<(Option<Live>, u64)>,
}

impl Ui {
    /// Over the system of `state`.
    pub(crate) fn new(state: AdminState, addresses: &Addresses) -> Shared {
        let fixed = Mode {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: wire::time(state.started().wall),
            api: addresses.api.to_string(),
            gateway: addresses.gateway.to_string(),
            dashboard: addresses.dashboard.map(|a| a.to_string()).unwrap_or_default(),
            ..Mode::default()
        };
        Arc::new(Self {
            state,
            fixed,
            sampler: Mutex::new(Sampler::new(Now::read())),
            sample: watch::channel(None).0,
            live: Mutex::new((None, 0)),
        })
    }

    fn sampler(&self) -> MutexGuard<'_, Sampler> {
        self.sampler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> MutexGuard<'_, (Option<Live>, u64)> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn samples(&self) -> watch::Receiver<Option<Arc<Sample>>> {
        self.sample.subscribe()
    }

    /// One look; whoever makes frames of it is woken.
    fn look(&self) {
        let sample = self.sampler().sample(&self.state, Now::read());
        self.sample.send_replace(Some(Arc::new(sample)));
    }

    fn mode(&self) -> Mode {
        picture::mode(&self.state, &self.fixed)
    }
}

/// Looks once a second until `stop`.
pub(crate) async fn sample(ui: Shared, stop: CancellationToken) {
    let mut beat = tokio::time::interval(sampler::EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    beat.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        ui.look();
    }
}

/// The calls; [`super::table`] has them, too.
pub(crate) fn calls(ui: Shared) -> Router<AdminState> {
    Router::new()
        .route("/ui/stream", get(stream::stream))
        .route("/ui/history", get(track::history))
        .route("/ui/config", get(config::config))
        .route("/ui/service/{name}", get(detail::service))
        .route("/ui/instance/{name}/{id}", get(detail::instance))
        .route("/ui/route-test", post(route_test::route_test))
        .layer(Extension(ui))
}
