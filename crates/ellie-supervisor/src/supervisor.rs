//! The machine at work: its actions done with real processes, their events told to it.

mod run;

use crate::hooks::{Hooks, Instance, Notice};
use crate::logs::{self, Logs, Stream};
use crate::machine::{Action, Input, Machine, NoticeKind};
use crate::plan::Plan;
use crate::process::Launcher;
use crate::status::{Goal, Reached, Status};
use ellie_core::Now;
use ellie_policy::Rng;
use run::{Order, Run};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a hook is waited for.
pub const HOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Events that wait to be taken; whoever has another waits too.
const INBOX: usize = 1024;

/// How processes are run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// How they are started.
    pub launcher: Launcher,
    /// The environment that each of them starts from.
    pub environment: Vec<(OsString, OsString)>,
    /// How much is kept of what they write.
    pub logs: logs::Settings,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No process has this name.
    Unknown {
        /// The name.
        name: String,
        /// One that was probably meant.
        nearest: Option<String>,
    },
    /// What was waited for won't come unless somebody does something.
    Never(String),
    /// It has not come in time.
    TimedOut,
    /// The supervisor has ended.
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } => {
                write!(f, "no process is called `{}`", ellie_core::model::excerpt(name))?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
            }
            Self::Never(why) => f.write_str(why),
            Self::TimedOut => f.write_str("it has not come so far in time"),
            Self::Closed => f.write_str("the supervisor has ended"),
        }
    }
}

impl std::error::Error for Error {}

/// Runs the processes of a plan. Clones share it; when the last one is dropped, every process is ended.
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    status: watch::Receiver<Arc<Status>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").finish_non_exhaustive()
    }
}

/// What the driver and the tasks of the processes have in common.
struct Shared {
    plan: Arc<Plan>,
    hooks: Arc<dyn Hooks>,
    settings: Settings,
    logs: Arc<Logs>,
    /// One for each slot; both streams of a process write to it.
    files: Vec<Option<Arc<Mutex<logs::File>>>>,
    /// The ports that have been allotted, by slot: a process keeps its port over restarts.
    ports: Mutex<HashMap<usize, u16>>,
    inbox: mpsc::Sender<Input>,
    /// Calls of hooks; a stop is over when they are.
    calls: TaskTracker,
    stop: CancellationToken,
}

impl Supervisor {
    /// A supervisor of `plan`, with nothing started. Has to be called in a tokio runtime.
    #[must_use]
    pub fn new(plan: Plan, settings: Settings, hooks: Arc<dyn Hooks>) -> Self {
        let plan = Arc::new(plan);
        let logs = Logs::open(settings.logs.clone(), plan.slots().iter().map(|slot| slot.unit.as_str()));
        let files =
            plan.slots().iter().map(|slot| logs.file(&slot.unit).map(|file| Arc::new(Mutex::new(file))));
        let (inbox, events) = mpsc::channel(INBOX);
        let now = Now::read();
        let machine = Machine::new(plan.clone(), Rng::from_entropy().next_u64(), now);
        let (publish, status) = watch::channel(Arc::new(machine.status(now)));
        let shared = Arc::new(Shared {
            files: files.collect(),
            plan,
            hooks,
            settings,
            logs: Arc::new(logs),
            ports: Mutex::default(),
            inbox,
            calls: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        tokio::spawn(Driver { shared: shared.clone(), machine, runs: HashMap::new() }.drive(events, publish));
        Self(Arc::new(Inner { shared, status }))
    }

    /// What is run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.0.shared.plan
    }

    /// What the processes have written.
    #[must_use]
    pub fn logs(&self) -> &Arc<Logs> {
        &self.0.shared.logs
    }

    /// Every process as it is now.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.0.status.borrow().clone()
    }

