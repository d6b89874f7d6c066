//! `ellie run -- CMD…`: a process that is registered for as long as it lives.
//!
//! One thread waits for the process; the registration is kept by this one: it registers when the port accepts, renews
//! the lease, registers again where the server forgot it, and when a signal comes it drains, lets requests in flight
//! finish, passes the signal on and deregisters. A server that is away is no reason to end the process: every call is
//! tried again with growing pauses.

use super::args::RunArgs;
use super::change::{path, registration};
use super::client::Client;
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{BOLD, DIM, YELLOW};
use ellie_api::request::{Drain, Heartbeat};
use ellie_api::{Registered, Registration};
use ellie_core::Now;
use ellie_policy::Rng;
use ellie_policy::backoff::{Backoff, Config};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use ureq::http::Method;

/// Between looks whether the port accepts.
const LOOK: Duration = Duration::from_millis(50);
/// How long the goodbye to the server may take: the process has ended, its exit code is awaited.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the main thread waits for.
enum Event {
    Signal(Signal),
    Ended(std::io::Result<ExitStatus>),
}

/// Runs the command; returns its exit code, 128 + n where a signal ended it.
pub(super) fn run(ctx: &Context, args: &RunArgs) -> Result<u8> {
    let client = ctx.client()?;
    let host = args.described.host.clone().unwrap_or_else(|| "127.0.0.1".into());
    let port = match args.port {
        Some(0) | None => free_port(&host)?,
        Some(port) => port,
    };
    let name = args.name.clone().unwrap_or_else(|| file_name(&args.command[0]));
    let body = registration(&name, port, &args.described);

    let (send, events) = channel();
    // Signals are caught before the process exists, so that none is lost between the two.
    catch_signals(send.clone())?;
    let mut child = spawn(args, &name, port)?;
    let pid = child.id();
    std::thread::spawn(move || drop(send.send(Event::Ended(child.wait()))));

    let mut keeper = Keeper::new(client, body, host, port, args.at_once);
    let status = supervise(&mut keeper, &events, pid, args.drain)?;
    keeper.goodbye();
    Ok(code(status))
}

fn spawn(args: &RunArgs, name: &str, port: u16) -> Result<Child> {
    let program = &args.command[0];
    let mut command = std::process::Command::new(program);
    command.args(&args.command[1..]).env("PORT", port.to_string()).env("SERVICE_NAME", name);
    command.env("SERVICE_PORT", port.to_string());
    command.spawn().map_err(|error| {
        let error = Error::new(Code::Failed, format!("`{program}` can't be started")).because(error);
        error.try_(format!("command -v {program}"))
    })
}

/// Follows the process until it has ended.
fn supervise(keeper: &mut Keeper, events: &Receiver<Event>, pid: u32, drain: Duration) -> Result<ExitStatus> {
    let mut stopping: Option<(Instant, Signal)> = None;
    loop {
        let now = Now::read().instant;
        let wait = match stopping {
            // The process is told to end when requests in flight have had their time.
            Some((at, signal)) if now >= at => {
                pass(pid, signal);
                stopping = None;
                keeper.ending = true;
                continue;
            }
            Some((at, _)) => at - now,
            None if keeper.ending => Duration::from_secs(60),
            None => keeper.step(now),
        };
        match events.recv_timeout(wait) {
            Ok(Event::Ended(status)) => {
                return status
                    .map_err(|e| Error::new(Code::Failed, "the process can't be waited for").because(e));
            }
            Ok(Event::Signal(signal @ (Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT))) => {
                if stopping.is_some() || keeper.ending || !keeper.drain() {
                    // A second one, or nobody to wait for: at once.
                    pass(pid, signal);
                    stopping = None;
                    keeper.ending = true;
                } else {
                    stopping = Some((Now::read().instant + drain, signal));
                }
            }
            Ok(Event::Signal(signal)) => pass(pid, signal),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new(Code::Failed, "the process is no longer followed"));
            }
        }
    }
}

