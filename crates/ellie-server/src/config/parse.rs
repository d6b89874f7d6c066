//! From a typed value to a meant one; each error says what would be right.

use super::raw::{Typed, Value};
use super::resolved::{AccessLog, Backend, LogFormat, Network};
use ellie_core::model::excerpt;
use ellie_gateway::route::RetryOn;
use ellie_policy::balance::Strategy;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The longest duration that can be configured: a leap year.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

type Parsed<T> = Result<T, String>;

fn wanted<T>(value: &Value, what: &str) -> Parsed<T> {
    Err(match value {
        Value::Bare(text) | Value::Text(text) => format!("`{}` is not {what}", excerpt(text)),
        other => format!("is {}; {what} is wanted", other.kind()),
    })
}

/// Text without control characters.
pub(super) fn text(value: &Value) -> Parsed<String> {
    match value {
        Value::Bare(text) | Value::Text(text) => match text.chars().find(|c| c.is_control()) {
            Some(c) => Err(format!("has the control character `{}`", c.escape_debug())),
            None => Ok(text.clone()),
        },
        other => wanted(other, "text"),
    }
}

/// Text that is not empty.
pub(super) fn some_text(value: &Value) -> Parsed<String> {
    text(value).and_then(|text| if text.is_empty() { Err("must not be empty".into()) } else { Ok(text) })
}

/// Text of any kind, for who checks it next.
pub(super) fn any_text(value: &Value) -> Parsed<String> {
    match value {
        Value::Bare(text) | Value::Text(text) => Ok(text.clone()),
        other => wanted(other, "text"),
    }
}

/// `true` or `false`; in variables also 1, 0, yes, no, on, off.
pub(super) fn boolean(value: &Value) -> Parsed<bool> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Bare(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => wanted(value, "true or false"),
        },
        Value::Text(text) if matches!(text.as_str(), "true" | "false") => {
            Err(format!("is text; write {text} without quotes"))
        }
        other => wanted(other, "true or false"),
    }
}

/// An integer of any size that fits.
pub(super) fn integer(value: &Value) -> Parsed<i128> {
    match value {
        Value::Integer(Some(n)) => Ok(*n),
        Value::Integer(None) => Err("has more digits than any limit here".into()),
        Value::Bare(text) => match text.trim().parse() {
            Ok(n) => Ok(n),
            Err(_) => wanted(value, "an integer"),
        },
        Value::Text(text) if text.parse::<i128>().is_ok() => {
            Err(format!("is text; write {text} without quotes"))
        }
        other => wanted(other, "an integer"),
    }
}

/// An integer from `least` to `most`.
pub(super) fn within<T: TryFrom<i128> + Copy + Into<i128>>(
    least: T,
    most: T,
) -> impl Fn(&Value) -> Parsed<T> {
    move |value| {
        let n = integer(value)?;
        let fault = || format!("is {n}; {} to {} is allowed", least.into(), most.into());
        if n < least.into() || n > most.into() {
            return Err(fault());
        }
        T::try_from(n).map_err(|_| fault())
    }
}

/// A count from `least` to `most`.
pub(super) fn count(least: u32, most: u32) -> impl Fn(&Value) -> Parsed<usize> {
    let inner = within(least, most);
    move |value| inner(value).map(|n| n as usize)
}

/// A share from 0 to 1.
pub(super) fn share(value: &Value) -> Parsed<f64> {
    let n = match value {
        Value::Float(n) => *n,
        Value::Integer(Some(n)) => *n as f64,
        Value::Bare(text) => match text.trim().parse() {
            Ok(n) => n,
            Err(_) => return wanted(value, "a number from 0 to 1"),
        },
        other => return wanted(other, "a number from 0 to 1"),
    };
    if (0.0..=1.0).contains(&n) { Ok(n) } else { Err(format!("is {n}; 0 to 1 is allowed")) }
}

