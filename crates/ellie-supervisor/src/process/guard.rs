//! The guard of one process: a small program between the supervisor and the process.
//!
//! It has a session of its own, so that `^C` in the terminal reaches the supervisor alone, and it inherits what the
//! process leaves behind. Its standard input is a socket to the supervisor: lines of orders come in, lines of events go
//! out, and its end of file means that the supervisor is gone, however that came about. Then, and after the process'
//! own end, whatever is left is told to end, and killed a little later.
//!
//! | order | means |
//! |---|---|
//! | `signal N` | to the process and its group |
//! | `kill` | all of it, now |
//!
//! | event | means |
//! |---|---|
//! | `started PID` | it runs |
//! | `failed ERRNO` | it can't be run |
//! | `ended code N left K`, `ended signal N left K` | it, and the `K` that it left behind, are gone |

use super::tree;
use crate::status::{Exit, How};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// The word that makes a program a guard.
pub(crate) const WORD: &str = "__guard";

/// From telling what is left to end, after the supervisor is gone, to killing it.
const ORPHAN_GRACE: Duration = Duration::from_secs(1);
/// Between looks whether all that was killed is gone: a process may start others while it is being killed.
const SWEEP: Duration = Duration::from_millis(20);

/// Becomes a guard where the command line asks for one; `None` in every other program. To be called first thing in
/// `main`, before any thread is started.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let Some(task) = Task::parse(arguments) else {
        eprintln!("this is the guard of a process; it is started by the supervisor and by nobody else");
        return Some(ExitCode::from(2));
    };
    Some(match run(&task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guard: {error}");
            ExitCode::FAILURE
        }
    })
}

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Task {
    forks: bool,
    grace: Duration,
    command: Vec<OsString>,
}

impl Task {
    /// The arguments after the word: `GRACE_MS (forks|stays) -- COMMAND…`
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let grace = arguments.next()?.to_str()?.parse().map(Duration::from_millis).ok()?;
        let forks = match arguments.next()?.to_str()? {
            "forks" => true,
            "stays" => false,
            _ => return None,
        };
        if arguments.next()? != "--" {
            return None;
        }
        let command: Vec<OsString> = arguments.collect();
        (!command.is_empty()).then_some(Self { forks, grace, command })
    }
}

/// The command line of a guard.
pub(super) fn arguments(grace: Duration, forks: bool, command: &[String]) -> Vec<OsString> {
    let grace = grace.as_millis().to_string();
    let words = [WORD, &grace, if forks { "forks" } else { "stays" }, "--"];
    words.into_iter().map(Into::into).chain(command.iter().map(Into::into)).collect()
}

/// An event as a line.
pub(super) fn ended_line(exit: &Exit) -> String {
    let how = match exit.how {
        How::Code(code) => format!("code {code}"),
        How::Signal(number) => format!("signal {number}"),
        How::Unknown => "code -1".to_owned(),
    };
    format!("ended {how} left {}\n", exit.left)
}

/// The line of an end, read.
pub(super) fn parse_ended(line: &str) -> Option<Exit> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let ["ended", kind, number, "left", left] = words[..] else { return None };
    let number = number.parse().ok()?;
    let how = match kind {
        "code" => How::Code(number),
        "signal" => How::Signal(number),
        _ => return None,
    };
    Some(Exit { how, left: left.parse().ok()? })
}

fn run(task: &Task) -> io::Result<()> {
    // Away from the terminal: its signals are the supervisor's to handle.
    let _ = nix::unistd::setsid();
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_child_subreaper(true)?;
        // `pkill ellie` means the supervisor; its guards find out by themselves.
        let _ = nix::sys::prctl::set_name(c"process-guard");
    }
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Handlers, and not "ignore": the process would inherit that.
        let kept =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
        let _kept: Vec<_> = kept.into_iter().map(signal).collect::<io::Result<_>>()?;
        let mut child_ended = signal(SignalKind::child())?;
        let (orders, mut events) = UnixStream::from_std(socket)?.into_split();
        let mut command = Command::new(&task.command[0]);
        command.args(&task.command[1..]).stdin(Stdio::null()).process_group(0);
        let main = match command.spawn() {
            Ok(child) => Pid::from_raw(child.id().cast_signed()),
            Err(error) => {
                let line = format!("failed {}\n", error.raw_os_error().unwrap_or_default());
                return events.write_all(line.as_bytes()).await;
            }
        };
        // If the supervisor has gone already, reading its orders will tell.
        let _ = events.write_all(format!("started {main}\n").as_bytes()).await;
        let mut ward = Ward::new(main, task);
        let mut orders = BufReader::new(orders).lines();
        let mut attached = true;
        while !ward.reap() {
            tokio::select! {
                _ = child_ended.recv() => {}
                order = orders.next_line(), if attached => match order {
                    Ok(Some(order)) => ward.order(&order),
                    Ok(None) | Err(_) => {
                        attached = false;
                        ward.abandoned();
                    }
                },
                () = until(ward.due) => ward.sweep(),
            }
        }
        let _ = events.write_all(ended_line(&ward.exit()).as_bytes()).await;
        Ok(())
    })
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The process and what descends from it.
struct Ward {
    main: Pid,
    forks: bool,
    grace: Duration,
    /// How the process ended; of one that forks, how the last of what it left ended.
    how: Option<How>,
    left: u32,
    /// When what is left is killed; from then on, when it is looked after again.
    due: Option<Instant>,
    sweeps: u32,
}

