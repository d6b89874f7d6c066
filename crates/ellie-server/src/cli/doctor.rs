//! `ellie doctor`: looks at everything that commonly is wrong with an installation.

use super::args::Settings;
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{BOLD, DIM, GREEN, RED, YELLOW};
use crate::auth::{OPERATOR_FILE, TOKENS_FILE};
use crate::config::{Backend, Resolved};
use crate::say::count;
use ellie_api::{OwnHealth, Providers};
use ellie_core::Now;
use ellie_providers::endpoint::Endpoint;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, access, geteuid};
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Problem,
}

struct Finding {
    level: Level,
    topic: &'static str,
    text: String,
    hint: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, topic: &'static str, text: impl Into<String>) -> &mut Self {
        self.0.push(Finding { level, topic, text: text.into(), hint: None });
        self
    }

    fn hint(&mut self, hint: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.hint = Some(hint.into());
        }
    }
}

pub(super) fn run(ctx: &Context) -> Result<()> {
    let mut found = Findings::default();
    let sources = ctx.sources(&Settings::default());
    let resolved = match sources.load() {
        Ok(resolved) => {
            let path = sources.path();
            let text = if path.exists() {
                format!("{} is fine", path.display())
            } else {
                "no file: defaults".into()
            };
            found.add(Level::Ok, "configuration", text);
            for warning in &resolved.warnings {
                found.add(Level::Warning, "configuration", warning.clone());
            }
            Some(resolved)
        }
        Err(faults) => {
            found
                .add(Level::Problem, "configuration", faults.to_string())
                .hint(format!("ellie check-config {}", sources.path().display()));
            None
        }
    };
    let up = server(ctx, &mut found)?;
    providers(ctx, resolved.as_ref(), up, &mut found)?;
    if let Some(resolved) = &resolved {
        if !up {
            ports(resolved, &mut found);
        }
        if resolved.storage.backend == Backend::Embedded {
            data_dir(&resolved.storage.data_dir, up, &mut found);
        } else {
            found.add(Level::Ok, "data", "ephemeral: nothing is kept");
        }
    }
    clock(&mut found);
    files(&mut found);
    print(ctx, &found.0)
}

/// Whether a server answers, and how it fares.
fn server(ctx: &Context, found: &mut Findings) -> Result<bool> {
    let client = ctx.client_whatever_the_configuration()?;
    match client.get::<OwnHealth>("/health") {
        Ok(health) => {
            let level = if health.status == ellie_api::Status::Healthy { Level::Ok } else { Level::Warning };
            let down: Vec<&str> =
                health.dependencies.iter().filter(|(_, up)| !**up).map(|(name, _)| name.as_str()).collect();
            let down =
                if down.is_empty() { String::new() } else { format!("; not available: {}", down.join(", ")) };
            let up = crate::say::span(Duration::from_secs(health.uptime));
            let text =
                format!("ellie {} at {}, up {up}, {}{down}", health.version, client.base(), health.status);
            found.add(level, "server", text);
            if health.version != env!("CARGO_PKG_VERSION") {
                found.add(Level::Warning, "version", format!("this is ellie {}", env!("CARGO_PKG_VERSION")));
            }
            Ok(true)
        }
        Err(error) if error.code == Code::Unreachable => {
            found.add(Level::Warning, "server", error.what).hint("ellie serve");
            Ok(false)
        }
        Err(error) => {
            found.add(Level::Problem, "server", format!("{} {}", error.what, error.why.join("; ")));
            // Not to come here, where one is.
            if let Some(hint) = error.hints.iter().find(|hint| !hint.starts_with("ellie doctor")) {
                found.hint(hint.clone());
            }
            // Somebody holds the port, whoever it is.
            Ok(true)
        }
    }
}

/// How the providers of a running server fare; without one, whether the configured sockets could be read.
fn providers(ctx: &Context, resolved: Option<&Resolved>, up: bool, found: &mut Findings) -> Result<()> {
    if up {
        // Whoever may not ask has been told so by the look at the server.
        let all = ctx.client_whatever_the_configuration()?.get::<Providers>("/providers").unwrap_or_default();
        for p in all.providers {
            let text = format!("{} at {}: {}", p.name, p.endpoint, count(p.instances, "instance"));
            match &p.error {
                None => found.add(Level::Ok, "providers", text),
                Some(error) => found.add(Level::Problem, "providers", format!("{text}, stale: {error}")),
            };
            for note in p.notes.iter().filter(|note| note.severity != "absent").take(20) {
                let text = format!("{} {}: {}", p.name, note.subject, note.message);
                found.add(Level::Warning, "providers", text).hint(format!("ellie why {}", note.subject));
            }
        }
        return Ok(());
    }
    let providers = resolved.map(|r| &r.providers);
    let docker = providers.and_then(|p| p.docker.as_ref()).map(|docker| &docker.settings.endpoint);
    let swarm = providers.and_then(|p| p.swarm.as_ref()).map(|swarm| &swarm.settings.endpoint);
    for (name, endpoint) in [("docker", docker), ("swarm", swarm)] {
        let Some(Endpoint::Unix(path)) = endpoint else { continue };
        match access(path.as_path(), AccessFlags::R_OK | AccessFlags::W_OK) {
            Ok(()) => found.add(Level::Ok, "providers", format!("{name}: {} can be used", path.display())),
            Err(why) => found.add(
                Level::Problem,
                "providers",
                format!("{name}: {} can't be used: {}", path.display(), why.desc()),
            ),
        };
    }
    Ok(())
}