/// Milliseconds: an integer, or text such as `30s`, `500ms` or `1h 30m`.
pub(super) fn milliseconds(value: &Value) -> Parsed<i128> {
    let example = "a duration such as \"30s\" or \"500ms\", or an integer in milliseconds";
    let (text, quoted) = match value {
        Value::Integer(_) => return integer(value),
        Value::Bare(text) => (text, false),
        Value::Text(text) => (text, true),
        Value::Float(_) => return Err(format!("has a fraction; write {example}")),
        other => return wanted(other, example),
    };
    if let Ok(ms) = text.trim().parse::<i128>() {
        return if quoted {
            Err(format!("has no unit; write \"{ms}ms\", or {ms} without quotes"))
        } else {
            Ok(ms)
        };
    }
    let bare = text.trim();
    if bare.strip_prefix('-').is_some_and(|rest| humantime::parse_duration(rest).is_ok()) {
        return Err(format!("is {}; a duration can't be negative", excerpt(bare)));
    }
    match humantime::parse_duration(bare) {
        Ok(d) => Ok(d.as_millis() as i128),
        Err(humantime::DurationError::NumberOverflow) => Err(format!("`{}` is too long", excerpt(bare))),
        Err(_) => wanted(value, example),
    }
}

/// A duration of at least `least`.
pub(super) fn duration(least: Duration) -> impl Fn(&Value) -> Parsed<Duration> {
    move |value| {
        let ms = milliseconds(value)?;
        if ms < 0 {
            return Err(format!("is {ms} ms; a duration can't be negative"));
        }
        let d = u64::try_from(ms).ok().map(Duration::from_millis).filter(|d| *d <= LONGEST);
        match d {
            Some(d) if d >= least => Ok(d),
            Some(_) => Err(format!("is {ms} ms; at least {} is needed", super::show::duration(least))),
            None => Err(format!("is {ms} ms; at most 366 days are allowed")),
        }
    }
}

/// A duration of at least `least`, or `never`.
pub(super) fn duration_or_never(least: Duration) -> impl Fn(&Value) -> Parsed<Option<Duration>> {
    let inner = duration(least);
    move |value| match value {
        Value::Bare(text) | Value::Text(text) if text == "never" => Ok(None),
        other => inner(other).map(Some).map_err(|message| format!("{message}; or \"never\"")),
    }
}

/// Bytes of any number: an integer, or text such as `64KiB` or `1MiB`.
pub(super) fn bytes(value: &Value) -> Parsed<i128> {
    let (Value::Bare(text) | Value::Text(text)) = value else { return integer(value) };
    let text = text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    match (digits.parse::<i128>(), factor) {
        (Ok(n), Some(factor)) => Ok(n.saturating_mul(factor)),
        _ => wanted(value, "a size such as 65536 or \"64KiB\""),
    }
}

/// Bytes from `least` to `most`.
pub(super) fn size(least: u32, most: u32) -> impl Fn(&Value) -> Parsed<usize> {
    move |value| match bytes(value)? {
        n if n < i128::from(least) || n > i128::from(most) => {
            Err(format!("is {n} bytes; {least} to {most} are allowed"))
        }
        n => Ok(n as usize),
    }
}

/// Bytes up to `most`.
pub(super) fn size_up_to(most: u64) -> impl Fn(&Value) -> Parsed<u64> {
    move |value| match bytes(value)? {
        n if n < 0 || n > i128::from(most) => Err(format!("is {n} bytes; 0 to {most} are allowed")),
        n => Ok(n as u64),
    }
}

/// An address with a port: `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`.
pub(super) fn address(value: &Value) -> Parsed<SocketAddr> {
    let text = any_text(value)
        .map_err(|_| format!("is {}; an address such as \"127.0.0.1:5000\" is wanted", value.kind()))?;
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let shown = excerpt(&text);
    Err(if let Some(port) = text.strip_prefix(':').filter(|port| port.parse::<u16>().is_ok()) {
        format!(
            "`{shown}` has no address; write \"127.0.0.1:{port}\" for this machine alone or \"0.0.0.0:{port}\" for all"
        )
    } else if text.parse::<IpAddr>().is_ok() {
        format!(
            "`{shown}` has no port; write \"{}\"",
            SocketAddr::new(text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), 5000)
        )
    } else if text.parse::<u16>().is_ok() {
        format!("`{shown}` is a port alone; write \"127.0.0.1:{shown}\"")
    } else {
        format!(
            "`{shown}` is not an address with a port such as \"127.0.0.1:5000\" or \"[::1]:5000\" (host names are not looked up)"
        )
    })
}

