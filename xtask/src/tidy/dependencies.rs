//! Dependencies: each is used, and each comes from crates.io.

use std::path::Path;

use serde_json::Value;

use super::{Fault, File};

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its folder, relative to the root.
    pub(crate) folder: String,
    /// What it depends on, in any way.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a `[dependencies]`, `[dev-dependencies]` or `[build-dependencies]`.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package's name.
    pub(crate) name: String,
    /// What the code calls it.
    pub(crate) identifier: String,
}

#[cfg(test)]
impl Package {
    pub(super) fn of(name: &str, on: &[&str]) -> Self {
        let dependency =
            |name: &&str| Dependency { name: (*name).to_owned(), identifier: name.replace('-', "_") };
        let folder = format!("crates/{name}");
        Self { name: name.to_owned(), folder, dependencies: on.iter().map(dependency).collect() }
    }
}

/// The packages in the output of `cargo metadata --no-deps`.
pub(crate) fn packages(metadata: &str, root: &Path) -> Vec<Package> {
    let metadata: Value = serde_json::from_str(metadata).unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let package = |package: &Value| {
        let manifest = text(package, "manifest_path");
        let folder = Path::new(&manifest).parent().and_then(|folder| folder.strip_prefix(root).ok());
        let dependency = |dependency: &Value| {
            let name = text(dependency, "name");
            let renamed = dependency["rename"].as_str().unwrap_or(&name).replace('-', "_");
            Dependency { name, identifier: renamed }
        };
        Package {
            name: text(package, "name"),
            folder: folder.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default(),
            dependencies: list(&package["dependencies"]).iter().map(dependency).collect(),
        }
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

/// Dependencies that are there for a feature they switch on in another crate, with that reason.
const FOR_A_FEATURE: &[(&str, &str)] = &[];

/// Dependencies of a package that no file of it names.
pub(crate) fn unused(packages: &[Package], files: &[File]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for package in packages {
        let prefix = format!("{}/", package.folder);
        let own = |file: &&File| file.path.ends_with(".rs") && file.path.starts_with(&prefix);
        let sources: Vec<&File> = files.iter().filter(own).collect();
        for dependency in &package.dependencies {
            let excused = FOR_A_FEATURE.contains(&(&package.name, &dependency.name));
            if !excused && !sources.iter().any(|file| names(&file.text, &dependency.identifier)) {
                let message = format!("`{}` is a dependency that no file uses", dependency.name);
                faults.push(Fault::new(&format!("{}/Cargo.toml", package.folder), 0, message));
            }
        }
    }
    faults
}

/// Whether `word` stands in `text` as a whole identifier.
fn names(text: &str, word: &str) -> bool {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(part_of_a_word) && !text[at + word.len()..].starts_with(part_of_a_word)
    })
}

/// Lines of the workspace's table of dependencies that no package takes.
pub(crate) fn unused_in_workspace(packages: &[Package], manifest: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut inside = false;
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        } else if inside && let Some((name, _)) = line.split_once('=') {
            let name = name.trim();
            let taken =
                |package: &Package| package.dependencies.iter().any(|dependency| dependency.name == name);
            if !name.starts_with('#') && !packages.iter().any(taken) {
                faults.push(Fault::new(
                    "Cargo.toml",
                    number + 1,
                    format!("no crate takes `{name}`: remove it"),
                ));
            }
        }
    }
    faults
}

/// Sources of `Cargo.lock` other than crates.io: a fork, a path on someone's disk, someone's mirror.
pub(crate) fn foreign_sources(lock: &str) -> Vec<Fault> {
    let lines = lock.lines().enumerate();
    lines
        .filter_map(|(number, line)| Some((number, line.strip_prefix("source = ")?.trim_matches('"'))))
        .filter(|(_, source)| *source != "registry+https://github.com/rust-lang/crates.io-index")
        .map(|(number, source)| Fault::new("Cargo.lock", number + 1, format!("not from crates.io: {source}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_that_no_file_names_is_found() {
        let packages = [Package::of("a", &["tokio-util", "bytes"])];
        let text = "use tokio_util::sync::CancellationToken; struct Kilobytes;".to_owned();
        let files = [File { path: "crates/a/src/lib.rs".to_owned(), text }];
        let found = unused(&packages, &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.contains("`bytes`"), "{found:?}");
    }

    #[test]
    fn the_workspace_lists_only_what_is_taken() {
        let manifest = "[workspace]\nx = 1\n[workspace.dependencies]\n# comment = 1\nbytes = \"1\"\nrand = \"0.1\"\n[profile.dev]\nz = 1\n";
        let found = unused_in_workspace(&[Package::of("a", &["bytes"])], manifest);
        assert_eq!(found, [Fault::new("Cargo.toml", 6, "no crate takes `rand`: remove it")]);
    }

    #[test]
    fn a_git_source_is_foreign() {
        let lock = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"git+https://example.org/x\"\n";
        assert_eq!(foreign_sources(lock).len(), 1);
    }

    #[test]
    fn metadata_gives_names_folders_and_renames() {
        let text = r#"{"packages":[{"name":"a","manifest_path":"/w/crates/a/Cargo.toml","dependencies":[{"name":"x-y","rename":null},{"name":"z","rename":"zed"}]}]}"#;
        let found = packages(text, Path::new("/w"));
        assert_eq!((found[0].name.as_str(), found[0].folder.as_str()), ("a", "crates/a"));
        let identifiers: Vec<_> = found[0].dependencies.iter().map(|d| d.identifier.as_str()).collect();
        assert_eq!(identifiers, ["x_y", "zed"]);
    }
}
