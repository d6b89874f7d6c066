//! The log files of one process: one that grows, and the one before it.

use super::{Line, Stream};
use std::fs;
use std::io::{self, Read as _, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Takes lines; holds `size` bytes at most, in two files.
#[derive(Debug)]
pub struct File {
    current: PathBuf,
    previous: PathBuf,
    /// Of one file.
    size: u64,
    open: Option<(fs::File, u64)>,
}

/// The file that grows, and the one before it.
fn paths(directory: &Path, unit: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{unit}.log")), directory.join(format!("{unit}.log.1")))
}

impl File {
    pub(super) fn new(directory: &Path, unit: &str, size: u64) -> Self {
        let (current, previous) = paths(directory, unit);
        Self { current, previous, size: size / 2, open: None }
    }

    /// Writes lines to the end.
    ///
    /// # Errors
    /// The file can't be written; the lines are not in it then.
    pub fn append(&mut self, lines: &[Arc<Line>]) -> io::Result<()> {
        for line in lines {
            let text = format!(
                "{} {} {}\n",
                humantime::format_rfc3339_micros(line.at()),
                line.stream.as_str(),
                line.text
            );
            let bytes = text.as_bytes();
            if self.open.as_ref().is_some_and(|(_, length)| length + bytes.len() as u64 > self.size) {
                self.open = None;
                fs::rename(&self.current, &self.previous)?;
            }
            let (file, length) = match &mut self.open {
                Some(open) => open,
                None => self.open.insert(open(&self.current)?),
            };
            file.write_all(bytes)?;
            *length += bytes.len() as u64;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(fs::File, u64)> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    // What processes write may be anyone's secrets.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// The last lines of a process' files, at most `bytes` of them. What can't be read is not there.
pub(super) fn recent(directory: &Path, unit: &str, bytes: usize) -> Vec<Line> {
    let (current, previous) = paths(directory, unit);
    let mut text = tail(&current, bytes);
    if text.len() < bytes {
        let mut both = tail(&previous, bytes - text.len());
        both.push_str(&text);
        text = both;
    }
    let unit: Arc<str> = unit.into();
    let mut last = 0;
    let lines = text.lines().filter_map(|line| parse(line, &unit)).filter(|line| {
        // The files are in order unless the wall clock was set back; then what is out of order can't be resumed after.
        let later = line.id > last;
        last = last.max(line.id);
        later
    });
    lines.collect()
}

/// The end of a file, from the beginning of a line.
fn tail(path: &Path, bytes: usize) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(bytes as u64);
        file.seek(SeekFrom::Start(from))?;
        let mut content = Vec::new();
        file.take(bytes as u64).read_to_end(&mut content)?;
        if from > 0 {
            let first = content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |at| at + 1);
            content.drain(..first);
        }
        Ok(content)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn parse(line: &str, unit: &Arc<str>) -> Option<Line> {
    let mut parts = line.splitn(3, ' ');
    let at = humantime::parse_rfc3339(parts.next()?).ok()?;
    let stream = Stream::parse(parts.next()?)?;
    let id = u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?;
    Some(Line { id, unit: unit.clone(), stream, text: parts.next().unwrap_or_default().to_owned() })
}
