//! One process with everything that it starts, from its first moment to its last.
//!
//! A process group is not enough for that: what leaves the group survives its end, and when the supervisor itself is
//! killed nobody is left to end anything. So each process gets a [`guard`]: the same program started again under
//! another name, which runs the process, inherits whatever it leaves behind (`PR_SET_CHILD_SUBREAPER`), and ends it
//! all when the supervisor says so or is no longer there. Where a program can't start itself as a guard (it embeds the
//! supervisor and does not call [`guard::run_if_asked`]), a process group has to do ([`Launcher::Group`]).

mod grouped;
pub mod guard;
mod guarded;
mod tree;

use crate::status::Exit;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::{ChildStderr, ChildStdout};

/// How processes are started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Launcher {
    /// In a process group of their own. What leaves the group, or outlives a supervisor that was killed, is not ended.
    #[default]
    Group,
    /// Under a guard: this program, whose `main` begins with [`guard::run_if_asked`].
    Guard(PathBuf),
}

impl Launcher {
    /// Under a guard that is the running program.
    #[must_use]
    pub fn this_program() -> Self {
        // The link stays right when the file behind it is replaced by an upgrade.
        match cfg!(target_os = "linux") {
            true => Self::Guard("/proc/self/exe".into()),
            false => std::env::current_exe().map_or(Self::Group, Self::Guard),
        }
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// For the guard's title.
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) directory: Option<PathBuf>,
    /// All of the environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) forks: bool,
    /// How long what the process leaves behind gets to end by itself.
    pub(crate) grace: Duration,
}

/// Why a process was not started.
#[derive(Debug)]
pub(crate) enum Error {
    /// Its directory is none.
    Directory { path: PathBuf, source: io::Error },
    /// Its program can't be run.
    Program { program: String, source: io::Error },
    /// The system gives no process.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, source } => {
                write!(f, "its directory `{}` can't be used: {source}", path.display())
            }
            Self::Program { program, source } if source.kind() == io::ErrorKind::NotFound => {
                let place = if program.contains('/') { "" } else { " in any directory of PATH" };
                write!(f, "can't be started: there is no program `{program}`{place}")
            }
            Self::Program { program, source } => write!(f, "can't be started: `{program}`: {source}"),
            Self::System(source) => write!(f, "can't be started: {source}"),
        }
    }
}

/// A running process: what it writes, and the way to its end.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) pid: u32,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
    pub(crate) control: Control,
    pub(crate) watch: Watch,
}

/// Tells a process to end. Dropping it kills the process and all that it started.
#[derive(Debug)]
pub(crate) struct Control(ControlKind);

#[derive(Debug)]
enum ControlKind {
    Guard(guarded::Control),
    Group(grouped::Control),
}

impl Control {
    /// Sends `signal` to the process and its group.
    pub(crate) fn signal(&self, signal: Signal) {
        match &self.0 {
            ControlKind::Guard(control) => control.signal(signal),
            ControlKind::Group(control) => control.signal(signal),
        }
    }

    /// Kills the process and all that it started.
    pub(crate) fn kill(&self) {
        match &self.0 {
            ControlKind::Guard(control) => control.kill(),
            ControlKind::Group(control) => control.signal(Signal::SIGKILL),
        }
    }
}

/// Waits for the end.
#[derive(Debug)]
pub(crate) struct Watch(WatchKind);

#[derive(Debug)]
enum WatchKind {
    Guard(guarded::Watch),
    Group(grouped::Watch),
}

impl Watch {
    /// Returns when the process and all that it started are gone.
    pub(crate) async fn ended(self) -> Exit {
        match self.0 {
            WatchKind::Guard(watch) => watch.ended().await,
            WatchKind::Group(watch) => watch.ended().await,
        }
    }
}

/// Starts a process.
pub(crate) async fn start(launcher: &Launcher, spec: &Spec) -> Result<Started, Error> {
    if let Some(directory) = &spec.directory {
        let checked = tokio::fs::metadata(directory).await.and_then(|metadata| match metadata.is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        checked.map_err(|source| Error::Directory { path: directory.clone(), source })?;
    }
    match launcher {
        Launcher::Group => grouped::start(spec),
        Launcher::Guard(program) => guarded::start(program, spec).await,
    }
}
