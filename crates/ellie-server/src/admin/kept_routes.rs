//! Routes that were registered through the API outlive a restart: all of them in one file of the data directory, in the
//! form in which `GET /routes` tells them. They are few and seldom change, so that the file is replaced whole; a change
//! is acknowledged when it is on disk, and taken back where it can't be written.

use super::json;
use super::routes::{read, sent};
use crate::auth::write_private;
use ellie::ApiGateway;
use ellie::gateway::{Error, Route};
use ellie_api::route::Routes;
use ellie_core::Source;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The file, in the data directory.
const FILE: &str = "routes.json";

/// Where routes are kept.
#[derive(Debug)]
pub struct KeptRoutes {
    path: PathBuf,
    /// One change at a time: what is written is what is in force.
    changing: Mutex<()>,
}

/// Why a route was not changed.
#[derive(Debug)]
pub(super) enum NotChanged {
    Refused(Error),
    /// It is as it was before.
    NotWritten(io::Error),
}

impl KeptRoutes {
    /// Kept in `data_dir`; those of an earlier process are put into the gateway.
    ///
    /// # Errors
    /// The file can't be read, or holds what is no route.
    pub fn open(data_dir: &Path, gateway: &ApiGateway) -> io::Result<Self> {
        let path = data_dir.join(FILE);
        let at = |error: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, changing: Mutex::default() });
            }
            Err(error) => return Err(at(&error)),
        };
        let kept: Routes = serde_json::from_str(&text).map_err(|e| at(&e))?;
        let mut routes = Vec::with_capacity(kept.routes.len());
        for (n, route) in kept.routes.iter().enumerate() {
            routes.push(parse(route).map_err(|why| at(&format!("routes[{n}]: {why}")))?);
        }
        for refused in gateway.restore_routes(routes) {
            tracing::warn!("a route that was registered before is not taken: {refused}");
        }
        Ok(Self { path, changing: Mutex::default() })
    }

    /// Makes a change and writes it; blocks on the disk.
    pub(super) fn change(
        &self,
        gateway: &ApiGateway,
        change: impl FnOnce(&ApiGateway) -> Result<Arc<Route>, Error>,
    ) -> Result<Arc<Route>, NotChanged> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = registered(gateway);
        let changed = change(gateway).map_err(NotChanged::Refused)?;
        if let Err(error) = self.write(gateway) {
            gateway.restore_routes(before.iter().map(|route| Route::clone(route)).collect());
            return Err(NotChanged::NotWritten(error));
        }
        Ok(changed)
    }

    fn write(&self, gateway: &ApiGateway) -> io::Result<()> {
        let routes: Vec<_> = registered(gateway).iter().map(|route| sent(route)).collect();
        let text = serde_json::to_vec_pretty(&Routes { count: routes.len(), routes })?;
        write_private(&self.path, &text)
    }
}

/// Those that came through the API, the oldest first.
fn registered(gateway: &ApiGateway) -> Vec<Arc<Route>> {
    let mut routes = gateway.routes();
    routes.retain(|route| route.source == Source::Api);
    routes.sort_by_key(|route| route.order);
    routes
}

/// A route as it was sent once.
fn parse(route: &ellie_api::route::Route) -> Result<Route, String> {
    let text = serde_json::to_vec(route).map_err(|e| e.to_string())?;
    let draft = json::parse(&text).and_then(read).map_err(|error| error.into_problem().to_string())?;
    let mut parsed = draft.validate().map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })?;
    let created = route.created_at.as_deref().and_then(|at| humantime::parse_rfc3339_weak(at).ok());
    parsed.created_at = created.unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(parsed)
}
