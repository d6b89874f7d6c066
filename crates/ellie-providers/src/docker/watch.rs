//! Follows a daemon: its event stream, a look at each container that an event makes doubtful, a complete listing now
//! and then.

use super::pending::{Doubt, Doubts, Pending};
use super::translate::SHORT;
use super::world::{SIGKILL, World};
use super::{NAME, Settings};
use crate::endpoint::Daemon;
use crate::{Failure, Provider, Sink, events};
use bollard::Docker as Api;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use ellie_core::Now;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Containers that are looked at side by side.
const LOOKS: usize = 16;

/// Containers that are looked at before the events that came meanwhile have their turn.
const ROUND: usize = 64;

/// The provider.
#[derive(Debug)]
pub struct Docker {
    settings: Settings,
    // Taken out by a run and put back at its end: what was seen outlives a lost connection.
    world: Mutex<World>,
}

impl Docker {
    /// Follows the daemon that `settings` tell.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, world: Mutex::default() }
    }

    fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Docker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run<'a>(&'a self, sink: &'a Sink, stop: CancellationToken) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let daemon = Daemon::new(self.settings.endpoint.clone(), self.settings.tls.as_ref())?;
            let api = daemon.docker().await?;
            let since = events::clock(&api.info().await.map_err(|e| daemon.failure(&e))?);
            let mut world = std::mem::take(&mut *self.world());
            world.own_networks = own_networks(&api).await;
            let pending = Pending::default();
            let mut run =
                Run { settings: &self.settings, daemon: &daemon, api: &api, sink, pending: &pending, world };
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = events::read(&api, &daemon, since, &["container", "network"], |event| {
                    if let Some((id, doubt)) = doubt(event) {
                        pending.add(id, doubt);
                    }
                }) => ended,
                ended = run.follow() => ended,
            };
            *self.world() = run.world;
            ended
        })
    }
}

/// What an event makes doubtful.
fn doubt(event: &EventMessage) -> Option<(&str, Doubt)> {
    let actor = event.actor.as_ref()?;
    let attributes = actor.attributes.as_ref()?;
    let action = event.action.as_deref()?;
    let look = Doubt { look: true, ..Doubt::default() };
    let gone = Doubt { gone: true, ..Doubt::default() };
    if event.typ == Some(EventMessageTypeEnum::NETWORK) {
        let id = attributes.get("container")?;
        let relook = Doubt { relook: true, ..Doubt::default() };
        return matches!(action, "connect" | "disconnect").then_some((id.as_str(), relook));
    }
    // An event carries all labels of its container.
    if !attributes.keys().any(|key| crate::labels::is_ours(key)) {
        return None;
    }
    let id = actor.id.as_deref()?;
    let doubt = match action {
        "start" | "unpause" | "rename" | "update" | "restart" => look,
        _ if action.starts_with("health_status") => look,
        "pause" => Doubt { look: true, ..gone },
        "die" | "destroy" => gone,
        "kill" => match attributes.get("signal").and_then(|signal| signal.parse().ok())? {
            SIGKILL => gone,
            signal => Doubt { signal: Some(signal), ..Doubt::default() },
        },
        _ => return None,
    };
    Some((id, doubt))
}

/// The ids of the networks that ellie is on, where it runs in a container of this daemon itself.
pub(crate) async fn own_networks(api: &Api) -> BTreeSet<String> {
    let Ok(hostname) = tokio::fs::read_to_string("/etc/hostname").await else { return BTreeSet::new() };
    let hostname = hostname.trim();
    // Without a name of its own a container is called by its id.
    if hostname.len() != SHORT || !hostname.bytes().all(|b| b.is_ascii_hexdigit()) {
        return BTreeSet::new();
    }
    let Ok(own) = api.inspect_container(hostname, None::<InspectContainerOptions>).await else {
        return BTreeSet::new();
    };
    let networks = own.network_settings.and_then(|n| n.networks).unwrap_or_default();
    networks.into_values().filter_map(|n| n.network_id).filter(|id| !id.is_empty()).collect()
}

