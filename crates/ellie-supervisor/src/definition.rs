//! What is to run: a process as its owner describes it, before anything has been checked.

use crate::restart;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// One process, or one thing that others depend on and somebody else runs. [`Plan`](crate::Plan) checks it.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its name, by the rules of a service's name.
    pub name: String,
    /// The program and its arguments; empty only where `external` is set.
    pub command: Vec<String>,
    /// Whether `$NAME` and `${NAME}` in the command stand for variables of its environment, as in a command that was
    /// written as one string. Names that are not set are left as they are.
    pub expand: bool,
    /// It runs elsewhere: nothing is started, dependents wait until this check passes.
    pub external: Option<Check>,
    /// Where it runs; ellie's own directory where absent.
    pub directory: Option<PathBuf>,
    /// Variables of its own, above those of `env_files`.
    pub environment: BTreeMap<String, String>,
    /// Files of `NAME=value` lines, read at every start; a later one overrides an earlier one.
    pub env_files: Vec<EnvFile>,
    /// What has to be there first.
    pub dependencies: Vec<Dependency>,
    /// Where it listens.
    pub port: Port,
    /// The address at which it does.
    pub host: String,
    /// How many of it run at once; more than one are called `NAME.1`, `NAME.2`…
    pub replicas: u32,
    /// When it is ready. Absent: when it accepts on its port; without a port, once it has run for
    /// [`SETTLE`](crate::ready::SETTLE).
    pub ready: Option<Check>,
    /// How readiness is asked.
    pub ready_timing: Timing,
    /// Whether it still works; restarted where not. Absent: running is enough.
    pub live: Option<(Check, Timing)>,
    /// Whether and when it is started again.
    pub restart: restart::Policy,
    /// From its start until it has to be ready; it is stopped and counts as failed then.
    pub start_timeout: Duration,
    /// From [`Definition::stop_signal`] until what is left of it is killed.
    pub stop_timeout: Duration,
    /// How long requests to it may finish before it is told to stop.
    pub drain_timeout: Duration,
    /// What tells it to stop.
    pub stop_signal: Signal,
    /// It puts itself into the background, and lives as long as anything that it left there. Otherwise going into the
    /// background counts as a failure.
    pub forks: bool,
    /// What a change of restarts it while developing: files and folders.
    pub watch: Vec<PathBuf>,
}

impl Definition {
    /// A process with every default: no port, no dependencies, restarted when it fails.
    pub fn new<S: Into<String>>(name: &str, command: impl IntoIterator<Item = S>) -> Self {
        Self {
            name: name.to_owned(),
            command: command.into_iter().map(Into::into).collect(),
            expand: false,
            external: None,
            directory: None,
            environment: BTreeMap::new(),
            env_files: Vec::new(),
            dependencies: Vec::new(),
            port: Port::None,
            host: "127.0.0.1".into(),
            replicas: 1,
            ready: None,
            ready_timing: Timing::readiness(),
            live: None,
            restart: restart::Policy::default(),
            start_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(5),
            stop_signal: Signal::SIGTERM,
            forks: false,
            watch: Vec::new(),
        }
    }

    /// Something that runs elsewhere and is waited for.
    #[must_use]
    pub fn external(name: &str, check: Check) -> Self {
        Self { external: Some(check), ..Self::new(name, Vec::<String>::new()) }
    }

    /// Runs in `directory`.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Starts only when each of `names` is healthy.
    #[must_use]
    pub fn dependencies<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.dependencies.extend(names.into_iter().map(|name| Dependency::new(name, Condition::Healthy)));
        self
    }

    /// Starts only when `name` meets `condition`.
    #[must_use]
    pub fn after(mut self, name: &str, condition: Condition) -> Self {
        self.dependencies.push(Dependency::new(name, condition));
        self
    }

    /// Listens there.
    #[must_use]
    pub fn port(mut self, port: Port) -> Self {
        self.port = port;
        self
    }

    /// Is ready when `check` passes.
    #[must_use]
    pub fn ready(mut self, check: Check) -> Self {
        self.ready = Some(check);
        self
    }

    /// Is started again by `policy`.
    #[must_use]
    pub fn restart(mut self, policy: restart::Policy) -> Self {
        self.restart = policy;
        self
    }
}

/// The words of a command that was written as one string, as a shell would split it.
///
/// # Errors
/// A quote is not closed.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    shell_words::split(text)
        .map_err(|_| format!("`{}` has a quote that is not closed", ellie_core::model::excerpt(text)))
}

/// A file of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether its absence is a fault.
    pub required: bool,
}

/// What has to be there before a process starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The name of another definition.
    pub name: String,
    /// What is awaited of it.
    pub condition: Condition,
    /// Whether the dependent is restarted when it no longer holds; otherwise it is left running.
    pub restart: bool,
}

impl Dependency {
    /// The dependent is left running whatever happens to `name` later.
    pub fn new(name: impl Into<String>, condition: Condition) -> Self {
        Self { name: name.into(), condition, restart: false }
    }
}