impl Ward {
    fn new(main: Pid, task: &Task) -> Self {
        Self { main, forks: task.forks, grace: task.grace, how: None, left: 0, due: None, sweeps: 0 }
    }

    /// Collects whoever has ended; whether nobody is left.
    fn reap(&mut self) -> bool {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                // No child, so no descendant either: an orphan would have become a child.
                Err(_) => return self.main_has_ended() && !self.others_exist(),
            };
            let (pid, how) = match status {
                WaitStatus::Exited(pid, code) => (pid, How::Code(code)),
                WaitStatus::Signaled(pid, signal, _) => (pid, How::Signal(signal as i32)),
                WaitStatus::StillAlive => {
                    return !cfg!(target_os = "linux") && self.main_has_ended() && !self.others_exist();
                }
                _ => continue,
            };
            if pid == self.main {
                self.how = Some(how);
                self.main_ended();
            } else if self.forks && self.main_has_ended() {
                self.how = Some(how);
            }
        }
    }

    fn main_has_ended(&self) -> bool {
        self.how.is_some()
    }

    /// Beyond what is known as a child: only where orphans don't become children.
    fn others_exist(&self) -> bool {
        !cfg!(target_os = "linux") && tree::group_exists(self.main)
    }

    /// The process has ended by itself or as it was told to; what it left behind follows it.
    fn main_ended(&mut self) {
        let left = match cfg!(target_os = "linux") {
            true => tree::descendants(Pid::this()).len(),
            false => usize::from(tree::group_exists(self.main)),
        };
        if left == 0 || (self.forks && self.due.is_none() && self.how == Some(How::Code(0))) {
            return;
        }
        self.left = u32::try_from(left).unwrap_or(u32::MAX);
        self.send(Signal::SIGTERM);
        self.kill_at(Instant::now() + self.grace);
    }

    fn kill_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// The supervisor is gone.
    fn abandoned(&mut self) {
        self.send(Signal::SIGTERM);
        self.kill_at(Instant::now() + self.grace.min(ORPHAN_GRACE));
    }

    fn order(&mut self, order: &str) {
        match order.split_once(' ') {
            Some(("signal", number)) => {
                if let Some(signal) = number.parse().ok().and_then(|n: i32| Signal::try_from(n).ok()) {
                    self.send(signal);
                }
            }
            _ if order == "kill" => {
                self.kill_at(Instant::now());
                self.sweep();
            }
            _ => {}
        }
    }

    /// To the group in which the process is, at once; to whoever left it, one by one, when the process has ended and
    /// can't pass it on.
    fn send(&self, signal: Signal) {
        tree::signal_group(self.main, signal);
        if self.main_has_ended() {
            for pid in tree::descendants(Pid::this()) {
                if nix::unistd::getpgid(Some(pid)) != Ok(self.main) {
                    tree::signal_one(pid, signal);
                }
            }
        }
    }

    /// Kills all that there is, and looks again soon whether there is more.
    fn sweep(&mut self) {
        tree::signal_group(self.main, Signal::SIGKILL);
        for pid in tree::descendants(Pid::this()) {
            tree::signal_one(pid, Signal::SIGKILL);
        }
        // One that can't be killed, because it waits for a dead disk or belongs to somebody else, is not worth a busy
        // processor.
        self.sweeps = self.sweeps.saturating_add(1);
        self.due = Some(Instant::now() + if self.sweeps < 100 { SWEEP } else { Duration::from_secs(1) });
    }

    fn exit(&self) -> Exit {
        Exit { how: self.how.clone().unwrap_or(How::Unknown), left: self.left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_read_as_it_is_written() {
        let command = ["sh".to_owned(), "-c".to_owned(), "echo -- forks".to_owned()];
        let line = arguments(Duration::from_millis(1500), true, &command);
        assert_eq!(line[0], WORD);
        let task = Task::parse(line.into_iter().skip(1)).unwrap();
        let words: Vec<OsString> = command.iter().map(Into::into).collect();
        assert_eq!(task, Task { forks: true, grace: Duration::from_millis(1500), command: words });
        for bad in [&["10", "stays", "--"][..], &["x", "stays", "--", "a"], &["10", "maybe", "--", "a"], &[]]
        {
            assert_eq!(Task::parse(bad.iter().map(OsString::from)), None, "{bad:?}");
        }
    }

    #[test]
    fn ends_are_read_as_they_are_written() {
        for exit in [Exit { how: How::Code(3), left: 0 }, Exit { how: How::Signal(9), left: 12 }] {
            assert_eq!(parse_ended(&ended_line(&exit)), Some(exit));
        }
        assert_eq!(parse_ended("ended code x left 0"), None);
        assert_eq!(parse_ended("started 12"), None);
    }
}
