//! Successes and failures over the last period, in exact buckets.

use super::Outcome;

/// A finer grid costs memory, a coarser one forgets too early: a call leaves the window up to one
/// bucket (a sixtieth of the period) before the period is over, and never after it.
pub(super) const BUCKETS: usize = 60;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) successes: u64,
    pub(super) failures: u64,
}

impl Counts {
    pub(super) fn calls(self) -> u64 {
        self.successes + self.failures
    }

    /// Share of calls that failed, 0 without calls.
    pub(super) fn failure_rate(self) -> f64 {
        if self.calls() == 0 { 0.0 } else { self.failures as f64 / self.calls() as f64 }
    }

    fn add(&mut self, other: Self) {
        self.successes += other.successes;
        self.failures += other.failures;
    }

    fn sub(&mut self, other: Self) {
        self.successes -= other.successes;
        self.failures -= other.failures;
    }
}

/// Buckets of equal width, counted from `origin`. The newest is the head; the window is the head
/// and the 59 before it, so a gap without calls clears what it passes over.
#[derive(Debug, Clone)]
pub(super) struct Window {
    origin: i64,
    width: i64,
    head: i64,
    ring: [Counts; BUCKETS],
    sum: Counts,
}

impl Window {
    pub(super) fn new(period: i64, origin: i64) -> Self {
        Self {
            origin,
            width: width(period),
            head: 0,
            ring: [Counts::default(); BUCKETS],
            sum: Counts::default(),
        }
    }

    fn index(&self, at: i64) -> i64 {
        at.saturating_sub(self.origin).div_euclid(self.width)
    }

    fn slot(index: i64) -> usize {
        index.rem_euclid(BUCKETS as i64) as usize
    }

    /// Moves the head to the bucket of `now`. An instant before the head's bucket (a thread that
    /// was slow to report) moves nothing.
    pub(super) fn advance(&mut self, now: i64) {
        let to = self.index(now);
        if to <= self.head {
            return;
        }
        if to - self.head >= BUCKETS as i64 {
            self.ring = [Counts::default(); BUCKETS];
            self.sum = Counts::default();
        } else {
            for index in self.head + 1..=to {
                let gone = std::mem::take(&mut self.ring[Self::slot(index)]);
                self.sum.sub(gone);
            }
        }
        self.head = to;
    }

    /// The first instant after the head's bucket.
    pub(super) fn head_end(&self) -> i64 {
        self.origin.saturating_add((self.head + 1).saturating_mul(self.width))
    }

    pub(super) fn record(&mut self, outcome: Outcome, now: i64) {
        self.advance(now);
        match outcome {
            Outcome::Success => self.add(Counts { successes: 1, failures: 0 }),
            Outcome::Failure => self.add(Counts { successes: 0, failures: 1 }),
            Outcome::Ignored => {}
        }
    }

    /// Adds to the head's bucket.
    pub(super) fn add(&mut self, counts: Counts) {
        self.ring[Self::slot(self.head)].add(counts);
        self.sum.add(counts);
    }

    /// What [`advance`](Self::advance) to `now` would leave, without advancing; `pending` is what
    /// has yet to be added to the head's bucket.
    pub(super) fn counts_at(&self, now: i64, pending: Counts) -> Counts {
        let to = self.index(now).max(self.head);
        let gone = to - self.head;
        if gone >= BUCKETS as i64 {
            return Counts::default();
        }
        let mut counts = self.sum;
        counts.add(pending);
        for index in self.head + 1..=to {
            counts.sub(self.ring[Self::slot(index)]);
        }
        counts
    }

    pub(super) fn counts(&self) -> Counts {
        self.sum
    }

    pub(super) fn clear(&mut self) {
        self.ring = [Counts::default(); BUCKETS];
        self.sum = Counts::default();
    }

    /// The same history in buckets of another width: each old bucket goes to the new one in which
    /// it began; what is older than the new period is forgotten.
    pub(super) fn resized(&self, period: i64, now: i64) -> Self {
        if width(period) == self.width {
            return self.clone();
        }
        let mut new = Self::new(period, self.origin);
        let last = BUCKETS as i64 - 1;
        for index in self.head - last..=self.head {
            let counts = self.ring[Self::slot(index)];
            if counts.calls() > 0 {
                new.advance(self.origin.saturating_add(index.saturating_mul(self.width)));
                new.add(counts);
            }
        }
        new.advance(now);
        new
    }
}

fn width(period: i64) -> i64 {
    let buckets = BUCKETS as i64;
    (period / buckets + i64::from(period % buckets != 0)).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Remembers every call and counts those whose bucket is among the last sixty.
    #[derive(Default)]
    struct Naive(Vec<(i64, bool)>);

    impl Naive {
        fn counts(&self, width: i64, now: i64) -> Counts {
            let newest = now.div_euclid(width);
            let mut counts = Counts::default();
            for &(at, failed) in &self.0 {
                if newest - at.div_euclid(width) < BUCKETS as i64 {
                    counts.add(Counts { successes: u64::from(!failed), failures: u64::from(failed) });
                }
            }
            counts
        }
    }

    proptest! {
        #[test]
        fn equals_the_naive_model(
            period in 60_i64..5_000,
            steps in proptest::collection::vec((0_i64..3, 0_i64..400, any::<bool>()), 1..300),
        ) {
            let mut window = Window::new(period, 0);
            let mut naive = Naive::default();
            let mut now = 0;
            for (scale, by, failed) in steps {
                now += match scale { 0 => 0, 1 => by, _ => by * 20 };
                let expected = naive.counts(window.width, now);
                prop_assert_eq!(window.counts_at(now, Counts::default()), expected);
                window.record(if failed { Outcome::Failure } else { Outcome::Success }, now);
                naive.0.push((now, failed));
                prop_assert_eq!(window.counts(), naive.counts(window.width, now));
            }
        }

        #[test]
        fn resizing_loses_nothing_that_both_periods_hold(
            steps in proptest::collection::vec((0_i64..50, any::<bool>()), 1..50),
            period in 3_000_i64..100_000,
        ) {
            // At most 50 steps of 49 ns: all within either period.
            let mut window = Window::new(6_000, 0);
            let mut now = 0;
            for (by, failed) in steps {
                now += by;
                window.record(if failed { Outcome::Failure } else { Outcome::Success }, now);
            }
            prop_assert_eq!(window.resized(period, now).counts(), window.counts());
        }
    }

    #[test]
    fn a_call_counts_for_the_whole_period_and_not_after_it() {
        let mut window = Window::new(300, 0);
        window.record(Outcome::Failure, 0);
        assert_eq!(window.counts_at(299, Counts::default()).failures, 1);
        assert_eq!(window.counts_at(300, Counts::default()).failures, 0);
    }

    #[test]
    fn instants_out_of_order_and_at_the_extremes_do_not_panic() {
        let mut window = Window::new(300, 50);
        for at in [1_000, 0, -5_000, i64::MAX, i64::MIN, 7] {
            window.record(Outcome::Success, at);
        }
        assert_eq!(window.counts().successes, 3, "the jump to the end cleared the first three");
    }
}