/// What is awaited of a dependency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It is ready.
    Healthy,
    /// It runs, ready or not.
    Started,
    /// It has ended with success.
    Completed,
    /// It has written a line that contains this, since it was last started.
    Log(String),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Started => f.write_str("started"),
            Self::Completed => f.write_str("completed"),
            Self::Log(text) => write!(f, "log `{}`", ellie_core::model::excerpt(text)),
        }
    }
}

/// Where a process listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port {
    /// Nowhere.
    #[default]
    None,
    /// On a free one that it is told in `PORT`.
    Allot,
    /// The same, but whether it listens there is its own affair: it is ready without, and taken to be a service when
    /// it does.
    Offer,
    /// On this one, which it is told in `PORT` as well.
    Fixed(u16),
}

/// A question whose answer is yes or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `GET` answers with success.
    Http(Url),
    /// A connection is accepted.
    Tcp(Address),
    /// The process has written a line that contains this, since it was last started.
    Log(String),
    /// A command ends with success, in the process' directory and environment.
    Exec(Vec<String>),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => write!(f, "GET {url}"),
            Self::Tcp(address) => write!(f, "connect to {address}"),
            Self::Log(text) => write!(f, "log `{}`", ellie_core::model::excerpt(text)),
            Self::Exec(words) => write!(f, "run `{}`", ellie_core::model::excerpt(&words.join(" "))),
        }
    }
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The process' own.
    Own,
    /// `host` and port.
    Of(String, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("its own port"),
            Self::Of(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Of(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    /// `host:port`, `[v6]:port` or `:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not host:port", ellie_core::model::excerpt(text));
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(v6)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6,
            Some(_) => return Err(wrong()),
            None if host.is_empty() => "127.0.0.1",
            None if host.contains([':', '/', '@']) || host.chars().any(char::is_whitespace) => {
                return Err(wrong());
            }
            None => host,
        };
        Ok(Self::Of(host.into(), port))
    }
}

/// What to `GET`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether over TLS.
    pub tls: bool,
    /// Of whom.
    pub address: Address,
    /// The path, with its query; begins with `/`.
    pub path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, self.tls) {
            (Address::Own, _) => f.write_str(&self.path),
            (address, true) => write!(f, "https://{address}{}", self.path),
            (address, false) => write!(f, "http://{address}{}", self.path),
        }
    }
}

impl std::str::FromStr for Url {
    type Err = String;

    /// `/path` on the process' own port, or a whole URL.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("`{}` has a blank in it", ellie_core::model::excerpt(text)));
        }
        if text.starts_with('/') {
            return Ok(Self { tls: false, address: Address::Own, path: text.into() });
        }
        let wrong = || {
            format!(
                "`{}` is neither a path such as /health nor a URL such as http://host:port/health",
                ellie_core::model::excerpt(text)
            )
        };
        let (tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong()),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.is_empty() {
            return Err(wrong());
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let address = match has_port {
            true => authority.parse(),
            false => format!("{authority}:{}", if tls { 443 } else { 80 }).parse(),
        };
        Ok(Self { tls, address: address.map_err(|_| wrong())?, path: path.into() })
    }
}

/// How often a check is asked, and how much is made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From one question to the next.
    pub interval: Duration,
    /// Until a question counts as answered with no.
    pub timeout: Duration,
    /// How many times no in a row it takes; readiness takes no notice of it.
    pub failures: u32,
}

impl Timing {
    /// For readiness: the first questions come faster than `interval`, so that a quick start is noticed.
    #[must_use]
    pub fn readiness() -> Self {
        Self { interval: Duration::from_millis(500), timeout: Duration::from_secs(2), failures: 1 }
    }

    /// For liveness.
    #[must_use]
    pub fn liveness() -> Self {
        Self { interval: Duration::from_secs(10), timeout: Duration::from_secs(2), failures: 3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_paths_of_their_own_or_whole() {
        let shown = |text: &str| text.parse::<Url>().map(|url| url.to_string());
        assert_eq!(shown("/health?a=b").unwrap(), "/health?a=b");
        assert_eq!(shown("http://db.local/up").unwrap(), "http://db.local:80/up");
        assert_eq!(shown("https://[::1]").unwrap(), "https://[::1]:443/");
        assert_eq!(shown("https://[::1]:8443/x").unwrap(), "https://[::1]:8443/x");
        for bad in ["health", "ftp://x", "http://", "http://a b/", "http://u@h/", "http://h:99999/"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_host_and_port() {
        let shown = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(shown("redis:6379").unwrap(), "redis:6379");
        assert_eq!(shown(":6379").unwrap(), "127.0.0.1:6379");
        assert_eq!(shown("[::1]:1").unwrap(), "[::1]:1");
        for bad in ["redis", "redis:", "redis:0", "::1:1", "[x]:1", "a b:1"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
