//! Weighted draws in constant time.

use crate::Rng;

/// A distribution over `0..len`.
#[derive(Debug)]
pub(super) enum Draw {
    Even(usize),
    /// Vose's alias method (*A Linear Algorithm For Generating Random Numbers With a Given
    /// Distribution*, 1991): a fair column, then its own item or its alias.
    Alias(Box<[Column]>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    /// Below this the column's own item, out of 2³².
    threshold: u32,
    alias: u32,
}

impl Draw {
    pub(super) fn new(weights: &[u32]) -> Self {
        let n = weights.len();
        if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            return Self::Even(n);
        }
        let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
        let mut scaled: Vec<f64> = weights.iter().map(|&w| f64::from(w) * n as f64 / total).collect();
        let mut columns: Vec<Column> =
            (0..n).map(|i| Column { threshold: u32::MAX, alias: i as u32 }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..n).partition(|&i| scaled[i] < 1.0);
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            columns[low] = Column { threshold: (scaled[low] * 4_294_967_296.0) as u32, alias: high as u32 };
            scaled[high] -= 1.0 - scaled[low];
            if scaled[high] < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        // What is left has a share of one column, up to rounding, and is its own alias.
        Self::Alias(columns.into())
    }

    #[inline]
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        match self {
            Self::Even(n) => rng.below(*n),
            Self::Alias(columns) => {
                let wide = u128::from(rng.next_u64()) * columns.len() as u128;
                let column = (wide >> 64) as usize;
                // The fraction within the column is as random as the column itself.
                let within = (wide as u64 >> 32) as u32;
                let Column { threshold, alias } = columns[column];
                if within < threshold { column } else { alias as usize }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_in_proportion_to_the_weights() {
        let mut rng = Rng::new(5);
        for weights in
            [vec![1, 1, 4], vec![1, 1000], vec![3; 7], vec![u32::MAX, 1, u32::MAX], (1..=100).collect()]
        {
            let draw = Draw::new(&weights);
            let mut counts = vec![0_f64; weights.len()];
            let draws = 400_000.0;
            for _ in 0..draws as usize {
                counts[draw.draw(&mut rng)] += 1.0;
            }
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            for (weight, count) in weights.iter().zip(counts) {
                let expected = draws * f64::from(*weight) / total;
                // Five standard deviations of a binomial.
                let slack = 5.0 * expected.sqrt() + 1.0;
                assert!((count - expected).abs() < slack, "{weights:?} {count} {expected}");
            }
        }
    }
}
