//! The rules of the house that no compiler knows. Each is a small function from text to faults, so
//! that it can be tested without a checkout; this module only finds the files and prints.

mod dependencies;
mod directions;
mod links;
mod machine;
mod source;

use std::fmt;
use std::path::Path;

use crate::run::Cmd;

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file, relative to the root; or the package.
    pub(crate) place: String,
    /// The line, from 1; 0 when the fault is the file's as a whole.
    pub(crate) line: usize,
    /// What is wrong, and what to do instead.
    pub(crate) message: String,
}

impl Fault {
    fn new(place: &str, line: usize, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.place, self.message),
            line => write!(f, "{}:{line}: {}", self.place, self.message),
        }
    }
}

/// A file under version control (or about to be), with its text.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// Its whole text.
    pub(crate) text: String,
}

/// Checks every rule; prints the faults; true when there are none.
pub(crate) fn tidy(root: &Path) -> bool {
    let files = files(root);
    let mut faults = Vec::new();
    for file in &files {
        if file.path.ends_with(".rs") {
            faults.extend(source::check(file));
        }
        if file.path.ends_with(".md") {
            faults.extend(links::check(file, |path| root.join(path).exists(), |path| find(&files, path)));
        }
        faults.extend(machine::check(file, &machine::paths_of_this_machine(root)));
    }
    match Cmd::new(root, "cargo", "metadata --format-version 1 --no-deps --offline").output() {
        Some(metadata) => {
            let packages = dependencies::packages(&metadata, root);
            faults.extend(directions::check(&packages));
            faults.extend(dependencies::unused(&packages, &files));
            faults.extend(dependencies::unused_in_workspace(
                &packages,
                find(&files, "Cargo.toml").unwrap_or_default(),
            ));
        }
        None => faults.push(Fault::new("Cargo.toml", 0, "`cargo metadata` failed")),
    }
    if let Some(lock) = find(&files, "Cargo.lock") {
        faults.extend(dependencies::foreign_sources(lock));
    }
    for fault in &faults {
        eprintln!("   {fault}");
    }
    eprintln!("   tidy: {} files, {} faults", files.len(), faults.len());
    faults.is_empty()
}

fn find<'a>(files: &'a [File], path: &str) -> Option<&'a str> {
    files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
}

/// Every text file that is tracked, or new and not ignored.
fn files(root: &Path) -> Vec<File> {
    let list = Cmd::new(root, "git", "ls-files -z --cached --others --exclude-standard")
        .output()
        .unwrap_or_default();
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let text = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    paths.into_iter().filter_map(|path| Some(File { path: path.to_owned(), text: text(path)? })).collect()
}
