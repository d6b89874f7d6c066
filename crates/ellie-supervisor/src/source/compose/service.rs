//! One service of a compose file.

use super::Reader;
use super::tree::{Entry, Kind, Node};
use crate::definition::{Address, Check, Condition, Definition, Dependency, EnvFile, words};
use crate::restart::{Policy, When};
use ellie_core::model::excerpt;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::time::Duration;

/// Of no consequence for a process.
const QUIET: [&str; 16] = [
    "annotations",
    "attach",
    "container_name",
    "domainname",
    "hostname",
    "init",
    "isolation",
    "label_file",
    "labels",
    "logging",
    "platform",
    "provider",
    "pull_policy",
    "runtime",
    "stdin_open",
    "tty",
];
/// What a container would have, and a process on this machine has not.
const CONTAINER: [&str; 57] = [
    "blkio_config",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "configs",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "credential_spec",
    "device_cgroup_rules",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "external_links",
    "extra_hosts",
    "gpus",
    "group_add",
    "ipc",
    "links",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "models",
    "network_mode",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "post_start",
    "pre_stop",
    "privileged",
    "read_only",
    "secrets",
    "security_opt",
    "shm_size",
    "storage_opt",
    "sysctls",
    "tmpfs",
    "ulimits",
    "use_api_socket",
    "user",
    "userns_mode",
    "uts",
    "volume_driver",
    "volumes",
    "volumes_from",
];
/// What is read.
const READ: [&str; 22] = [
    "build",
    "command",
    "deploy",
    "depends_on",
    "develop",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "healthcheck",
    "image",
    "ports",
    "profiles",
    "restart",
    "scale",
    "stop_grace_period",
    "stop_signal",
    "working_dir",
    "x-ellie",
    "include",
    "services",
];
/// Docker's own pace of health checks.
const INTERVAL: Duration = Duration::from_secs(30);

