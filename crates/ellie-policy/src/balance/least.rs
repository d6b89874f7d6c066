//! The fewest requests in flight.

use super::alias::Draw;
use super::candidates::{Candidates, Pick, TRIES};
use super::choice::{Cheapest, Costs};
use super::health::steps;
use crate::Rng;

impl Candidates {
    /// Requests in flight per weight.
    #[inline(always)]
    fn load_of(&self, index: usize) -> f32 {
        let in_flight = self.shelves.hot(index).look().in_flight();
        if self.even { in_flight as f32 } else { steps(in_flight, self.inverse[index]) }
    }

    pub(super) fn least_of_all(&self, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<Pick> {
        if self.even {
            let mut cheapest = Cheapest::new(rng);
            for k in 0..self.active_len() {
                let index = self.active(k);
                if !excluded(index) {
                    cheapest.push(k, self.shelves.hot(index).look().in_flight());
                }
            }
            return cheapest.place().map(|k| self.active(k).into());
        }
        let mut costs = Costs::new();
        for k in 0..self.active_len() {
            let index = self.active(k);
            if !excluded(index) {
                costs.push(k, self.load_of(index), self.share(index).into());
            }
        }
        costs.cheapest(rng).map(|k| self.active(k).into())
    }

    /// Power of two choices. The draw takes the weights into account, and the comparison does so
    /// again, so that equal load per weight is what the members tend to.
    pub(super) fn least_of_two(
        &self,
        draw: &Draw,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let Some(first) = self.draw(draw, rng, excluded) else {
            return self.any(rng, excluded).map(Pick::from);
        };
        let second =
            (0..TRIES).map(|_| self.active(draw.draw(rng))).find(|&index| index != first && !excluded(index));
        let Some(second) = second else {
            return Some(first.into());
        };
        let less = usize::from(self.load_of(second) < self.load_of(first));
        // By index: nobody could predict a branch here.
        Some([first, second][less].into())
    }
}
