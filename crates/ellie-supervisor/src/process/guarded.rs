//! A process under a guard, as the supervisor sees it.

use super::{ControlKind, Error, Spec, Started, WatchKind, guard, tree};
use crate::status::{Exit, How};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Orders that wait to be written. A run gets a handful of them in its life.
const ORDERS: usize = 64;

/// Orders to the guard.
#[derive(Debug)]
pub(super) struct Control(Sender<String>);

impl Control {
    pub(super) fn signal(&self, signal: Signal) {
        // Where nobody takes orders any more, there is nobody to end.
        let _ = self.0.try_send(format!("signal {}\n", signal as i32));
    }

    pub(super) fn kill(&self) {
        let _ = self.0.try_send("kill\n".to_owned());
    }
}

/// Events of the guard.
#[derive(Debug)]
pub(super) struct Watch {
    main: Pid,
    guard: Child,
    events: Lines<BufReader<OwnedReadHalf>>,
}

impl Watch {
    pub(super) async fn ended(mut self) -> Exit {
        let mut exit = None;
        while let Ok(Some(line)) = self.events.next_line().await {
            exit = guard::parse_ended(&line).or(exit);
        }
        let _ = self.guard.wait().await;
        exit.unwrap_or_else(|| {
            // The guard itself was killed: what can be named is ended from here.
            tree::signal_group(self.main, Signal::SIGKILL);
            Exit { how: How::Unknown, left: 0 }
        })
    }
}

/// Starts the guard, and returns when it says that the process runs.
pub(super) async fn start(program: &Path, spec: &Spec) -> Result<Started, Error> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(Error::System)?;
    ours.set_nonblocking(true).map_err(Error::System)?;
    let mut command = Command::new(program);
    command
        .arg0(format!("process-guard {}", spec.name))
        .args(guard::arguments(spec.grace, spec.forks, &spec.command))
        .env_clear()
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(directory) = &spec.directory {
        command.current_dir(directory);
    }
    let mut child = command.spawn().map_err(Error::System)?;
    // It holds the guard's end of the socket, which has to close with the guard.
    drop(command);
    let (events, orders) = UnixStream::from_std(ours).map_err(Error::System)?.into_split();
    let mut events = BufReader::new(events).lines();
    let first = events.next_line().await.map_err(Error::System)?.unwrap_or_default();
    let main = match first.split_once(' ') {
        Some(("started", pid)) => pid.parse().ok().map(Pid::from_raw),
        Some(("failed", errno)) => {
            let _ = child.wait().await;
            let source = io::Error::from_raw_os_error(errno.parse().unwrap_or_default());
            return Err(Error::Program { program: spec.command[0].clone(), source });
        }
        _ => None,
    };
    let Some(main) = main else {
        let _ = child.wait().await;
        return Err(Error::System(io::Error::other("its guard did not start")));
    };
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(Error::System(io::Error::other("its output is not piped")));
    };
    let (send, receive) = channel(ORDERS);
    tokio::spawn(pass_on(receive, orders));
    Ok(Started {
        pid: main.as_raw().cast_unsigned(),
        stdout,
        stderr,
        control: super::Control(ControlKind::Guard(Control(send))),
        watch: super::Watch(WatchKind::Guard(Watch { main, guard: child, events })),
    })
}

/// Writes orders until nobody gives any: then the socket closes, and the guard ends everything.
async fn pass_on(mut orders: Receiver<String>, mut socket: OwnedWriteHalf) {
    while let Some(order) = orders.recv().await {
        if socket.write_all(order.as_bytes()).await.is_err() {
            return;
        }
    }
}