fn pass(pid: u32, signal: Signal) {
    // The process may have ended in this moment; then there is nobody to tell.
    let _ = i32::try_from(pid).map(|pid| kill(Pid::from_raw(pid), signal));
}

fn catch_signals(send: Sender<Event>) -> Result<()> {
    let failed = |e: std::io::Error| Error::new(Code::Failed, "signals can't be caught").because(e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let kinds = [
        (SignalKind::terminate(), Signal::SIGTERM),
        (SignalKind::interrupt(), Signal::SIGINT),
        (SignalKind::quit(), Signal::SIGQUIT),
        (SignalKind::hangup(), Signal::SIGHUP),
        (SignalKind::user_defined1(), Signal::SIGUSR1),
        (SignalKind::user_defined2(), Signal::SIGUSR2),
    ];
    let guard = runtime.enter();
    let streams: Vec<_> = kinds
        .into_iter()
        .map(|(kind, name)| signal(kind).map(|stream| (stream, name)))
        .collect::<std::io::Result<_>>()
        .map_err(failed)?;
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for (mut stream, name) in streams {
                let send = send.clone();
                tasks.push(tokio::spawn(async move {
                    while stream.recv().await.is_some() && send.send(Event::Signal(name)).is_ok() {}
                }));
            }
            for task in tasks {
                let _ = task.await;
            }
        });
    });
    Ok(())
}

/// Where the registration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The port does not accept yet.
    Waiting,
    /// To be registered, now or after a pause.
    Registering,
    /// Registered under this id.
    Registered(String),
    /// The server will never take it; it has been told.
    Refused,
}

/// Keeps the registration while the process runs.
struct Keeper {
    client: Client,
    body: Registration,
    host: String,
    port: u16,
    stage: Stage,
    /// When something is due next.
    due: Instant,
    backoff: Backoff,
    rng: Rng,
    away: bool,
    ending: bool,
}

impl Keeper {
    fn new(client: Client, body: Registration, host: String, port: u16, at_once: bool) -> Self {
        let backoff =
            Config { base: Duration::from_millis(250), cap: Duration::from_secs(15), ..Config::default() };
        Self {
            client,
            body,
            host,
            port,
            stage: if at_once { Stage::Registering } else { Stage::Waiting },
            due: Now::read().instant,
            backoff: Backoff::new(backoff),
            rng: Rng::from_entropy(),
            away: false,
            ending: false,
        }
    }

    /// Does what is due; returns how long nothing is.
    fn step(&mut self, now: Instant) -> Duration {
        if now < self.due {
            return self.due - now;
        }
        let next = match &self.stage {
            Stage::Waiting if !accepts(&self.host, self.port) => LOOK,
            Stage::Waiting | Stage::Registering => self.register(),
            Stage::Registered(id) => {
                let id = id.clone();
                self.beat(&id)
            }
            Stage::Refused => Duration::from_secs(3600),
        };
        self.due = Now::read().instant + next;
        next
    }

    fn register(&mut self) -> Duration {
        match self.client.call::<Registered>(&Method::POST, "/services", Some(&self.body)) {
            Ok(registered) => {
                let i = &registered.instance;
                note(&format!("registered {BOLD}{}{BOLD:#}{DIM} {} at {}", i.name, i.id, i.authority()));
                self.body.id = Some(i.id.clone());
                self.stage = Stage::Registered(i.id.clone());
                self.back();
                self.rhythm()
            }
            // What is wrong with the registration stays wrong; the process runs on without it.
            Err(error)
                if matches!(error.code, Code::Failed | Code::Unauthorised | Code::NotFound | Code::Usage) =>
            {
                warn("it runs unregistered", &error);
                self.stage = Stage::Refused;
                Duration::ZERO
            }
            Err(error) => {
                self.stage = Stage::Registering;
                self.pause(&error)
            }
        }
    }

