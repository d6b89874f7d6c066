//! A mean with a fading memory, kept in parts that can be combined.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// After so many seconds an observation counts 1/e.
const MEMORY: f64 = 30.0;

/// Decayed sum and weight, as f64. Two threads that share a part may lose one of two observations made at the same
/// moment, which a mean can bear.
#[derive(Debug, Default)]
pub(super) struct Mean {
    sum: AtomicU64,
    weight: AtomicU64,
    at: AtomicU64,
}

fn get(cell: &AtomicU64) -> f64 {
    f64::from_bits(cell.load(Relaxed))
}

fn set(cell: &AtomicU64, value: f64) {
    cell.store(value.to_bits(), Relaxed);
}

fn decay(from: f64, to: f64) -> f64 {
    (-(to - from).max(0.0) / MEMORY).exp()
}

impl Mean {
    /// `at`: seconds since some origin.
    pub(super) fn record(&self, took: Duration, at: f64) {
        let before = get(&self.at);
        let keep = decay(before, at);
        set(&self.sum, get(&self.sum) * keep + took.as_secs_f64());
        set(&self.weight, get(&self.weight) * keep + 1.0);
        set(&self.at, at.max(before));
    }
}

/// The mean over all parts at the moment `at`.
pub(super) fn combined<'m, I>(parts: impl Fn() -> I, at: f64) -> Option<Duration>
where
    I: Iterator<Item = &'m Mean>,
{
    // Relative to the latest part, so that a long silence does not make all weights vanish.
    let latest = parts().map(|p| get(&p.at)).fold(0.0, f64::max).min(at);
    let (sum, weight) = parts().fold((0.0, 0.0), |(sum, weight), part| {
        let keep = decay(get(&part.at), latest);
        (sum + get(&part.sum) * keep, weight + get(&part.weight) * keep)
    });
    (weight > 0.0).then(|| Duration::from_secs_f64(sum / weight))
}
