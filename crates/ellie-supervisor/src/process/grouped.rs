//! A process in a group of its own, without a guard.

use super::{ControlKind, Error, Spec, Started, WatchKind, tree};
use crate::status::{Exit, How};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};

/// Between looks whether what was left behind is gone.
const LOOK: Duration = Duration::from_millis(20);

/// Signals to the group; killing it when dropped.
#[derive(Debug)]
pub(super) struct Control {
    group: Pid,
    /// The group has no members any more: its number may be somebody else's by now.
    gone: Arc<AtomicBool>,
}

impl Control {
    pub(super) fn signal(&self, signal: Signal) {
        if !self.gone.load(Ordering::Acquire) {
            tree::signal_group(self.group, signal);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Waits for the process and its group.
#[derive(Debug)]
pub(super) struct Watch {
    group: Pid,
    child: Child,
    forks: bool,
    grace: Duration,
    gone: Arc<AtomicBool>,
}

impl Watch {
    pub(super) async fn ended(mut self) -> Exit {
        let exit = self.exit().await;
        self.gone.store(true, Ordering::Release);
        exit
    }

    async fn exit(&mut self) -> Exit {
        let how = match self.child.wait().await {
            Ok(status) => how(status),
            Err(_) => How::Unknown,
        };
        if self.forks && how == How::Code(0) {
            self.gone().await;
            return Exit { how, left: 0 };
        }
        let left = u32::from(tree::signal_group(self.group, Signal::SIGTERM));
        if tokio::time::timeout(self.grace, self.gone()).await.is_err() {
            tree::signal_group(self.group, Signal::SIGKILL);
            self.gone().await;
        }
        Exit { how, left }
    }

    async fn gone(&self) {
        while tree::group_exists(self.group) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn how(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Code(code),
        (None, Some(signal)) => How::Signal(signal),
        (None, None) => How::Unknown,
    }
}

/// Starts the process.
pub(super) fn start(spec: &Spec) -> Result<Started, Error> {
    let mut command = Command::new(&spec.command[0]);
    command
        .args(&spec.command[1..])
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(directory) = &spec.directory {
        command.current_dir(directory);
    }
    let mut child =
        command.spawn().map_err(|source| Error::Program { program: spec.command[0].clone(), source })?;
    let pid = child.id().ok_or_else(|| Error::System(io::Error::other("it ended before it began")))?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::System(io::Error::other("its output is not piped")));
    };
    let group = Pid::from_raw(pid.cast_signed());
    let gone = Arc::new(AtomicBool::new(false));
    let control = super::Control(ControlKind::Group(Control { group, gone: gone.clone() }));
    let watch = Watch { group, child, forks: spec.forks, grace: spec.grace, gone };
    Ok(Started { pid, stdout, stderr, control, watch: super::Watch(WatchKind::Group(watch)) })
}
