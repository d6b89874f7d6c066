//! What belongs to one machine and not to the project: its folders, its package mirrors.

use std::path::Path;

use super::{Fault, File};

/// Parents that many machines have; naming them says nothing about this one.
const COMMON: &[&str] = &["/", "/home", "/tmp", "/var/tmp", "/opt", "/srv", "/usr/src", "/usr/local/src"];

/// The folders that give this machine away: the checkout, the folder it stands in, the home folder.
pub(crate) fn paths_of_this_machine(root: &Path) -> Vec<String> {
    let home = std::env::var_os("HOME").map(Into::into);
    let found = [Some(root.to_path_buf()), root.parent().map(Path::to_path_buf), home];
    let found = found.into_iter().flatten().map(|path| path.to_string_lossy().into_owned());
    found.filter(|path| path.len() > 1 && !COMMON.contains(&path.as_str())).collect()
}

/// Settings that send a package client to another registry than everyone's.
const MIRRORS: &[&str] =
    &["replace-with =", "--index-url", "--extra-index-url", "--find-links", "trusted-host"];

/// Mentions of `paths` and of package mirrors in a file.
pub(crate) fn check(file: &File, paths: &[String]) -> Vec<Fault> {
    if file.path.starts_with("xtask/src/tidy/") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for path in paths {
            if mentions(line, path) {
                faults.push(Fault::new(&file.path, number + 1, format!("a path of one machine: {path}")));
            }
        }
        if MIRRORS.iter().any(|mirror| line.contains(mirror)) {
            faults.push(Fault::new(
                &file.path,
                number + 1,
                "a package mirror is the machine's business, not the project's",
            ));
        }
    }
    faults
}

/// Whether `line` has `path` as a whole path or as the beginning of one.
fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let in_a_path = |c: char| c.is_alphanumeric() || "-_./~}".contains(c);
        !before.is_some_and(in_a_path) && !after.is_some_and(|c| c.is_alphanumeric() || "-_.".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let file = File { path: "docs/a.md".to_owned(), text: text.to_owned() };
        check(&file, &["/home/someone/ellie".to_owned(), "/root".to_owned()])
            .iter()
            .map(|fault| fault.line)
            .collect()
    }

    #[test]
    fn a_path_of_this_machine_is_found_and_a_route_of_that_name_is_not() {
        assert_eq!(lines("cd /home/someone/ellie/bench\n"), [1]);
        assert_eq!(lines("ok\nsee `/root/.cargo`\n"), [2]);
        assert!(lines("GET /api/root\n/rooted\nhttp://host/root\n").is_empty());
    }

    #[test]
    fn a_mirror_is_found() {
        assert_eq!(lines("pip install --index-url http://x y"), [1]);
    }
}
