//! `[[processes]]`: what `ellie up` runs.

use super::fault::Fault;
use super::origin::Origin;
use super::parse;
use super::raw::{Table, Typed, Value, find};
use super::read::{Findings, Section, tables};
use super::resolve::under;
use super::services;
use super::show::Show;
use ellie::ServiceDefinition;
use ellie::supervisor::restart::{Policy, When};
use ellie::supervisor::{
    Check, Condition, Definition, Dependency, EnvFile, Plan, Port, Signal, Timing, definition,
};
use ellie_core::model::{Draft, excerpt};
use std::path::Path;
use std::time::Duration;

/// A value of a list of tables: those are shown whole, so it needs no words of its own.
struct Unshown<T>(T);

impl<T> Show for Unshown<T> {
    fn show(&self) -> String {
        String::new()
    }
}

/// Reads and checks all.
pub(super) fn read(layers: &[&Table], out: &mut Findings, base: Option<&Path>) -> Vec<ServiceDefinition> {
    let found = tables(layers, "processes", out);
    let mut definitions = Vec::with_capacity(found.len());
    let clean = out.is_clean();
    for (i, (table, origin)) in found.iter().enumerate() {
        let path = format!("processes[{i}]");
        definitions.push(one(Section::inner(path, table, out), table, origin, base));
    }
    // What could not be read would look like something that is missing.
    if clean == out.is_clean()
        && let Err(faults) = Plan::new(definitions.iter().map(|d| d.process.clone()).collect())
    {
        let placed = faults.into_iter().map(|fault| {
            let (table, origin) = &found[fault.definition];
            let key = fault.field.split(['[', '.']).next().unwrap_or_default();
            let origin = find(table, key).map_or(origin, |entry| &entry.typed.origin).clone();
            let key = format!("processes[{}].{}", fault.definition, fault.field);
            Fault { origin, key, message: fault.message }
        });
        out.extend(placed.collect());
    }
    definitions
}

fn one(mut s: Section<'_>, table: &Table, origin: &Origin, base: Option<&Path>) -> ServiceDefinition {
    let d = Definition::new("", Vec::<String>::new());
    let base = base.filter(|base| !base.as_os_str().is_empty());
    let name = s.opt("name", parse::any_text).unwrap_or_default();
    let command = s.opt("command", command);
    let (expand, command) = command.map(|c| c.0).unwrap_or_default();
    let here = s.origin("directory");
    let directory = s.opt("directory", parse::some_text).map(|path| under(base, here.as_ref(), &path));
    let env_files = s.get("env_file", Vec::new(), one_or_more);
    let env_files =
        env_files.into_iter().map(|path| EnvFile { path: under(base, Some(origin), &path), required: true });
    let watch =
        s.get("watch", Vec::new(), one_or_more).into_iter().map(|path| under(base, Some(origin), &path));
    let watch = watch.collect();
    let (live, live_timing) = question(&mut s, "live", Timing::liveness());
    let (ready, ready_timing) = question(&mut s, "ready", Timing::readiness());
    let (external, asked) = question(&mut s, "external", Timing::readiness());
    let process = Definition {
        name,
        command,
        expand,
        directory: directory.or_else(|| base.map(Into::into)),
        environment: texts(&mut s, "environment").into_iter().collect(),
        env_files: env_files.collect(),
        dependencies: s.get("dependencies", Unshown(Vec::new()), dependencies).0,
        port: s.get("port", Unshown(d.port), port).0,
        host: s.get("host", d.host, parse::some_text),
        replicas: s.get("replicas", d.replicas, parse::within(1, 100)),
        ready,
        ready_timing: if external.is_some() { asked } else { ready_timing },
        external,
        live: live.map(|check| (check, live_timing)),
        restart: restart(&mut s),
        start_timeout: s.get("start_timeout", d.start_timeout, parse::duration(Duration::from_millis(10))),
        stop_timeout: s.get("stop_timeout", d.stop_timeout, parse::duration(Duration::ZERO)),
        drain_timeout: s.get("drain_timeout", d.drain_timeout, parse::duration(Duration::ZERO)),
        stop_signal: s.get("stop_signal", Unshown(d.stop_signal), signal).0,
        forks: s.get("forks", d.forks, parse::boolean),
        watch,
    };
    let registered = s.get("register", true, parse::boolean);
    let service = service(&mut s, table, origin, &process);
    s.finish();
    ServiceDefinition { process, service: registered.then_some(service) }
}

