//! The cost of an instance under health based balancing.

use super::endpoint::Look;
use super::service::Service;
use super::shelves::At;
use super::waits::stamp;
use crate::time::seconds;

/// Up to this many instances all are looked at; above, a few are drawn.
pub(super) const SCAN: usize = 16;
/// How long a newcomer's share grows.
const RAMP: i64 = 10_000_000_000;
/// Relative latency up to which instances count as equal when all are looked at. Without a dead
/// band, noise moves traffic: weights are not kept, and bimodal latencies make everything slower.
const BAND: f32 = 1.75;
const BAND_ROOT: f32 = 1.322_875_7;
/// Above this relative latency the penalty of drawn instances grows steeply.
const STEEP: f32 = 3.0;
/// Drawn instances are sick from here on: a relative latency of 3.
pub(super) const DRAWN_SICK: f32 = 1.73;
/// Where all are looked at, whoever has a penalty is sick, but for rounding.
pub(super) const SCANNED_SICK: f32 = 1.0001;
/// How much a failure rate costs.
const FAILURE_WEIGHT: f32 = 100.0;
/// The failure rate that costs nothing. With twice the service's own added, background failures do
/// not drive traffic from one instance to the next.
const FAILURE_FREE: f32 = 0.2;

/// What the whole service has in common during one pick.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    now: i64,
    /// Now, and as long ago as A, the tracked 99th percentile, as [`stamp`]s.
    stamp: u64,
    overdue: u64,
    /// Whether there is any history. Without it nobody is slow and nobody fails.
    pub(super) known: bool,
    /// 1/M, with M the tracked median latency; zero without history.
    inverse: f32,
    /// The failure rate that costs nothing.
    free: f32,
    /// Scores from here on may be those of a sick instance: the bits of a latency's square root.
    slow: u32,
    scan: bool,
    /// Whether any member may still be ramping up.
    pub(super) ramping: bool,
}

impl View {
    #[inline(always)]
    pub(super) fn new(service: &Service, scan: bool, ramping: bool, now: i64) -> Self {
        let inverse_root = service.inverse_root();
        let known = inverse_root > 0.0;
        let stamp = stamp(now);
        let bound = if scan { BAND_ROOT } else { DRAWN_SICK };
        Self {
            now,
            stamp,
            overdue: stamp.wrapping_sub(self::stamp((service.tail() * 1e9) as i64)),
            known,
            inverse: inverse_root * inverse_root,
            free: if known { FAILURE_FREE + 2.0 * service.failure() } else { f32::INFINITY },
            // Infinite without history. Without the lower half, which a score uses otherwise.
            slow: (bound / inverse_root).to_bits() & 0xffff_0000,
            scan,
            ramping,
        }
    }

    /// Where there is history: whether the instance may be sick, that is whether its penalty must be
    /// computed. False only if it is not.
    #[inline(always)]
    pub(super) fn is_suspect(&self, look: Look) -> bool {
        let fails = look.score & 0xffff > self.free.to_bits() >> 16;
        (look.score >= self.slow) | fails | (look.waits.older_than(self.overdue) > 0)
    }

    /// Latency relative to the service's; 0 if nothing is known of it, or of any. What is in flight
    /// for longer than all but a hundredth of answers take bounds it from below, so a silent instance
    /// is seen before its first timeout.
    #[inline(always)]
    pub(super) fn relative_latency(&self, look: Look) -> f32 {
        let root = look.root();
        let overdue = (look.waits.older_than(self.overdue) > 0) & self.known;
        let age = if overdue { look.waits.mean_age(self.stamp) } else { 0.0 };
        at_least(root * root, age) * self.inverse
    }

    /// The factor by which an instance is worse than a good one.
    pub(super) fn penalty(&self, look: Look) -> f32 {
        if self.scan { self.penalty_of_all(look) } else { self.penalty_of_drawn(look) }
    }

    /// The same where all are looked at; at least 1. Without branches, for nobody could predict them.
    #[inline(always)]
    pub(super) fn penalty_of_all(&self, look: Look) -> f32 {
        let beyond = at_least(1.0, self.relative_latency(look) * (1.0 / BAND));
        beyond * beyond * self.penalty_of_failure(look)
    }

