//! Choosing the cheapest of a few.

use super::health::SCAN;
use crate::Rng;

/// The costs of up to [`SCAN`] members. Neither adding one nor choosing has a branch that depends
/// on the costs: with so few members about as good as each other, nobody could predict one.
pub(super) struct Costs {
    costs: [f32; SCAN],
    shares: [u64; SCAN],
    len: usize,
    least: f32,
}

impl Costs {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { costs: [0.0; SCAN], shares: [1; SCAN], len: 0, least: f32::INFINITY }
    }

    /// Adds the next; an infinite cost is never chosen.
    #[inline(always)]
    pub(super) fn push(&mut self, cost: f32) {
        self.costs[self.len % SCAN] = cost;
        self.len += 1;
        self.least = if cost < self.least { cost } else { self.least };
    }

    /// What the one just added gets of a tie, in proportion to the others; otherwise 1.
    #[inline(always)]
    pub(super) fn set_share(&mut self, share: u64) {
        self.shares[self.len.wrapping_sub(1) % SCAN] = share;
    }

    /// Which of those added is the cheapest; among equals, at random in proportion to their shares.
    #[inline(always)]
    pub(super) fn cheapest(&self, rng: &mut Rng) -> Option<usize> {
        if self.least == f32::INFINITY {
            return None;
        }
        let len = self.len.min(SCAN);
        let share = |k: usize| if self.costs[k] <= self.least { self.shares[k] } else { 0 };
        let total: u64 = (0..len).map(share).sum();
        let drawn = rng.below(total as usize) as u64;
        // The place of the drawn share is the number of members whose shares all come before it.
        let mut sum = 0;
        let mut place = 0;
        for k in 0..len {
            sum += share(k);
            place += usize::from(sum <= drawn);
        }
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_shared_by_weight_and_excluded_ones_never_chosen() {
        let mut rng = Rng::new(1);
        let mut counts = [0_u32; 5];
        for _ in 0..60_000 {
            let mut costs = Costs::new();
            for (cost, share) in [(2.0, 9), (1.0, 1), (f32::INFINITY, 1), (1.0, 2), (1.0, 3)] {
                costs.push(cost);
                costs.set_share(share);
            }
            counts[costs.cheapest(&mut rng).unwrap()] += 1;
        }
        assert_eq!((counts[0], counts[2]), (0, 0));
        for (place, expected) in [(1, 10_000), (3, 20_000), (4, 30_000)] {
            assert!(counts[place].abs_diff(expected) < 500, "{counts:?}");
        }
        let mut none = Costs::new();
        none.push(f32::INFINITY);
        assert_eq!(none.cheapest(&mut rng), None);
    }
}
