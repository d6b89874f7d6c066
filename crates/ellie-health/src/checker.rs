//! The public face: a checker that is run, configured, asked and read.

use crate::engine::{Ask, Engine};
use crate::probe::Sockets;
use crate::settings::{Invalid, Settings};
use crate::stats::{Counters, Stats};
use ellie_core::Registry;
use ellie_core::model::{CheckKind, CheckReport, InstanceId, ServiceName};
use ellie_policy::Rng;
use ellie_tls::client::Client;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How many may wait for a check they asked for.
pub(crate) const ASKS: usize = 256;

/// Why a check that was asked for gave no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such instance, or it went away meanwhile.
    NotFound,
    /// Nothing is ever sent to it.
    Passive(CheckKind),
    /// The checker isn't running.
    NotRunning,
    /// Too many are waiting already.
    Busy,
    /// Ellie itself ran out of something, so the probe says nothing of the instance.
    Inconclusive(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such instance"),
            Self::Passive(kind) => write!(f, "an instance with a check of type `{kind}` is never probed"),
            Self::NotRunning => f.write_str("health checks are not running"),
            Self::Busy => write!(f, "{ASKS} checks are being waited for already; try again"),
            Self::Inconclusive(why) => write!(f, "the probe was inconclusive: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Probes every actively checked instance of a registry and tells the registry what it finds.
///
/// All of it is one future, [`HealthChecker::run`]: drop it or cancel its token and every probe in flight is gone.
#[derive(Debug)]
pub struct HealthChecker {
    registry: Arc<Registry>,
    probe: Sockets,
    settings: watch::Sender<Settings>,
    counters: Counters,
    /// Permits to wait for an answer.
    waiting: Semaphore,
    // Held to look at or to swap the sender: present while running.
    asks: Mutex<Option<mpsc::Sender<Ask>>>,
}

impl HealthChecker {
    /// A checker for `registry`; nothing is sent before [`HealthChecker::run`].
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn new(registry: Arc<Registry>, settings: Settings, tls: Client) -> Result<Self, Invalid> {
        settings.validate()?;
        Ok(Self {
            registry,
            probe: Sockets::new(tls),
            settings: watch::Sender::new(settings),
            counters: Counters::default(),
            waiting: Semaphore::new(ASKS),
            asks: Mutex::default(),
        })
    }

    /// Probes until `stop` is cancelled; what is in flight then is dropped without a verdict. A second call while the
    /// first one runs returns at once.
    pub async fn run(&self, stop: CancellationToken) {
        let (sender, asks) = mpsc::channel(ASKS);
        {
            let mut current = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
            if current.is_some() {
                return;
            }
            *current = Some(sender);
        }
        let _running = Running(self);
        let engine = Engine::new(
            &self.registry,
            &self.probe,
            &self.counters,
            self.settings.subscribe(),
            Rng::from_entropy(),
        );
        engine.run(asks, stop).await;
    }

    /// Other settings from now on: new intervals hold from each instance's last probe, verdicts are kept.
    ///
    /// # Errors
    /// Everything that is wrong with them; the old ones stay in force then.
    pub fn configure(&self, settings: Settings) -> Result<(), Invalid> {
        settings.validate()?;
        self.settings.send_if_modified(|current| {
            let changed = *current != settings;
            *current = settings;
            changed
        });
        Ok(())
    }

    /// Whom checks over TLS believe from now on, and what they show of themselves. A connection that is kept between
    /// checks stays until it is too old.
    pub fn set_tls(&self, tls: Client) {
        self.probe.set_tls(tls);
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings.borrow().clone()
    }

    /// Probes one instance now and waits for the result, which counts as any other: it enters the registry through the
    /// thresholds. A probe that is in flight already is not taken for it, since it may have begun before whatever made
    /// somebody ask; the new one follows it.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn check_now(&self, name: &ServiceName, id: &InstanceId) -> Result<Arc<CheckReport>, Refused> {
        let _permit = self.waiting.try_acquire().map_err(|_| Refused::Busy)?;
        let (reply, answer) = oneshot::channel();
        let ask = Ask { name: name.clone(), id: id.clone(), reply };
        let sender =
            self.asks.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Refused::NotRunning)?;
        sender.try_send(ask).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refused::Busy,
            mpsc::error::TrySendError::Closed(_) => Refused::NotRunning,
        })?;
        // Not held while waiting: the channel ends with the run, and with it every question.
        drop(sender);
        answer.await.unwrap_or(Err(Refused::NotRunning))
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }
}

/// Takes the question box away when the run ends, however it ends.
struct Running<'a>(&'a HealthChecker);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.asks.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.counters.at_rest();
    }
}
