//! `ellie check-config`, `ellie config show` and `ellie reload`.

use super::args::{CheckConfigArgs, ConfigArgs, ConfigCommand};
use super::context::{Context, bad_config};
use super::error::{Code, Result};
use super::table::{BOLD, CYAN, DIM, YELLOW, clean};
use crate::config::{Effective, Origin, Resolved, Sources};
use crate::say::count;
use ellie_api::Reloaded;
use std::fmt::Write;
use ureq::http::Method;

pub(super) fn check(ctx: &Context, args: &CheckConfigArgs) -> Result<()> {
    let mut sources = ctx.sources(&args.settings);
    if args.file.is_some() {
        sources.file.clone_from(&args.file);
    } else if sources.file.is_none() {
        // To check is to check a file: the one that would be read has to be there.
        sources.file = Some(sources.path().to_owned());
    }
    let resolved = ctx.resolve(&sources)?;
    let set = resolved.effective.iter().filter(|e| e.origin != Origin::Default).count();
    let value = serde_json::json!({
        "file": sources.path(),
        "valid": true,
        "settings": set,
        "services": resolved.services.len(),
        "routes": resolved.routes.len(),
        "warnings": resolved.warnings,
    });
    ctx.out.print_one(
        &value,
        |_| sources.path().display().to_string(),
        |text| {
            let _ = writeln!(
                text,
                "{BOLD}{}{BOLD:#} is fine: {} set, {}, {}",
                sources.path().display(),
                count(set, "key"),
                count(resolved.services.len(), "static service"),
                count(resolved.routes.len(), "route")
            );
            for warning in &resolved.warnings {
                let _ = writeln!(text, "{YELLOW}warning:{YELLOW:#} {warning}");
            }
        },
    )
}

/// Has the server read its configuration again.
pub(super) fn reload(ctx: &Context) -> Result<()> {
    let done: Result<Reloaded> = ctx.client()?.call(&Method::PUT, "/reload", None::<&()>);
    let done = done.map_err(|error| match error.code {
        Code::Failed => error.try_("ellie check-config"),
        _ => error,
    })?;
    ctx.out.print_one(
        &done,
        |_| "reloaded".into(),
        |text| {
            if done.changed.is_empty() {
                text.push_str("read again: nothing is different that can change while running\n");
            }
            for change in &done.changed {
                let _ = writeln!(text, "{}", clean(change));
            }
            for change in &done.restart {
                let _ = writeln!(text, "{YELLOW}at the next start:{YELLOW:#} {}", clean(change));
            }
        },
    )
}

pub(super) fn run(ctx: &Context, args: &ConfigArgs) -> Result<()> {
    let ConfigCommand::Show { origin, set_only, settings } = &args.command;
    let sources = ctx.sources(settings);
    let resolved = sources.load().map_err(|faults| bad_config(&sources, &faults))?;
    let shown: Vec<&Effective> =
        resolved.effective.iter().filter(|e| !set_only || e.origin != Origin::Default).collect();
    let items: Vec<serde_json::Value> = shown
        .iter()
        .map(|e| {
            let mut item = serde_json::json!({ "key": e.key, "value": json_value(e) });
            if *origin {
                item["origin"] = e.origin.short().into();
            }
            item
        })
        .collect();
    ctx.out.print(
        &items,
        &items,
        |item| item["key"].as_str().unwrap_or_default().to_owned(),
        |text| {
            toml(text, &resolved, &sources, &shown, *origin, ctx.out.width());
        },
    )
}

fn json_value(e: &Effective) -> serde_json::Value {
    let parsed =
        e.value.as_deref().and_then(|value| toml::from_str::<toml::Table>(&format!("v = {value}")).ok());
    parsed.and_then(|table| serde_json::to_value(table.get("v")).ok()).unwrap_or(serde_json::Value::Null)
}

/// The configuration as a file that would give it, secrets left out.
fn toml(
    text: &mut String,
    resolved: &Resolved,
    sources: &Sources,
    shown: &[&Effective],
    origin: bool,
    width: Option<usize>,
) {
    let file = match &resolved.file {
        Some(path) => format!("file {}", path.display()),
        None => format!("no file ({} does not exist)", sources.path().display()),
    };
    let _ = writeln!(text, "{DIM}# {file}; defaults < file < environment < flags{DIM:#}");
    let lines: Vec<(String, &Effective)> = shown
        .iter()
        .map(|e| {
            let key = e.key.split_once('.').map_or(e.key.as_str(), |(_, key)| key);
            (
                e.value
                    .as_ref()
                    .map_or_else(|| format!("# {key} is not set"), |value| format!("{key} = {value}")),
                *e,
            )
        })
        .collect();
    let widest = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let pad = widest.min(width.map_or(56, |w| w.saturating_sub(34)).max(40));
    let mut section = "";
    for (line, e) in &lines {
        let own = e.key.split('.').next().unwrap_or_default();
        if own != section {
            section = own;
            let _ = writeln!(text, "\n{CYAN}[{section}]{CYAN:#}");
        }
        let is_default = e.origin == Origin::Default;
        let style = if is_default { DIM } else { BOLD };
        if origin {
            let _ = writeln!(text, "{style}{line:<pad$}{style:#}  {DIM}# {}{DIM:#}", e.origin.short());
        } else {
            let _ = writeln!(text, "{style}{line}{style:#}");
        }
    }
    for s in &resolved.services {
        let _ = writeln!(
            text,
            "\n{CYAN}[[services]]{CYAN:#}  {DIM}# {} {} at {}{DIM:#}",
            s.name,
            s.id,
            s.authority()
        );
    }
    for r in &resolved.routes {
        let method = if r.methods.is_empty() { "*".into() } else { r.methods.join(",") };
        let _ = writeln!(
            text,
            "\n{CYAN}[[routes]]{CYAN:#}  {DIM}# {}: {method} {} → {}{DIM:#}",
            r.id, r.path, r.service_name
        );
    }
}
