//! Follows a swarm through one of its managers: a listing now and then, at once after an event, and often while a task is
//! on its way. A daemon tells events of services and nodes, and of containers on its own node, but none of tasks.

use super::api::Swarm as State;
use super::translate::{is_on_its_way, translate};
use super::{NAME, Settings};
use crate::docker::own_networks;
use crate::endpoint::Daemon;
use crate::{Failure, Provider, Set, Sink, events};
use bollard::Docker as Api;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// From one listing to the next while a task is on its way.
const SOON: Duration = Duration::from_millis(250);

/// For how long that goes on with nothing changing: a task that finds no node is on its way for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two listings at least, whatever events say.
const PAUSE: Duration = Duration::from_millis(50);

/// The label of a container that says of which task it is.
const TASK: &str = "com.docker.swarm.task.id";

/// The provider.
#[derive(Debug)]
pub struct Swarm {
    settings: Settings,
}

impl Swarm {
    /// Follows the swarm that `settings` tell.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Provider for Swarm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run<'a>(&'a self, sink: &'a Sink, stop: CancellationToken) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let daemon = Daemon::new(self.settings.endpoint.clone(), self.settings.tls.as_ref())?;
            let api = daemon.docker().await?;
            let info = api.info().await.map_err(|e| daemon.failure(&e))?;
            if !info.swarm.as_ref().is_some_and(|swarm| swarm.control_available.unwrap_or(false)) {
                let message = "is not a manager of a swarm; ask one that is";
                return Err(Failure(format!("{}: {message}", daemon.endpoint())));
            }
            let since = events::clock(&info);
            let told = Told::default();
            let own_networks = own_networks(&api).await;
            let run =
                Run { settings: &self.settings, daemon: &daemon, api: &api, sink, told: &told, own_networks };
            tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = events::read(&api, &daemon, since, &["service", "node", "container"], |event| {
                    told.add(event);
                }) => ended,
                ended = run.follow() => ended,
            }
        })
    }
}

/// What events said since the last look.
#[derive(Debug, Default)]
struct Told {
    // Tasks whose containers ended; one is added, or all are taken, under it.
    dead: Mutex<BTreeSet<String>>,
    some: Notify,
}

impl Told {
    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.dead.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, event: &EventMessage) {
        let attributes = event.actor.as_ref().and_then(|actor| actor.attributes.as_ref());
        if event.typ == Some(EventMessageTypeEnum::CONTAINER) {
            let Some(task) = attributes.and_then(|all| all.get(TASK)) else { return };
            let action = event.action.as_deref().unwrap_or_default();
            let is_killed =
                action == "kill" && attributes.and_then(|all| all.get("signal")).is_some_and(|s| s == "9");
            if is_killed || matches!(action, "die" | "destroy") {
                self.dead.lock().unwrap_or_else(PoisonError::into_inner).insert(task.clone());
            } else if action.starts_with("exec") || action == "top" {
                return;
            }
        }
        self.some.notify_one();
    }
}

struct Run<'a> {
    settings: &'a Settings,
    daemon: &'a Daemon,
    api: &'a Api,
    sink: &'a Sink,
    told: &'a Told,
    own_networks: BTreeSet<String>,
}

impl Run<'_> {
    async fn follow(&self) -> Result<(), Failure> {
        let mut dead = BTreeSet::new();
        let mut last: Option<Set> = None;
        let mut changed_at = Instant::now();
        let mut state = State::ask(self.api, self.daemon).await?;
        loop {
            // A manager takes a while to notice that a task is gone; while it lists it as running, our word counts.
            dead.retain(|id| state.tasks.iter().any(|task| task.id == *id));
            if self.tell(&state, &dead, &mut last).await? {
                changed_at = Instant::now();
            }
            let is_soon = state.tasks.iter().any(is_on_its_way) && changed_at.elapsed() < PATIENCE;
            let wait = if is_soon { SOON.min(self.settings.refresh) } else { self.settings.refresh };
            tokio::select! {
                () = self.told.some.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            let ended = self.told.take();
            if !ended.is_empty() {
                dead.extend(ended);
                self.tell(&state, &dead, &mut last).await?;
            }
            tokio::time::sleep(PAUSE).await;
            dead.extend(self.told.take());
            state = State::ask(self.api, self.daemon).await?;
        }
    }

    /// Tells the set where it is another one than that told last, and whether it was.
    async fn tell(
        &self,
        state: &State,
        dead: &BTreeSet<String>,
        last: &mut Option<Set>,
    ) -> Result<bool, Failure> {
        let set = translate(state, dead, self.settings, &self.own_networks);
        if last.as_ref() == Some(&set) {
            return Ok(false);
        }
        *last = Some(set.clone());
        self.sink.replace(set).await?;
        Ok(true)
    }
}
