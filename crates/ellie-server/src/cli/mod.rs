//! The command line: words ([`args`]), the API's client, what is printed, and a module for each group of commands.

mod args;
mod breakers;
mod change;
mod client;
mod config;
mod context;
mod doctor;
mod error;
mod events;
mod generate;
mod list;
mod output;
mod processes;
mod route_test;
mod routes;
mod run;
mod serve;
mod strategy;
mod table;
mod token;
mod why;

use args::{Cli, Command, Format};
use clap::Parser;
use context::Context;
use error::{Error, Result};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Parses the command line, does what it says and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to standard output; a closed one is no fault.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let format = cli.common.output;
    match dispatch(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(&error, format),
    }
}

fn fail(error: &Error, format: Format) -> ExitCode {
    // An error without words: whoever read standard output has gone, which is no failure.
    if error.what.is_empty() {
        return ExitCode::SUCCESS;
    }
    error.print(format);
    ExitCode::from(error.code as u8)
}

/// The process' environment, read here and nowhere else; what is not UTF-8 is no setting of ours.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn dispatch(cli: Cli) -> Result<u8> {
    let ctx = Context::new(cli.common, environment());
    let done = match &cli.command {
        Command::Serve(args) => serve::serve(&ctx, args),
        Command::Demo(args) => serve::demo(&ctx, args),
        Command::Register(args) => change::register(&ctx, args),
        Command::Deregister(args) => change::deregister(&ctx, args),
        Command::Check(args) => change::check(&ctx, args),
        Command::Drain(args) => change::drain(&ctx, args),
        Command::Undrain(args) => change::undrain(&ctx, args),
        Command::Maintenance(args) => change::maintenance(&ctx, args),
        Command::Weight(args) => change::weight(&ctx, args),
        Command::Services(args) => list::services(&ctx, args),
        Command::Instances(args) => list::instances(&ctx, args),
        Command::Resolve(args) => list::resolve(&ctx, args),
        Command::Why(args) => return why::run(&ctx, args),
        Command::Breakers(args) => breakers::run(&ctx, args),
        Command::Routes(args) => routes::run(&ctx, args),
        Command::Events(args) => events::events(&ctx, args),
        Command::Watch(args) => events::watch(&ctx, args),
        Command::Stats => list::stats(&ctx),
        Command::Strategy(args) => strategy::run(&ctx, args),
        Command::Health(args) => list::health(&ctx, args),
        Command::Run(args) => return run::run(&ctx, args),
        Command::Up(args) => processes::up(&ctx, args),
        Command::Dev(args) => processes::dev(&ctx, args),
        Command::Down => processes::down(&ctx),
        Command::Ps => processes::ps(&ctx),
        Command::Logs(args) => processes::logs(&ctx, args),
        Command::Start(args) => processes::start(&ctx, args),
        Command::Stop(args) => processes::stop(&ctx, args),
        Command::Restart(args) => processes::restart(&ctx, args),
        Command::Graph(args) => processes::graph(&ctx, args),
        Command::Analyze => processes::analyze(&ctx),
        Command::Wait(args) => processes::wait(&ctx, args),
        Command::CheckConfig(args) => config::check(&ctx, args),
        Command::Config(args) => config::run(&ctx, args),
        Command::Reload => config::reload(&ctx),
        Command::Doctor => doctor::run(&ctx),
        Command::Token(args) => token::run(&ctx, args),
        Command::Completions { shell } => generate::completions(&ctx, *shell),
        Command::Man { dir } => generate::man(&ctx, dir.as_deref()),
        Command::Openapi => generate::openapi(&ctx),
    };
    done.map(|()| 0)
}

#[cfg(test)]
mod tests;
