//! The files of the data directory that hold tokens: private to their owner, replaced atomically.

use super::{Hash, Scope, generate, hash};
use crate::config::Secret;
use ellie_core::model::InstanceId;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The file of the hashed tokens, in the data directory.
pub const TOKENS_FILE: &str = "tokens.json";

/// How many tokens a data directory holds at most: each is compared at each verification.
const MAX_TOKENS: usize = 1024;

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose it is; unique.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// When it was made.
    pub created: SystemTime,
    /// When it stops being accepted.
    pub expires: Option<SystemTime>,
    pub(super) hash: Hash,
}

/// What tells one version of a file from the next without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self { inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()), length: meta.len() })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredEntry {
    name: String,
    scope: String,
    sha256: String,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    tokens: Vec<StoredEntry>,
}

fn at(path: &Path, error: impl std::fmt::Display, kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, format!("{}: {error}", path.display()))
}

/// Makes the data directory, private to its owner, where it is missing.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| at(dir, &e, e.kind()))
}

/// Writes a file that its owner alone can read: whole or not at all, also when the power fails.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let write = || {
        let temporary = path.with_extension("new");
        // A leftover of a crash may have another mode.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|error: io::Error| at(path, &error, error.kind()))
}

/// The operator token of a file, or `None` where there is no such file.
pub(super) fn read_operator(path: &Path) -> io::Result<Option<Secret>> {
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => Err(at(
            path,
            "is empty; remove it and the next start makes a new one",
            io::ErrorKind::InvalidData,
        )),
        Ok(text) => Ok(Some(Secret::new(text.trim().to_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, &error, error.kind())),
    }
}

/// The hashed tokens of a file; none where there is no such file.
pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(path, &error, error.kind())),
    };
    let bad = |error: &dyn std::fmt::Display| at(path, error, io::ErrorKind::InvalidData);
    let stored: Stored = serde_json::from_str(&text).map_err(|e| bad(&e))?;
    if stored.tokens.len() > MAX_TOKENS {
        return Err(bad(&format!("holds {} tokens; at most {MAX_TOKENS} are allowed", stored.tokens.len())));
    }
    stored.tokens.into_iter().map(|entry| entry.parse().map_err(|e| bad(&e))).collect()
}

impl StoredEntry {
    fn parse(self) -> Result<Entry, String> {
        let time = |text: &str| {
            humantime::parse_rfc3339_weak(text).map_err(|e| format!("token `{}`: `{text}`: {e}", self.name))
        };
        Ok(Entry {
            scope: self.scope.parse().map_err(|e| format!("token `{}`: {e}", self.name))?,
            hash: unhex(&self.sha256)
                .ok_or_else(|| format!("token `{}`: sha256 is not 64 hex digits", self.name))?,
            created: time(&self.created_at)?,
            expires: self.expires_at.as_deref().map(time).transpose()?,
            name: self.name,
        })
    }

    fn of(entry: &Entry) -> Self {
        let time = |t| humantime::format_rfc3339_seconds(t).to_string();
        Self {
            name: entry.name.clone(),
            scope: entry.scope.to_string(),
            sha256: entry.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            created_at: time(entry.created),
            expires_at: entry.expires.map(time),
        }
    }
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0_u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Changes the token file under a lock, so that two commands at once lose nothing.
fn change<T>(dir: &Path, change: impl FnOnce(&mut Vec<Entry>) -> io::Result<T>) -> io::Result<T> {
    make_dir(dir)?;
    let lock = dir.join("tokens.lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock)
        .map_err(|e| at(&lock, &e, e.kind()))?;
    lock.lock()?;
    let path = dir.join(TOKENS_FILE);
    let mut entries = read(&path)?;
    let before = entries.clone();
    let result = change(&mut entries)?;
    if entries != before {
        let stored = Stored { tokens: entries.iter().map(StoredEntry::of).collect() };
        let mut text = serde_json::to_vec_pretty(&stored).map_err(io::Error::other)?;
        text.push(b'\n');
        write_private(&path, &text)?;
    }
    Ok(result)
}

/// Makes a token and keeps its hash; the token itself is returned and kept nowhere.
///
/// # Errors
/// The name is taken ([`io::ErrorKind::AlreadyExists`]) or not a name ([`io::ErrorKind::InvalidInput`]), or the file
/// can't be read or written.
pub fn create(
    dir: &Path,
    name: &str,
    scope: Scope,
    ttl: Option<Duration>,
    now: SystemTime,
) -> io::Result<Secret> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
    InstanceId::new(name).map_err(|fault| invalid(format!("name: {}", fault.message)))?;
    if name == "operator" {
        return Err(invalid("name: `operator` is the operator token's own; choose another".into()));
    }
    let token = generate()?;
    let entry = Entry {
        name: name.into(),
        scope,
        created: now,
        expires: ttl.map(|ttl| now + ttl),
        hash: hash(token.expose()),
    };
    change(dir, |entries| {
        // An expired token's name is free again.
        entries.retain(|e| e.name != name || e.expires.is_none_or(|at| at > now));
        if entries.iter().any(|e| e.name == name) {
            let message = format!("a token `{name}` exists; revoke it first or choose another name");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        if entries.len() >= MAX_TOKENS {
            return Err(invalid(format!("{MAX_TOKENS} tokens exist, the most there can be; revoke some")));
        }
        entries.push(entry);
        Ok(())
    })?;
    Ok(token)
}

/// The tokens of a data directory, oldest first.
///
/// # Errors
/// The file can't be read.
pub fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    read(&dir.join(TOKENS_FILE))
}

/// Forgets a token; whether there was one.
///
/// # Errors
/// The file can't be read or written.
pub fn revoke(dir: &Path, name: &str) -> io::Result<bool> {
    if !dir.is_dir() {
        return Ok(false);
    }
    change(dir, |entries| {
        let before = entries.len();
        entries.retain(|e| e.name != name);
        Ok(entries.len() != before)
    })
}
