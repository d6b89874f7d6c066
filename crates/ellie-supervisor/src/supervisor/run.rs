//! One run of one process: the tasks that start it, read it, ask it and wait for it.

use super::{HOOK_TIMEOUT, Shared};
use crate::definition::{Address, Check, Definition, Port, Timing};
use crate::environment;
use crate::hooks::Instance;
use crate::logs::{Stream, pump};
use crate::machine::Input;
use crate::process::{self, Spec, Started};
use crate::ready::{Asker, SETTLE};
use crate::status::Exit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long what a process has written is read on after its end.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Orders that wait; the machine gives fewer in a run.
const ORDERS: usize = 16;
/// How often a process whose port is an offer is looked at.
const OFFER: Timing =
    Timing { interval: Duration::from_secs(2), timeout: Duration::from_secs(1), failures: 1 };

/// What a running process may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Signal,
    Kill,
}

/// A run, as the driver holds it. Dropping it ends the process.
pub(super) struct Run {
    task: Arc<Task>,
    orders: mpsc::Sender<Order>,
}

struct Task {
    shared: Arc<Shared>,
    unit: usize,
    run: u64,
    /// Cancelled when nothing is to be asked any more.
    quiet: CancellationToken,
    /// Whether the hooks know of it; held while they are called, so that they hear of things in order.
    known: Mutex<bool>,
    /// How it is asked; there as soon as it runs.
    asker: OnceLock<Asker>,
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.quiet.cancel();
    }
}

impl Run {
    pub(super) fn launch(shared: &Arc<Shared>, unit: usize, run: u64) -> Self {
        let (send, orders) = mpsc::channel(ORDERS);
        let task = Arc::new(Task {
            shared: shared.clone(),
            unit,
            run,
            quiet: CancellationToken::new(),
            known: Mutex::new(false),
            asker: OnceLock::new(),
        });
        tokio::spawn(task.clone().go(orders));
        Self { task, orders: send }
    }

    pub(super) fn number(&self) -> u64 {
        self.task.run
    }

    pub(super) fn order(&self, order: Order) {
        // A process that has ended takes none.
        let _ = self.orders.try_send(order);
    }

    /// Tells the hooks that it is ready, and begins to ask whether it lives.
    pub(super) fn announce(&self) {
        let task = self.task.clone();
        if task.definition().port == Port::Offer {
            let (offered, quiet) = (task.clone(), task.quiet.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = offered.listening() => offered.tell_ready().await,
                    () = quiet.cancelled() => {}
                }
            });
            tokio::spawn(async move { task.send(Input::Announced { unit: task.unit, run: task.run }).await });
        } else {
            self.task.shared.calls.spawn(async move {
                task.tell_ready().await;
                task.send(Input::Announced { unit: task.unit, run: task.run }).await;
            });
        }
        let task = self.task.clone();
        if let (Some((check, timing)), Some(asker)) =
            (task.definition().live.clone(), task.asker.get().cloned())
        {
            let quiet = task.quiet.clone();
            tokio::spawn(async move {
                tokio::select! {
                    why = asker.until_sick(&check, timing) => {
                        task.send(Input::Sick { unit: task.unit, run: task.run, why }).await;
                    }
                    () = quiet.cancelled() => {}
                }
            });
        }
    }

    /// Asks no more, and tells the hooks that it is about to stop.
    pub(super) fn drain(&self) {
        self.task.quiet.cancel();
        let task = self.task.clone();
        self.task.shared.calls.spawn(async move {
            let known = task.known.lock().await;
            if *known {
                let _ = tokio::time::timeout(
                    task.definition().drain_timeout.max(HOOK_TIMEOUT),
                    task.shared.hooks.drain(task.instance()),
                )
                .await;
            }
            drop(known);
            task.send(Input::Drained { unit: task.unit, run: task.run }).await;
        });
    }

    /// Tells the hooks that it is gone.
    pub(super) fn release(&self) {
        self.task.quiet.cancel();
        let task = self.task.clone();
        self.task.shared.calls.spawn(async move {
            let mut known = task.known.lock().await;
            if std::mem::take(&mut *known) {
                let _ = tokio::time::timeout(HOOK_TIMEOUT, task.shared.hooks.gone(task.instance())).await;
            }
        });
    }
}

