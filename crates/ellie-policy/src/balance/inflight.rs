use std::ops::Deref;
use std::time::Instant;

use std::sync::atomic::Ordering::Relaxed;

use super::learn::learn;
use super::shelves::At;
use super::{Candidates, Outcome, Pick};
use crate::time::ticks;

/// A request that has begun, to be ended by [`Candidates::finish`] of the same table.
/// [`Guard`] does so by itself.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request that is never finished stays in flight for ever"]
pub struct InFlight {
    index: u32,
    trial: bool,
    waiting: bool,
    start: i64,
}

impl InFlight {
    /// The member it went to.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index as usize
    }
}

impl Candidates {
    /// Counts a request to the picked member.
    ///
    /// # Panics
    /// If the pick is not of this table and beyond its members.
    #[inline]
    pub fn begin(&self, pick: Pick, now: Instant) -> InFlight {
        let start = ticks(now);
        self.shelves.hot(pick.index).enter(start);
        InFlight { index: pick.index as u32, trial: pick.trial, waiting: true, start }
    }

    /// Takes the answer's first byte as the verdict and its time as the latency, for requests that
    /// go on for long: streams, upgraded connections. The request still counts as in flight until
    /// it is finished, but no longer as waiting, so its age is held against nobody.
    pub fn answered(&self, request: &mut InFlight, outcome: Outcome, now: Instant) {
        if !request.waiting {
            return;
        }
        request.waiting = false;
        let at = self.shelves.at(request.index());
        at.hot().answered.fetch_add(1, Relaxed);
        at.hot().leave(request.start);
        self.verdict(at, request, outcome, ticks(now));
    }

    /// Ends a request. After [`answered`](Self::answered), only a failure still teaches anything:
    /// the answer broke off.
    #[inline]
    #[allow(clippy::needless_pass_by_value, reason = "finishing consumes the request")]
    pub fn finish(&self, request: InFlight, outcome: Outcome, now: Instant) {
        self.finish_at(&request, outcome, ticks(now));
    }

    #[inline]
    fn finish_at(&self, request: &InFlight, outcome: Outcome, now: i64) {
        let at = self.shelves.at(request.index());
        if request.waiting {
            at.hot().leave(request.start);
            self.verdict(at, request, outcome, now);
        } else {
            at.hot().answered.fetch_sub(1, Relaxed);
            if matches!(outcome, Outcome::Failure | Outcome::Timeout) {
                self.verdict(at, request, Outcome::Failure, now);
            }
        }
    }

    /// Gives the request back without a verdict and without needing the time.
    fn cancel(&self, request: &InFlight) {
        let at = self.shelves.at(request.index());
        if request.waiting {
            at.hot().leave(request.start);
            at.cold().cancelled.fetch_add(1, Relaxed);
            at.cold().was_tried(request.start);
        } else {
            at.hot().answered.fetch_sub(1, Relaxed);
        }
    }

    fn verdict(&self, at: At<'_>, request: &InFlight, outcome: Outcome, now: i64) {
        let cold = at.cold();
        let total = match outcome {
            Outcome::Success => &cold.successes,
            Outcome::Failure => &cold.failures,
            Outcome::Timeout => &cold.timeouts,
            Outcome::Cancelled => &cold.cancelled,
        };
        total.fetch_add(1, Relaxed);
        cold.was_tried(request.start);
        if outcome != Outcome::Cancelled {
            let latency = now - request.start;
            learn(at, &self.service, outcome, latency, request.trial, now);
        }
    }

    /// Counts a request to the picked member and returns a guard that ends it.
    pub fn enter<C: Deref<Target = Self>>(candidates: C, pick: Pick, now: Instant) -> Guard<C> {
        let request = candidates.begin(pick, now);
        Guard { candidates, request: Some(request) }
    }
}

/// A request in flight. Dropping it says that it was cancelled.
///
/// `C` is whatever leads to the table: `&Candidates`, `Arc<Candidates>`.
#[derive(Debug)]
#[must_use = "dropping the guard at once cancels the request"]
pub struct Guard<C: Deref<Target = Candidates>> {
    candidates: C,
    request: Option<InFlight>,
}

impl<C: Deref<Target = Candidates>> Guard<C> {
    /// See [`Candidates::answered`].
    pub fn answered(&mut self, outcome: Outcome, now: Instant) {
        if let Some(request) = &mut self.request {
            self.candidates.answered(request, outcome, now);
        }
    }

    /// See [`Candidates::finish`].
    pub fn finish(mut self, outcome: Outcome, now: Instant) {
        if let Some(request) = self.request.take() {
            self.candidates.finish(request, outcome, now);
        }
    }
}

impl<C: Deref<Target = Candidates>> Drop for Guard<C> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.candidates.cancel(&request);
        }
    }
}