    /// Follows the status.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Status>> {
        self.0.status.clone()
    }

    /// Starts everything, each when what it depends on is so far. Returns at once.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn up(&self) -> Result<(), Error> {
        self.send(Input::Start((0..self.plan().slots().len()).collect())).await
    }

    /// Starts `name`, and what it depends on, where it does not run. Returns at once.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn start(&self, name: &str) -> Result<(), Error> {
        self.send(Input::Start(self.places(name)?)).await
    }

    /// Stops `name`. Returns at once.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn stop(&self, name: &str) -> Result<(), Error> {
        self.send(Input::Stop(self.places(name)?)).await
    }

    /// Stops `name` and starts it again. Returns at once.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn restart(&self, name: &str) -> Result<(), Error> {
        self.send(Input::Restart(self.places(name)?)).await
    }

    /// Stops everything, dependents before what they depend on. Returns when nothing is left.
    pub async fn down(&self) {
        if self.send(Input::Down).await.is_err() {
            return;
        }
        let mut status = self.watch();
        // The driver ends only after this handle, so this waits for the status alone.
        let _ = status.wait_for(|status| status.units.iter().all(|unit| unit.phase.is_at_rest())).await;
        let calls = self.0.shared.calls.clone();
        calls.close();
        let _ = tokio::time::timeout(HOOK_TIMEOUT, calls.wait()).await;
        calls.reopen();
    }

    /// Kills everything at once.
    pub async fn kill(&self) {
        let _ = self.send(Input::Kill).await;
    }

    /// Waits until `name` has reached `goal`, for `timeout` at most.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn wait(&self, name: &str, goal: Goal, timeout: Option<Duration>) -> Result<(), Error> {
        self.places(name)?;
        let mut status = self.watch();
        let reached = async {
            let reached = status.wait_for(|status| status.reached(name, goal) != Some(Reached::NotYet)).await;
            match reached.map(|status| status.reached(name, goal)) {
                Ok(Some(Reached::Never(why))) => Err(Error::Never(why)),
                Ok(_) => Ok(()),
                Err(_) => Err(Error::Closed),
            }
        };
        match timeout {
            Some(timeout) => tokio::time::timeout(timeout, reached).await.unwrap_or(Err(Error::TimedOut)),
            None => reached.await,
        }
    }

    fn places(&self, name: &str) -> Result<Vec<usize>, Error> {
        let places = self.plan().places(name);
        if places.is_empty() {
            let nearest = self.plan().nearest(name).map(Into::into);
            return Err(Error::Unknown { name: name.to_owned(), nearest });
        }
        Ok(places)
    }

    async fn send(&self, input: Input) -> Result<(), Error> {
        self.0.shared.inbox.send(input).await.map_err(|_| Error::Closed)
    }
}

/// Feeds the machine and does what it says.
struct Driver {
    shared: Arc<Shared>,
    machine: Machine,
    /// The run of each slot that is going on.
    runs: HashMap<usize, Run>,
}

impl Driver {
    async fn drive(mut self, mut events: mpsc::Receiver<Input>, publish: watch::Sender<Arc<Status>>) {
        let stop = self.shared.stop.clone();
        loop {
            let mut actions = tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.machine.handle(event, Now::read()),
                    None => return,
                },
                () = until(self.machine.deadline()) => self.machine.tick(Now::read()),
                // Dropping the runs ends the processes.
                () = stop.cancelled() => return,
            };
            loop {
                for action in actions {
                    self.act(action);
                }
                match events.try_recv() {
                    Ok(event) => actions = self.machine.handle(event, Now::read()),
                    Err(_) => break,
                }
            }
            publish.send_replace(Arc::new(self.machine.status(Now::read())));
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Launch { unit, run } => {
                let started = Run::launch(&self.shared, unit, run);
                self.runs.insert(unit, started);
            }
            Action::Announce { unit, run } => self.run(unit, run, Run::announce),
            Action::Drain { unit, run } => self.run(unit, run, Run::drain),
            Action::Signal { unit, run } => self.run(unit, run, |it| it.order(Order::Signal)),
            Action::Kill { unit, run } => self.run(unit, run, |it| it.order(Order::Kill)),
            Action::Release { unit, run } => {
                self.run(unit, run, Run::release);
                self.runs.remove(&unit);
            }
            Action::Tell { unit, kind, message } => {
                let unit_name: Arc<str> = self.shared.plan.slots()[unit].unit.as_str().into();
                let stream = match kind {
                    NoticeKind::Failed | NoticeKind::CrashLoop => Stream::Alarm,
                    _ => Stream::Note,
                };
                self.shared.note(unit, &unit_name, stream, &message);
                self.shared.hooks.tell(&Notice { unit: unit_name, kind, message });
            }
        }
    }

    fn run(&self, unit: usize, run: u64, act: impl FnOnce(&Run)) {
        if let Some(it) = self.runs.get(&unit).filter(|it| it.number() == run) {
            act(it);
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Shared {
    /// A line of the supervisor's own among those of the process.
    fn note(&self, unit: usize, name: &Arc<str>, stream: Stream, message: &str) {
        let lines = self.logs.append(name, stream, vec![message.to_owned()], Now::read());
        if let Some(file) = self.files[unit].clone() {
            tokio::task::spawn_blocking(move || {
                // What can't be written is told by whoever writes the process' own lines.
                let _ = file.lock().unwrap_or_else(PoisonError::into_inner).append(&lines);
            });
        }
    }

    fn instance(&self, unit: usize, run: u64, port: Option<u16>) -> Instance {
        let slot = &self.plan.slots()[unit];
        let definition = &self.plan.definitions()[slot.definition];
        Instance {
            unit: slot.unit.as_str().into(),
            process: definition.name.as_str().into(),
            definition: slot.definition,
            run,
            host: definition.host.as_str().into(),
            port,
        }
    }
}
