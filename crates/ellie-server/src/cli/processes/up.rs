//! `ellie up` and `ellie dev`: what is to be run is found here, the rest is the composition root's.

use super::super::args::UpArgs;
use super::super::context::Context;
use super::super::error::{Code, Error, Result};
use super::super::table::YELLOW;
use crate::app::Processes;
use crate::config::{Resolved, Sources};
use ellie::ServiceDefinition;
use ellie::supervisor::Plan;
use ellie::supervisor::source::{compose, procfile};
use std::path::{Path, PathBuf};

/// The Procfile that is looked for where none is named.
const PROCFILE: &str = "Procfile";

pub(crate) fn up(ctx: &Context, args: &UpArgs) -> Result<()> {
    run(ctx, args, false)
}

pub(crate) fn dev(ctx: &Context, args: &UpArgs) -> Result<()> {
    run(ctx, args, true)
}

fn run(ctx: &Context, args: &UpArgs, develop: bool) -> Result<()> {
    let (resolved, sources, definitions) = find(ctx, args)?;
    let processes =
        Processes { definitions, environment: std::env::vars_os().collect(), develop, print: !args.quiet };
    crate::app::up(&resolved, sources, &processes).map_err(|error| {
        let code = match error {
            crate::app::Error::Configuration(_) => Code::Config,
            _ => Code::Failed,
        };
        Error::new(code, format!("ellie did not start: {error}")).try_("ellie doctor")
    })
}

/// The configuration of the server, and what is to run beside it.
fn find(ctx: &Context, args: &UpArgs) -> Result<(Resolved, Sources, Vec<ServiceDefinition>)> {
    let mut sources = ctx.sources(&args.settings);
    let named = args.file.as_deref();
    if let Some(file) = named.filter(|file| has_ending(file, &["toml"])) {
        sources.file = Some(file.to_owned());
    }
    let resolved = ctx.resolve(&sources)?;
    let file: PathBuf = match named {
        Some(file) if has_ending(file, &["toml"]) => {
            let definitions = resolved.processes.clone();
            if definitions.is_empty() {
                let what = format!("`{}` has no [[processes]]", file.display());
                return Err(Error::new(Code::Config, what).try_("ellie serve    # runs the server alone"));
            }
            return Ok((resolved, sources, definitions));
        }
        Some(file) => file.to_owned(),
        None if !resolved.processes.is_empty() => {
            let definitions = resolved.processes.clone();
            return Ok((resolved, sources, definitions));
        }
        None if Path::new(PROCFILE).exists() => PROCFILE.into(),
        None => {
            return Err(Error::new(Code::Usage, "there is nothing to run here")
                .because(format!(
                    "`{}` has no [[processes]], and there is no {PROCFILE}",
                    sources.path().display()
                ))
                .try_("ellie up FILE")
                .try_("ellie serve    # runs the server alone"));
        }
    };
    let definitions = match has_ending(&file, &["yaml", "yml"]) {
        true => read_compose(ctx, &file)?,
        false => read_procfile(&file)?,
    };
    Ok((resolved, sources, definitions))
}

fn has_ending(file: &Path, endings: &[&str]) -> bool {
    file.extension().is_some_and(|ending| endings.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

fn read(file: &Path) -> Result<String> {
    let unread =
        |error| Error::new(Code::Usage, format!("`{}` can't be read", file.display())).because(error);
    std::fs::read_to_string(file).map_err(unread)
}

/// A file that can't be run, and every reason.
fn faulty<W: ToString>(file: &Path, why: impl IntoIterator<Item = W>) -> Error {
    let why: Vec<String> = why.into_iter().map(|why| why.to_string()).collect();
    Error::new(Code::Config, format!("`{}` has faults", file.display())).because(why.join("\n"))
}

fn read_procfile(file: &Path) -> Result<Vec<ServiceDefinition>> {
    let text = read(file)?;
    let definitions = procfile::parse(&text, directory(file)).map_err(|faults| faulty(file, faults))?;
    if definitions.is_empty() {
        return Err(faulty(file, ["no line of it is `name: command`"]));
    }
    Plan::new(definitions.clone()).map_err(|faults| faulty(file, faults))?;
    Ok(definitions.into_iter().map(Into::into).collect())
}

fn read_compose(ctx: &Context, file: &Path) -> Result<Vec<ServiceDefinition>> {
    let text = read(file)?;
    let own = compose::dotenv(directory(file)).map_err(|why| faulty(file, [why]))?;
    let variable = |name: &str| ctx.env.get(name).cloned().or_else(|| own.get(name).cloned());
    let read = compose::parse(&text, directory(file), &variable).map_err(|faults| faulty(file, faults))?;
    for note in &read.notes {
        anstream::eprintln!("{YELLOW}note:{YELLOW:#} {}:{}: {}", file.display(), note.line, note.message);
    }
    if read.definitions.is_empty() {
        return Err(faulty(file, ["there is no service in it that could be started"]));
    }
    Plan::new(read.definitions.clone()).map_err(|faults| {
        let placed =
            faults.into_iter().map(|fault| format!("line {}: {fault}", read.lines[fault.definition]));
        faulty(file, placed.collect::<Vec<_>>())
    })?;
    Ok(read.definitions.into_iter().map(Into::into).collect())
}

/// Where what a file says is relative to.
fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}