struct Run<'a> {
    settings: &'a Settings,
    daemon: &'a Daemon,
    api: &'a Api,
    sink: &'a Sink,
    pending: &'a Pending,
    world: World,
}

impl Run<'_> {
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut looks: BTreeSet<String> = self.list(true).await?.into_iter().collect();
        let refresh = self.settings.refresh;
        let mut listings = tokio::time::interval_at(Instant::now() + refresh, refresh);
        listings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first set is told when it is complete: until then the one that was told before a lost connection holds.
        let mut is_complete = false;
        let mut reborn = BTreeSet::new();
        loop {
            let mut is_changed = false;
            let lapse = self.world.next_deadline().map(Instant::from_std);
            tokio::select! {
                biased;
                () = std::future::ready(()), if !looks.is_empty() || !is_complete => {}
                () = self.pending.some() => {}
                () = sleep_until(lapse) => {}
                _ = listings.tick() => {
                    looks.extend(self.list(false).await?);
                    is_changed = true;
                }
            }
            let Doubts { containers, all } = self.pending.take();
            let now = Now::read().instant;
            is_changed |= self.world.lapse(now);
            for (id, doubt) in containers {
                is_changed |= self.world.doubt(&id, doubt, now);
                if doubt.look || (doubt.relook && self.world.knows(&id)) {
                    looks.insert(id);
                } else if doubt.gone {
                    looks.remove(&id);
                }
            }
            if all {
                looks.extend(self.list(true).await?);
            }
            // What must go goes before anything is looked at.
            if is_complete && is_changed {
                self.tell(&BTreeSet::new()).await?;
            }
            let is_looked = !looks.is_empty();
            self.look_at(&mut looks, &mut reborn).await?;
            if !is_complete && !looks.is_empty() {
                continue;
            }
            // What runs anew leaves the set first, so that nothing that was known of its last life is believed.
            if !reborn.is_empty() {
                self.tell(&std::mem::take(&mut reborn)).await?;
            }
            if !is_complete || is_looked {
                self.tell(&BTreeSet::new()).await?;
            }
            is_complete = true;
        }
    }

    /// A complete listing; tells what has to be looked at: what looks different, or `all` that it has.
    async fn list(&mut self, all: bool) -> Result<Vec<String>, Failure> {
        let listing = self.api.list_containers(None::<ListContainersOptions>).await;
        let listing = listing.map_err(|e| self.daemon.failure(&e))?;
        Ok(self.world.list(&listing, all))
    }

    /// Looks at some of `looks` and takes them out; adds to `reborn` what is another life of what was known.
    async fn look_at(
        &mut self,
        looks: &mut BTreeSet<String>,
        reborn: &mut BTreeSet<String>,
    ) -> Result<(), Failure> {
        let round: Vec<String> = looks.iter().take(ROUND).cloned().collect();
        for id in &round {
            looks.remove(id);
        }
        let (api, daemon) = (self.api, self.daemon);
        let mut answers = stream::iter(round)
            .map(|id| async move {
                let answer = inspect(api, daemon, &id).await;
                (id, answer)
            })
            .buffer_unordered(LOOKS);
        while let Some((id, answer)) = answers.next().await {
            if self.world.look(&id, answer?.as_ref(), &self.settings.translation) {
                reborn.insert(id);
            }
        }
        Ok(())
    }

    async fn tell(&self, except: &BTreeSet<String>) -> Result<(), Failure> {
        self.sink.replace(self.world.set(except)).await
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn inspect(api: &Api, daemon: &Daemon, id: &str) -> Result<Option<ContainerInspectResponse>, Failure> {
    match api.inspect_container(id, None::<InspectContainerOptions>).await {
        Ok(container) => Ok(Some(container)),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(e) => Err(daemon.failure(&e)),
    }
}
