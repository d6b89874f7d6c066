//! Steps: what is run, how long it took, and the summary at the end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what it should.
    Passed,
    /// It could not run here; the reason is shown, and it is no failure.
    Skipped(String),
    /// It failed; nothing after it is run.
    Failed,
}

impl From<bool> for Outcome {
    fn from(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// The steps of one run, in order.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Outcome, Duration)>,
}

impl Steps {
    /// Runs `step`, unless one before it failed.
    pub(crate) fn step(&mut self, name: &'static str, step: impl FnOnce() -> Outcome) {
        if self.failed() {
            return;
        }
        eprintln!("\n── {name}");
        let started = now();
        let outcome = step();
        self.done.push((name, outcome, now() - started));
    }

    /// Whether a step failed.
    pub(crate) fn failed(&self) -> bool {
        self.done.iter().any(|(_, outcome, _)| *outcome == Outcome::Failed)
    }

    /// Prints what was done and how long it took; true when nothing failed.
    pub(crate) fn summary(&self) -> bool {
        eprint!("\n{}", self.table());
        !self.failed()
    }

    fn table(&self) -> String {
        let mut table = String::new();
        let mut total = Duration::ZERO;
        for (name, outcome, took) in &self.done {
            total += *took;
            let seconds = took.as_secs_f64();
            table += &match outcome {
                Outcome::Passed => format!("ok      {seconds:7.1} s  {name}\n"),
                Outcome::Skipped(why) => format!("skipped            {name}: {why}\n"),
                Outcome::Failed => format!("FAILED  {seconds:7.1} s  {name}\n"),
            };
        }
        let verdict = if self.failed() { "FAILED " } else { "all ok " };
        table + &format!("{verdict} {:7.1} s\n", total.as_secs_f64())
    }
}

/// A command in `folder`, shown before it is run.
pub(crate) struct Cmd(Command);

impl Cmd {
    /// `program` with `arguments`, separated by blanks.
    pub(crate) fn new(folder: &Path, program: &str, arguments: &str) -> Self {
        let mut command = Command::new(program);
        command.current_dir(folder).args(arguments.split_whitespace());
        Self(command)
    }

    /// The same with one more variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// The same with more arguments.
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.0.args(arguments);
        self
    }

    /// Runs it to its end, its output on this terminal.
    pub(crate) fn run(mut self) -> Outcome {
        let shown: Vec<_> = std::iter::once(self.0.get_program())
            .chain(self.0.get_args())
            .map(OsStr::to_string_lossy)
            .collect();
        let shown = shown.join(" ");
        eprintln!("   $ {shown}");
        match self.0.status() {
            Ok(status) => {
                if !status.success() {
                    eprintln!("   `{shown}` ended with {status}");
                }
                status.success().into()
            }
            Err(error) => {
                eprintln!("   `{shown}` did not start: {error}");
                Outcome::Failed
            }
        }
    }

    /// Whether it runs and succeeds, its output unseen.
    pub(crate) fn works(mut self) -> bool {
        self.0.output().is_ok_and(|output| output.status.success())
    }

    /// Its standard output, if it succeeds.
    pub(crate) fn output(mut self) -> Option<String> {
        let output = self.0.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    }
}

/// Whether this is the machine that judges a change: there, what cannot be checked is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// A check whose tool is not here: a skip that says so, or a failure in CI.
pub(crate) fn missing(tool: &str, how: &str) -> Outcome {
    if in_ci() {
        eprintln!("   {tool} is missing; install it: {how}");
        Outcome::Failed
    } else {
        Outcome::Skipped(format!("no {tool} here; to run it: {how}"))
    }
}

#[allow(clippy::disallowed_methods, reason = "a chore that times its own steps")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_runs_after_the_first_failure() {
        let mut steps = Steps::default();
        steps.step("good", || Outcome::Passed);
        steps.step("bad", || Outcome::Failed);
        steps.step("late", || panic!("must not run"));
        assert!(steps.failed());
        let table = steps.table();
        assert!(table.contains("FAILED") && table.contains("bad") && !table.contains("late"), "{table}");
    }

    #[test]
    fn a_skip_is_shown_with_its_reason_and_is_no_failure() {
        let mut steps = Steps::default();
        steps.step("fuzz", || Outcome::Skipped("no nightly".to_owned()));
        assert!(!steps.failed());
        assert!(steps.table().contains("fuzz: no nightly"));
    }
}