/// A Go duration such as `1m30s`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{}` is no duration such as 10s or 1m30s", excerpt(text)))
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{}` is no number", excerpt(text)))
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Ok(true),
        "false" | "no" | "off" | "n" => Ok(false),
        _ => Err(format!("`{}` is neither true nor false", excerpt(text))),
    }
}

impl Reader<'_> {
    /// The process of one service; `None` where it is not to run, or has faults.
    pub(super) fn service(&mut self, name: &str, line: usize, node: &Node) -> Option<Definition> {
        let before = self.faults.len();
        let entries = self.map(name, node);
        let of = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
        if let Some(profiles) = of("profiles").filter(|_| super::has_profiles(node)) {
            let profiles = self.texts("profiles", profiles);
            let names: Vec<String> =
                profiles.into_iter().map(|(_, name)| format!("`{}`", excerpt(&name))).collect();
            self.note(line, format!("`{name}` is not started: it is of the profile {}", names.join(", ")));
            return None;
        }
        let mut d = Definition::new(name, Vec::<String>::new()).restart(Policy::new(When::Never));
        if !self.directory.as_os_str().is_empty() {
            d.directory = Some(self.directory.into());
        }
        self.keys(name, entries);
        self.command(name, line, entries, &mut d);
        for Entry { key, value, .. } in entries {
            match key.as_str() {
                "working_dir" => {
                    d.directory = self.text(key, value).map(|path| self.path(path)).or(d.directory.take());
                }
                "environment" => self.environment(value, &mut d),
                "env_file" => self.env_files(value, &mut d),
                "depends_on" => self.dependencies(value, &mut d),
                "healthcheck" => self.health(value, &mut d),
                "restart" => d.restart = self.parsed(key, value, restart).unwrap_or(d.restart),
                "stop_grace_period" => {
                    d.stop_timeout = self.parsed(key, value, duration).unwrap_or(d.stop_timeout);
                }
                "stop_signal" => d.stop_signal = self.parsed(key, value, signal).unwrap_or(d.stop_signal),
                "scale" => d.replicas = self.parsed(key, value, number).unwrap_or(d.replicas),
                "deploy" => self.deploy(value, &mut d),
                "develop" => self.develop(value, &mut d),
                _ => {}
            }
        }
        match (of("ports"), of("expose")) {
            (Some(ports), _) => self.ports(name, ports, &mut d),
            (None, Some(ports)) => self.ports(name, ports, &mut d),
            (None, None) => {}
        }
        (self.faults.len() == before).then_some(d)
    }

    /// Tells keys that mean nothing here, and unknown ones.
    fn keys(&mut self, name: &str, entries: &[Entry]) {
        let lost: Vec<&Entry> =
            entries.iter().filter(|entry| CONTAINER.contains(&entry.key.as_str())).collect();
        if let Some(first) = lost.first() {
            let keys: Vec<String> = lost.iter().map(|entry| format!("`{}`", entry.key)).collect();
            self.note(
                first.line,
                format!(
                    "`{name}` runs without a container: {} left out",
                    match keys.len() {
                        1 => format!("{} is", keys[0]),
                        _ => format!("{} are", keys.join(", ")),
                    }
                ),
            );
        }
        for Entry { key, line, .. } in entries {
            let known = |key: &str| READ.contains(&key) || QUIET.contains(&key) || CONTAINER.contains(&key);
            if key == "extends" {
                self.fault(
                    *line,
                    format!("`{name}` extends another service, which is not followed; YAML's anchors are"),
                );
            } else if !known(key) && !key.starts_with("x-") {
                let all = READ.iter().chain(&QUIET).chain(&CONTAINER).copied();
                let near =
                    crate::plan::check::nearest(key, all).map(|near| format!("; did you mean `{near}`?"));
                self.fault(
                    *line,
                    format!("`{name}` has an unknown key `{}`{}", excerpt(key), near.unwrap_or_default()),
                );
            }
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// The words of `command` or `entrypoint`.
    fn words(&mut self, key: &str, node: &Node) -> Vec<String> {
        match &node.kind {
            Kind::List(_) => self.texts(key, node).into_iter().map(|(_, word)| word).collect(),
            Kind::Null => Vec::new(),
            _ => self.parsed(key, node, words).unwrap_or_default(),
        }
    }

    fn command(&mut self, name: &str, line: usize, entries: &[Entry], d: &mut Definition) {
        let before = self.faults.len();
        let of = |key: &str| entries.iter().find(|entry| entry.key == key);
        if let Some(entry) = of("x-ellie") {
            return self.external(name, entry, d);
        }
        for key in ["entrypoint", "command"] {
            if let Some(entry) = of(key) {
                let words = self.words(key, &entry.value);
                d.command.extend(words);
            }
        }
        let made = of("image").or(of("build"));
        match (d.command.is_empty(), made) {
            (true, _) if self.faults.len() > before => {}
            (true, Some(entry)) => self.fault(
                entry.line,
                format!(
                    "`{name}` has {} `{}` and no command: ellie runs programs, not containers. Give it a `command`, or \
                     let Docker run it and have it waited for: `x-ellie: {{ external: 127.0.0.1:6379 }}`",
                    if entry.key == "image" { "an" } else { "a" },
                    entry.key
                ),
            ),
            (true, None) => self.fault(line, format!("`{name}` has no command")),
            (false, Some(entry)) => {
                self.note(entry.line, format!("`{name}` runs its command on this machine: `{}` is left out", entry.key));
            }
            (false, None) => {}
        }
    }

    /// `x-ellie: { external: host:port }`, or a URL.
    fn external(&mut self, name: &str, entry: &Entry, d: &mut Definition) {
        for Entry { key, value, line } in self.map("x-ellie", &entry.value) {
            if key != "external" {
                self.fault(
                    *line,
                    format!("`x-ellie` has an unknown key `{}`; `external` is known", excerpt(key)),
                );
                continue;
            }
            d.external = self.parsed("external", value, |text| match text.contains("://") {
                true => text.parse().map(Check::Http),
                false => text.parse::<Address>().map(Check::Tcp),
            });
        }
        if d.external.is_none() && self.faults.is_empty() {
            self.fault(
                entry.line,
                format!("`{name}`: `x-ellie` says nothing; `external: host:port` is wanted"),
            );
        }
    }

    fn environment(&mut self, node: &Node, d: &mut Definition) {
        if let Kind::List(_) = node.kind {
            for (_, pair) in self.texts("environment", node) {
                match pair.split_once('=') {
                    Some((name, value)) => drop(d.environment.insert(name.into(), value.into())),
                    // The server's own, which it has anyway where it is set.
                    None => drop((self.variable)(&pair).map(|value| d.environment.insert(pair, value))),
                }
            }
            return;
        }
        for Entry { key, value, .. } in self.map("environment", node) {
            let value = match value.kind {
                Kind::Null => (self.variable)(key),
                _ => self.text(key, value).map(ToOwned::to_owned),
            };
            if let Some(value) = value {
                d.environment.insert(key.clone(), value);
            }
        }
    }

    fn env_files(&mut self, node: &Node, d: &mut Definition) {
        let alone = std::slice::from_ref(node);
        let items = if let Kind::List(items) = &node.kind { items.as_slice() } else { alone };
        for item in items {
            let mut file = EnvFile { path: PathBuf::new(), required: true };
            if let Kind::Map(entries) = &item.kind {
                for Entry { key, value, line } in entries {
                    match key.as_str() {
                        "path" => {
                            file.path = self.text(key, value).map(|path| self.path(path)).unwrap_or_default();
                        }
                        "required" => file.required = self.parsed(key, value, flag).unwrap_or(true),
                        "format" => {}
                        _ => self.fault(*line, format!("`env_file` has an unknown key `{}`", excerpt(key))),
                    }
                }
            } else {
                file.path = self.text("env_file", item).map(|path| self.path(path)).unwrap_or_default();
            }
            d.env_files.push(file);
        }
    }

    fn dependencies(&mut self, node: &Node, d: &mut Definition) {
        if !matches!(node.kind, Kind::Map(_)) {
            let names = self.texts("depends_on", node);
            d.dependencies
                .extend(names.into_iter().map(|(_, name)| Dependency::new(name, Condition::Started)));
            return;
        }
        for Entry { key: name, value, .. } in self.map("depends_on", node) {
            let mut dependency = Dependency::new(name, Condition::Started);
            let mut required = true;
            for Entry { key, value, line } in self.map(name, value) {
                match key.as_str() {
                    "condition" => {
                        let found = self.parsed(key, value, |text| match text {
                            "service_started" => Ok(Condition::Started),
                            "service_healthy" => Ok(Condition::Healthy),
                            "service_completed_successfully" => Ok(Condition::Completed),
                            other => Err(format!(
                                "`{}` is not service_started, service_healthy or service_completed_successfully",
                                excerpt(other)
                            )),
                        });
                        dependency.condition = found.unwrap_or(Condition::Started);
                    }
                    "restart" => dependency.restart = self.parsed(key, value, flag).unwrap_or(false),
                    "required" => required = self.parsed(key, value, flag).unwrap_or(true),
                    _ => self.fault(*line, format!("`depends_on` has an unknown key `{}`", excerpt(key))),
                }
            }
            // Without the other one it would not be waited for; with it, the order is the same.
            if required || self.defined.iter().any(|other| other == name) {
                d.dependencies.push(dependency);
            }
        }
    }

    fn health(&mut self, node: &Node, d: &mut Definition) {
        let (mut interval, mut early, mut start, mut retries) = (INTERVAL, None, Duration::ZERO, 3);
        let mut off = false;
        d.ready_timing.timeout = INTERVAL;
        for Entry { key, value, line } in self.map("healthcheck", node) {
            match key.as_str() {
                "test" => d.ready = self.test(value, &mut off),
                "interval" => interval = self.parsed(key, value, duration).unwrap_or(interval),
                "timeout" => {
                    d.ready_timing.timeout =
                        self.parsed(key, value, duration).unwrap_or(d.ready_timing.timeout);
                }
                "retries" => retries = self.parsed(key, value, number).unwrap_or(retries),
                "start_period" => start = self.parsed(key, value, duration).unwrap_or(start),
                "start_interval" => early = self.parsed(key, value, duration),
                "disable" => off = self.parsed(key, value, flag).unwrap_or(false),
                _ => self.fault(*line, format!("`healthcheck` has an unknown key `{}`", excerpt(key))),
            }
        }
        if off {
            d.ready = None;
        } else if d.ready.is_none() && self.faults.is_empty() {
            self.fault(node.line, "`healthcheck` has no `test`; one that is in an image can't be known here");
        }
        d.ready_timing.interval = early.unwrap_or(interval);
        // Docker calls it unhealthy after so long.
        d.start_timeout =
            start.saturating_add((interval.saturating_add(d.ready_timing.timeout)).saturating_mul(retries));
    }

    fn test(&mut self, node: &Node, off: &mut bool) -> Option<Check> {
        let shell = |text: String| Check::Exec(vec!["/bin/sh".into(), "-c".into(), text]);
        if let Kind::Text(text) = &node.kind {
            return Some(shell(text.clone()));
        }
        let mut words = self.texts("test", node).into_iter().map(|(_, word)| word);
        match (words.next().as_deref(), words.len()) {
            (Some("NONE"), _) => {
                *off = true;
                None
            }
            (Some("CMD"), 1..) => Some(Check::Exec(words.collect())),
            (Some("CMD-SHELL"), 1) => words.next().map(shell),
            _ => {
                self.fault(
                    node.line,
                    "`test` has to begin with CMD, CMD-SHELL or NONE, and to say what to run",
                );
                None
            }
        }
    }

    fn deploy(&mut self, node: &Node, d: &mut Definition) {
        for Entry { key, value, line } in self.map("deploy", node) {
            match key.as_str() {
                "replicas" => d.replicas = self.parsed(key, value, number).unwrap_or(d.replicas),
                "labels" | "mode" | "endpoint_mode" => {}
                _ => self.note(*line, format!("`deploy`: `{}` is left out", excerpt(key))),
            }
        }
    }

    fn develop(&mut self, node: &Node, d: &mut Definition) {
        for Entry { key, value, .. } in self.map("develop", node) {
            let (true, Kind::List(items)) = (key == "watch", &value.kind) else { continue };
            for item in items {
                for entry in self.map("watch", item).iter().filter(|entry| entry.key == "path") {
                    d.watch.extend(self.text("path", &entry.value).map(|path| self.path(path)));
                }
            }
        }
    }
}

/// `no`, `always`, `on-failure`, `on-failure:N` or `unless-stopped`.
fn restart(text: &str) -> Result<Policy, String> {
    let (when, limit) = match text.split_once(':') {
        Some((when, limit)) => (when, Some(number(limit)?)),
        None => (text, None),
    };
    let when = match (when, limit) {
        ("no" | "false", None) => When::Never,
        ("always" | "unless-stopped", None) => When::Always,
        ("on-failure", _) => When::OnFailure,
        _ => return Err(format!("`{}` is not no, always, on-failure or unless-stopped", excerpt(text))),
    };
    Ok(Policy { limit, ..Policy::new(when) })
}

fn signal(text: &str) -> Result<Signal, String> {
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    name.parse().map_err(|_| format!("`{}` is no signal such as SIGTERM", excerpt(text)))
}
