//! What can be seen of the processes at one moment.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where one process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not running, and nobody wants it to.
    Stopped,
    /// Wanted; what it depends on is not so far.
    Waiting,
    /// Running, not ready yet.
    Starting,
    /// Running and ready.
    Ready,
    /// Out of traffic; requests finish before it is told to stop.
    Draining,
    /// Told to stop.
    Stopping,
    /// It failed, and starts again after a pause.
    Backoff,
    /// The same, after so many failures in a row that something has to be mended.
    CrashLoop,
    /// Ended with success.
    Completed,
    /// Ended with a failure, and is not started again.
    Failed,
}

impl Phase {
    /// Every phase, in the order of a life.
    pub const ALL: [Self; 10] = [
        Self::Stopped,
        Self::Waiting,
        Self::Starting,
        Self::Ready,
        Self::Draining,
        Self::Stopping,
        Self::Backoff,
        Self::CrashLoop,
        Self::Completed,
        Self::Failed,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Backoff => "backoff",
            Self::CrashLoop => "crash_loop",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether there is, or is about to be, a process.
    #[must_use]
    pub fn is_running(self) -> bool {
        matches!(self, Self::Starting | Self::Ready | Self::Draining | Self::Stopping)
    }

    /// Whether nothing happens to it any more unless somebody asks.
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It is not known: whoever watched over it has been killed.
    Unknown,
}

/// An end, with what the process left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How.
    pub how: How,
    /// How many processes that it had started were still there; they have been ended too.
    pub left: u32,
}

impl Exit {
    /// Whether it ended by itself and with success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.how == How::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            How::Code(code) => write!(f, "ended with exit code {code}"),
            How::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
            How::Unknown => f.write_str("is gone together with its guard"),
        }
    }
}

/// When one start got how far. What has not happened yet is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// It was wanted.
    pub asked: Option<SystemTime>,
    /// All that it depends on was so far.
    pub unblocked: Option<SystemTime>,
    /// The process whose progress unblocked it, where it had to wait.
    pub blocker: Option<Arc<str>>,
    /// It ran.
    pub started: Option<SystemTime>,
    /// It was ready.
    pub ready: Option<SystemTime>,
    /// It had ended.
    pub ended: Option<SystemTime>,
}

/// One dependency and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// On whom.
    pub name: String,
    /// What is awaited: `healthy`, `started`, `completed` or ``log `text` ``.
    pub condition: String,
    /// Whether it holds now.
    pub met: bool,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitStatus {
    /// Its name: that of its definition, with the number of the replica where there are several.
    pub unit: Arc<str>,
    /// The name of its definition.
    pub process: Arc<str>,
    /// Whether somebody else runs it.
    pub external: bool,
    /// Where it is.
    pub phase: Phase,
    /// Why it is there, in a sentence; empty where there is nothing to add.
    pub reason: String,
    /// Since when.
    pub since: SystemTime,
    /// The how-manieth start this is; 0 before the first.
    pub run: u64,
    /// The process' id.
    pub pid: Option<u32>,
    /// The port that it was told.
    pub port: Option<u16>,
    /// How many times it was started again.
    pub restarts: u64,
    /// Failures in a row.
    pub failures: u32,
    /// How the last run ended.
    pub last_exit: Option<Exit>,
    /// Until it starts again, as of now.
    pub retry_in: Option<Duration>,
    /// When this start got how far.
    pub times: Timeline,
    /// What it depends on.
    pub needs: Vec<Need>,
}

/// Every process, in the order of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// One for each.
    pub units: Vec<UnitStatus>,
}

/// What may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// All of it is ready.
    Healthy,
    /// All of it runs, or has run.
    Started,
    /// All of it has ended with success.
    Completed,
    /// None of it runs.
    Stopped,
}

impl std::str::FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "healthy" => Ok(Self::Healthy),
            "started" => Ok(Self::Started),
            "completed" => Ok(Self::Completed),
            "stopped" => Ok(Self::Stopped),
            _ => Err(format!(
                "`{}` is not healthy, started, completed or stopped",
                ellie_core::model::excerpt(text)
            )),
        }
    }
}

/// Whether a goal is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It is.
    Yes,
    /// Not yet.
    NotYet,
    /// It won't be unless somebody does something; why.
    Never(String),
}

impl UnitStatus {
    /// Whether it has reached `goal`.
    #[must_use]
    pub fn reached(&self, goal: Goal) -> Reached {
        let never = || Reached::Never(format!("{} {}: {}", self.unit, self.phase, self.reason));
        let done = match goal {
            Goal::Healthy => self.phase == Phase::Ready,
            Goal::Started => {
                self.times.started.is_some() && (self.phase.is_running() || self.phase == Phase::Completed)
            }
            Goal::Completed => self.phase == Phase::Completed,
            Goal::Stopped => return if self.phase.is_at_rest() { Reached::Yes } else { Reached::NotYet },
        };
        match (done, self.phase) {
            (true, _) => Reached::Yes,
            (false, Phase::Failed) => never(),
            (false, Phase::Completed) => never(),
            (false, _) => Reached::NotYet,
        }
    }
}

impl Status {
    /// Those that `name` stands for: a definition's, or one replica.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a UnitStatus> {
        let whole = self.units.iter().any(|unit| &*unit.process == name);
        self.units.iter().filter(move |u| if whole { &*u.process == name } else { &*u.unit == name })
    }

    /// Whether all that `name` stands for have reached `goal`; `None` where there is no such name.
    #[must_use]
    pub fn reached(&self, name: &str, goal: Goal) -> Option<Reached> {
        self.named(name).map(|unit| unit.reached(goal)).reduce(|all, one| match (all, one) {
            (Reached::Never(why), _) | (_, Reached::Never(why)) => Reached::Never(why),
            (Reached::NotYet, _) | (_, Reached::NotYet) => Reached::NotYet,
            _ => Reached::Yes,
        })
    }
}
