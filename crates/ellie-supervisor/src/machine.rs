//! The supervisor's decisions, without a process, a socket or a clock: what happened goes in with the time at which it
//! did, what is to be done comes out.
//!
//! Every input ends with a look at every process (`settle`): whoever waits and no longer has to is started, whoever is
//! no longer wanted is stopped. No order of inputs is special, so none can be missed.

mod settle;
mod stop;
mod unit;
mod view;

use crate::plan::Plan;
use crate::status::Exit;
use ellie_core::Now;
use ellie_policy::Rng;
use std::sync::Arc;
use std::time::Instant;
use unit::{After, State, Unit, Want};

/// What happened. A `run` that is no longer the current one makes an input a thing of the past: it is ignored.
#[derive(Clone, Debug)]
pub enum Input {
    /// These are to run, with what they depend on.
    Start(Vec<usize>),
    /// These are not to run.
    Stop(Vec<usize>),
    /// These are to be stopped and started again.
    Restart(Vec<usize>),
    /// Nothing is to run: dependents stop before what they depend on.
    Down,
    /// Everything is to be killed at once.
    Kill,
    /// The process runs.
    Spawned {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
        /// Its id; absent for what runs elsewhere.
        pid: Option<u32>,
        /// The port that it was told.
        port: Option<u16>,
    },
    /// It can't be started.
    SpawnFailed {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
        /// Why.
        why: String,
    },
    /// The readiness check failed.
    NotReady {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
        /// Why.
        why: String,
    },
    /// The readiness check passed.
    Ready {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// Whoever wanted to know of its readiness does.
    Announced {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// It has written a line that somebody waits for.
    Seen {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
        /// What it contains.
        text: String,
    },
    /// The liveness check has failed too often.
    Sick {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
        /// Why.
        why: String,
    },
    /// No request to it is left.
    Drained {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// The process and all that it started are gone.
    Ended {
        /// Whose.
        unit: usize,
        /// Of which start.
        run: u64,
        /// How.
        exit: Exit,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start it and ask whether it is ready; of what runs elsewhere, only ask.
    Launch {
        /// Which.
        unit: usize,
        /// The number of this start.
        run: u64,
    },
    /// Tell that it is ready, and ask from now on whether it lives.
    Announce {
        /// Which.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// Tell that it is about to stop, and when no request to it is left.
    Drain {
        /// Which.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// Tell it to stop.
    Signal {
        /// Which.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// Kill it and all that it started.
    Kill {
        /// Which.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// The start is over: ask nothing more, and tell that it is gone.
    Release {
        /// Which.
        unit: usize,
        /// Of which start.
        run: u64,
    },
    /// Tell people.
    Tell {
        /// Of which.
        unit: usize,
        /// What kind of thing happened.
        kind: NoticeKind,
        /// In a sentence without a subject.
        message: String,
    },
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeKind {
    /// It runs.
    Started,
    /// It is ready.
    Ready,
    /// It has ended or has to be ended, unasked.
    Failed,
    /// It fails again and again.
    CrashLoop,
    /// It has ended with success.
    Completed,
    /// It is about to be stopped.
    Stopping,
    /// It has been stopped.
    Stopped,
}

impl NoticeKind {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::CrashLoop => "crash_loop",
            Self::Completed => "completed",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// The state of all processes.
#[derive(Debug)]
pub struct Machine {
    plan: Arc<Plan>,
    units: Vec<Unit>,
    /// For each unit, the units that each of its dependencies stands for.
    needs: Vec<Vec<Vec<usize>>>,
    /// For each unit, those that depend on it.
    dependents: Vec<Vec<usize>>,
    rng: Rng,
    out: Vec<Action>,
}

impl Machine {
    /// Everything stopped.
    #[must_use]
    pub fn new(plan: Arc<Plan>, seed: u64, now: Now) -> Self {
        let units: Vec<Unit> = plan
            .slots()
            .iter()
            .map(|slot| Unit::new(slot.definition, plan.definitions()[slot.definition].restart.clone(), now))
            .collect();
        let needs: Vec<Vec<Vec<usize>>> = units
            .iter()
            .map(|unit| {
                let dependencies = &plan.definitions()[unit.definition].dependencies;
                dependencies.iter().map(|d| plan.places(&d.name)).collect()
            })
            .collect();
        let mut dependents = vec![Vec::new(); units.len()];
        for (unit, needs) in needs.iter().enumerate() {
            for needed in needs.iter().flatten() {
                dependents[*needed].push(unit);
            }
        }
        Self { plan, units, needs, dependents, rng: Rng::new(seed), out: Vec::new() }
    }

    /// Takes what happened; returns what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Action> {
        self.take(input, now);
        self.settle(now);
        std::mem::take(&mut self.out)
    }

    /// Does what was due by `now`.
    #[must_use]
    pub fn tick(&mut self, now: Now) -> Vec<Action> {
        for unit in 0..self.units.len() {
            if self.units[unit].deadline.is_some_and(|at| at <= now.instant) {
                self.units[unit].deadline = None;
                self.due(unit, now);
            }
        }
        self.settle(now);
        std::mem::take(&mut self.out)
    }

    /// When something is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.units.iter().filter_map(|unit| unit.deadline).min()
    }

    /// Whether no process is left and none is about to start.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.units.iter().all(|unit| unit.state.is_at_rest())
    }

    fn take(&mut self, input: Input, now: Now) {
        match input {
            Input::Start(units) => self.start(units, now),
            Input::Restart(units) => {
                for unit in &units {
                    if self.units[*unit].state.is_active() {
                        self.units[*unit].want = Want::Up;
                        self.begin_stop(*unit, After::Again, "asked to restart", now);
                    }
                }
                self.start(units, now);
            }
            Input::Stop(units) => {
                for unit in units {
                    self.units[unit].want = Want::Down { ordered: false };
                }
            }
            Input::Down => {
                for unit in &mut self.units {
                    unit.want = Want::Down { ordered: true };
                }
            }
            Input::Kill => self.kill_all(now),
            Input::Spawned { unit, run, pid, port } if self.is_current(unit, run) => {
                let it = &mut self.units[unit];
                (it.pid, it.port) = (pid, port);
                it.times.started = Some(now.wall);
                if let Some(pid) = pid {
                    let port = port.map(|port| format!(", port {port}")).unwrap_or_default();
                    self.tell(unit, NoticeKind::Started, format!("started as {pid}{port}"));
                }
            }
            Input::SpawnFailed { unit, run, why } if self.is_current(unit, run) => {
                self.out.push(Action::Release { unit, run });
                self.failed(unit, why, now);
            }
            Input::NotReady { unit, run, why } if self.is_current(unit, run) => {
                if self.units[unit].state == State::Starting {
                    self.units[unit].reason = format!("not ready: {why}");
                }
            }
            Input::Ready { unit, run } if self.is_current(unit, run) => self.ready(unit, now),
            Input::Announced { unit, run } if self.is_current(unit, run) => {
                if self.units[unit].state == State::Announcing {
                    self.enter(unit, State::Ready, String::new(), now);
                    self.units[unit].times.ready = Some(now.wall);
                    self.units[unit].ready_at = Some(now.instant);
                    self.tell(unit, NoticeKind::Ready, "is ready".into());
                }
            }
            Input::Seen { unit, run, text } if self.is_current(unit, run) => {
                let own = match &self.definition(unit).ready {
                    Some(crate::Check::Log(awaited)) => *awaited == text,
                    _ => false,
                };
                self.units[unit].seen.entry(text).or_insert(now.wall);
                if own {
                    self.ready(unit, now);
                }
            }
            Input::Sick { unit, run, why } if self.is_current(unit, run) => {
                if self.units[unit].state == State::Ready {
                    let why = format!("no longer works: {why}");
                    self.tell(unit, NoticeKind::Failed, why.clone());
                    self.begin_stop(unit, After::Failed(why.clone()), &why, now);
                }
            }
            Input::Drained { unit, run } if self.is_current(unit, run) => {
                if let State::Draining(after) = self.units[unit].state.clone() {
                    self.signal(unit, after, now);
                }
            }
            Input::Ended { unit, run, exit } if self.is_current(unit, run) => self.ended(unit, &exit, now),
            Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::NotReady { .. }
            | Input::Ready { .. }
            | Input::Announced { .. }
            | Input::Seen { .. }
            | Input::Sick { .. }
            | Input::Drained { .. }
            | Input::Ended { .. } => {}
        }
    }

    /// Whether `run` is going on.
    fn is_current(&self, unit: usize, run: u64) -> bool {
        self.units.get(unit).is_some_and(|it| it.run == run && it.state.is_active())
    }

    /// Wants `units`, and what they need and nobody wanted.
    fn start(&mut self, units: Vec<usize>, now: Now) {
        let mut queue = units;
        let mut asked = vec![false; self.units.len()];
        while let Some(unit) = queue.pop() {
            if std::mem::replace(&mut asked[unit], true) {
                continue;
            }
            let it = &mut self.units[unit];
            it.want = Want::Up;
            if it.state.is_at_rest() || it.state == State::Backoff {
                it.history.forget();
                it.crash_loop = false;
                it.deadline = None;
                it.times = crate::status::Timeline { asked: Some(now.wall), ..Default::default() };
                self.enter(unit, State::Waiting, String::new(), now);
            }
            for needed in self.needs[unit].iter().flatten() {
                // What has completed needs no second time.
                if self.units[*needed].state != State::Completed {
                    queue.push(*needed);
                }
            }
        }
    }

    fn ready(&mut self, unit: usize, now: Now) {
        if self.units[unit].state != State::Starting {
            return;
        }
        self.units[unit].deadline = None;
        self.units[unit].announced = true;
        self.enter(unit, State::Announcing, "ready; being registered".into(), now);
        self.out.push(Action::Announce { unit, run: self.units[unit].run });
    }

    fn enter(&mut self, unit: usize, state: State, reason: String, now: Now) {
        let it = &mut self.units[unit];
        if it.state.phase() != state.phase() {
            it.since = now.wall;
        }
        it.state = state;
        it.reason = reason;
    }

    fn tell(&mut self, unit: usize, kind: NoticeKind, message: String) {
        self.out.push(Action::Tell { unit, kind, message });
    }

    fn definition(&self, unit: usize) -> &crate::Definition {
        &self.plan.definitions()[self.units[unit].definition]
    }
}

#[cfg(test)]
mod tests;