/// `10.0.0.0/8`, or an address alone.
pub(super) fn network(value: &Value) -> Parsed<Network> {
    let example = "an address or a network such as \"10.0.0.0/8\"";
    let text = any_text(value)?;
    let (address, prefix) = text.split_once('/').map_or((text.as_str(), None), |(a, p)| (a, Some(p)));
    let Ok(address) = address.parse::<IpAddr>() else { return wanted(value, example) };
    let most = if address.is_ipv4() { 32 } else { 128 };
    match prefix.map_or(Ok(most), str::parse::<u8>) {
        Ok(prefix) if prefix <= most => Ok(Network { address, prefix }),
        _ => Err(format!("`{}` has a prefix that is not from 0 to {most}", excerpt(&text))),
    }
}

/// A list of `item`s; in variables with commas between them.
pub(super) fn list<T>(most: usize, item: impl Fn(&Value) -> Parsed<T>) -> impl Fn(&Value) -> Parsed<Vec<T>> {
    move |value| {
        let split;
        let items: Vec<&Value> = match value {
            Value::List(items) => items.iter().map(|Typed { value, .. }| value).collect(),
            Value::Bare(text) => {
                split = text
                    .split(',')
                    .map(|part| Value::Bare(part.trim().into()))
                    .filter(|part| *part != Value::Bare(String::new()))
                    .collect::<Vec<_>>();
                split.iter().collect()
            }
            other => return wanted(other, "a list such as [\"a\", \"b\"]"),
        };
        if items.len() > most {
            return Err(format!("has {} items; at most {most} are allowed", items.len()));
        }
        let mut parsed = Vec::with_capacity(items.len());
        for (i, value) in items.into_iter().enumerate() {
            parsed.push(item(value).map_err(|message| format!("item {}: {message}", i + 1))?);
        }
        Ok(parsed)
    }
}

/// One name of several.
fn choice<T: Copy>(value: &Value, all: &[(&str, T)]) -> Parsed<T> {
    let names = || {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.join(""),
        }
    };
    let text = any_text(value).map_err(|_| format!("is {}; {} is wanted", value.kind(), names()))?;
    let folded = text.trim().to_ascii_lowercase().replace('-', "_");
    if let Some((_, found)) = all.iter().find(|(name, _)| *name == folded) {
        return Ok(*found);
    }
    let hint = super::read::nearest(&folded, all.iter().map(|(name, _)| *name))
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    Err(format!("`{}` is not {}{hint}", excerpt(&text), names()))
}

/// Statuses that are tried again.
pub(super) fn retry_on(value: &Value) -> Parsed<RetryOn> {
    RetryOn::new(list(usize::MAX, integer)(value)?)
}

/// A load-balancing strategy, in any case, with `-` or `_`.
pub(super) fn strategy(value: &Value) -> Parsed<Strategy> {
    choice(value, &Strategy::ALL.map(|strategy| (strategy.as_str(), strategy)))
}

/// `off`, `text` or `json`; true and false stand for text and off.
pub(super) fn access_log(value: &Value) -> Parsed<AccessLog> {
    match value {
        Value::Bool(true) => Ok(AccessLog::Text),
        Value::Bool(false) => Ok(AccessLog::Off),
        Value::Bare(text) if text == "true" => Ok(AccessLog::Text),
        Value::Bare(text) if text == "false" => Ok(AccessLog::Off),
        other => choice(other, &[AccessLog::Off, AccessLog::Text, AccessLog::Json].map(|a| (a.as_str(), a))),
    }
}

/// `embedded` or `ephemeral`.
pub(super) fn backend(value: &Value) -> Parsed<Backend> {
    choice(value, &[Backend::Embedded, Backend::Ephemeral].map(|b| (b.as_str(), b)))
}

/// `text` or `json`.
pub(super) fn log_format(value: &Value) -> Parsed<LogFormat> {
    choice(value, &[LogFormat::Text, LogFormat::Json].map(|l| (l.as_str(), l)))
}

/// `info`, or `warn,ellie_gateway=debug`.
pub(super) fn log_level(value: &Value) -> Parsed<String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let text = any_text(value)?;
    for part in text.split(',') {
        let level = part.rsplit('=').next().unwrap_or_default().trim();
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            let hint = super::read::nearest(level, LEVELS.into_iter())
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(format!("`{}` is not error, warn, info, debug, trace or off{hint}", excerpt(level)));
        }
    }
    Ok(text)
}
