//! `cargo xtask bench`: lists the benchmarks, or runs one.

use std::path::Path;

use crate::run::{Cmd, Outcome};

/// Runs the benchmark `arguments[0]`, or lists them all.
pub(crate) fn bench(root: &Path, arguments: &[String]) -> bool {
    let all = found(root);
    let Some((name, rest)) = arguments.split_first() else {
        eprintln!("benchmarks, each run as `cargo xtask bench NAME`:");
        for (package, name) in &all {
            eprintln!("  {name:<24} {package}");
        }
        return true;
    };
    let Some((package, _)) = all.iter().find(|(_, known)| known == name) else {
        eprintln!("no benchmark `{name}`; `cargo xtask bench` lists them");
        return false;
    };
    let command = if package.starts_with("bench/") {
        Cmd::new(&root.join(package), "bash", "run.sh").args(rest)
    } else {
        Cmd::new(root, "cargo", "bench --quiet").args(["-p", package, "--bench", name, "--"]).args(rest)
    };
    command.run() == Outcome::Passed
}

/// `(package, name)` of every Criterion bench of a crate and every folder of `bench/` with a `run.sh`.
fn found(root: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for package in folders(&root.join("crates")) {
        for entry in
            std::fs::read_dir(root.join("crates").join(&package).join("benches")).into_iter().flatten()
        {
            let path = entry.map(|entry| entry.path()).unwrap_or_default();
            if path.extension().is_some_and(|extension| extension == "rs")
                && let Some(name) = path.file_stem().and_then(|name| name.to_str())
            {
                all.push((package.clone(), name.to_owned()));
            }
        }
    }
    for name in folders(&root.join("bench")) {
        if root.join("bench").join(&name).join("run.sh").is_file() {
            all.push((format!("bench/{name}"), name));
        }
    }
    all.sort();
    all
}

fn folders(parent: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}
