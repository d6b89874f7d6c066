//! A circuit breaker: stops calling what keeps failing, and finds out when it works again.
//!
//! **Closed**, calls pass and failures are counted over a sliding window. **Open**, calls are
//! refused until the recovery timeout is over. **Half-open**, a few probes pass: enough successes
//! close it, any failure opens it again, for longer each time. (Nygard, *Release It!*, 2007.)
//!
//! What it promises:
//!
//! * At most `success_threshold` probes are under way at once; a probe's place is taken by the
//!   admission itself and comes back when the probe ends in whatever way, or expires.
//! * A result is attributed to the state its call was admitted in. One from before a change of
//!   state changes nothing and is counted as stale.
//! * There are no timers. The state follows from the instant it opened at.
//! * Every change of state is reported exactly once, in order, outside the lock.
//! * An admitted call on the closed path takes no lock, allocates nothing and writes only to
//!   memory of its own thread.

mod config;
mod core;
mod guard;
mod shards;
mod state;
mod window;

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

pub use config::{Config, MAX_SUCCESS_THRESHOLD};
pub use guard::Guard;
pub use state::{Cause, Forced, Outcome, Reason, Rejected, Snapshot, State, Transition};

use self::core::Core;
use self::shards::Shards;
use self::window::Counts;
use crate::Rng;
use crate::sync::{AtomicI64, AtomicU64, Mutex, MutexGuard, Ordering, lock};
use crate::time::{duration, nanos, ticks};

/// Called once for every change of state.
pub type Listener = Box<dyn Fn(&Transition) + Send + Sync>;

/// Leave to make one call, to be redeemed by [`Breaker::record`].
///
/// One that is dropped instead counts as a probe that never returned: it keeps its place until
/// `timeout` is over. [`Guard`] gives it back by itself.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that is not recorded keeps a probe's place until it expires"]
pub struct Permit {
    generation: u64,
    /// The probe's number; 0 for a call admitted by a closed breaker.
    probe: u64,
}

impl Permit {
    /// Whether the call is a probe of a half-open breaker.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.probe != 0
    }
}

/// What every call reads, in one word that only transitions write:
/// two bits of state, one bit "forced", then the generation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Gate(u64);

impl Gate {
    fn of(core: &Core) -> Self {
        let forced = u64::from(core.forced.is_some());
        Self(core.generation << 3 | forced << 2 | u64::from(core.state.as_metric()))
    }

    fn state(self) -> State {
        match self.0 & 3 {
            0 => State::Closed,
            1 => State::HalfOpen,
            _ => State::Open,
        }
    }

    fn forced(self) -> bool {
        self.0 & 4 != 0
    }

    fn generation(self) -> u64 {
        self.0 >> 3
    }
}

/// A circuit breaker, shared by all threads that call the same thing.
pub struct Breaker {
    gate: AtomicU64,
    /// While open: when probes may pass.
    retry_at: AtomicI64,
    /// The first instant at which successes belong to a new bucket.
    bucket_end: AtomicI64,
    shards: Shards,
    core: Mutex<Core>,
    listener: Option<Listener>,
}