/// Text is split as a shell splits it, and variables are filled in; a list is taken as it is.
fn command(value: &Value) -> Result<Unshown<(bool, Vec<String>)>, String> {
    match value {
        Value::List(_) => parse::list(1024, parse::any_text)(value).map(|words| Unshown((false, words))),
        _ => definition::words(&parse::any_text(value)?).map(|words| Unshown((true, words))),
    }
}

fn words(value: &Value) -> Result<Unshown<Vec<String>>, String> {
    command(value).map(|Unshown((_, words))| Unshown(words))
}

fn one_or_more(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::List(_) => parse::list(64, parse::some_text)(value),
        _ => parse::some_text(value).map(|text| vec![text]),
    }
}

fn port(value: &Value) -> Result<Unshown<Port>, String> {
    match value {
        Value::Text(text) if text == "auto" => Ok(Unshown(Port::Allot)),
        Value::Text(text) if text == "offer" => Ok(Unshown(Port::Offer)),
        Value::Text(text) => {
            Err(format!("`{}` is not a port, \"auto\" for a free one, or \"offer\"", excerpt(text)))
        }
        other => parse::within(1, u16::MAX)(other).map(|port| Unshown(Port::Fixed(port))),
    }
}

fn signal(value: &Value) -> Result<Unshown<Signal>, String> {
    let text = parse::some_text(value)?.to_ascii_uppercase();
    let name = if text.starts_with("SIG") { text.clone() } else { format!("SIG{text}") };
    name.parse().map(Unshown).map_err(|_| format!("`{}` is no signal such as \"SIGTERM\"", excerpt(&text)))
}

/// `"db"`, or `{ name = "db", condition = "started", restart = true }`.
fn dependencies(value: &Value) -> Result<Unshown<Vec<Dependency>>, String> {
    let Value::List(items) = value else {
        return Err(format!("is {}; a list of names or tables is wanted", value.kind()));
    };
    let all: Result<Vec<_>, String> = items.iter().map(|item| dependency(&item.value)).collect();
    all.map(Unshown)
}

fn dependency(value: &Value) -> Result<Dependency, String> {
    let Value::Table(table) = value else {
        return parse::some_text(value).map(|name| Dependency::new(name, Condition::Healthy));
    };
    let known = ["name", "condition", "log", "restart"];
    if let Some(entry) = table.iter().find(|entry| !known.contains(&entry.key.as_str())) {
        return Err(format!("unknown key `{}`; the keys here are {}", excerpt(&entry.key), known.join(", ")));
    }
    let of = |key: &str| find(table, key).map(|entry| &entry.typed.value);
    let name = of("name").map(parse::some_text).transpose()?.ok_or("a dependency has no name")?;
    let log = of("log").map(parse::some_text).transpose()?;
    let condition = of("condition").map(parse::some_text).transpose()?;
    let condition = match (condition.as_deref(), log) {
        (None, Some(text)) => Condition::Log(text),
        (Some(_), Some(_)) => return Err("`condition` and `log` exclude each other".into()),
        (None | Some("healthy"), None) => Condition::Healthy,
        (Some("started"), None) => Condition::Started,
        (Some("completed"), None) => Condition::Completed,
        (Some(other), None) => {
            return Err(format!("the condition `{}` is not healthy, started or completed", excerpt(other)));
        }
    };
    let restart = of("restart").map(parse::boolean).transpose()?.unwrap_or(false);
    Ok(Dependency { name, condition, restart })
}

/// `{ http = "/health" }`, `{ tcp = "host:port" }`, `{ tcp = true }`, `{ log = "…" }` or `{ exec = "…" }`.
fn question(s: &mut Section<'_>, key: &'static str, timing: Timing) -> (Option<Check>, Timing) {
    let Some(origin) = s.origin(key) else {
        let _ = s.table(key);
        return (None, timing);
    };
    let Some(mut q) = s.section(key) else { return (None, timing) };
    let short = Duration::from_millis(10);
    let timing = Timing {
        interval: q.get("interval", timing.interval, parse::duration(short)),
        timeout: q.get("timeout", timing.timeout, parse::duration(short)),
        failures: q.get("failures", timing.failures, parse::within(1, 1000)),
    };
    let clean = q.out().is_clean();
    let http = |value: &Value| parse::some_text(value)?.parse().map(|url| Unshown(Check::Http(url)));
    let tcp = |value: &Value| match value {
        Value::Bool(true) => Ok(Unshown(Check::Tcp(ellie::supervisor::Address::Own))),
        value => parse::some_text(value)?.parse().map(|address| Unshown(Check::Tcp(address))),
    };
    let log = |value: &Value| parse::some_text(value).map(|text| Unshown(Check::Log(text)));
    let exec = |value: &Value| words(value).map(|words| Unshown(Check::Exec(words.0)));
    let mut checks = [q.opt("http", http), q.opt("tcp", tcp), q.opt("log", log), q.opt("exec", exec)]
        .into_iter()
        .flatten();
    let check = checks.next().map(|check| check.0);
    let more = checks.next().is_some();
    let path = q.path().to_owned();
    if more || (check.is_none() && q.out().is_clean() == clean) {
        q.out().fault(&origin, path, "needs exactly one of http, tcp, log and exec");
    }
    q.finish();
    (check, timing)
}

