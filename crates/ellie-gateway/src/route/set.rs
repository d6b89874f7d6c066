//! The routes there are: those of the configuration file and those of the API.

use super::Route;
use ellie_core::journal::{Entry, Journal, Kind};
use ellie_core::{Now, Source};
use imbl::OrdMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The most routes.
pub const MAX_ROUTES: usize = 20_000;

/// Why the routes were not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is one with this id.
    Exists(String),
    /// There is none with this id.
    NotFound(String),
    /// Another source owns it: change it there.
    OwnedBy {
        /// Which route.
        id: String,
        /// Its owner.
        source: Source,
    },
    /// There are [`MAX_ROUTES`].
    Full,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(id) => write!(f, "there is a route `{id}` already"),
            Self::NotFound(id) => write!(f, "there is no route `{id}`"),
            Self::OwnedBy { id, source } => {
                write!(f, "the route `{id}` is managed by `{source}`; change it there")
            }
            Self::Full => write!(f, "there are {MAX_ROUTES} routes, the most there may be"),
        }
    }
}

impl std::error::Error for Error {}

/// All routes at one moment, by id.
#[derive(Clone, Debug, Default)]
pub struct RouteSet {
    /// Higher after every change.
    pub version: u64,
    routes: OrdMap<String, Arc<Route>>,
}

