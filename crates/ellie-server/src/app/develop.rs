//! `ellie dev`: a process is restarted when its files change.

use ellie::ServiceManager;
use notify::{Event, EventKind, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;

/// From the first sign of a change to the restart: editors and compilers write more than one file.
const SETTLE: Duration = Duration::from_millis(200);
/// Signs of change that wait; those beyond are of the same change.
const SIGNS: usize = 64;
/// Folders that tools fill, and nobody edits.
const GENERATED: [&str; 7] = ["target", "node_modules", "__pycache__", "dist", "build", "venv", "ellie-data"];
/// Endings of files that programs write while they run.
const WRITTEN: [&str; 8] = ["log", "pid", "tmp", "pyc", "swp", "db", "sqlite", "sock"];

/// What is watched for one process.
struct Watched {
    process: String,
    roots: Vec<PathBuf>,
}

/// Restarts processes when what they watch changes: `watch`, or their directory where that is not set.
pub(super) async fn follow(manager: ServiceManager) {
    let watched: Vec<Watched> = manager
        .plan()
        .definitions()
        .iter()
        .filter(|definition| definition.external.is_none())
        .map(|definition| {
            let own = definition.directory.clone().unwrap_or_else(|| ".".into());
            let roots = if definition.watch.is_empty() { vec![own] } else { definition.watch.clone() };
            let roots = roots.iter().map(|root| std::fs::canonicalize(root).unwrap_or_else(|_| root.clone()));
            Watched { process: definition.name.clone(), roots: roots.collect() }
        })
        .collect();
    let (send, mut signs) = mpsc::channel::<Vec<PathBuf>>(SIGNS);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if let Ok(event) = event
            && !matches!(event.kind, EventKind::Access(_))
        {
            let _ = send.try_send(event.paths);
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => return tracing::error!("files can't be watched: {error}"),
    };
    let roots: BTreeSet<&PathBuf> = watched.iter().flat_map(|watched| &watched.roots).collect();
    for root in roots {
        if let Err(error) = watcher.watch(root, RecursiveMode::Recursive) {
            tracing::warn!(path = %root.display(), "its changes are not seen: {error}");
        }
    }
    tracing::info!("files are watched: a change restarts the process whose it is");
    while let Some(paths) = signs.recv().await {
        let mut changed = concerned(&watched, &paths);
        if changed.is_empty() {
            continue;
        }
        tokio::time::sleep(SETTLE).await;
        while let Ok(paths) = signs.try_recv() {
            changed.extend(concerned(&watched, &paths));
        }
        for (process, file) in changed {
            // The file is named: one that the process writes itself restarts it for ever.
            tracing::info!(process, file = %file.display(), "its files have changed: restarting it");
            if let Err(error) = manager.restart(&process).await {
                tracing::warn!(process, "it is not restarted: {error}");
            }
        }
    }
}

/// The processes that watch one of `paths`, each with the first of them that it does.
fn concerned(watched: &[Watched], paths: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let hit = |watched: &Watched| {
        let first = paths.iter().find(|path| watched.roots.iter().any(|root| is_source(root, path)))?;
        Some((watched.process.clone(), first.clone()))
    };
    watched.iter().filter_map(hit).collect()
}

/// Whether `path` lies under `root`, and is something that people write.
fn is_source(root: &Path, path: &Path) -> bool {
    let Ok(below) = path.strip_prefix(root) else { return false };
    let generated = below.components().any(|part| match part {
        Component::Normal(name) => {
            let name = name.to_string_lossy();
            name.starts_with('.') || name.ends_with('~') || GENERATED.contains(&name.as_ref())
        }
        _ => false,
    });
    let written = path.extension().is_some_and(|ending| WRITTEN.iter().any(|known| ending == *known));
    // A file that is watched by its name is meant, whatever it is called.
    below.as_os_str().is_empty() || !(generated || written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_write_is_no_change_of_the_source() {
        let root = Path::new("/app");
        for (path, expected) in [
            ("/app/src/main.py", true),
            ("/app", true),
            ("/app/.git/index", false),
            ("/app/target/debug/x", false),
            ("/app/run.log", false),
            ("/app/src/__pycache__/m.pyc", false),
            ("/other/main.py", false),
        ] {
            assert_eq!(is_source(root, Path::new(path)), expected, "{path}");
        }
        assert!(is_source(Path::new("/app/x.log"), Path::new("/app/x.log")));
    }
}