fn restart(s: &mut Section<'_>) -> Policy {
    let when = |value: &Value| match parse::some_text(value)?.replace('_', "-").as_str() {
        "always" => Ok(Unshown(When::Always)),
        "on-failure" => Ok(Unshown(When::OnFailure)),
        "never" | "no" => Ok(Unshown(When::Never)),
        other => Err(format!("`{}` is not always, on-failure or never", excerpt(other))),
    };
    let mut policy = Policy::new(s.get("restart", Unshown(When::OnFailure), when).0);
    if let Some(mut b) = s.section("backoff") {
        let ms = Duration::from_millis(1);
        policy.backoff.base = b.get("base", policy.backoff.base, parse::duration(ms));
        policy.backoff.cap = b.get("cap", policy.backoff.cap.max(policy.backoff.base), parse::duration(ms));
        policy.backoff.jitter = b.get("jitter", policy.backoff.jitter, parse::share);
        policy.steady = b.get("steady", policy.steady, parse::duration(Duration::ZERO));
        policy.crash_loop = b.get("crash_loop", policy.crash_loop, parse::within(1, 1000));
        policy.limit = b.opt("limit", parse::within(0, 1_000_000));
        b.finish();
    }
    policy
}

/// Names with text; numbers and true or false are taken as they are written.
fn texts(s: &mut Section<'_>, key: &'static str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let path = s.key(key);
    for entry in s.table(key).into_iter().flatten() {
        let Typed { value, origin } = &entry.typed;
        match value {
            Value::Text(text) => pairs.push((entry.key.clone(), text.clone())),
            Value::Integer(Some(n)) => pairs.push((entry.key.clone(), n.to_string())),
            Value::Bool(flag) => pairs.push((entry.key.clone(), flag.to_string())),
            other => {
                let message = format!("is {}; write it as text in quotes", other.kind());
                s.out().fault(origin, format!("{path}.{}", entry.key), message);
            }
        }
    }
    pairs
}

/// What it is registered as; the registration's own rules decide what is right.
fn service(s: &mut Section<'_>, table: &Table, origin: &Origin, process: &Definition) -> Draft {
    let Some(mut section) = s.section("service") else { return Draft::default() };
    let draft = Draft {
        name: section.opt("name", parse::any_text),
        version: section.opt("version", parse::any_text),
        host: section.opt("host", parse::any_text),
        port: section.opt("port", parse::integer),
        protocol: section.opt("protocol", parse::any_text),
        health_endpoint: section.opt("health_endpoint", parse::any_text),
        tags: section.get("tags", Vec::new(), parse::list(usize::MAX, parse::any_text)),
        metadata: services::metadata(&mut section),
        weight: section.opt("weight", parse::integer),
        zone: section.opt("zone", parse::any_text),
        check: section.section("health_check").map(services::check),
        ..Draft::default()
    };
    let path = section.path().to_owned();
    section.finish();
    let whole = Draft {
        name: Some(draft.name.clone().unwrap_or_else(|| process.name.clone())),
        host: Some(draft.host.clone().unwrap_or_else(|| process.host.clone())),
        port: Some(draft.port.unwrap_or(1)),
        ..draft.clone()
    };
    let inner = find(table, "service").and_then(|entry| match &entry.typed.value {
        Value::Table(inner) => Some(inner),
        _ => None,
    });
    if let (Err(faults), Some(inner)) = (whole.validate(), inner) {
        let placed: Vec<Fault> =
            faults.iter().filter_map(|fault| services::place(fault, &path, inner, origin)).collect();
        s.out().extend(placed);
    }
    draft
}
