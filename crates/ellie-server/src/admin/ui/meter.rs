//! Rates from counters: what happened since the last look, and how long answers took lately.

use super::super::wire::ratio;
use ellie_api::ui::{RouteRates, ServiceRates};
use ellie_gateway::metrics::{BOUNDS_MS, Totals};

/// Buckets of the histograms.
pub(super) const BUCKETS: usize = BOUNDS_MS.len() + 1;
/// After so many seconds an answer counts 1/e in percentiles.
const MEMORY: f32 = 5.0;
/// So little is left of the last answer after some ten seconds.
const QUIET: f32 = 0.1;

/// What happened in one step of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Step {
    pub(super) answered: u64,
    /// Those of them that are 5xx.
    pub(super) errors: u64,
    pub(super) retries: u64,
    pub(super) limited: u64,
    /// Answers by how long they took.
    pub(super) buckets: [u32; BUCKETS],
}

impl Step {
    pub(super) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.errors += other.errors;
        self.retries += other.retries;
        self.limited += other.limited;
        for (sum, n) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += n;
        }
    }

    /// The share of answers that are 5xx.
    pub(super) fn error_share(&self) -> f64 {
        if self.answered == 0 { 0.0 } else { self.errors as f64 / self.answered as f64 }
    }
}

/// Answers by how long they took, fading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Fading([f32; BUCKETS]);

impl Fading {
    fn step(&mut self, step: &Step, seconds: f32) {
        let keep = (-seconds / MEMORY).exp();
        for (sum, n) in self.0.iter_mut().zip(step.buckets) {
            *sum = *sum * keep + n as f32;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, n) in self.0.iter_mut().zip(other.0) {
            *sum += n;
        }
    }

    /// Whether there was nothing lately.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.iter().sum::<f32>() < QUIET
    }

    /// Milliseconds, to two digits.
    pub(super) fn percentile(&self, q: f32) -> Option<f64> {
        if self.is_quiet() { None } else { percentile(&self.0, q) }
    }
}

/// Interpolated linearly inside a bucket; what is beyond the last bound counts as that bound, so it is at least as long.
pub(super) fn percentile(buckets: &[f32; BUCKETS], q: f32) -> Option<f64> {
    let total: f32 = buckets.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let mut left = total * q;
    for (i, n) in buckets.iter().copied().enumerate() {
        if n > 0.0 && left <= n {
            let from = if i == 0 { 0.0 } else { BOUNDS_MS[i - 1] };
            let to = BOUNDS_MS.get(i).copied().unwrap_or(from);
            return Some(hundredths(from + (to - from) * f64::from(left / n)));
        }
        left -= n;
    }
    BOUNDS_MS.last().copied()
}

/// To two digits, so that numbers are short on the wire.
pub(super) fn hundredths(x: f64) -> f64 {
    if x.is_finite() { (x * 100.0).round() / 100.0 } else { 0.0 }
}

/// One counted thing: a route, or all.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge {
    last: Step64,
    /// Requests taken up, as last seen.
    pub(super) begun: u64,
    pub(super) fading: Fading,
    pub(super) step: Step,
    pub(super) in_flight: u64,
}

/// Counters as last seen.
#[derive(Clone, Copy, Debug, Default)]
struct Step64 {
    answered: u64,
    errors: u64,
    retries: u64,
    limited: u64,
    buckets: [u64; BUCKETS],
}

impl Gauge {
    /// Takes what was counted since the last time, `seconds` ago.
    pub(super) fn advance(&mut self, totals: &Totals, seconds: f32) {
        let now = Step64 {
            answered: totals.answered(),
            errors: totals.classes[4],
            retries: totals.retries,
            limited: totals.limited,
            buckets: totals.buckets,
        };
        // Of a route that was removed and made anew the counters begin at zero again.
        if now.answered < self.last.answered {
            self.last = Step64::default();
        }
        let less = |now: u64, last: u64| now.saturating_sub(last);
        let mut step = Step {
            answered: less(now.answered, self.last.answered),
            errors: less(now.errors, self.last.errors),
            retries: less(now.retries, self.last.retries),
            limited: less(now.limited, self.last.limited),
            buckets: [0; BUCKETS],
        };
        for (out, (now, last)) in step.buckets.iter_mut().zip(now.buckets.iter().zip(self.last.buckets)) {
            *out = u32::try_from(less(*now, last)).unwrap_or(u32::MAX);
        }
        self.last = now;
        self.in_flight = totals.in_flight;
        self.fading.step(&step, seconds);
        self.step = step;
    }

