//! Prints results in the form that was asked for.

use super::args::Format;
use super::error::{Code, Error, Result};
use super::table::{Cell, Column, render};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

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
