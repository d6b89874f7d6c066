//! The cost of an instance under health based balancing.

use super::endpoint::{Endpoint, Load};
use super::service::Service;
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
    /// 1/M, with M the tracked median latency; zero without history.
    inverse_median: f32,
    /// A, the tracked 99th percentile, in nanoseconds.
    tail: f32,
    /// The failure rate that costs nothing.
    free: f32,
    pub(super) scan: bool,
    /// Whether any member may still be ramping up.
    pub(super) ramping: bool,
}

impl View {
    pub(super) fn new(service: &Service, scan: bool, ramping: bool) -> Self {
        let median = service.median();
        Self {
            inverse_median: if median > 0.0 { 1.0 / median } else { 0.0 },
            tail: service.tail() * 1e9,
            free: FAILURE_FREE + 2.0 * service.failure(),
            scan,
            ramping,
        }
    }

    /// Latency relative to the service's. What is in flight for longer than all but a hundredth of
    /// answers take bounds it from below, so a silent instance is seen before its first timeout.
    #[inline(always)]
    pub(super) fn relative_latency(&self, endpoint: &Endpoint, load: Load, now: i64) -> f32 {
        if self.inverse_median == 0.0 {
            return 1.0;
        }
        let known = endpoint.latency();
        let mut latency = if known > 0.0 { known * self.inverse_median } else { 1.0 };
        // Both sides are zero when nothing waits. (Not asking for that spares a branch that nobody
        // could predict.)
        let summed = endpoint.summed_age(load.waiting, now) as f32;
        if summed > self.tail * load.waiting as f32 {
            let age = summed / load.waiting.max(1) as f32 * 1e-9;
            latency = latency.max(age * self.inverse_median);
        }
        latency
    }

    /// The factor by which an instance is worse than a good one; at least 1 when all are looked at.
    #[inline(always)]
    pub(super) fn penalty(&self, endpoint: &Endpoint, load: Load, now: i64) -> f32 {
        if self.inverse_median == 0.0 {
            return 1.0;
        }
        let latency = self.relative_latency(endpoint, load, now);
        let slow = if self.scan {
            if latency <= BAND {
                1.0
            } else {
                let beyond = latency / BAND;
                beyond * beyond
            }
        } else if latency <= STEEP {
            latency.sqrt()
        } else {
            let beyond = latency / STEEP;
            latency.sqrt() * beyond * beyond
        };
        let excess = endpoint.failure() - self.free;
        if excess > 0.0 { slow * (1.0 + FAILURE_WEIGHT * excess) } else { slow }
    }

    #[inline(always)]
    pub(super) fn is_sick(&self, penalty: f32) -> bool {
        if self.scan { penalty > 1.0001 } else { penalty >= DRAWN_SICK }
    }

    /// The share of its weight that an instance may use: a tenth when it joins, all of it after
    /// ten seconds.
    #[inline(always)]
    pub(super) fn ramp(&self, endpoint: &Endpoint, now: i64) -> f32 {
        if !self.ramping {
            return 1.0;
        }
        let since = now.saturating_sub(endpoint.joined());
        if since >= RAMP { 1.0 } else { (seconds(since) / seconds(RAMP)).max(0.1) }
    }
}

/// When an instance that joined at `joined` has its full share.
pub(super) fn ramped_at(joined: i64) -> i64 {
    joined.saturating_add(RAMP)
}

/// Requests in flight per weight, in whole steps: an instance of weight 4 is as good as idle with
/// three requests in flight, so that weights hold at low load too.
#[inline]
pub(super) fn steps(in_flight: u32, inverse_weight: f32) -> f32 {
    // Rounding must not turn w/w into a little less than one.
    // (Truncation is rounding down here, and one instruction.)
    (in_flight as f32 * inverse_weight + 1e-4) as i32 as f32
}
