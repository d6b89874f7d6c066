//! Spans, times and shares in a few words for people.

use ellie_core::Now;
use std::time::{Duration, SystemTime};

/// `1h 5m`: at most two units, for people.
pub(crate) fn span(d: Duration) -> String {
    let (s, ms) = (d.as_secs(), d.as_millis());
    match s {
        0 => format!("{ms}ms"),
        1..60 => format!("{s}s"),
        60..3600 if s % 60 == 0 => format!("{}m", s / 60),
        60..3600 => format!("{}m {}s", s / 60, s % 60),
        3600..86_400 => format!("{}h {}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d {}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// Milliseconds of the wire, as [`span`].
pub(crate) fn span_ms(ms: u64) -> String {
    span(Duration::from_millis(ms))
}

fn parse(time: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(time).ok()
}

/// How long ago a time of the wire was: `5m 2s ago`.
pub(crate) fn ago(time: &str) -> String {
    parse(time).map_or_else(
        || time.into(),
        |at| match Now::read().wall.duration_since(at) {
            Ok(d) if d < Duration::from_secs(1) => "just now".into(),
            Ok(d) => format!("{} ago", span(d)),
            Err(_) => "just now".into(),
        },
    )
}

/// Milliseconds until a time of the wire; 0 once it has passed.
pub(crate) fn left_ms(time: &str) -> Option<u64> {
    let left = parse(time)?.duration_since(Now::read().wall).unwrap_or_default();
    u64::try_from(left.as_millis()).ok()
}

/// How long until a time of the wire: `in 5m`.
pub(crate) fn until(time: &str) -> String {
    parse(time).map_or_else(
        || time.into(),
        |at| match at.duration_since(Now::read().wall) {
            Ok(d) => format!("in {}", span(Duration::from_secs(d.as_secs().max(1)))),
            Err(_) => "now".into(),
        },
    )
}

/// A time of the wire as the hour of the day, UTC.
pub(crate) fn clock(time: &str) -> String {
    time.get(11..19).unwrap_or(time).into()
}

/// `1 instance`, `3 instances`.
pub(crate) fn count(n: impl std::fmt::Display, one: &str) -> String {
    let n = n.to_string();
    if n == "1" { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// `12.5 %`
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `12.5 ms`
pub(crate) fn millis(ms: f64) -> String {
    if ms >= 1000.0 { format!("{:.2} s", ms / 1000.0) } else { format!("{ms:.1} ms") }
}
