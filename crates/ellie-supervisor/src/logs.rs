//! What processes write: a bounded number of bytes of each in memory, for those who look, and in files, for later.
//!
//! A process can't fill the memory (old lines give way), nor the disk (a file that is full takes the place of the one
//! before it), nor keep the supervisor busy: what it writes is read at [`RATE`] at most, and beyond that it waits in
//! its own `write`, as with any slow pipe.

mod file;
mod pump;

pub use file::File;
pub(crate) use pump::pump;

use ellie_core::Now;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// The longest line that is kept whole; a longer one becomes several.
pub const MAX_LINE: usize = 16 * 1024;
/// How much of a process' output is read in a second, in bytes.
pub const RATE: usize = 16 * 1024 * 1024;
/// What a line costs beyond its text, so that empty ones are bounded too.
const OVERHEAD: usize = 64;

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// The supervisor, about the process.
    Note,
    /// The same, of something that went wrong.
    Alarm,
}

impl Stream {
    /// The name on the wire and in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Note => "note",
            Self::Alarm => "alarm",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Out, Self::Err, Self::Note, Self::Alarm].into_iter().find(|stream| stream.as_str() == text)
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The time at which it was read, in microseconds since 1970, and a little later where two were read at once: no two
    /// lines have the same. It stays the line's over restarts of the supervisor.
    pub id: u64,
    /// Of which process.
    pub unit: Arc<str>,
    /// Where it comes from.
    pub stream: Stream,
    /// Without its end. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl Line {
    /// When it was read.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.id)
    }

    fn cost(&self) -> usize {
        self.text.len() + OVERHEAD
    }
}

/// How much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where files are; nowhere where absent.
    pub directory: Option<PathBuf>,
    /// Bytes of files, a process.
    pub file_size: u64,
    /// Bytes in memory, a process.
    pub memory: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { directory: None, file_size: 10 << 20, memory: 512 << 10 }
    }
}

/// The lines of all processes.
#[derive(Debug)]
pub struct Logs {
    settings: Settings,
    // Held while lines are appended or copied out, never while anything is waited for. Ids are given under it, so that
    // whoever has read up to one has missed none before it.
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    books: BTreeMap<Arc<str>, Book>,
}

#[derive(Debug, Default)]
struct Book {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    /// The last line that gave way.
    gone: u64,
}

/// Lines that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// In the order of their ids.
    pub lines: Vec<Arc<Line>>,
    /// Whether others that were asked for are no longer kept.
    pub missed: bool,
}

impl Logs {
    /// With the lines that earlier lives left in the files of `units`.
    #[must_use]
    pub fn open<'a>(settings: Settings, units: impl IntoIterator<Item = &'a str>) -> Self {
        let mut inner = Inner::default();
        for unit in units {
            let unit: Arc<str> = unit.into();
            let mut book = Book::default();
            if let Some(directory) = &settings.directory {
                for line in file::recent(directory, &unit, settings.memory) {
                    inner.last = inner.last.max(line.id);
                    book.push(Arc::new(line), settings.memory);
                }
            }
            inner.books.insert(unit, book);
        }
        let (changed, _) = watch::channel(inner.last);
        Self { settings, inner: Mutex::new(inner), changed }
    }

    /// The file of one process, where files are kept.
    #[must_use]
    pub fn file(&self, unit: &str) -> Option<File> {
        let directory = self.settings.directory.as_ref()?;
        Some(File::new(directory, unit, self.settings.file_size))
    }

    /// Where files are kept.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.settings.directory.as_deref()
    }

    /// Takes lines of one process; returns them as they are kept.
    pub fn append(&self, unit: &Arc<str>, stream: Stream, texts: Vec<String>, now: Now) -> Vec<Arc<Line>> {
        let at = now.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::with_capacity(texts.len());
        for text in texts {
            inner.last = at.max(inner.last.saturating_add(1));
            let line = Arc::new(Line { id: inner.last, unit: unit.clone(), stream, text });
            let memory = self.settings.memory;
            inner.books.entry(unit.clone()).or_default().push(line.clone(), memory);
            lines.push(line);
        }
        let last = inner.last;
        drop(inner);
        self.changed.send_replace(last);
        lines
    }

    /// Tells when there are new lines.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The id of the newest line.
    #[must_use]
    pub fn last_id(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// The lines of `units` after `after`, at most `limit` of them, the oldest first.
    #[must_use]
    pub fn since(&self, units: &[Arc<str>], after: u64, limit: usize) -> Read {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = Read::default();
        for book in units.iter().filter_map(|unit| inner.books.get(unit)) {
            read.missed |= book.gone > after;
            let from = book.lines.partition_point(|line| line.id <= after);
            read.lines.extend(book.lines.range(from..).take(limit).cloned());
        }
        drop(inner);
        read.lines.sort_by_key(|line| line.id);
        read.lines.truncate(limit);
        read
    }

    /// The last lines of `units` together, at most `limit` of them.
    #[must_use]
    pub fn last(&self, units: &[Arc<str>], limit: usize) -> Vec<Arc<Line>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let books = units.iter().filter_map(|unit| inner.books.get(unit));
        let mut lines: Vec<Arc<Line>> =
            books.flat_map(|book| book.lines.iter().rev().take(limit).cloned()).collect();
        drop(inner);
        lines.sort_by_key(|line| line.id);
        lines.drain(..lines.len().saturating_sub(limit));
        lines
    }
}

impl Book {
    fn push(&mut self, line: Arc<Line>, memory: usize) {
        self.bytes += line.cost();
        self.lines.push_back(line);
        while self.bytes > memory.max(MAX_LINE + OVERHEAD) {
            let Some(old) = self.lines.pop_front() else { break };
            self.bytes -= old.cost();
            self.gone = old.id;
        }
    }
}

#[cfg(test)]
mod tests;
