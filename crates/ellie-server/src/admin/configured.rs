//! The configuration in force, for those who ask for it, and the way to have it read again.

use super::body;
use super::guard::Caller;
use super::instances::no_fields;
use super::problem::{Error, Result};
use super::query::Query;
use super::state::AdminState;
use crate::config::{Change, Faults, Origin, Resolved};
use arc_swap::ArcSwapOption;
use axum::extract::{Request, State};
use axum::{Extension, Json};
use ellie_api::problem::kind;
use ellie_api::{FieldError, Reloaded};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use tokio::sync::{mpsc, oneshot};

/// Reloads that wait for the one under way.
const WAITING: usize = 8;

/// A configuration with what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// In force.
    pub(crate) resolved: Arc<Resolved>,
    /// Since when.
    pub(crate) at: SystemTime,
    /// What was read with it and waits for a restart.
    pub(crate) pending: Vec<Change>,
    /// When and why a later one was refused.
    pub(crate) rejected: Option<(SystemTime, String)>,
}

/// Why a configuration is not in force.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It has faults.
    Faults(Faults),
    /// It can't be carried out.
    Impossible(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Faults(faults) => faults.fmt(f),
            Self::Impossible(why) => f.write_str(why),
        }
    }
}

/// Somebody wants the configuration read again.
pub(crate) struct Ask {
    /// Who.
    pub(crate) actor: String,
    /// Where the outcome goes; who asked may have gone.
    pub(crate) answer: oneshot::Sender<std::result::Result<Reloaded, Refused>>,
}

/// The configuration of a running process; empty where it has none.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    loaded: ArcSwapOption<Loaded>,
    asks: OnceLock<mpsc::Sender<Ask>>,
}

impl Configured {
    /// Puts in what is in force now.
    pub(crate) fn set(&self, loaded: Loaded) {
        self.loaded.store(Some(Arc::new(loaded)));
    }

    /// Notes why a later one was refused.
    pub(crate) fn reject(&self, at: SystemTime, why: &str) {
        self.loaded.rcu(|loaded| {
            loaded
                .as_ref()
                .map(|l| Arc::new(Loaded { rejected: Some((at, why.to_owned())), ..Loaded::clone(l) }))
        });
    }

    /// Whether the last one was refused for this reason.
    pub(crate) fn was_rejected(&self, why: &str) -> bool {
        let loaded = self.loaded.load();
        loaded.as_ref().and_then(|l| l.rejected.as_ref()).is_some_and(|(_, said)| said == why)
    }

    /// What is in force.
    pub(crate) fn get(&self) -> Option<Arc<Loaded>> {
        self.loaded.load_full()
    }

    /// Whoever reads the configuration again takes the asks from here; there is one for a process.
    pub(crate) fn asks(&self) -> Option<mpsc::Receiver<Ask>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.asks.set(sender).ok().map(|()| receiver)
    }

    /// Whether it can be read again.
    pub(crate) fn is_reloadable(&self) -> bool {
        self.asks.get().is_some()
    }
}

/// `PUT /reload`
pub(super) async fn reload(
    State(state): State<AdminState>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Reloaded>> {
    Query::new(request.uri().query()).finish()?;
    no_fields(body::json(&state, request, true).await?)?;
    let Some(asks) = state.configured().asks.get() else {
        return Err(Error::new(
            kind::DISABLED,
            "this process was not started from a configuration that can be read again",
        ));
    };
    let (answer, outcome) = oneshot::channel();
    let stopping = || Error::new(kind::CONFLICT, "ellie is stopping; nothing was read").retry_after(5);
    asks.send(Ask { actor: caller.actor().to_string(), answer }).await.map_err(|_| stopping())?;
    match outcome.await.map_err(|_| stopping())? {
        Ok(reloaded) => Ok(Json(reloaded)),
        Err(Refused::Faults(faults)) => Err(refused(&faults)),
        Err(Refused::Impossible(why)) => {
            Err(Error::new(kind::INVALID_CONFIGURATION, format!("the running configuration stays: {why}")))
        }
    }
}

fn refused(faults: &Faults) -> Error {
    let errors: Vec<FieldError> = faults
        .all()
        .iter()
        .map(|fault| {
            let place = match &fault.origin {
                Origin::Default => String::new(),
                origin => format!(" ({origin})"),
            };
            let field = if fault.key.is_empty() { fault.origin.to_string() } else { fault.key.clone() };
            FieldError { field, message: format!("{}{place}", fault.message) }
        })
        .collect();
    let what = format!("{} faults; the running configuration stays", errors.len());
    Error::new(kind::INVALID_CONFIGURATION, what).with_errors(errors)
}
