//! One try at an instance.

use super::{Cluster, Outcome, Refusal, Upstream};
use ellie_core::Now;
use ellie_core::journal::{Entry, Kind};
use ellie_policy::balance::{self, InFlight, Pick};
use ellie_policy::breaker::{self, Permit};
use ellie_policy::{Rng, outlier};
use std::sync::Arc;
use std::time::Instant;

impl Cluster {
    /// Counts a request, retries not included, for the retry budget.
    #[inline]
    pub fn note_request(&self, now: Instant) {
        self.budget.request(now);
    }

    /// Takes one retry out of the budget, if there is one. [`Attempt::retry`] asks by itself.
    #[must_use]
    pub fn may_retry(&self, now: Instant) -> bool {
        self.budget.try_retry(now)
    }

    /// Asks the breaker, picks an instance that is not among those `tried`, and counts the request to it.
    ///
    /// # Errors
    /// [`Refusal`] says why there is none.
    pub fn admit(self: &Arc<Self>, now: Instant, rng: &mut Rng, tried: &[u64]) -> Result<Attempt, Refusal> {
        if self.members.is_empty() {
            return Err(self.shortage());
        }
        let permit = self.live.breaker.try_acquire(now).map_err(|rejected| Refusal::BreakerOpen {
            service: self.name().clone(),
            reason: rejected.reason,
            retry_after: rejected.retry_after,
        })?;
        match self.choose(now, rng, tried) {
            Some(pick) => Ok(Attempt::begin(self.clone(), pick, Some(permit), now)),
            None => {
                self.live.breaker.record(permit, breaker::Outcome::Ignored, now);
                Err(Refusal::AllTried { service: self.name().clone() })
            }
        }
    }

    /// Picks an instance and counts the request to it, without asking the breaker: for users of the library, who
    /// guard their calls by name.
    ///
    /// # Errors
    /// [`Refusal`] says why there is none.
    pub fn lease(self: &Arc<Self>, now: Instant, rng: &mut Rng, tried: &[u64]) -> Result<Attempt, Refusal> {
        if self.members.is_empty() {
            return Err(self.shortage());
        }
        let pick = self.choose(now, rng, tried);
        let pick = pick.ok_or_else(|| Refusal::AllTried { service: self.name().clone() })?;
        Ok(Attempt::begin(self.clone(), pick, None, now))
    }

    /// An instance by the strategy, for which neither the breaker is asked nor a request counted.
    pub(super) fn choose(&self, now: Instant, rng: &mut Rng, tried: &[u64]) -> Option<Pick> {
        // Most requests have not tried anyone, and need not look an instance up to be told so.
        let was_tried = |i: usize| !tried.is_empty() && tried.contains(&self.members[i].identity);
        if self.detector.is_none() {
            return self.candidates.pick(now, rng, was_tried);
        }
        self.candidates
            .pick(now, rng, |i| self.members[i].outlier.is_ejected(now) || was_tried(i))
            // An ejected instance is better than none.
            .or_else(|| self.candidates.pick(now, rng, was_tried))
    }

    fn observe(&self, upstream: &Upstream, outcome: Outcome, now: Instant) {
        let Some(detector) = &self.detector else { return };
        let ejection =
            detector.record(&upstream.outlier, outcome.is_gateway_failure(), self.members.len(), now);
        if let Some(ejection) = ejection {
            self.tell(upstream, outcome, ejection);
        }
    }

    #[cold]
    fn tell(&self, upstream: &Upstream, outcome: Outcome, ejection: outlier::Ejection) {
        self.live.journal.record(
            Now::read(),
            Entry {
                kind: Kind::InstanceEjected,
                service: Some(self.name().to_string()),
                instance: Some(upstream.id.to_string()),
                actor: "outlier detection".into(),
                message: format!(
                    "{} of {} is ejected for {} s after failures in a row, the last a {outcome}",
                    upstream.id,
                    self.name(),
                    ejection.duration.as_secs(),
                ),
            },
        );
    }
}

/// An instance that a request may go to in place of the one it was on.
#[derive(Debug)]
pub struct Another(Pick);

/// One try at an instance, in flight. Say how it ended; dropping it says that whoever asked went away.
#[derive(Debug)]
#[must_use = "dropping an attempt at once cancels it"]
pub struct Attempt {
    cluster: Arc<Cluster>,
    in_flight: Option<InFlight>,
    permit: Option<Permit>,
    answered: bool,
    /// Whether the breaker was asked, and so is told.
    guarded: bool,
    index: usize,
    began: Instant,
    /// The latest instant that is known here, for a drop, which is told none.
    latest: Instant,
    trial: bool,
    /// The tries before this one, at most as many as a route may have retries.
    before: Vec<(Arc<Upstream>, Outcome)>,
}

impl Attempt {
    fn begin(cluster: Arc<Cluster>, pick: Pick, permit: Option<Permit>, now: Instant) -> Self {
        let in_flight = Some(cluster.candidates.begin(pick, now));
        Self {
            cluster,
            in_flight,
            guarded: permit.is_some(),
            permit,
            answered: false,
            index: pick.index,
            began: now,
            latest: now,
            trial: pick.trial,
            before: Vec::new(),
        }
    }

    /// The tries of the same request before this one, and how they ended.
    #[must_use]
    pub fn before(&self) -> &[(Arc<Upstream>, Outcome)] {
        &self.before
    }

