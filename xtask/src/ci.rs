//! What a change must pass.

use std::path::{Path, PathBuf};

use crate::run::{Cmd, Outcome, Steps, in_ci, missing};
use crate::tidy::tidy;

/// Everything, in order; stops at the first failure.
pub(crate) fn ci(root: &Path) -> bool {
    let cargo = |arguments: &str| Cmd::new(root, "cargo", arguments);
    let mut steps = Steps::default();
    steps.step("format", || cargo("fmt --all --check").run());
    steps.step("tidy", || tidy(root).into());
    steps.step("licences, bans, sources", || deny(root));
    steps.step("clippy", || cargo("clippy --workspace --all-targets --locked -- -D warnings").run());
    steps.step("tests", || cargo("test --workspace --locked").run());
    steps.step("interleavings of the breaker", || loom(root));
    steps.step("documentation", || {
        cargo("doc --workspace --no-deps --locked").env("RUSTDOCFLAGS", "-D warnings").run()
    });
    steps.step("release build", || cargo("build --release --locked --package ellie-server").run());
    steps.step("OpenAPI document", || openapi(root));
    steps.step("dashboard", || ui(root));
    steps.step("fuzz targets", || fuzz(root));
    steps.summary()
}

/// The inner loop.
pub(crate) fn fast(root: &Path) -> bool {
    let cargo = |arguments: &str| Cmd::new(root, "cargo", arguments);
    let mut steps = Steps::default();
    steps.step("format", || cargo("fmt --all --check").run());
    steps.step("tidy", || tidy(root).into());
    steps.step("clippy", || cargo("clippy --workspace --all-targets -- -D warnings").run());
    steps.step("unit tests", || cargo("test --workspace --lib --bins --quiet").run());
    steps.summary()
}

fn deny(root: &Path) -> Outcome {
    let has = Cmd::new(root, "cargo", "deny --version").works();
    if !has {
        return missing("cargo-deny", "cargo install --locked cargo-deny");
    }
    Cmd::new(root, "cargo", "deny --log-level warn check bans licenses sources").run()
}

/// The model checker has atomics of its own, so it gets a target folder of its own.
fn loom(root: &Path) -> Outcome {
    Cmd::new(root, "cargo", "test --release --locked --package ellie-policy --test loom_breaker")
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", root.join("target/loom"))
        .env("LOOM_MAX_PREEMPTIONS", "3")
        .run()
}

/// What the step before has built, wherever cargo was told to build it.
fn release_binary(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root.join(target).join("release/ellie")
}

/// A real validator and real requests against the binary that was just built.
fn openapi(root: &Path) -> Outcome {
    if !in_ci() && !Cmd::new(root, "python3", "-c").args(["import openapi_spec_validator"]).works() {
        return missing("openapi-spec-validator", "pip install openapi-spec-validator schemathesis");
    }
    Cmd::new(root, "bash", "ci/openapi.sh").args([release_binary(root)]).run()
}

/// The front end from its sources, and a real browser against the binary that was just built.
fn ui(root: &Path) -> Outcome {
    if !in_ci() && !Cmd::new(root, "npm", "--version").works() {
        return missing("npm", "Node.js 20 or later from https://nodejs.org");
    }
    Cmd::new(root, "bash", "ci/ui.sh").args([release_binary(root)]).run()
}

/// The coverage that libFuzzer is guided by: the stable compiler can be told to count, too.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
     -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Inputs that each target gets, the same ones each time.
const INPUTS: &str = "-runs=200000 -seed=1 -max_len=4096 -timeout=10 -verbosity=0";

/// Builds the fuzz targets and runs each on its seeds and on a bounded number of inputs made of them.
fn fuzz(root: &Path) -> Outcome {
    if !Cmd::new(root, "c++", "--version").works() {
        return missing("c++", "apt-get install g++");
    }
    let Some(host) = Cmd::new(root, "rustc", "--print host-tuple").output() else {
        eprintln!("   rustc does not tell its host");
        return Outcome::Failed;
    };
    let (host, folder) = (host.trim(), root.join("target/fuzz"));
    // With a target named, build scripts are not counted in, which could not be linked.
    let build = Cmd::new(root, "cargo", "build --release --locked --manifest-path fuzz/Cargo.toml --target")
        .args([host])
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_TARGET_DIR", &folder)
        .run();
    if !matches!(build, Outcome::Passed) {
        return build;
    }
    for target in ["request", "response", "chunked", "matching"] {
        let found = folder.join("found").join(target);
        // What an earlier run found would make this one another.
        let _ = std::fs::remove_dir_all(&found);
        if let Err(error) = std::fs::create_dir_all(&found) {
            eprintln!("   {}: {error}", found.display());
            return Outcome::Failed;
        }
        let binary = folder.join(host).join("release").join(target);
        let run = Cmd::new(root, &binary.to_string_lossy(), INPUTS)
            .args([format!("-artifact_prefix={}/", folder.display())])
            .args([found, root.join("fuzz/seeds").join(target)])
            .run();
        if !matches!(run, Outcome::Passed) {
            return run;
        }
    }
    Outcome::Passed
}
