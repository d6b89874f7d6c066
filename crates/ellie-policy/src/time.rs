//! Instants as signed nanoseconds, so that they fit into atomics.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The first instant anyone passed in. `Instant` is opaque: it can only be told apart from
/// another one, so one must serve as zero. Which one does not matter, earlier ones are negative.
static ZERO: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the process's zero.
#[inline]
pub(crate) fn ticks(now: Instant) -> i64 {
    let zero = *ZERO.get_or_init(|| now);
    match now.checked_duration_since(zero) {
        Some(after) => nanos(after),
        None => -nanos(zero.saturating_duration_since(now)),
    }
}

/// A duration in nanoseconds, saturating after 292 years.
#[inline]
pub(crate) fn nanos(duration: Duration) -> i64 {
    #[allow(clippy::cast_possible_wrap, reason = "292 years fit")]
    let seconds = duration.as_secs().min(i64::MAX as u64 / 1_000_000_000) as i64;
    (seconds * 1_000_000_000).saturating_add(i64::from(duration.subsec_nanos()))
}

/// The duration between two ticks, zero where it would be negative.
#[inline]
pub(crate) fn duration(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Seconds as a float, for averages.
#[inline]
pub(crate) fn seconds(nanos: i64) -> f32 {
    nanos as f32 * 1e-9
}

/// The instant that [`ticks`] maps to `at`. Instants beyond what the platform can express become
/// the process's zero.
pub(crate) fn instant(at: i64) -> Instant {
    // `ticks` has run before: `at` came from it.
    let Some(&zero) = ZERO.get() else { unreachable!("ticks are only ever made from an instant") };
    let moved = if at >= 0 {
        zero.checked_add(duration(at))
    } else {
        zero.checked_sub(duration(at.saturating_neg()))
    };
    moved.unwrap_or(zero)
}
