//! Turns in proportion to weights, without bursts.

/// Precomputing nginx's sequence takes members × turns steps; beyond this many, the lattice.
const MAX_STEPS: u64 = 1 << 18;

/// The order of turns. Stateless: the turn's number decides, so any number of threads can share a
/// counter and nothing else.
#[derive(Debug)]
pub(super) enum Interleave {
    /// Equal weights: one after the other.
    Even(usize),
    /// The sequence that nginx's smooth weighted round robin gives (Maxim Dounin, 2012), which is
    /// periodic in the sum of the weights.
    Table(Box<[u32]>),
    /// The same period visited by a rank-1 lattice: turn `t` goes to place `t·step mod total` on a
    /// line on which every member owns as many places as its weight. Each place is visited exactly
    /// once a period, and with a step near the golden section of the total, a member's turns have
    /// at most three different distances (three-gap theorem), so there are no bursts here either.
    Lattice { step: u64, ends: Box<[u64]> },
}

impl Interleave {
    pub(super) fn new(weights: &[u32]) -> Self {
        let n = weights.len();
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self::Even(n);
        }
        let divisor = weights.iter().fold(0, |a, &b| gcd(a, u64::from(b)));
        let weights: Vec<u64> = weights.iter().map(|&w| u64::from(w) / divisor).collect();
        let total: u64 = weights.iter().sum();
        if total.saturating_mul(n as u64) <= MAX_STEPS {
            return Self::Table(smooth(&weights, total));
        }
        let ends = weights
            .iter()
            .scan(0, |end, weight| {
                *end += weight;
                Some(*end)
            })
            .collect();
        Self::Lattice { step: golden_step(total), ends }
    }

    #[inline]
    pub(super) fn at(&self, turn: u64) -> usize {
        match self {
            Self::Even(n) => (turn % *n as u64) as usize,
            Self::Table(table) => table[(turn % table.len() as u64) as usize] as usize,
            Self::Lattice { step, ends } => {
                let total = ends.last().copied().unwrap_or(1);
                let place = (u128::from(turn % total) * u128::from(*step) % u128::from(total)) as u64;
                ends.partition_point(|&end| end <= place)
            }
        }
    }
}

/// nginx's algorithm: everyone gains its weight, the richest has the turn and pays the total.
fn smooth(weights: &[u64], total: u64) -> Box<[u32]> {
    let mut credit = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut best = 0;
            for i in 0..weights.len() {
                credit[i] += weights[i] as i64;
                if credit[i] > credit[best] {
                    best = i;
                }
            }
            credit[best] -= total as i64;
            best as u32
        })
        .collect()
}

/// The number nearest to the golden section of `total` that shares no factor with it.
fn golden_step(total: u64) -> u64 {
    let golden = (total as f64 * 0.618_033_988_749_894_9) as u64;
    (0..total)
        .flat_map(|off| [golden.saturating_add(off), golden.saturating_sub(off)])
        .find(|&step| step > 0 && step < total && gcd(step, total) == 1)
        .unwrap_or(1)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(interleave: &Interleave, from: u64, count: u64) -> Vec<usize> {
        (from..from + count).map(|turn| interleave.at(turn)).collect()
    }

    #[test]
    fn is_the_sequence_of_nginx() {
        let interleave = Interleave::new(&[5, 1, 1]);
        assert_eq!(turns(&interleave, 0, 7), [0, 0, 1, 0, 2, 0, 0]);
        let interleave = Interleave::new(&[10, 2, 2]);
        assert_eq!(turns(&interleave, 7, 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn equal_weights_go_in_order() {
        assert_eq!(turns(&Interleave::new(&[7; 4]), 0, 6), [0, 1, 2, 3, 0, 1]);
    }

    /// The longest and shortest distance between two turns of a member over one period.
    fn gaps(interleave: &Interleave, member: usize, total: u64) -> (u64, u64) {
        let mut last = None;
        let (mut least, mut most) = (u64::MAX, 0);
        for turn in 0..2 * total {
            if interleave.at(turn) == member {
                if let Some(last) = last {
                    least = least.min(turn - last);
                    most = most.max(turn - last);
                }
                last = Some(turn);
            }
        }
        (least, most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_period_is_exact(weights in proptest::collection::vec(1_u32..40, 1..20), from in 0_u64..1_000) {
            let table = Interleave::new(&weights);
            let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
            let ends: Box<[u64]> = weights.iter().scan(0, |e, &w| { *e += u64::from(w); Some(*e) }).collect();
            let lattice = Interleave::Lattice { step: golden_step(total), ends };
            for interleave in [&table, &lattice] {
                let mut counts = vec![0_u32; weights.len()];
                for member in turns(interleave, from, total) {
                    counts[member] += 1;
                }
                prop_assert_eq!(&counts, &weights);
            }
        }
    }

    #[test]
    fn the_lattice_spreads_every_member_over_the_period() {
        // 1,000 members of weight 1 to 1,000: too many steps for the table.
        let weights: Vec<u32> = (1..=1000).collect();
        let interleave = Interleave::new(&weights);
        assert!(matches!(interleave, Interleave::Lattice { .. }));
        let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
        for member in [9, 99, 499, 999] {
            let fair = total as f64 / f64::from(weights[member]);
            let (least, most) = gaps(&interleave, member, total);
            assert!(least as f64 > fair * 0.3, "{member}: {least} {fair}");
            assert!((most as f64) < fair * 3.0, "{member}: {most} {fair}");
        }
    }

    #[test]
    fn the_heaviest_does_not_burst() {
        // Half of all turns belong to one: never more than two in a row.
        let mut weights = vec![1; 400];
        weights.push(400_000);
        weights.push(400_400);
        let interleave = Interleave::new(&weights);
        assert!(matches!(interleave, Interleave::Lattice { .. }));
        let (mut run, mut longest) = (0, 0);
        for turn in 0..800_800 {
            run = if interleave.at(turn) == 401 { run + 1 } else { 0 };
            longest = longest.max(run);
        }
        assert!(longest <= 2, "{longest}");
    }
}