impl Breaker {
    /// A closed breaker. Settings that [`Config::validate`] would refuse are taken as the nearest
    /// accepted ones.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        Self::with_seed(config, now, Rng::from_entropy().next_u64())
    }

    /// The same with the jitter of its back-off determined by `seed`.
    #[must_use]
    pub fn with_seed(config: Config, now: Instant, seed: u64) -> Self {
        let core = Core::new(config.clamped(), ticks(now), seed);
        Self {
            gate: AtomicU64::new(Gate::of(&core).0),
            retry_at: AtomicI64::new(core.retry_at),
            bucket_end: AtomicI64::new(core.window.head_end()),
            shards: Shards::new(core.generation),
            core: Mutex::new(core),
            listener: None,
        }
    }

    /// Has `listener` called for every transition from now on: once each, in order, one at a time,
    /// outside the breaker's lock, by a thread whose call caused one. It may use the breaker. While it runs, at most 1,024
    /// further transitions are kept for it; beyond that the oldest are dropped, which
    /// [`Transition::sequence`] shows.
    #[must_use]
    pub fn listen(mut self, listener: Listener) -> Self {
        lock(&self.core).keep_pending = true;
        self.listener = Some(listener);
        self
    }

    /// Asks to make a call.
    ///
    /// # Errors
    /// [`Rejected`] while open, or half-open with all probes under way.
    #[inline]
    pub fn try_acquire(&self, now: Instant) -> Result<Permit, Rejected> {
        let gate = Gate(self.gate.load(Ordering::Acquire));
        if gate.state() == State::Closed {
            return Ok(Permit { generation: gate.generation(), probe: 0 });
        }
        self.acquire_slow(gate, ticks(now))
    }

    #[cold]
    fn acquire_slow(&self, gate: Gate, now: i64) -> Result<Permit, Rejected> {
        if gate.state() == State::Open {
            let retry_at = self.retry_at.load(Ordering::Acquire);
            // The instant belongs to the state only if the state is still the same.
            if now < retry_at && self.gate.load(Ordering::Acquire) == gate.0 {
                self.shards.mine().reject();
                return Err(Rejected {
                    reason: if gate.forced() { Reason::ForcedOpen } else { Reason::Open },
                    retry_after: (retry_at != i64::MAX).then(|| duration(retry_at - now)),
                });
            }
        }
        self.change(now, |core| core.acquire(now))
    }

    /// Asks to make a call, and gets a guard that gives the permit back when dropped.
    ///
    /// # Errors
    /// As [`try_acquire`](Self::try_acquire).
    pub fn enter<B: Deref<Target = Self>>(breaker: B, now: Instant) -> Result<Guard<B>, Rejected> {
        let permit = breaker.try_acquire(now)?;
        Ok(Guard::new(breaker, permit, now))
    }

    /// Tells how an admitted call ended.
    #[inline]
    #[allow(clippy::needless_pass_by_value, reason = "redeeming consumes the permit")]
    pub fn record(&self, permit: Permit, outcome: Outcome, now: Instant) {
        self.record_at(&permit, outcome, ticks(now));
    }

    #[inline]
    fn record_at(&self, permit: &Permit, outcome: Outcome, now: i64) {
        if permit.probe == 0 {
            match outcome {
                Outcome::Success if now < self.bucket_end.load(Ordering::Relaxed) => {
                    return self.shards.mine().succeed(permit.generation);
                }
                Outcome::Ignored => return self.shards.mine().ignore(permit.generation),
                _ => {}
            }
        }
        self.change(now, |core| core.record(permit, outcome, now));
    }

    /// The state at `now`. Looks only.
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        let gate = Gate(self.gate.load(Ordering::Acquire));
        if gate.state() == State::Open && ticks(now) >= self.retry_at.load(Ordering::Acquire) {
            return State::HalfOpen;
        }
        gate.state()
    }

    /// Whether [`try_acquire`](Self::try_acquire) would succeed. Looks only, so another thread may
    /// be faster.
    #[must_use]
    pub fn admits(&self, now: Instant) -> bool {
        match self.state(now) {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => {
                let core = lock(&self.core);
                core.state_at(ticks(now)) != State::Open
                    && core.probes_at(ticks(now)) < core.config.success_threshold as usize
            }
        }
    }

    /// Holds the breaker open: for `ttl`, then probes decide; or until someone resets it. Calls
    /// under way change nothing any more.
    pub fn force_open(&self, now: Instant, ttl: Option<Duration>) {
        let now = ticks(now);
        self.change(now, |core| core.force(State::Open, ttl.map(nanos), now));
    }

    /// Holds the breaker closed, with an empty window: for `ttl`, or until someone resets it.
    /// Failures are counted, and after `ttl` the next one may open it.
    pub fn force_close(&self, now: Instant, ttl: Option<Duration>) {
        let now = ticks(now);
        self.change(now, |core| core.force(State::Closed, ttl.map(nanos), now));
    }

    /// Closes the breaker with an empty window and ends a forced state.
    pub fn reset(&self, now: Instant) {
        let now = ticks(now);
        self.change(now, |core| core.reset(now));
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> Config {
        lock(&self.core).config.clone()
    }

    /// Changes the settings. State, history and calls under way are kept: counts move to the
    /// buckets of the new period, a breaker that is open waits from when it opened.
    pub fn update_config(&self, config: Config, now: Instant) {
        let now = ticks(now);
        self.change(now, |core| core.configure(config.clamped(), now));
    }

    /// Everything about it at `now`. Looks only.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let now = ticks(now);
        let core = lock(&self.core);
        let shards = self.shards.sum();
        let counts = core.window.counts_at(now, Counts { successes: shards.successes, failures: 0 });
        let state = core.state_at(now);
        let totals = core.totals;
        Snapshot {
            state,
            forced: core.forced_view(now),
            failures: counts.failures,
            successes: counts.successes,
            calls: counts.calls(),
            failure_rate: counts.failure_rate(),
            probes_in_flight: u32::try_from(core.probes_at(now)).unwrap_or(u32::MAX),
            probe_successes: core.probe_successes,
            opened_for: (core.state != State::Closed).then(|| duration(now - core.opened_at)),
            retry_in: (core.state == State::Open && core.retry_at != i64::MAX)
                .then(|| duration(core.retry_at - now)),
            reopen_count: core.reopens,
            succeeded_total: totals.succeeded + shards.successes,
            failed_total: totals.failed,
            ignored_total: totals.ignored + shards.ignored,
            rejected_total: totals.rejected + shards.rejected,
            stale_total: totals.stale + shards.stale,
            opened_total: totals.opened,
            transitions_total: core.transitions,
            last_transition: core.last,
        }
    }

    /// The latest instant that reached the state machine.
    fn latest(&self) -> i64 {
        lock(&self.core).latest
    }

    /// Runs `act` on the state machine and publishes what it changed.
    fn change<T>(&self, now: i64, act: impl FnOnce(&mut Core) -> T) -> T {
        let mut core = lock(&self.core);
        // What the shards hold belongs to the bucket that is still the head.
        core.absorb(self.shards.take());
        core.window.advance(now);
        let result = act(&mut core);
        self.publish(&core);
        let deliver = !core.pending.is_empty() && !core.delivering;
        core.delivering |= deliver;
        drop(core);
        if deliver {
            self.deliver();
        }
        result
    }

    /// Order matters: a thread that sees the new gate must see the rest, too.
    fn publish(&self, core: &MutexGuard<'_, Core>) {
        self.bucket_end.store(core.window.head_end(), Ordering::Relaxed);
        let gate = Gate::of(core).0;
        if self.gate.load(Ordering::Relaxed) != gate {
            self.shards.start(core.generation);
        }
        self.retry_at.store(core.retry_at, Ordering::Release);
        self.gate.store(gate, Ordering::Release);
    }

    /// Hands pending transitions to the listener. One thread does so at a time, which keeps them
    /// in order; a thread that finds another one at it leaves its own to that one. Who delivers is
    /// decided under the lock that also holds the queue, so none is left behind.
    #[cold]
    fn deliver(&self) {
        let turn = Turn(self);
        while let Some(transition) = self.next_transition() {
            if let Some(listener) = &self.listener {
                listener(&transition);
            }
        }
        // It has ended, with the queue found empty.
        std::mem::forget(turn);
    }

    fn next_transition(&self) -> Option<Transition> {
        let mut core = lock(&self.core);
        let next = core.pending.pop_front();
        core.delivering = next.is_some();
        next
    }
}

/// Ends the delivery when the listener panics.
struct Turn<'a>(&'a Breaker);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.0.core).delivering = false;
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").field("core", &*lock(&self.core)).finish_non_exhaustive()
    }
}
