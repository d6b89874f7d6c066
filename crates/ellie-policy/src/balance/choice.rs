//! Choosing the cheapest of a few.

use super::health::SCAN;
use crate::Rng;

/// The cheapest of up to [`SCAN`] members, ties decided by equal chance. All in one number, cost
/// before chance before place, so that neither adding one nor choosing has a branch that depends on
/// the costs: with so few members about as good as each other, nobody could predict one.
pub(super) struct Cheapest {
    key: u64,
    chance: u64,
}

impl Cheapest {
    #[inline(always)]
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { key: u64::MAX, chance: rng.next_u64() }
    }

    /// Adds the member at `place` (below [`SCAN`]) at a `cost` below 2³² - 1. Costs that are floats
    /// and not negative may be given by their bits, which are in the same order.
    #[inline(always)]
    pub(super) fn push(&mut self, place: usize, cost: u32) {
        // Knuth's linear congruential generator (MMIX), of which the upper bits are good.
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = u64::from(cost) << 32 | self.chance >> 36 << 4 | place as u64;
        self.key = if key < self.key { key } else { self.key };
    }

    /// The cheapest; `None` if nothing was added.
    #[inline(always)]
    pub(super) fn place(&self) -> Option<usize> {
        (self.key != u64::MAX).then_some((self.key & 15) as usize)
    }
}

/// The costs of up to [`SCAN`] members with ties decided in proportion to their shares. Without
/// branches on the costs, as [`Cheapest`].
pub(super) struct Costs {
    costs: [f32; SCAN],
    shares: [u64; SCAN],
    least: f32,
}

impl Costs {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { costs: [f32::INFINITY; SCAN], shares: [1; SCAN], least: f32::INFINITY }
    }

    /// Adds the member at `place`; an infinite cost is never chosen.
    #[inline(always)]
    pub(super) fn push(&mut self, place: usize, cost: f32, share: u64) {
        self.costs[place % SCAN] = cost;
        self.shares[place % SCAN] = share;
        self.least = if cost < self.least { cost } else { self.least };
    }

    /// Which of those added is the cheapest; among equals, at random in proportion to their shares.
    #[inline(always)]
    pub(super) fn cheapest(&self, rng: &mut Rng) -> Option<usize> {
        if self.least == f32::INFINITY {
            return None;
        }
        let share = |k: usize| if self.costs[k] <= self.least { self.shares[k] } else { 0 };
        let total: u64 = (0..SCAN).map(share).sum();
        let drawn = rng.below(total as usize) as u64;
        // The place of the drawn share is the number of members whose shares all come before it.
        let mut sum = 0;
        let mut place = 0;
        for k in 0..SCAN {
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
        let mut counts = [0_u32; SCAN];
        for _ in 0..60_000 {
            let mut costs = Costs::new();
            let all = [(2.0, 9), (1.0, 1), (f32::INFINITY, 1), (1.0, 2), (1.0, 3)];
            for (place, (cost, share)) in all.into_iter().enumerate() {
                costs.push(place, cost, share);
            }
            counts[costs.cheapest(&mut rng).unwrap()] += 1;
        }
        for (place, &count) in counts.iter().enumerate() {
            let expected = [0, 10_000, 0, 20_000, 30_000].get(place).copied().unwrap_or(0);
            assert!(count.abs_diff(expected) <= expected / 20, "{counts:?}");
        }
        let mut none = Costs::new();
        none.push(0, f32::INFINITY, 1);
        assert_eq!(none.cheapest(&mut rng), None);
    }

    #[test]
    fn ties_are_shared_equally() {
        let mut rng = Rng::new(1);
        let mut counts = [0_u32; SCAN];
        for _ in 0..80_000 {
            let mut cheapest = Cheapest::new(&mut rng);
            for place in 0..SCAN {
                cheapest.push(place, 7 + u32::from(place % 2 == 0));
            }
            counts[cheapest.place().unwrap()] += 1;
        }
        for (place, &count) in counts.iter().enumerate() {
            let expected = if place % 2 == 0 { 0 } else { 10_000 };
            assert!(count.abs_diff(expected) <= expected / 20, "{counts:?}");
        }
        assert_eq!(Cheapest::new(&mut rng).place(), None);
        let mut one = Cheapest::new(&mut rng);
        one.push(15, u32::MAX - 1);
        assert_eq!(one.place(), Some(15));
    }
}
