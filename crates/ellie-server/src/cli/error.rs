//! Why a command failed: what, where, why, and what to try next.

use super::args::Format;
use anstyle::{AnsiColor, Style};
use std::fmt;
use std::io::Write;

/// What the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The operation or check failed.
    Failed = 1,
    /// The command line is not right.
    Usage = 2,
    /// The server can't be reached.
    Unreachable = 3,
    /// There is no such thing.
    NotFound = 4,
    /// It needs `--force`.
    Refused = 5,
    /// No token, an unknown one, or one of too small a scope.
    Unauthorised = 6,
    /// The configuration has faults.
    Config = 78,
    /// It took too long.
    TimedOut = 124,
}

/// A failed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) code: Code,
    /// What failed, and where.
    pub(crate) what: String,
    /// Why, a line each.
    pub(crate) why: Vec<String>,
    /// The next commands to try.
    pub(crate) hints: Vec<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), why: Vec::new(), hints: Vec::new() }
    }

    pub(crate) fn because(mut self, why: impl fmt::Display) -> Self {
        self.why.extend(why.to_string().lines().map(str::to_owned));
        self
    }

    pub(crate) fn try_(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Prints it to standard error.
    pub(crate) fn print(&self, format: Format) {
        let mut err = anstream::stderr().lock();
        // Nobody is left to tell where standard error is closed.
        let _ = if matches!(format, Format::Json | Format::Jsonl) {
            let json = serde_json::json!({ "error": {
                "code": self.code as i32, "what": self.what, "why": self.why, "try": self.hints } });
            writeln!(err, "{json}")
        } else {
            write!(err, "{self}")
        };
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let bold = Style::new().bold();
        writeln!(f, "{red}error:{red:#} {}", self.what)?;
        for why in &self.why {
            writeln!(f, "  {why}")?;
        }
        for hint in &self.hints {
            writeln!(f, "  try: {bold}{hint}{bold:#}")?;
        }
        Ok(())
    }
}
