//! The project's own chores, run as `cargo xtask NAME`.
//!
//! | name | does |
//! |---|---|
//! | `ci` | everything a change must pass, in order; stops at the first failure |
//! | `fast` | the inner loop: format, tidy, clippy and the unit tests |
//! | `tidy` | the rules of the house that no compiler knows |
//! | `bench NAME` | one of the benchmarks under `crates/*/benches` or `bench/` |
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod run;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <ci | fast | tidy | bench [NAME [ARGUMENTS…]]>";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let root = root();
    let passed = match (name.as_str(), rest.as_slice()) {
        ("ci", []) => ci::ci(&root),
        ("fast", []) => ci::fast(&root),
        ("tidy", []) => tidy::tidy(&root),
        ("bench", rest) => bench::bench(&root, rest),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The root of the workspace: the parent of this package, as `cargo run` tells it. What was built in may be another
/// copy of the repository, where several share a target directory.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().map(Path::to_path_buf).unwrap_or_default()
}
