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
    let named = |package: &str, known: &str| known == name || format!("{package}/{known}") == *name;
    let Some((package, name)) = all.iter().find(|(package, known)| named(package, known)) else {
        eprintln!("no benchmark `{name}`; `cargo xtask bench` lists them");
        return false;
    };
    let command = if package.starts_with("bench/") {
        let folder = root.join(package);
        let script = SCRIPTS.iter().find(|script| folder.join(script).is_file());
        match script {
            Some(script) => Cmd::new(&folder, "python3", script).args(rest),
            None => Cmd::new(&folder, "cargo", "run --release --quiet --").args(rest),
        }
    } else {
        Cmd::new(root, "cargo", "bench --quiet").args(["-p", package, "--bench", name, "--"]).args(rest)
    };
    command.run() == Outcome::Passed
}

/// How a comparison is run, where it is not a program of its own.
const SCRIPTS: [&str; 2] = ["run.py", "bench.py"];

/// `(package, name)` of every Criterion bench of a crate and every comparison below `bench/`.
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
        let folder = root.join("bench").join(&name);
        if SCRIPTS.iter().chain(["Cargo.toml"].iter()).any(|file| folder.join(file).is_file()) {
            all.push((format!("bench/{name}"), name));
        }
    }
    // A comparison of the same name as a crate's own bench comes first.
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
