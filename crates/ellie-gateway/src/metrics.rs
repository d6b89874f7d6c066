//! Counting without contention: every thread writes to lines of its own, which are summed when somebody looks.
//!
//! Labels are bounded: routes and services by their number, status codes by their class.

mod mean;
mod sharded;

use crate::cluster::Outcome;
use mean::Mean;
use sharded::Sharded;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The upper bounds of the duration histogram's buckets, in milliseconds; one more bucket takes the rest.
pub const BOUNDS_MS: [f64; 13] =
    [1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];
const BOUNDS_US: [u64; 13] = [
    1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];
const BUCKETS: usize = BOUNDS_US.len() + 1;
/// `1xx` to `5xx`.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn class(status: u16) -> usize {
    usize::from(status / 100).clamp(1, CLASSES.len()) - 1
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}

/// What one thread counted of some requests.
#[derive(Debug, Default)]
struct Shard {
    begun: AtomicU64,
    abandoned: AtomicU64,
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    retries: AtomicU64,
    limited: AtomicU64,
}

/// Requests as counted up to a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests under way.
    pub in_flight: u64,
    /// Requests that ended without an answer: their client went away.
    pub abandoned: u64,
    /// Answers, by the class of their status: see [`CLASSES`].
    pub classes: [u64; CLASSES.len()],
    /// Answers, by how long they took: how many fell into each bucket of [`BOUNDS_MS`], and beyond the last.
    pub buckets: [u64; BUCKETS],
    /// The sum of how long they took.
    pub took: Duration,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// Further tries.
    pub retries: u64,
    /// Requests refused by a rate limit.
    pub limited: u64,
}

impl Totals {
    /// All answers.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.classes.iter().sum()
    }
}

/// Counters of requests: those of one route, or all.
#[derive(Debug, Default)]
pub struct Counters(Sharded<Shard>);

impl Counters {
    fn begin(&self) {
        add(&self.0.mine().begun, 1);
    }

    fn abandon(&self) {
        add(&self.0.mine().abandoned, 1);
    }

    fn record(&self, status: u16, micros: u64, bytes_in: u64, bytes_out: u64) {
        let shard = self.0.mine();
        add(&shard.classes[class(status)], 1);
        add(&shard.buckets[BOUNDS_US.partition_point(|&bound| bound < micros)], 1);
        add(&shard.micros, micros);
        if bytes_in > 0 {
            add(&shard.bytes_in, bytes_in);
        }
        if bytes_out > 0 {
            add(&shard.bytes_out, bytes_out);
        }
    }

    /// Requests taken up so far: enough to see that there were none since, and cheaper than [`Self::totals`].
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.0.iter().map(|shard| shard.begun.load(Relaxed)).sum()
    }

    /// The sums now. Looks only.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut t = Totals::default();
        let (mut begun, mut micros) = (0_u64, 0_u64);
        for shard in self.0.iter() {
            begun += shard.begun.load(Relaxed);
            micros = micros.saturating_add(shard.micros.load(Relaxed));
            t.abandoned += shard.abandoned.load(Relaxed);
            for (sum, n) in t.classes.iter_mut().zip(&shard.classes) {
                *sum += n.load(Relaxed);
            }
            for (sum, n) in t.buckets.iter_mut().zip(&shard.buckets) {
                *sum += n.load(Relaxed);
            }
            t.bytes_in += shard.bytes_in.load(Relaxed);
            t.bytes_out += shard.bytes_out.load(Relaxed);
            t.retries += shard.retries.load(Relaxed);
            t.limited += shard.limited.load(Relaxed);
        }
        t.took = Duration::from_micros(micros);
        t.in_flight = begun.saturating_sub(t.answered() + t.abandoned);
        t
    }
}

/// The counters of one route. They outlive tables, and count for the whole gateway, too.
#[derive(Debug)]
pub struct RouteStats {
    own: Counters,
    gateway: Arc<GatewayCounters>,
}

impl RouteStats {
    /// Counters at zero.
    #[must_use]
    pub fn new(gateway: Arc<GatewayCounters>) -> Self {
        Self { own: Counters::default(), gateway }
    }

    /// A request has been taken up: to be followed by one [`record`](Self::record) or [`abandon`](Self::abandon).
    pub fn begin(&self) {
        self.own.begin();
        self.gateway.requests.begin();
    }

