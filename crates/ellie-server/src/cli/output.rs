//! Prints results in the form that was asked for.

use super::args::Format;
use super::error::{Code, Error, Result};
use super::table::{Cell, Column, render};
use ellie_core::Now;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, SystemTime};

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    /// The terminal's width, where there is one.
    width: Option<usize>,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let width =
            terminal_size::terminal_size().filter(|_| terminal).map(|(width, _)| usize::from(width.0));
        Self { format, width }
    }

    /// The room for a line.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Prints `whole` as JSON, `items` one a line, their names, or what `table` makes.
    pub(crate) fn print<T: Serialize>(
        &self,
        whole: &impl Serialize,
        items: &[T],
        name: impl Fn(&T) -> String,
        table: impl FnOnce(&mut String),
    ) -> Result<()> {
        let mut text = String::new();
        match self.format {
            Format::Json => {
                text = json(whole, true)?;
                text.push('\n');
            }
            Format::Jsonl => {
                for item in items {
                    text.push_str(&json(item, false)?);
                    text.push('\n');
                }
            }
            Format::Name => {
                for item in items {
                    text.push_str(&name(item));
                    text.push('\n');
                }
            }
            Format::Table => table(&mut text),
        }
        self.write(&text)
    }

    /// Prints one thing.
    pub(crate) fn print_one<T: Serialize>(
        &self,
        value: &T,
        name: impl Fn(&T) -> String,
        table: impl FnOnce(&mut String),
    ) -> Result<()> {
        self.print(value, std::slice::from_ref(value), name, table)
    }

    /// A table for this output.
    pub(crate) fn table(&self, columns: &[Column], rows: &[Vec<Cell>]) -> String {
        render(columns, rows, self.width)
    }

    /// Writes text, without colours where they are not wanted.
    pub(crate) fn write(&self, text: &str) -> Result<()> {
        let mut out = anstream::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // `| head` has read enough: an end, not an error.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(quiet()),
            Err(error) => Err(Error::new(Code::Failed, "standard output can't be written").because(error)),
            Ok(()) => Ok(()),
        }
    }
}

/// An end that says nothing.
pub(crate) fn quiet() -> Error {
    Error::new(Code::Failed, "")
}

fn json(value: &impl Serialize, pretty: bool) -> Result<String> {
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    text.map_err(|error| Error::new(Code::Failed, "the result can't be written as JSON").because(error))
}

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

/// `12.5 %`
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `12.5 ms`
pub(crate) fn millis(ms: f64) -> String {
    if ms >= 1000.0 { format!("{:.2} s", ms / 1000.0) } else { format!("{ms:.1} ms") }
}
