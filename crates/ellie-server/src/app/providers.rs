//! The providers that the configuration asks for: started, changed while running, and looked at.

use crate::admin::Shown;
use crate::config::Resolved;
use ellie::Ellie;
use ellie_core::model::Offer;
use ellie_core::{Now, Source};
use ellie_providers::docker::{self, Docker};
use ellie_providers::runner::{self, Handle, supervise};
use ellie_providers::swarm::{self, Swarm};
use ellie_providers::{Failure, Provider, Refusal, Target};
use futures_util::future::BoxFuture;
use std::any::Any;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What providers tell becomes what is registered.
struct Registry(Ellie);

impl Target for Registry {
    fn replace(&self, source: Source, set: Vec<Offer>) -> BoxFuture<'_, Result<Vec<Refusal>, Failure>> {
        Box::pin(async move {
            let replaced = self.0.registrar().replace_offers(source, set).await;
            let replaced = replaced.map_err(|e| Failure(e.to_string()))?;
            let refused = replaced.refused.into_iter();
            Ok(refused.map(|(name, id, why)| Refusal { name, id, why: why.to_string() }).collect())
        })
    }

    fn stale(&self, source: &Source, reason: &str) {
        self.0.registry().mark_stale(source, Some(reason), Now::read());
    }
}

/// One that runs, and what it was started with.
struct Active {
    name: &'static str,
    endpoint: String,
    with: Box<dyn Any + Send>,
    handle: Handle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// One that is asked for.
struct Wanted {
    name: &'static str,
    endpoint: String,
    /// What it is started with, to tell whether a running one is the same.
    with: Box<dyn Any + Send>,
    is_same: fn(&dyn Any, &Resolved) -> bool,
    provider: Arc<dyn Provider>,
    settings: runner::Settings,
}

/// All of them.
pub(super) struct Providers {
    ellie: Ellie,
    // Held while they are changed: a reload waits for the one before it.
    active: Mutex<Vec<Active>>,
}

impl Providers {
    pub(super) fn new(ellie: Ellie) -> Self {
        Self { ellie, active: Mutex::default() }
    }

    /// Starts what is new in `resolved`, ends what is gone with all that it told, starts anew what is asked for
    /// otherwise; that keeps what it told until it tells its set again. What is left runs on.
    pub(super) async fn configure(&self, resolved: &Resolved) -> Vec<Shown> {
        let mut active = self.active.lock().await;
        let target: Arc<dyn Target> = Arc::new(Registry(self.ellie.clone()));
        let mut before = std::mem::take(&mut *active);
        for wanted in wanted(resolved) {
            let at = before.iter().position(|a| a.name == wanted.name);
            if let Some(at) = at {
                let running = before.remove(at);
                if (wanted.is_same)(&*running.with, resolved) {
                    active.push(running);
                    continue;
                }
                end(running).await;
            }
            let (handle, stop) = (Handle::default(), CancellationToken::new());
            let task = tokio::spawn(supervise(
                wanted.provider,
                target.clone(),
                wanted.settings,
                handle.clone(),
                stop.clone(),
            ));
            let (name, endpoint, with) = (wanted.name, wanted.endpoint, wanted.with);
            active.push(Active { name, endpoint, with, handle, stop, task });
        }
        for gone in before {
            let source = Source::Provider(gone.name.into());
            end(gone).await;
            if let Err(e) = target.replace(source, Vec::new()).await {
                tracing::warn!("what a provider told is not removed: {e}");
            }
        }
        active
            .iter()
            .map(|a| Shown { name: a.name, endpoint: a.endpoint.clone(), handle: a.handle.clone() })
            .collect()
    }

    /// Ends all; what they told stays registered, for requests in flight.
    pub(super) async fn stop(&self) {
        for running in self.active.lock().await.drain(..) {
            end(running).await;
        }
    }
}

async fn end(running: Active) {
    running.stop.cancel();
    // Its panics are caught inside; an error is a runtime that ends.
    let _ = running.task.await;
}

fn wanted(resolved: &Resolved) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    if let Some(docker) = &resolved.providers.docker {
        wanted.push(Wanted {
            name: docker::NAME,
            endpoint: docker.settings.endpoint.to_string(),
            with: Box::new(docker.clone()),
            is_same: |with, next| with.downcast_ref() == next.providers.docker.as_ref(),
            provider: Arc::new(Docker::new(docker.settings.clone())),
            settings: runner::Settings { max_stale: docker.max_stale, ..runner::Settings::default() },
        });
    }
    if let Some(swarm) = &resolved.providers.swarm {
        wanted.push(Wanted {
            name: swarm::NAME,
            endpoint: swarm.settings.endpoint.to_string(),
            with: Box::new(swarm.clone()),
            is_same: |with, next| with.downcast_ref() == next.providers.swarm.as_ref(),
            provider: Arc::new(Swarm::new(swarm.settings.clone())),
            settings: runner::Settings { max_stale: swarm.max_stale, ..runner::Settings::default() },
        });
    }
    wanted
}