    /// Its client went away before there was an answer.
    pub fn abandon(&self) {
        self.own.abandon();
        self.gateway.requests.abandon();
    }

    /// It was answered: with which status, after how long, and how many bytes the bodies had.
    pub fn record(&self, status: u16, took: Duration, bytes_in: u64, bytes_out: u64) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.own.record(status, micros, bytes_in, bytes_out);
        self.gateway.requests.record(status, micros, bytes_in, bytes_out);
    }

    /// It is tried once more.
    pub fn retried(&self) {
        add(&self.own.0.mine().retries, 1);
        add(&self.gateway.requests.0.mine().retries, 1);
    }

    /// It was refused by the route's rate limit; the answer is recorded as any other.
    pub fn limited(&self) {
        add(&self.own.0.mine().limited, 1);
        add(&self.gateway.requests.0.mine().limited, 1);
    }

    /// Requests taken up so far; see [`Counters::begun`].
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.own.begun()
    }

    /// The sums now. Looks only.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.own.totals()
    }
}

#[derive(Debug, Default)]
struct ConnectionShard {
    opened: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
    upstream_opened: AtomicU64,
    upstream_reused: AtomicU64,
}

/// The counters of a gateway: all requests, and connections.
#[derive(Debug, Default)]
pub struct GatewayCounters {
    requests: Counters,
    unrouted: Counters,
    connections: Sharded<ConnectionShard>,
}

impl GatewayCounters {
    /// A request that no route took was answered by the gateway itself: 400, 404, 405…
    pub fn unrouted(&self, status: u16, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for counters in [&self.requests, &self.unrouted] {
            counters.begin();
            counters.record(status, micros, 0, 0);
        }
    }

    /// A client connected.
    pub fn connection_opened(&self) {
        add(&self.connections.mine().opened, 1);
    }

    /// A client's connection ended.
    pub fn connection_closed(&self) {
        add(&self.connections.mine().closed, 1);
    }

    /// A client was turned away: there are too many.
    pub fn connection_refused(&self) {
        add(&self.connections.mine().refused, 1);
    }

    /// A request went out on a new connection to an instance.
    pub fn upstream_opened(&self) {
        add(&self.connections.mine().upstream_opened, 1);
    }

    /// A request went out on a kept connection to an instance.
    pub fn upstream_reused(&self) {
        add(&self.connections.mine().upstream_reused, 1);
    }

    /// The sums now. Looks only.
    #[must_use]
    pub fn stats(&self) -> GatewayStats {
        let mut stats = GatewayStats {
            requests: self.requests.totals(),
            unrouted: self.unrouted.totals(),
            ..GatewayStats::default()
        };
        let mut closed = 0;
        for shard in self.connections.iter() {
            stats.connections_total += shard.opened.load(Relaxed);
            closed += shard.closed.load(Relaxed);
            stats.connections_refused += shard.refused.load(Relaxed);
            stats.upstream_opened += shard.upstream_opened.load(Relaxed);
            stats.upstream_reused += shard.upstream_reused.load(Relaxed);
        }
        stats.connections = stats.connections_total.saturating_sub(closed);
        stats
    }
}

/// A gateway's counters up to a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayStats {
    /// All requests.
    pub requests: Totals,
    /// Those of them that no route took.
    pub unrouted: Totals,
    /// Client connections open.
    pub connections: u64,
    /// Client connections accepted.
    pub connections_total: u64,
    /// Client connections turned away.
    pub connections_refused: u64,
    /// Requests that went out on a new connection.
    pub upstream_opened: u64,
    /// Requests that went out on a kept one.
    pub upstream_reused: u64,
}

#[derive(Debug, Default)]
struct ServiceShard {
    classes: [AtomicU64; CLASSES.len()],
    failures: AtomicU64,
    retries: AtomicU64,
    mean: Mean,
}

/// The counters of one service: requests of gateway and library alike.
#[derive(Debug)]
pub(crate) struct ServiceCounters {
    shards: Sharded<ServiceShard>,
    origin: Instant,
}

impl ServiceCounters {
    pub(crate) fn new(now: Instant) -> Self {
        Self { shards: Sharded::default(), origin: now }
    }

