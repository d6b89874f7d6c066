use ellie_policy::Rng;

use crate::sim::{Balancer, Choice, Outcome, Truth};

/// The good host with the fewest requests in flight from everyone, ties at random.
pub struct Oracle;

impl Balancer for Oracle {
    fn pick(&mut self, _: f64, rng: &mut Rng, truth: &[Truth]) -> Choice<u64> {
        let (mut best, mut host, mut ties) = ((true, u32::MAX), 0, 0);
        for (i, host_truth) in truth.iter().enumerate() {
            let key = (!host_truth.good, host_truth.in_flight);
            if key < best {
                (best, host, ties) = (key, i, 1);
            } else if key == best {
                ties += 1;
                if rng.below(ties) == 0 {
                    host = i;
                }
            }
        }
        Choice { host, token: 0 }
    }
    fn end(&mut self, _: usize, _: u64, _: f64, _: f64, _: Outcome) {}
    fn join(&mut self, _: f64) {}
}
