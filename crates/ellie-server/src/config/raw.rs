//! The configuration as typed: values with their places, not yet understood.

use super::fault::Fault;
use super::origin::Origin;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// The largest file that is read.
pub(super) const MAX_FILE: usize = 16 * 1024 * 1024;

/// A value and who wrote it where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Typed {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A value before it is known what it should be.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Text of a variable or a flag: what it means is for the key to say.
    Bare(String),
    Text(String),
    /// Digits of any length.
    Integer(Option<i128>),
    Float(f64),
    Bool(bool),
    Date,
    List(Vec<Typed>),
    Table(Table),
}

impl Value {
    /// What it is, for a message that wanted something else.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bare(_) | Self::Text(_) => "text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Bool(_) => "true or false",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A key, where it was written, and what is under it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) typed: Typed,
}

/// Keys in the order written, each once.
pub(super) type Table = Vec<Entry>;

/// Finds a key.
pub(super) fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Entry> {
    table.iter().find(|entry| entry.key == key)
}

/// Turns byte offsets into lines and columns.
struct Lines<'a> {
    text: &'a str,
    path: Arc<PathBuf>,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str, path: &Path) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, path: Arc::new(path.to_owned()), starts }
    }

    fn origin(&self, at: usize) -> Origin {
        let at = at.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let before = self.text.get(self.starts[line - 1]..at).unwrap_or_default();
        Origin::File { path: self.path.clone(), line, column: before.chars().count() + 1 }
    }
}

/// Reads TOML.
///
/// # Errors
/// Every fault of syntax, each with its place.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Table, Vec<Fault>> {
    let fault = |origin, message: String| Fault { origin, key: String::new(), message };
    if bytes.len() > MAX_FILE {
        let origin = Lines::new("", path).origin(0);
        return Err(vec![fault(
            origin,
            format!("is {} bytes long; at most {MAX_FILE} are read", bytes.len()),
        )]);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let origin = Lines::new(&good, path).origin(good.len());
            return Err(vec![fault(origin, "is not UTF-8 from here on; save the file as UTF-8".into())]);
        }
    };
    let lines = Lines::new(text, path);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let place =
            |error: &toml::de::Error| lines.origin(error.span().map_or(text.len(), |span| span.start));
        return Err(errors.iter().map(|e| fault(place(e), e.message().trim().replace('\n', "; "))).collect());
    }
    Ok(convert_table(table.get_ref(), &lines))
}

fn convert_table(table: &DeTable<'_>, lines: &Lines<'_>) -> Table {
    table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            origin: lines.origin(key.span().start),
            typed: Typed { value: convert(value.get_ref(), lines), origin: lines.origin(value.span().start) },
        })
        .collect()
}

fn convert(value: &DeValue<'_>, lines: &Lines<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(digits) => {
            Value::Integer(i128::from_str_radix(digits.as_str(), digits.radix()).ok())
        }
        DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| Typed {
                    value: convert(item.get_ref(), lines),
                    origin: lines.origin(item.span().start),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, lines)),
    }
}