    #[inline(always)]
    pub(super) fn penalty_of_drawn(&self, look: Look) -> f32 {
        let latency = self.relative_latency(look);
        // The unknown are like the others.
        let latency = if latency > 0.0 { latency } else { 1.0 };
        let beyond = at_least(1.0, latency * (1.0 / STEEP));
        latency.sqrt() * beyond * beyond * self.penalty_of_failure(look)
    }

    #[inline(always)]
    fn penalty_of_failure(&self, look: Look) -> f32 {
        1.0 + FAILURE_WEIGHT * at_least(0.0, look.failure() - self.free)
    }

    pub(super) fn is_sick(&self, penalty: f32) -> bool {
        penalty >= if self.scan { SCANNED_SICK } else { DRAWN_SICK }
    }

    /// The share of its weight that an instance may use: a tenth when it joins, all of it after
    /// ten seconds.
    #[inline(always)]
    pub(super) fn ramp(&self, at: At<'_>) -> f32 {
        if !self.ramping {
            return 1.0;
        }
        let since = self.now.saturating_sub(at.joined());
        if since >= RAMP { 1.0 } else { (seconds(since) / seconds(RAMP)).max(0.1) }
    }
}

/// The larger of two, in one instruction, unlike `f32::max`, which sees to NaN.
#[inline(always)]
fn at_least(floor: f32, value: f32) -> f32 {
    if value > floor { value } else { floor }
}

/// When an instance that joined at `joined` has its full share.
pub(super) fn ramped_at(joined: i64) -> i64 {
    joined.saturating_add(RAMP)
}

/// Requests in flight per weight, in whole steps: an instance of weight 4 is as good as idle with
/// three requests in flight, so that weights hold at low load too.
#[inline(always)]
pub(super) fn steps(in_flight: u32, inverse_weight: f32) -> f32 {
    // Rounding must not turn w/w into a little less than one.
    // (Truncation is rounding down here, and one instruction.)
    (in_flight as f32 * inverse_weight + 1e-4) as i32 as f32
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::{Candidates, Endpoint, Member, Outcome, Strategy};
    use super::*;
    use crate::Rng;
    use crate::time::ticks;
    use std::sync::Arc;

    /// Picks trust the quick look: whoever is no suspect must not be sick by the full formula.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test starts the clock")]
    fn the_sick_are_suspects() {
        let mut rng = Rng::new(4);
        let mut now = Instant::now();
        let service = Arc::new(Service::new(1));
        let endpoints: Vec<_> = (0..8).map(|_| Arc::new(Endpoint::established(&service, now))).collect();
        let members = endpoints.iter().map(|e| Member { endpoint: Arc::clone(e), weight: 1 }).collect();
        let table = Candidates::new(Strategy::HealthBased, Arc::clone(&service), members);
        let mut open = Vec::new();
        let (mut sick, mut sound) = (0, 0);
        for round in 0..50_000 {
            now += Duration::from_micros(rng.below(2_000) as u64);
            // Some are slower than others, some fail, some answer late.
            let index = rng.below(8);
            open.push(table.begin(index.into(), now));
            if open.len() > rng.below(12) {
                let request = open.swap_remove(rng.below(open.len()));
                let failed = request.index() == 7 && rng.below(2) == 0;
                let outcome = if failed { Outcome::Failure } else { Outcome::Success };
                let took = Duration::from_micros(rng.below(500 << request.index()) as u64);
                table.finish(request, outcome, now + took);
            }
            for scan in [true, false] {
                let view = View::new(&service, scan, false, ticks(now));
                for endpoint in endpoints.iter().filter(|_| view.known) {
                    let look = endpoint.place.hot().look();
                    let is_sick = view.is_sick(view.penalty(look));
                    sick += u32::from(is_sick);
                    sound += u32::from(!view.is_suspect(look));
                    assert!(!is_sick || view.is_suspect(look), "round {round}, {scan}: {look:?} {view:?}");
                }
            }
        }
        assert!(sick > 10_000 && sound > 10_000, "{sick} sick, {sound} sound");
        for request in open {
            table.finish(request, Outcome::Cancelled, now);
        }
    }
}
