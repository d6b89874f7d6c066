//! The one place where clocks are read.

use std::time::{Duration, Instant, SystemTime};

/// One moment on both clocks: the monotonic one decides, the wall clock is for people and for what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic; every deadline and age is computed on it.
    pub instant: Instant,
    /// UTC; shown and stored, never used for a decision while running.
    pub wall: SystemTime,
}

impl Now {
    /// Reads both clocks. Under a paused tokio runtime the monotonic one stands still, as tests want it.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn read() -> Self {
        Self { instant: tokio::time::Instant::now().into_std(), wall: SystemTime::now() }
    }

    /// This moment moved forward by `by`; for tests and for deadlines.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self { instant: self.instant + by, wall: self.wall + by }
    }

    /// The monotonic instant that corresponds to a stored wall-clock time: past times map to now.
    #[must_use]
    pub fn instant_of(self, wall: SystemTime) -> Instant {
        self.instant + wall.duration_since(self.wall).unwrap_or_default()
    }
}