/// Whether a server that is started now could listen.
fn ports(r: &Resolved, found: &mut Findings) {
    let mut all = vec![("api", r.api.listen), ("gateway", r.gateway.listen)];
    all.extend(r.dashboard.enabled.then_some(("dashboard", r.dashboard.listen)));
    for (name, address) in all {
        match TcpListener::bind(address) {
            Ok(_) => found.add(Level::Ok, "ports", format!("{name}: {address} is free")),
            Err(error) => {
                found.add(Level::Problem, "ports", format!("{name}: {address} can't be used: {error}"))
            }
        };
        if found.0.last().is_some_and(|f| f.level == Level::Problem) {
            found.hint(held_by(address, name));
        }
    }
}

fn held_by(address: SocketAddr, name: &str) -> String {
    format!("ss -ltnp 'sport = :{}'    # who has it; or --{name}-listen {}:0", address.port(), address.ip())
}

fn data_dir(dir: &Path, up: bool, found: &mut Findings) {
    if !dir.exists() {
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let fine = !parent.exists() || access(parent, AccessFlags::W_OK).is_ok();
        let (level, what) =
            if fine { (Level::Ok, "is made at first start") } else { (Level::Problem, "can't be made") };
        found.add(level, "data", format!("{} {what}", dir.display()));
        return;
    }
    if access(dir, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        found
            .add(
                Level::Problem,
                "data",
                format!("{} is not readable and writable by this user", dir.display()),
            )
            .hint(format!("ls -ld {}", dir.display()));
        return;
    }
    found.add(Level::Ok, "data", format!("{} is readable and writable", dir.display()));
    for (file, what) in [(OPERATOR_FILE, "operator token"), (TOKENS_FILE, "tokens")] {
        let path = dir.join(file);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.mode() & 0o077 != 0 => found
                .add(
                    Level::Problem,
                    "tokens",
                    format!("{} can be read by others: mode {:o}", path.display(), meta.mode() & 0o777),
                )
                .hint(format!("chmod 600 {}", path.display())),
            Ok(meta) if meta.uid() != geteuid().as_raw() && !geteuid().is_root() => found
                .add(Level::Warning, "tokens", format!("{} belongs to another user", path.display()))
                .hint("run ellie's commands as the user who runs the server"),
            Ok(_) => {
                found.add(Level::Ok, "tokens", format!("{what}: {}, mode 600", path.display()));
            }
            Err(_) if file == OPERATOR_FILE && up => {
                found.add(
                    Level::Warning,
                    "tokens",
                    format!("{} is not there: the server has another data directory", path.display()),
                );
                found.hint("ellie --data-dir DIR doctor");
            }
            Err(_) => {}
        }
    }
}

fn clock(found: &mut Findings) {
    // The year this program was first released; a clock before it makes certificates and leases look wrong.
    let least = UNIX_EPOCH + Duration::from_secs(1_735_689_600);
    let now = Now::read().wall;
    let text = humantime::format_rfc3339_seconds(now).to_string();
    if now < least {
        found
            .add(Level::Problem, "clock", format!("it is {text} here: the clock is wrong"))
            .hint("timedatectl status");
    } else {
        found.add(Level::Ok, "clock", text);
    }
}

fn files(found: &mut Findings) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < 4096 {
        found
            .add(
                Level::Warning,
                "open files",
                format!("{soft} (hard limit {hard}): each connection takes one or two"),
            )
            .hint(format!("ulimit -n {}", hard.min(65_536)));
    } else {
        found.add(Level::Ok, "open files", format!("{soft} are allowed"));
    }
}

fn print(ctx: &Context, all: &[Finding]) -> Result<()> {
    let level = |f: &Finding| match f.level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Problem => "problem",
    };
    let items: Vec<serde_json::Value> = all
        .iter()
        .map(|f| {
            let mut item = serde_json::json!({ "level": level(f), "topic": f.topic, "text": f.text });
            if let Some(hint) = &f.hint {
                item["try"] = hint.clone().into();
            }
            item
        })
        .collect();
    ctx.out.print(
        &items,
        &items,
        |item| item["topic"].as_str().unwrap_or_default().to_owned(),
        |text| {
            for f in all {
                let (mark, style) = match f.level {
                    Level::Ok => ("✓", GREEN),
                    Level::Warning => ("!", YELLOW),
                    Level::Problem => ("✗", RED),
                };
                let indented = f.text.replace('\n', &format!("\n{:18}", ""));
                let _ = writeln!(text, "{style}{mark}{style:#} {BOLD}{:<15}{BOLD:#} {indented}", f.topic);
                if let Some(hint) = &f.hint {
                    let _ = writeln!(text, "{:18}{DIM}try:{DIM:#} {hint}", "");
                }
            }
        },
    )?;
    let problems = all.iter().filter(|f| f.level == Level::Problem).count();
    match problems {
        0 => Ok(()),
        n => Err(Error::new(Code::Failed, format!("{n} problem{} found", if n == 1 { "" } else { "s" }))),
    }
}