    /// Whether there ever was a request.
    pub(crate) fn any(&self) -> bool {
        self.shards.iter().any(|s| s.classes.iter().any(|c| c.load(Relaxed) > 0))
    }

    pub(crate) fn record(&self, outcome: Outcome, took: Duration, now: Instant) {
        let shard = self.shards.mine();
        add(&shard.classes[class(outcome.status())], 1);
        if !matches!(outcome, Outcome::Status(_)) {
            add(&shard.failures, 1);
        }
        shard.mean.record(took, self.age(now));
    }

    pub(crate) fn retried(&self) {
        add(&self.shards.mine().retries, 1);
    }

    fn age(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.origin).as_secs_f64()
    }

    pub(crate) fn totals(&self, now: Instant) -> ServiceTotals {
        let mut t = ServiceTotals::default();
        for shard in self.shards.iter() {
            for (sum, n) in t.classes.iter_mut().zip(&shard.classes) {
                *sum += n.load(Relaxed);
            }
            t.unanswered += shard.failures.load(Relaxed);
            t.retries += shard.retries.load(Relaxed);
        }
        t.response_time = mean::combined(|| self.shards.iter().map(|s| &s.mean), self.age(now));
        t
    }
}

/// Requests to one service up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceTotals {
    /// Requests that ended, by the class of their status: see [`CLASSES`]. No answer counts as 502 or 504.
    pub classes: [u64; CLASSES.len()],
    /// Those of them to which there was no answer.
    pub unanswered: u64,
    /// Further tries.
    pub retries: u64,
    /// The mean time to an answer, with a memory of about thirty seconds; `None` before the first.
    pub response_time: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_summed_and_what_is_under_way_is_the_rest() {
        let gateway = Arc::new(GatewayCounters::default());
        let stats = RouteStats::new(gateway.clone());
        std::thread::scope(|scope| {
            for t in 0..4_u64 {
                let stats = &stats;
                scope.spawn(move || {
                    for _ in 0..100 {
                        stats.begin();
                        stats.record(200 + 100 * (t as u16 % 3), Duration::from_millis(3), 1, 10);
                    }
                });
            }
        });
        stats.begin();
        stats.begin();
        stats.abandon();
        stats.retried();
        stats.limited();
        let t = stats.totals();
        assert_eq!(t.classes, [0, 200, 100, 100, 0]);
        assert_eq!((t.answered(), t.in_flight, t.abandoned), (400, 1, 1));
        assert_eq!(stats.begun(), 402);
        assert_eq!((t.bytes_in, t.bytes_out, t.retries, t.limited), (400, 4000, 1, 1));
        assert_eq!((t.buckets[2], t.took), (400, Duration::from_millis(1200)));
        assert_eq!(gateway.stats().requests, t);
        gateway.unrouted(404, Duration::ZERO);
        let all = gateway.stats();
        assert_eq!((all.requests.answered(), all.unrouted.classes[3]), (401, 1));
    }

    #[test]
    fn buckets_take_their_upper_bound_and_odd_statuses_a_class() {
        let counters = Counters::default();
        for micros in [0, 1000, 1001, 10_000_000, 10_000_001] {
            counters.record(999, micros, 0, 0);
        }
        let t = counters.totals();
        assert_eq!((t.buckets[0], t.buckets[1], t.buckets[12], t.buckets[13]), (2, 1, 1, 1));
        assert_eq!(t.classes[4], 5);
    }

    #[test]
    fn the_response_time_follows_recent_answers() {
        let start = ellie_core::Now::read().instant;
        let counters = ServiceCounters::new(start);
        assert!(!counters.any() && counters.totals(start).response_time.is_none());
        let at = |s: u64| start + Duration::from_secs(s);
        for s in 0..60 {
            counters.record(Outcome::Status(200), Duration::from_millis(100), at(s));
        }
        assert_eq!(counters.totals(at(60)).response_time.unwrap().as_millis(), 100);
        for s in 60..240 {
            counters.record(Outcome::Timeout, Duration::from_millis(300), at(s));
        }
        let t = counters.totals(at(10_000));
        assert!((295..=300).contains(&t.response_time.unwrap().as_millis()), "{t:?}");
        assert_eq!((t.classes[1], t.classes[4], t.unanswered), (60, 180, 180));
    }
}
