//! What a daemon tells of, as it happens.

use crate::Failure;
use crate::endpoint::Daemon;
use bollard::Docker as Api;
use bollard::errors::Error;
use bollard::models::{EventMessage, SystemInfo};
use bollard::query_parameters::EventsOptions;
use ellie_core::Now;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time by the daemon's clock. Taken before the first listing, so that what happens during it is told by the stream.
pub(crate) fn clock(info: &SystemInfo) -> SystemTime {
    let told = info.system_time.as_deref().and_then(|t| humantime::parse_rfc3339_weak(t).ok());
    told.unwrap_or_else(|| Now::read().wall)
}

/// Hands every event of `types` since then to `told`, which must be quick: the daemon drops events of a reader that is
/// slow. Returns when the stream has ended, which is a failure.
pub(crate) async fn read(
    api: &Api,
    daemon: &Daemon,
    since: SystemTime,
    types: &[&str],
    mut told: impl FnMut(&EventMessage),
) -> Result<(), Failure> {
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let types = types.iter().map(|t| (*t).to_owned()).collect();
    let options = EventsOptions {
        since: Some(format!("{}.{:09}", since.as_secs(), since.subsec_nanos())),
        until: None,
        filters: Some(HashMap::from([("type".to_owned(), types)])),
    };
    let mut events = api.events(Some(options));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => told(&event),
            // One event that can't be understood says nothing of the others.
            Err(Error::JsonDataError { .. } | Error::JsonSerdeError { .. }) => {}
            Err(e) => return Err(daemon.failure(&e)),
        }
    }
    Err(Failure(format!("{}: the stream of events ended", daemon.endpoint())))
}
