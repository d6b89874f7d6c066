use std::ops::Deref;
use std::thread::panicking;
use std::time::Instant;

use super::{Breaker, Outcome, Permit};
use crate::time::ticks;

/// One admitted call. [`record`](Self::record) tells how it ended; dropping it says that it was
/// cancelled, or that it failed if the thread is panicking.
///
/// `B` is whatever leads to the breaker: `&Breaker`, `Arc<Breaker>`.
#[derive(Debug)]
#[must_use = "dropping the guard at once cancels the call"]
pub struct Guard<B: Deref<Target = Breaker>> {
    breaker: B,
    permit: Option<Permit>,
    entered: i64,
    /// A guard made while the thread already unwinds is not what panicked.
    panicking: bool,
}

impl<B: Deref<Target = Breaker>> Guard<B> {
    pub(super) fn new(breaker: B, permit: Permit, now: Instant) -> Self {
        Self { breaker, permit: Some(permit), entered: ticks(now), panicking: panicking() }
    }

    /// Tells how the call ended.
    pub fn record(mut self, outcome: Outcome, now: Instant) {
        if let Some(permit) = self.permit.take() {
            self.breaker.record(permit, outcome, now);
        }
    }

    /// Whether the call is a probe.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_probe)
    }
}

impl<B: Deref<Target = Breaker>> Drop for Guard<B> {
    /// There is no clock here: a call that panics is recorded at the latest instant the breaker
    /// has heard of.
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        let outcome = if panicking() && !self.panicking { Outcome::Failure } else { Outcome::Ignored };
        let now = self.breaker.latest().max(self.entered);
        self.breaker.record_at(&permit, outcome, now);
    }
}