impl Task {
    fn definition(&self) -> &Definition {
        let slot = &self.shared.plan.slots()[self.unit];
        &self.shared.plan.definitions()[slot.definition]
    }

    fn instance(&self) -> Instance {
        let port = self.asker.get().and_then(|asker| asker.port);
        self.shared.instance(self.unit, self.run, port)
    }

    async fn send(&self, input: Input) {
        // The driver has ended: then nobody has to know.
        let _ = self.shared.inbox.send(input).await;
    }

    async fn tell_ready(&self) {
        let mut known = self.known.lock().await;
        if self.quiet.is_cancelled() {
            return;
        }
        *known = true;
        let _ = tokio::time::timeout(HOOK_TIMEOUT, self.shared.hooks.ready(self.instance())).await;
    }

    /// Returns when the process accepts on its port.
    async fn listening(&self) {
        match self.asker.get() {
            Some(asker) => asker.until_ready(&Check::Tcp(Address::Own), OFFER, drop).await,
            None => std::future::pending().await,
        }
    }

    async fn go(self: Arc<Self>, orders: mpsc::Receiver<Order>) {
        let (unit, run) = (self.unit, self.run);
        if let Err(why) = self.clone().try_go(orders).await {
            self.send(Input::SpawnFailed { unit, run, why }).await;
        }
    }

    async fn try_go(self: Arc<Self>, orders: mpsc::Receiver<Order>) -> Result<(), String> {
        let definition = self.definition();
        let port = self.allot()?;
        let given = self.shared.hooks.environment(&self.shared.instance(self.unit, self.run, port));
        let environment = environment::of(definition, &self.shared.settings.environment, given, port)?;
        let asker = Asker {
            hooks: self.shared.hooks.clone(),
            launcher: self.shared.settings.launcher.clone(),
            name: self.shared.plan.slots()[self.unit].unit.clone(),
            host: definition.host.as_str().into(),
            port,
            directory: definition.directory.clone(),
            environment: environment.clone(),
        };
        let asker = self.asker.get_or_init(|| asker);
        if let Some(check) = &definition.external {
            self.send(Input::Spawned { unit: self.unit, run: self.run, pid: None, port: None }).await;
            self.clone().ask(asker.clone(), Some(check.clone()));
            return Ok(());
        }
        let words = definition.command.iter();
        let spec = Spec {
            name: asker.name.clone(),
            command: match definition.expand {
                true => words.map(|word| environment::expand(word, &environment)).collect(),
                false => words.cloned().collect(),
            },
            directory: definition.directory.clone(),
            environment,
            forks: definition.forks,
            grace: definition.stop_timeout,
        };
        let started =
            process::start(&self.shared.settings.launcher, &spec).await.map_err(|error| error.to_string())?;
        self.send(Input::Spawned { unit: self.unit, run: self.run, pid: Some(started.pid), port }).await;
        let own = match (&definition.ready, definition.port) {
            (Some(check), _) => Some(check.clone()),
            (None, Port::Allot | Port::Fixed(_)) => Some(Check::Tcp(Address::Own)),
            (None, Port::None | Port::Offer) => None,
        };
        self.clone().ask(asker.clone(), own);
        let exit = self.clone().follow(started, orders).await;
        self.send(Input::Ended { unit: self.unit, run: self.run, exit }).await;
        Ok(())
    }

    /// Asks in the background whether it is ready.
    fn ask(self: Arc<Self>, asker: Asker, check: Option<Check>) {
        let (unit, run, quiet) = (self.unit, self.run, self.quiet.clone());
        let timing = self.definition().ready_timing;
        tokio::spawn(async move {
            let asked = async {
                match check {
                    // Told by the line itself.
                    Some(Check::Log(_)) => return std::future::pending().await,
                    Some(check) => {
                        // Only a reason for people: when there is no room, the next one will do.
                        let not_yet =
                            |why| drop(self.shared.inbox.try_send(Input::NotReady { unit, run, why }));
                        asker.until_ready(&check, timing, not_yet).await;
                    }
                    None => tokio::time::sleep(SETTLE).await,
                }
                self.send(Input::Ready { unit, run }).await;
            };
            tokio::select! {
                () = asked => {}
                () = quiet.cancelled() => {}
            }
        });
    }

