//! Gateway routes: what a request must look like, which service answers it, and on what terms.

mod draft;
mod pattern;
mod set;

pub use draft::{Draft, RateLimitDraft, limits};
pub use pattern::{HostPattern, Match, PathPattern};
pub use set::{Error, MAX_ROUTES, RouteSet, Routes};

use ellie_core::{ServiceName, Source};
use std::fmt;
use std::time::{Duration, SystemTime};

/// A validated route; made by [`Draft::validate`], immutable afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Unique among the routes.
    pub id: String,
    /// Which paths it is for.
    pub path: PathPattern,
    /// Which methods, in capitals; empty: any.
    pub methods: Vec<String>,
    /// Which hosts; `None`: any.
    pub host: Option<HostPattern>,
    /// Header fields that must be there; names in lower case.
    pub headers: Vec<Match>,
    /// Query parameters that must be there.
    pub query: Vec<Match>,
    /// Who answers.
    pub service: ServiceName,
    /// What takes the place of the path's fixed part; `None`: the path goes on as it came.
    pub target_path: Option<String>,
    /// Only instances that have all of these.
    pub tags: Vec<String>,
    /// For the whole request, retries included; `None`: the gateway's default.
    pub timeout: Option<Duration>,
    /// For one try on one instance; `None`: the gateway's default.
    pub try_timeout: Option<Duration>,
    /// More tries on other instances, for what may be retried; `None`: the gateway's default.
    pub retries: Option<u32>,
    /// Which statuses of an instance are tried again elsewhere, where the request may be; `None`: the gateway's default.
    pub retry_on: Option<RetryOn>,
    /// How much one client may ask.
    pub rate_limit: Option<RateLimit>,
    /// Bytes of a request body; `None`: the gateway's default.
    pub max_body: Option<u64>,
    /// Who says that it exists.
    pub source: Source,
    /// When it was made; of two that are otherwise alike, the older one wins.
    pub created_at: SystemTime,
    /// The order of creation, where the times are alike.
    pub order: u64,
}

/// Statuses after which a request is tried on another instance, if it is idempotent: a small, sorted set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    statuses: [u16; limits::RETRY_ON],
    count: u8,
}

impl RetryOn {
    /// The set of `statuses`.
    ///
    /// # Errors
    /// What is wrong with it: a status that is neither 429 nor a 5xx, or too many.
    pub fn new(statuses: impl IntoIterator<Item = i128>) -> Result<Self, String> {
        let mut all = Vec::new();
        for status in statuses {
            match u16::try_from(status) {
                Ok(known @ (429 | 500..=599)) => all.push(known),
                _ => {
                    return Err(format!("has {status}; 429 and 500 to 599 can be tried again"));
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        let mut set = Self::default();
        if all.len() > set.statuses.len() {
            return Err(format!("has {} statuses; at most {} are allowed", all.len(), limits::RETRY_ON));
        }
        set.statuses[..all.len()].copy_from_slice(&all);
        set.count = all.len() as u8;
        Ok(set)
    }

    /// Its statuses, ascending.
    #[must_use]
    pub fn statuses(&self) -> &[u16] {
        &self.statuses[..self.count.into()]
    }

    /// Whether `status` is one of them.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.statuses().contains(&status)
    }
}

/// `rateLimit {windowMs, max, key}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The window.
    pub window: Duration,
    /// Requests in a window.
    pub max: u32,
    /// Whose requests count together.
    pub key: RateKey,
}

/// Whose requests a rate limit counts together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RateKey {
    /// Those of one client address.
    #[default]
    Client,
    /// Those with the same value of this header field (lower case); those without it, by client address.
    Header(String),
    /// All of the route.
    Global,
}

impl fmt::Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Global => f.write_str("global"),
        }
    }
}

impl Route {
    /// Writes the request target for the service: what the star matched appended to `targetPath`, the query as it
    /// came. `path` is normalised as for matching, and matches.
    pub fn write_target(&self, path: &[u8], query: Option<&[u8]>, out: &mut Vec<u8>) {
        match &self.target_path {
            None => out.extend_from_slice(path),
            Some(target) => {
                let rest = self.path.rest(path);
                let target = target.as_bytes();
                let joined = if rest.first() == Some(&b'/') {
                    target.strip_suffix(b"/").unwrap_or(target)
                } else {
                    target
                };
                out.extend_from_slice(joined);
                out.extend_from_slice(rest);
            }
        }
        if let Some(query) = query {
            out.push(b'?');
            out.extend_from_slice(query);
        }
    }

    /// Where it stands against another route that matches the same request; the lesser one wins. Exact path before
    /// longest prefix before host before method before most header fields before most query parameters before oldest.
    #[must_use]
    pub fn precedence(&self) -> impl Ord + use<> {
        let fewest = |n: usize| usize::MAX - n;
        (
            self.path.is_prefix(),
            fewest(self.path.fixed().len()),
            self.host.as_ref().map_or(usize::MAX, HostPattern::breadth),
            self.methods.is_empty(),
            fewest(self.headers.len()),
            fewest(self.query.len()),
            self.created_at,
            self.order,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str, target: Option<&str>, request: &str, query: Option<&str>) -> String {
        let route = Draft {
            path: Some(path.into()),
            service_name: Some("users".into()),
            target_path: target.map(Into::into),
            ..Draft::default()
        }
        .validate()
        .unwrap();
        let mut out = Vec::new();
        route.write_target(request.as_bytes(), query.map(str::as_bytes), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_the_star_matched_is_appended_and_the_query_kept() {
        let t = |request, query| target("/api/users/*", Some("/users"), request, query);
        assert_eq!(t("/api/users/42", Some("a=1&b")), "/users/42?a=1&b");
        assert_eq!(t("/api/users", None), "/users");
        assert_eq!(t("/api/users", Some("")), "/users?");
        assert_eq!(t("/api/users/", None), "/users/");
        assert_eq!(t("/api/users/a//b", None), "/users/a//b");
        assert_eq!(target("/api/*", Some("/"), "/api/x", None), "/x");
        assert_eq!(target("/api/*", Some("/"), "/api", None), "/");
        assert_eq!(target("/*", Some("/v1/"), "/x", None), "/v1/x");
        assert_eq!(target("/*", None, "/x/y", Some("q")), "/x/y?q");
        assert_eq!(target("/login", Some("/auth/login"), "/login", None), "/auth/login");
    }
}
