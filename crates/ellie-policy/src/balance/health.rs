//! The cost of an instance under health based balancing.

use super::endpoint::Load;
use super::service::Service;
use super::slab::Hot;
use crate::time::seconds;

/// Up to this many instances all are looked at; above, a few are drawn.
pub(super) const SCAN: usize = 16;
/// How long a newcomer's share grows.
const RAMP: i64 = 10_000_000_000;
/// Relative latency up to which instances count as equal when all are looked at. Without a dead
/// band, noise moves traffic: weights are not kept, and bimodal latencies make everything slower.
const BAND: f32 = 1.75;
/// Above this relative latency the penalty of drawn instances grows steeply.
const STEEP: f32 = 3.0;
/// Drawn instances are sick from here on: a relative latency of 3.
const DRAWN_SICK: f32 = 1.73;
/// How much a failure rate costs.
const FAILURE_WEIGHT: f32 = 100.0;
/// The failure rate that costs nothing. With twice the service's own added, background failures do
/// not drive traffic from one instance to the next.
const FAILURE_FREE: f32 = 0.2;

/// What the whole service has in common during one pick.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// 1/√M, with M the tracked median latency; zero without history.
    inverse_root: f32,
    /// A, the tracked 99th percentile, in nanoseconds.
    tail: f32,
    /// The failure rate that costs nothing.
    free: f32,
    pub(super) scan: bool,
    /// Whether any member may still be ramping up.
    pub(super) ramping: bool,
}

impl View {
    #[inline]
    pub(super) fn new(service: &Service, scan: bool, ramping: bool) -> Self {
        let inverse_root = service.inverse_root();
        let known = inverse_root > 0.0;
        Self {
            inverse_root,
            // Without history nobody is slow and nobody fails.
            tail: if known { service.tail() * 1e9 } else { f32::INFINITY },
            free: if known { FAILURE_FREE + 2.0 * service.failure() } else { f32::INFINITY },
            scan,
            ramping,
        }
    }

    /// The square root of the latency relative to the service's, which is what the averages are
    /// made of. What is in flight for longer than all but a hundredth of answers take bounds it
    /// from below, so a silent instance is seen before its first timeout.
    #[inline(always)]
    fn relative_root(&self, hot: &Hot, load: Load, now: i64) -> f32 {
        let mut root = hot.root() * self.inverse_root;
        // Nothing is known of it, or of any: like the others.
        root = if root > 0.0 { root } else { 1.0 };
        // Both sides are zero when nothing waits. (Not asking for that spares a branch that nobody
        // could predict.)
        let summed = hot.summed_age(load.waiting, now) as f32;
        if summed > self.tail * load.waiting as f32 {
            root = root.max(self.age_root(summed, load.waiting));
        }
        root
    }

    #[cold]
    fn age_root(&self, summed: f32, waiting: u32) -> f32 {
        (summed / waiting.max(1) as f32 * 1e-9).sqrt() * self.inverse_root
    }

    /// Latency relative to the service's.
    pub(super) fn relative_latency(&self, hot: &Hot, load: Load, now: i64) -> f32 {
        let root = self.relative_root(hot, load, now);
        root * root
    }

    /// The factor by which an instance is worse than a good one; at least 1 when all are looked at.
    /// Without branches, for nobody could predict them.
    #[inline(always)]
    pub(super) fn penalty(&self, hot: &Hot, load: Load, now: i64) -> f32 {
        let root = self.relative_root(hot, load, now);
        let latency = root * root;
        let slow = if self.scan {
            let beyond = at_least(1.0, latency * (1.0 / BAND));
            beyond * beyond
        } else {
            let beyond = at_least(1.0, latency * (1.0 / STEEP));
            root * beyond * beyond
        };
        let excess = at_least(0.0, hot.failure() - self.free);
        slow * (1.0 + FAILURE_WEIGHT * excess)
    }

    #[inline(always)]
    pub(super) fn is_sick(&self, penalty: f32) -> bool {
        if self.scan { penalty > 1.0001 } else { penalty >= DRAWN_SICK }
    }

    /// The share of its weight that an instance may use: a tenth when it joins, all of it after
    /// ten seconds.
    #[inline(always)]
    pub(super) fn ramp(&self, hot: &Hot, now: i64) -> f32 {
        if !self.ramping {
            return 1.0;
        }
        let since = now.saturating_sub(hot.joined());
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