impl RouteSet {
    /// All of them, in the order in which they win over each other.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Route>> {
        let mut list: Vec<_> = self.routes.values().cloned().collect();
        list.sort_by_cached_key(|route| route.precedence());
        list
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Route>> {
        self.routes.get(id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

/// The routes, and how they change. Share it in an `Arc`.
#[derive(Debug)]
pub struct Routes {
    // Held while one change is made in memory; readers clone the persistent map under it.
    state: Mutex<State>,
    journal: Arc<Journal>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    set: RouteSet,
    orders: u64,
}

impl Routes {
    /// None yet; what happens is recorded in `journal`.
    #[must_use]
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { state: Mutex::default(), journal, version: watch::channel(0).0 }
    }

    /// All routes now.
    #[must_use]
    pub fn snapshot(&self) -> RouteSet {
        self.lock().set.clone()
    }

    /// Wakes with the newest version after every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Adds a route. Where its id was made up and is taken, it gets a number.
    ///
    /// # Errors
    /// [`Error::Exists`] and [`Error::Full`].
    pub fn add(
        &self,
        mut route: Route,
        id_was_given: bool,
        source: Source,
        actor: &str,
        now: Now,
    ) -> Result<Arc<Route>, Error> {
        let mut state = self.lock();
        if state.set.len() >= MAX_ROUTES {
            return Err(Error::Full);
        }
        if state.set.routes.contains_key(&route.id) {
            if id_was_given {
                return Err(Error::Exists(route.id));
            }
            let base = std::mem::take(&mut route.id);
            route.id = (2..)
                .map(|n: u64| format!("{base}-{n}"))
                .find(|id| !state.set.routes.contains_key(id))
                .unwrap_or(base);
        }
        let route = state.insert(route, source, now, None);
        self.publish(state, now, actor, vec![(route.clone(), added(&route))]);
        Ok(route)
    }

    /// Puts a route in the place of the one with its id; it keeps its age.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::OwnedBy`].
    pub fn replace(&self, route: Route, source: Source, actor: &str, now: Now) -> Result<Arc<Route>, Error> {
        let mut state = self.lock();
        let old = state.owned(&route.id, &source)?;
        let route = state.insert(route, source, now, Some(&old));
        self.publish(state, now, actor, vec![(route.clone(), format!("replaced: {}", outline(&route)))]);
        Ok(route)
    }

    /// Removes a route.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::OwnedBy`].
    pub fn remove(&self, id: &str, source: &Source, actor: &str, now: Now) -> Result<Arc<Route>, Error> {
        let mut state = self.lock();
        let old = state.owned(id, source)?;
        state.set.routes.remove(id);
        self.publish(state, now, actor, vec![(old.clone(), format!("removed: {}", outline(&old)))]);
        Ok(old)
    }

    /// Makes `routes` all that `source` has: adds, replaces and removes what differs. A route whose id another source
    /// holds is not taken; those are returned.
    pub fn replace_source(&self, source: &Source, routes: Vec<Route>, actor: &str, now: Now) -> Vec<Error> {
        let mut state = self.lock();
        let mut refused = Vec::new();
        let mut notes = Vec::new();
        let wanted: std::collections::HashSet<&str> = routes.iter().map(|r| r.id.as_str()).collect();
        let gone: Vec<Arc<Route>> = state
            .set
            .routes
            .values()
            .filter(|r| r.source == *source && !wanted.contains(r.id.as_str()))
            .cloned()
            .collect();
        for old in gone {
            state.set.routes.remove(&old.id);
            let note = format!("removed: {}", outline(&old));
            notes.push((old, note));
        }
        for route in routes {
            let old = state.set.routes.get(&route.id).cloned();
            match &old {
                Some(old) if old.source != *source => {
                    refused.push(Error::OwnedBy { id: route.id, source: old.source.clone() });
                    continue;
                }
                Some(old) if old.same_as(&route) => continue,
                None if state.set.len() >= MAX_ROUTES => {
                    refused.push(Error::Full);
                    continue;
                }
                _ => {}
            }
            let replaced = old.is_some();
            let route = state.insert(route, source.clone(), now, old.as_ref());
            let note = if replaced { format!("replaced: {}", outline(&route)) } else { added(&route) };
            notes.push((route, note));
        }
        if !notes.is_empty() {
            self.publish(state, now, actor, notes);
        }
        refused
    }

    /// Makes `routes` all that `source` has, as they were before: they keep their age, and nothing is told in the journal.
    /// What comes without a place in the order of ages is younger than all there is. A route whose id another source
    /// holds is not taken; those are returned.
    pub fn restore(&self, source: &Source, routes: Vec<Route>, now: Now) -> Vec<Error> {
        let mut state = self.lock();
        let mut refused = Vec::new();
        let gone: Vec<String> =
            state.set.routes.values().filter(|r| r.source == *source).map(|r| r.id.clone()).collect();
        for id in gone {
            state.set.routes.remove(&id);
        }
        for mut route in routes {
            if let Some(other) = state.set.routes.get(&route.id) {
                refused.push(Error::OwnedBy { id: route.id, source: other.source.clone() });
                continue;
            }
            if route.order == 0 {
                state.orders += 1;
                route.order = state.orders;
            }
            route.source = source.clone();
            state.set.routes.insert(route.id.clone(), Arc::new(route));
        }
        self.publish(state, now, "", Vec::new());
        refused
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(
        &self,
        mut state: std::sync::MutexGuard<'_, State>,
        now: Now,
        actor: &str,
        notes: Vec<(Arc<Route>, String)>,
    ) {
        state.set.version += 1;
        let version = state.set.version;
        drop(state);
        for (route, message) in notes {
            self.journal.record(
                now,
                Entry {
                    kind: Kind::RouteChanged,
                    service: Some(route.service.to_string()),
                    instance: None,
                    actor: actor.to_owned(),
                    message: format!("route {} {message}", route.id),
                },
            );
        }
        self.version.send_if_modified(|v| std::mem::replace(v, version.max(*v)) < version);
    }
}

impl State {
    fn insert(&mut self, mut route: Route, source: Source, now: Now, old: Option<&Arc<Route>>) -> Arc<Route> {
        self.orders += 1;
        route.source = source;
        route.created_at = old.map_or(now.wall, |old| old.created_at);
        route.order = old.map_or(self.orders, |old| old.order);
        let route = Arc::new(route);
        self.set.routes.insert(route.id.clone(), route.clone());
        route
    }

    fn owned(&self, id: &str, source: &Source) -> Result<Arc<Route>, Error> {
        match self.set.routes.get(id) {
            None => Err(Error::NotFound(id.to_owned())),
            Some(old) if old.source != *source => {
                Err(Error::OwnedBy { id: id.to_owned(), source: old.source.clone() })
            }
            Some(old) => Ok(old.clone()),
        }
    }
}

impl Route {
    /// Whether two are the same but for their source and age.
    fn same_as(&self, other: &Self) -> bool {
        let bare = |route: &Self| Self {
            source: Source::Api,
            created_at: std::time::SystemTime::UNIX_EPOCH,
            order: 0,
            ..route.clone()
        };
        bare(self) == bare(other)
    }
}

fn added(route: &Route) -> String {
    format!("added: {}", outline(route))
}

fn outline(route: &Route) -> String {
    let methods = if route.methods.is_empty() { "ANY".to_owned() } else { route.methods.join(",") };
    format!("{methods} {} to {}", route.path, route.service)
}

#[cfg(test)]
mod tests {
    use super::super::Draft;
    use super::*;
    use std::time::Duration;

    fn route(id: &str, path: &str) -> Route {
        Draft {
            id: Some(id.into()),
            path: Some(path.into()),
            service_name: Some("s".into()),
            ..Draft::default()
        }
        .validate()
        .unwrap()
    }

    fn ids(routes: &Routes) -> Vec<String> {
        routes.snapshot().list().iter().map(|r| r.id.clone()).collect()
    }

    #[test]
    fn the_set_changes_and_says_so() {
        let journal = Arc::new(Journal::default());
        let routes = Routes::new(journal.clone());
        let mut now = Now::read();
        let mut watch = routes.watch();
        routes.add(route("b", "/x/*"), true, Source::Api, "t", now).unwrap();
        now = now.after(Duration::from_secs(1));
        routes.add(route("a", "/x/*"), true, Source::Api, "t", now).unwrap();
        routes.add(route("c", "/x"), true, Source::Api, "t", now).unwrap();
        assert_eq!(ids(&routes), ["c", "b", "a"], "exact first, then the oldest");
        assert!(watch.has_changed().unwrap());
        assert_eq!(*watch.borrow_and_update(), 3);
        let again = routes.add(route("a", "/y"), true, Source::Api, "t", now);
        assert_eq!(again.unwrap_err(), Error::Exists("a".into()));
        let made = routes.add(route("a", "/y"), false, Source::Api, "t", now).unwrap();
        assert_eq!(made.id, "a-2");
        now = now.after(Duration::from_secs(1));
        routes.replace(route("b", "/x/*"), Source::Api, "t", now).unwrap();
        assert_eq!(ids(&routes), ["c", "a-2", "b", "a"], "a replaced route keeps its age");
        assert_eq!(
            routes.remove("nope", &Source::Api, "t", now).unwrap_err(),
            Error::NotFound("nope".into())
        );
        routes.remove("b", &Source::Api, "t", now).unwrap();
        assert_eq!(journal.last_id(), 6);
        assert!(journal.since(5)[0].entry.message.starts_with("route b removed"));
    }

    #[test]
    fn each_source_owns_its_own() {
        let routes = Routes::new(Arc::default());
        let now = Now::read();
        routes.add(route("api", "/a"), true, Source::Api, "t", now).unwrap();
        let refused = routes.replace_source(
            &Source::Config,
            vec![route("c1", "/c1"), route("c2", "/c2"), route("api", "/stolen")],
            "config",
            now,
        );
        assert_eq!(refused, [Error::OwnedBy { id: "api".into(), source: Source::Api }]);
        let version = routes.snapshot().version;
        let refused =
            routes.replace_source(&Source::Config, vec![route("c1", "/c1"), route("c2", "/c2")], "c", now);
        assert_eq!(
            (refused.len(), routes.snapshot().version),
            (0, version),
            "the same again changes nothing"
        );
        routes.replace_source(&Source::Config, vec![route("c2", "/other")], "config", now);
        assert_eq!(ids(&routes), ["c2", "api"], "the longer path is the narrower one");
        assert!(routes.snapshot().get("c1").is_none());
        assert_eq!(
            routes.remove("c2", &Source::Api, "t", now).unwrap_err(),
            Error::OwnedBy { id: "c2".into(), source: Source::Config }
        );
    }
}
