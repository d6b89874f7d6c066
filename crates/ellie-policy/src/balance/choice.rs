//! Choosing the cheapest of a few.

use super::health::SCAN;
use crate::Rng;

/// The costs of up to [`SCAN`] members. Finding the least first and then one draw among the ties
/// costs one mispredicted branch; deciding at each tie would cost several.
pub(super) struct Costs {
    costs: [f32; SCAN],
    weights: [f32; SCAN],
    len: usize,
    least: f32,
}

impl Costs {
    #[inline]
    pub(super) fn new() -> Self {
        Self { costs: [0.0; SCAN], weights: [0.0; SCAN], len: 0, least: f32::INFINITY }
    }

    /// Adds the next; an infinite cost is never chosen. `weight` decides among ties.
    #[inline(always)]
    pub(super) fn push(&mut self, cost: f32, weight: f32) {
        self.costs[self.len % SCAN] = cost;
        self.weights[self.len % SCAN] = weight;
        self.len += 1;
        self.least = if cost < self.least { cost } else { self.least };
    }

    /// Which of those added is the cheapest; among equals, at random in proportion to the weights.
    #[inline]
    pub(super) fn cheapest(&self, rng: &mut Rng) -> Option<usize> {
        if self.least == f32::INFINITY {
            return None;
        }
        let len = self.len.min(SCAN);
        let tied = |k: usize| self.costs[k] <= self.least;
        let total: f32 = (0..len).map(|k| if tied(k) { self.weights[k] } else { 0.0 }).sum();
        let mut left = rng.unit32() * total;
        let mut last = None;
        for k in 0..len {
            if tied(k) {
                last = Some(k);
                left -= self.weights[k];
                if left < 0.0 {
                    break;
                }
            }
        }
        last
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
            for (cost, weight) in [(2.0, 9.0), (1.0, 1.0), (f32::INFINITY, 1.0), (1.0, 2.0), (1.0, 3.0)] {
                costs.push(cost, weight);
            }
            counts[costs.cheapest(&mut rng).unwrap()] += 1;
        }
        assert_eq!((counts[0], counts[2]), (0, 0));
        for (place, expected) in [(1, 10_000), (3, 20_000), (4, 30_000)] {
            assert!(counts[place].abs_diff(expected) < 500, "{counts:?}");
        }
        let mut none = Costs::new();
        none.push(f32::INFINITY, 1.0);
        assert_eq!(none.cheapest(&mut rng), None);
    }
}