    fn beat(&mut self, id: &str) -> Duration {
        let path = format!("{}/heartbeat", path(&self.body.name, id));
        let beat = if self.body.ttl.is_some() {
            self.client.send(&Method::PUT, &path, Some(&Heartbeat::default())).map(drop)
        } else {
            // Without a lease nothing has to be renewed; a server that lost its state is noticed all the same.
            self.client.send(&Method::GET, path.trim_end_matches("/heartbeat"), None::<&()>).map(drop)
        };
        match beat {
            Ok(()) => {
                self.back();
                self.rhythm()
            }
            Err(error) if error.code == Code::NotFound => {
                note("the server no longer knows it: registering again");
                self.stage = Stage::Registering;
                Duration::ZERO
            }
            Err(error) => self.pause(&error),
        }
    }

    /// A third of the lease, so that two renewals may be lost.
    fn rhythm(&self) -> Duration {
        self.body.ttl.map_or(Duration::from_secs(10), |ms| {
            Duration::from_millis(ms / 3).max(Duration::from_millis(10))
        })
    }

    fn pause(&mut self, error: &Error) -> Duration {
        if !self.away {
            self.away = true;
            warn("it runs on, and this is tried again", error);
        }
        self.backoff.next_delay(&mut self.rng)
    }

    fn back(&mut self) {
        if self.away {
            note(&format!("{} is back", self.client.base()));
        }
        self.away = false;
        self.backoff.reset();
    }

    /// Takes it out of traffic; whether there is anything to wait for.
    fn drain(&mut self) -> bool {
        let Stage::Registered(id) = &self.stage else { return false };
        let path = format!("{}/drain", path(&self.body.name, id));
        let body = Drain { ttl: None, reason: Some("its process is told to end".into()) };
        self.client.send(&Method::PUT, &path, Some(&body)).is_ok()
    }

    /// Deregisters: tried for a moment, since nobody else will do it where there is no lease.
    fn goodbye(&mut self) {
        let Stage::Registered(id) = self.stage.clone() else { return };
        let until = Now::read().instant + GOODBYE;
        loop {
            match self.client.send(&Method::DELETE, &path(&self.body.name, &id), None::<&()>) {
                Ok(_) => return note(&format!("deregistered {} {id}", self.body.name)),
                Err(error) if error.code == Code::NotFound => return,
                Err(error) if Now::read().instant >= until || error.code == Code::Unauthorised => {
                    return warn("it stays registered", &error);
                }
                Err(_) => std::thread::park_timeout(Duration::from_millis(250)),
            }
        }
    }
}

fn note(text: &str) {
    anstream::eprintln!("{DIM}ellie: {text}{DIM:#}");
}

fn warn(what: &str, error: &Error) {
    let why = error.why.first().map_or_else(String::new, |why| format!(" ({why})"));
    anstream::eprintln!("{YELLOW}ellie:{YELLOW:#} {}{why}; {what}", error.what);
}

fn accepts(host: &str, port: u16) -> bool {
    let addresses =
        (host, port).to_socket_addrs().map_or_else(|_| Vec::new(), Iterator::collect::<Vec<SocketAddr>>);
    addresses.iter().any(|address| TcpStream::connect_timeout(address, Duration::from_millis(500)).is_ok())
}

/// A port that is free now; whoever gets it by PORT binds it a moment later.
fn free_port(host: &str) -> Result<u16> {
    let bound = TcpListener::bind((host, 0)).or_else(|_| TcpListener::bind("127.0.0.1:0"));
    bound.and_then(|listener| listener.local_addr()).map(|address| address.port()).map_err(|error| {
        Error::new(Code::Failed, "no free port was found").because(error).try_("the same with --port PORT")
    })
}

fn file_name(program: &str) -> String {
    Path::new(program).file_stem().map_or_else(|| program.into(), |name| name.to_string_lossy().into_owned())
}

/// As a shell tells it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|n| 128 + n)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_process_own_or_128_and_the_signal() {
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(15)), 143);
        assert_eq!(code(ExitStatus::from_raw(0)), 0);
    }

    #[test]
    fn the_name_is_the_commands() {
        assert_eq!(file_name("/usr/bin/python3"), "python3");
        assert_eq!(file_name("./server.sh"), "server");
    }
}
