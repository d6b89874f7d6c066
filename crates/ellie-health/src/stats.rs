//! What the checker did, in numbers.

use ellie_core::Status;
use ellie_core::model::CheckKind;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the histogram of durations, in milliseconds; what is above the last is in the count alone.
const BUCKETS: [u64; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
const KINDS: [CheckKind; 3] = [CheckKind::Http, CheckKind::Tcp, CheckKind::Grpc];

/// The checker's numbers at one moment. Totals count since it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Instances that are probed.
    pub scheduled: usize,
    /// Of these, new ones that wait for room for their first probe.
    pub waiting_first: usize,
    /// Probes in flight.
    pub in_flight: usize,
    /// Connections kept between probes.
    pub kept_connections: usize,
    /// Probes that ended with an answer or without one, inconclusive ones not counted.
    pub checks_total: u64,
    /// Of these, the unhealthy ones.
    pub failed_total: u64,
    /// Of these, the degraded ones.
    pub degraded_total: u64,
    /// Probes that say nothing of the instance, because ellie itself ran out of files, ports or memory.
    pub inconclusive_total: u64,
    /// Probes whose kept connection was closed as it was used, and that were sent again on a new one.
    pub retried_total: u64,
    /// Probes that began more than a tenth of their interval late, and more than 100 ms: the concurrency is too low.
    pub late_total: u64,
    /// The latest that a probe ever began.
    pub lag_max: Duration,
    /// The same by kind: http, tcp, grpc.
    pub kinds: [KindStats; 3],
}

/// The numbers of one kind of check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindStats {
    /// Which.
    pub kind: CheckKind,
    /// Probes that ended.
    pub checks: u64,
    /// Of these, the unhealthy ones.
    pub failed: u64,
    /// How long they took in all.
    pub took: Duration,
    /// How many took at most so long, cumulative.
    pub buckets: [(Duration, u64); BUCKETS.len()],
}

/// Written by the checker's task alone, read by anybody.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) scheduled: AtomicUsize,
    pub(crate) waiting_first: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) kept_connections: AtomicUsize,
    pub(crate) inconclusive: AtomicU64,
    pub(crate) retried: AtomicU64,
    late: AtomicU64,
    lag_max_us: AtomicU64,
    kinds: [Kind; 3],
}

#[derive(Debug, Default)]
struct Kind {
    failed: AtomicU64,
    degraded: AtomicU64,
    took_us: AtomicU64,
    /// Not cumulative; the last is beyond all bounds.
    buckets: [AtomicU64; BUCKETS.len() + 1],
}

impl Counters {
    /// Sets what holds only while running back to nothing.
    pub(crate) fn at_rest(&self) {
        for gauge in [&self.scheduled, &self.waiting_first, &self.in_flight, &self.kept_connections] {
            gauge.store(0, Relaxed);
        }
    }

    pub(crate) fn started(&self, lag: Duration, interval: Duration) {
        if lag > interval / 10 && lag > Duration::from_millis(100) {
            self.late.fetch_add(1, Relaxed);
        }
        self.lag_max_us.fetch_max(lag.as_micros() as u64, Relaxed);
    }

    pub(crate) fn ended(&self, kind: CheckKind, verdict: Status, took: Duration) {
        let Some(counters) = KINDS.iter().position(|k| *k == kind).and_then(|n| self.kinds.get(n)) else {
            return;
        };
        match verdict {
            Status::Healthy => {}
            Status::Degraded => _ = counters.degraded.fetch_add(1, Relaxed),
            Status::Unhealthy => _ = counters.failed.fetch_add(1, Relaxed),
        }
        let us = took.as_micros() as u64;
        counters.took_us.fetch_add(us, Relaxed);
        counters.buckets[BUCKETS.partition_point(|le| le * 1000 < us)].fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        let kinds: [KindStats; 3] = std::array::from_fn(|n| {
            let kind = &self.kinds[n];
            let mut sum = 0;
            let buckets = std::array::from_fn(|b| {
                sum += kind.buckets[b].load(Relaxed);
                (Duration::from_millis(BUCKETS[b]), sum)
            });
            KindStats {
                kind: KINDS[n],
                checks: sum + kind.buckets[BUCKETS.len()].load(Relaxed),
                failed: kind.failed.load(Relaxed),
                took: Duration::from_micros(kind.took_us.load(Relaxed)),
                buckets,
            }
        });
        Stats {
            scheduled: self.scheduled.load(Relaxed),
            waiting_first: self.waiting_first.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            kept_connections: self.kept_connections.load(Relaxed),
            checks_total: kinds.iter().map(|k| k.checks).sum(),
            failed_total: kinds.iter().map(|k| k.failed).sum(),
            degraded_total: self.kinds.iter().map(|k| k.degraded.load(Relaxed)).sum(),
            inconclusive_total: self.inconclusive.load(Relaxed),
            retried_total: self.retried.load(Relaxed),
            late_total: self.late.load(Relaxed),
            lag_max: Duration::from_micros(self.lag_max_us.load(Relaxed)),
            kinds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_counted_by_kind_verdict_and_duration() {
        let c = Counters::default();
        c.ended(CheckKind::Http, Status::Healthy, Duration::from_millis(1));
        c.ended(CheckKind::Http, Status::Degraded, Duration::from_millis(3));
        c.ended(CheckKind::Grpc, Status::Unhealthy, Duration::from_secs(60));
        c.started(Duration::from_millis(50), Duration::from_millis(100));
        c.started(Duration::from_secs(2), Duration::from_secs(10));
        let s = c.read();
        assert_eq!((s.checks_total, s.failed_total, s.degraded_total, s.late_total), (3, 1, 1, 1));
        assert_eq!(s.lag_max, Duration::from_secs(2));
        let counts: Vec<u64> = s.kinds[0].buckets.iter().map(|(_, n)| *n).collect();
        assert_eq!(counts, [1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!(
            (s.kinds[2].checks, s.kinds[2].buckets[12].1),
            (1, 0),
            "beyond all bounds is in the count alone"
        );
    }
}
