//! What a change must pass.

use std::path::Path;

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

/// A real validator and real requests against the binary that was just built.
fn openapi(root: &Path) -> Outcome {
    if !in_ci() && !Cmd::new(root, "python3", "-c").args(["import openapi_spec_validator"]).works() {
        return missing("openapi-spec-validator", "pip install openapi-spec-validator schemathesis");
    }
    Cmd::new(root, "bash", "ci/openapi.sh").args([root.join("target/release/ellie")]).run()
}

/// The front end from its sources, and a real browser against the binary that was just built.
fn ui(root: &Path) -> Outcome {
    if !in_ci() && !Cmd::new(root, "npm", "--version").works() {
        return missing("npm", "Node.js 20 or later from https://nodejs.org");
    }
    Cmd::new(root, "bash", "ci/ui.sh").args([root.join("target/release/ellie")]).run()
}

/// Fuzz targets need a nightly compiler to run; that they still build is checked where there is one.
fn fuzz(root: &Path) -> Outcome {
    if !root.join("fuzz/Cargo.toml").is_file() {
        return Outcome::Skipped("there is no fuzz/ yet".to_owned());
    }
    if !Cmd::new(root, "cargo", "+nightly fuzz --version").works() {
        return Outcome::Skipped(
            "they need `rustup toolchain install nightly` and `cargo install cargo-fuzz`".to_owned(),
        );
    }
    Cmd::new(root, "cargo", "+nightly fuzz build").run()
}
