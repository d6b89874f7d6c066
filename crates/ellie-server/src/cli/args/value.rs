//! Values of flags as people write them.

use std::time::Duration;

/// `30s`, `500ms`, `1h 30m`, or an integer in milliseconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(ms) = text.parse::<u64>() {
        return Ok(Duration::from_millis(ms));
    }
    humantime::parse_duration(text)
        .map_err(|_| "a duration is such as 30s or 500ms, or an integer in milliseconds".into())
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("a pair is KEY=VALUE".into()),
    }
}

pub(super) fn rate(text: &str) -> Result<(u32, Duration), String> {
    let wanted = || "a rate is MAX/WINDOW, such as 100/60s".to_owned();
    let (max, window) = text.split_once('/').ok_or_else(wanted)?;
    Ok((max.trim().parse().map_err(|_| wanted())?, duration(window.trim()).map_err(|_| wanted())?))
}
