//! Requests that wait for an answer, counted and dated in one word.

use crate::time::seconds;

/// How many bits count; the others date.
const COUNTING: u32 = 20;
const COUNT: u64 = (1 << COUNTING) - 1;
/// A date is in units of 2¹² ns, 4 µs.
const UNIT: u32 = 12;

/// A moment, as it is added to [`Waits`].
#[inline(always)]
pub(super) fn stamp(tick: i64) -> u64 {
    ((tick >> UNIT) as u64) << COUNTING
}

/// A request that began at `start`, as it is added to the word and taken from it. One operation
/// counts and dates it, so no reader sees one without the other.
#[inline(always)]
pub(super) fn one(start: i64) -> u64 {
    stamp(start) | 1
}

/// Lower 20 bits: how many requests wait. Upper 44 bits: the sum of the moments at which they
/// began, modulo 2⁴⁴. Good for a million requests at one instance, and for a year of waiting time
/// of all of them together; beyond that their age is wrong, nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits(pub(super) u64);

impl Waits {
    #[inline(always)]
    pub(super) fn count(self) -> u32 {
        (self.0 & COUNT) as u32
    }

    /// By how much the requests together are older than if each had begun at `then`, in units of
    /// 2⁻⁸ ns; less than zero if they are younger.
    #[inline(always)]
    pub(super) fn older_than(self, then: u64) -> i64 {
        let count = self.0 & COUNT;
        then.wrapping_mul(count).wrapping_sub(self.0 - count) as i64
    }

    /// The mean age at the moment `now`, in seconds; zero if nothing waits.
    #[inline(always)]
    pub(super) fn mean_age(self, now: u64) -> f32 {
        let summed = seconds(self.older_than(now)) * (1.0 / (1 << (COUNTING - UNIT)) as f32);
        summed / self.count().max(1) as i32 as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn counts_and_dates_across_the_wrap_of_the_sum() {
        for zero in [0, -5 * SECOND, 123 * SECOND, (1 << 55) - SECOND, (1 << 56) - SECOND, i64::MAX / 2] {
            let mut word = 0_u64;
            for i in 0..1_000 {
                word = word.wrapping_add(one(zero + i * SECOND / 1_000));
            }
            let waits = Waits(word);
            assert_eq!(waits.count(), 1_000);
            let age = waits.mean_age(stamp(zero + 2 * SECOND));
            assert!((age - 1.5005).abs() < 0.0001, "{zero}: {age}");
            assert!(waits.older_than(stamp(zero + SECOND / 4)) < 0);
            assert!(waits.older_than(stamp(zero + SECOND / 4 * 3)) > 0);
            for i in 0..1_000 {
                word = word.wrapping_sub(one(zero + i * SECOND / 1_000));
            }
            assert_eq!(word, 0);
        }
        assert_eq!(Waits(0).mean_age(stamp(SECOND)), 0.0);
        assert_eq!(Waits(0).older_than(stamp(SECOND)), 0);
    }
}