    /// Nothing happened.
    pub(super) fn rest(&mut self, seconds: f32) {
        self.step = Step::default();
        self.fading.step(&self.step, seconds);
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_quiet(&self) -> bool {
        self.in_flight == 0 && self.fading.is_quiet()
    }

    pub(super) fn rates(&self, seconds: f32) -> RouteRates {
        let rate = |n: u64| hundredths(n as f64 / f64::from(seconds));
        RouteRates {
            rps: rate(self.step.answered),
            errors: ratio(self.step.error_share()),
            p50: self.fading.percentile(0.5),
            p95: self.fading.percentile(0.95),
            p99: self.fading.percentile(0.99),
            in_flight: self.in_flight,
            retries: rate(self.step.retries),
            limited: rate(self.step.limited),
        }
    }
}

/// A service: its routes together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub(super) step: Step,
    pub(super) fading: Fading,
    pub(super) in_flight: u64,
}

impl Sum {
    pub(super) fn add(&mut self, gauge: &Gauge) {
        self.step.add(&gauge.step);
        self.fading.add(&gauge.fading);
        self.in_flight += gauge.in_flight;
    }

    pub(super) fn rates(&self, seconds: f32) -> ServiceRates {
        ServiceRates {
            rps: hundredths(self.step.answered as f64 / f64::from(seconds)),
            errors: ratio(self.step.error_share()),
            p95: self.fading.percentile(0.95),
            in_flight: self.in_flight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(ok: u64, failed: u64, bucket: usize) -> Totals {
        let mut t = Totals::default();
        t.classes[1] = ok;
        t.classes[4] = failed;
        t.buckets[bucket] = ok + failed;
        t
    }

    #[test]
    fn rates_are_what_came_since_the_last_look() {
        let mut gauge = Gauge::default();
        gauge.advance(&totals(90, 10, 3), 1.0);
        let rates = gauge.rates(1.0);
        assert_eq!((rates.rps, rates.errors), (100.0, 0.1));
        gauge.advance(&totals(190, 10, 3), 2.0);
        let rates = gauge.rates(2.0);
        assert_eq!((rates.rps, rates.errors), (50.0, 0.0));
        // Made anew, counted from zero.
        gauge.advance(&totals(5, 0, 3), 1.0);
        assert_eq!(gauge.rates(1.0).rps, 5.0);
        gauge.rest(1.0);
        assert_eq!(gauge.rates(1.0).rps, 0.0);
        assert!(!gauge.is_quiet(), "it is remembered for a while");
        for _ in 0..60 {
            gauge.rest(1.0);
        }
        assert!(gauge.is_quiet());
        assert_eq!(gauge.rates(1.0).p95, None);
    }

    #[test]
    fn percentiles_are_read_between_bounds() {
        let mut buckets = [0.0; BUCKETS];
        assert_eq!(percentile(&buckets, 0.5), None);
        buckets[3] = 100.0; // 5 to 10 ms
        assert_eq!(percentile(&buckets, 0.5), Some(7.5));
        assert_eq!(percentile(&buckets, 1.0), Some(10.0));
        buckets[0] = 100.0; // up to 1 ms
        assert_eq!(percentile(&buckets, 0.25), Some(0.5));
        buckets = [0.0; BUCKETS];
        buckets[BUCKETS - 1] = 1.0;
        assert_eq!(percentile(&buckets, 0.99), Some(10_000.0), "at least as long as the last bound");
    }
}