    /// Reads what it writes and passes on orders until it is gone.
    async fn follow(self: Arc<Self>, started: Started, mut orders: mpsc::Receiver<Order>) -> Exit {
        let Started { stdout, stderr, control, watch, .. } = started;
        let readers = TaskTracker::new();
        let cut = CancellationToken::new();
        let name: Arc<str> = self.shared.plan.slots()[self.unit].unit.as_str().into();
        let file = self.shared.files[self.unit].clone();
        let patterns = self.shared.plan.patterns(self.shared.plan.slots()[self.unit].definition);
        let (logs, out_name) = (self.shared.logs.clone(), name.clone());
        let out =
            pump(stdout, logs.clone(), out_name, Stream::Out, file.clone(), self.watcher(patterns.clone()));
        let err = pump(stderr, logs, name, Stream::Err, file, self.watcher(patterns));
        let (out_cut, err_cut) = (cut.clone(), cut.clone());
        readers.spawn(async move { out_cut.run_until_cancelled(out).await });
        readers.spawn(async move { err_cut.run_until_cancelled(err).await });
        readers.close();

        let ended = watch.ended();
        tokio::pin!(ended);
        let mut control = Some(control);
        let exit = loop {
            tokio::select! {
                exit = &mut ended => break exit,
                order = orders.recv(), if control.is_some() => match (order, &control) {
                    (Some(Order::Signal), Some(control)) => control.signal(self.definition().stop_signal),
                    (Some(Order::Kill), Some(control)) => control.kill(),
                    // Nobody follows this run any more: dropping the control ends it.
                    _ => control = None,
                },
            }
        };
        if tokio::time::timeout(LAST_WORDS, readers.wait()).await.is_err() {
            // Somebody who is not of this run's making holds the pipe.
            cut.cancel();
        }
        exit
    }

    /// Looks for lines that somebody waits for; each is told once.
    fn watcher(self: &Arc<Self>, mut patterns: Vec<String>) -> impl FnMut(&str) + Send + use<> {
        let task = self.clone();
        move |line| {
            patterns.retain(|pattern| {
                let found = line.contains(pattern.as_str());
                if found {
                    let (task, text) = (task.clone(), pattern.clone());
                    tokio::spawn(async move {
                        task.send(Input::Seen { unit: task.unit, run: task.run, text }).await;
                    });
                }
                !found
            });
        }
    }

    /// The port for this run.
    fn allot(&self) -> Result<Option<u16>, String> {
        let host = self.definition().host.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let bind = |port| TcpListener::bind(SocketAddr::new(host, port));
        match self.definition().port {
            Port::None => Ok(None),
            Port::Fixed(port) => match bind(port) {
                Ok(_) => Ok(Some(port)),
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    Err(format!("its port {port} is taken by another program"))
                }
                // Whether it may have the port is between it and the system: it may have rights that this one lacks.
                Err(_) => Ok(Some(port)),
            },
            Port::Allot | Port::Offer => {
                let mut ports = self.shared.ports.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(port) = ports.get(&self.unit).copied().filter(|port| bind(*port).is_ok()) {
                    return Ok(Some(port));
                }
                // A few tries: the system may offer one that was allotted and is not bound yet.
                for _ in 0..64 {
                    let bound = bind(0).and_then(|listener| listener.local_addr());
                    let port =
                        bound.map_err(|error| format!("there is no free port for it: {error}"))?.port();
                    if !ports.values().any(|taken| *taken == port) {
                        ports.insert(self.unit, port);
                        return Ok(Some(port));
                    }
                }
                Err("there is no free port for it".into())
            }
        }
    }
}