    /// Its place among the candidates.
    pub(crate) fn member(&self) -> usize {
        self.index
    }

    /// The instance.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.cluster.members[self.index]
    }

    /// The instance as the registry had it.
    #[must_use]
    pub fn instance(&self) -> Option<&Arc<ellie_core::model::Instance>> {
        let id = &self.upstream().id;
        let entries = self.cluster.entries();
        let at = entries.binary_search_by(|e| e.upstream.id.cmp(id)).ok()?;
        Some(&entries[at].instance)
    }

    /// The service.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Whether the instance was sick and this is to see whether it has recovered.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.trial
    }

    /// Whether the breaker was half-open and this is one of its probes.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.permit.as_ref().is_some_and(Permit::is_probe)
    }

    /// The head of an answer has come that will be passed on: now is the time for the verdict, however long the body
    /// will take.
    pub fn answered(&mut self, outcome: Outcome, now: Instant) {
        self.latest = now;
        let Some(in_flight) = self.in_flight.as_mut().filter(|_| !self.answered) else { return };
        self.answered = true;
        self.cluster.candidates.answered(in_flight, outcome.for_balancer(), now);
        self.judge(outcome, now);
    }

    /// It is over. After [`answered`](Self::answered), an outcome that is no status says that the body broke off.
    pub fn finish(mut self, outcome: Outcome, now: Instant) {
        self.latest = now;
        let Some(in_flight) = self.in_flight.take() else { return };
        if !self.answered {
            self.cluster.candidates.finish(in_flight, outcome.for_balancer(), now);
            self.judge(outcome, now);
            return;
        }
        if matches!(outcome, Outcome::Status(_)) {
            self.cluster.candidates.finish(in_flight, balance::Outcome::Success, now);
            return;
        }
        self.cluster.candidates.finish(in_flight, outcome.for_balancer(), now);
        self.cluster.observe(self.upstream(), outcome, now);
        // The verdict was given at the head; that the rest failed counts as one more call.
        let breaker = &self.cluster.live.breaker;
        if self.guarded
            && let Ok(permit) = breaker.try_acquire(now)
        {
            breaker.record(permit, breaker::Outcome::Failure, now);
        }
    }

    /// It failed without a byte of an answer having been passed on, and the request may be tried elsewhere: asks the
    /// retry budget and picks an instance that is not among those `tried`. The failure is held against the instance;
    /// the breaker, which is the service's, hears only how the request ends, so one dead instance among many does not
    /// open it.
    ///
    /// # Errors
    /// Why there is no other try. The failure is then the request's, and recorded as such.
    pub fn retry(
        self,
        outcome: Outcome,
        now: Instant,
        rng: &mut Rng,
        tried: &[u64],
    ) -> Result<Self, Refusal> {
        match self.another(now, rng, tried) {
            Ok(other) => Ok(self.give_way(other, outcome, now)),
            Err(refusal) => {
                self.finish(outcome, now);
                Err(refusal)
            }
        }
    }

    /// Another instance for this request, not among those `tried`, taken out of the retry budget: for whoever can do
    /// with what it has got where there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub fn another(&self, now: Instant, rng: &mut Rng, tried: &[u64]) -> Result<Another, Refusal> {
        match self.cluster.choose(now, rng, tried) {
            None => Err(Refusal::AllTried { service: self.cluster.name().clone() }),
            Some(_) if !self.cluster.may_retry(now) => {
                Err(Refusal::BudgetSpent { service: self.cluster.name().clone() })
            }
            Some(pick) => Ok(Another(pick)),
        }
    }

    /// It ended so, which is held against the instance, and the request goes to the other one: see
    /// [`retry`](Self::retry).
    #[allow(clippy::needless_pass_by_value, reason = "what was taken out of the budget is used up")]
    pub fn give_way(mut self, other: Another, outcome: Outcome, now: Instant) -> Self {
        debug_assert!(!self.answered, "an answer that was passed on can't be taken back");
        let pick = other.0;
        self.latest = now;
        if let Some(in_flight) = self.in_flight.take() {
            self.cluster.candidates.finish(in_flight, outcome.for_balancer(), now);
        }
        self.cluster.observe(self.upstream(), outcome, now);
        self.cluster.live.stats.retried();
        let mut next = Self::begin(self.cluster.clone(), pick, self.permit.take(), now);
        next.before = std::mem::take(&mut self.before);
        next.before.push((self.upstream().clone(), outcome));
        next
    }

    fn judge(&mut self, outcome: Outcome, now: Instant) {
        let live = &self.cluster.live;
        if let Some(permit) = self.permit.take() {
            live.breaker.record(permit, outcome.for_breaker(), now);
        }
        live.stats.record(outcome, now.saturating_duration_since(self.began), now);
        self.cluster.observe(self.upstream(), outcome, now);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(in_flight) = self.in_flight.take() {
            self.cluster.candidates.finish(in_flight, balance::Outcome::Cancelled, self.latest);
        }
        if let Some(permit) = self.permit.take() {
            let panicked = std::thread::panicking();
            let outcome = if panicked { breaker::Outcome::Failure } else { breaker::Outcome::Ignored };
            self.cluster.live.breaker.record(permit, outcome, self.latest);
        }
    }
}
