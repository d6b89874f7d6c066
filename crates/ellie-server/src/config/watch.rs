//! Tells when the configuration file, or a certificate that it names, may have changed.
//!
//! The directory is watched, not the file: editors write a new file and rename it over the old one, and Kubernetes
//! swaps a symlink beside it, so the file that was watched would soon be one that nobody reads. What a symlink points
//! at is watched as well, where it lies in another directory.

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watcher(#[allow(dead_code, reason = "watching ends with it")] RecommendedWatcher);

impl Watcher {
    /// Calls `on_change`, from a thread of its own, whenever one of `files` may have changed. One change can be told
    /// several times: wait a moment, load, and compare.
    ///
    /// # Errors
    /// A directory can't be watched.
    pub fn new(files: &[PathBuf], on_change: impl Fn() + Send + 'static) -> notify::Result<Self> {
        let files: Vec<PathBuf> =
            files.iter().map(std::path::absolute).collect::<Result<_, _>>().map_err(notify::Error::io)?;
        let dirs: BTreeSet<PathBuf> = files.iter().flat_map(|file| directories(file)).collect();
        let names: BTreeSet<OsString> = files.iter().flat_map(|file| names(file)).collect();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error, or an event without a path, means that events were lost: look.
            let concerns = |event: Event| {
                let named = |path: &PathBuf| path.file_name().is_some_and(|name| names.contains(name));
                !matches!(event.kind, EventKind::Access(_))
                    && (event.paths.is_empty() || event.paths.iter().any(named))
            };
            if event.map_or(true, concerns) {
                on_change();
            }
        })?;
        for dir in &dirs {
            watcher.watch(dir, RecursiveMode::NonRecursive)?;
        }
        Ok(Self(watcher))
    }
}

/// The file, what it points at, and the link that Kubernetes swaps.
fn names(file: &Path) -> Vec<OsString> {
    let target = std::fs::canonicalize(file).ok();
    let names = [Some(file), target.as_deref()].into_iter().flatten().filter_map(Path::file_name);
    names.map(ToOwned::to_owned).chain([OsString::from("..data")]).collect()
}

fn directories(file: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = file.parent().map(Path::to_owned).into_iter().collect();
    if let Some(dir) = std::fs::canonicalize(file).ok().as_deref().and_then(Path::parent) {
        dirs.push(dir.to_owned());
    }
    dirs.dedup();
    dirs
}
