//! `ellie serve` and `ellie demo`: the configuration is resolved here, the rest is the composition root's.

use super::args::{DemoArgs, ServeArgs};
use super::context::Context;
use super::error::{Code, Error, Result};

pub(super) fn serve(ctx: &Context, args: &ServeArgs) -> Result<()> {
    let sources = ctx.sources(&args.settings);
    let resolved = ctx.resolve(&sources)?;
    crate::app::serve(&resolved, sources).map_err(|error| failed(&error))
}

pub(super) fn demo(ctx: &Context, args: &DemoArgs) -> Result<()> {
    let mut settings = args.settings.clone();
    // What is shown is not kept.
    settings.ephemeral = true;
    // First, so that a flag of one's own is stronger; as flags, so that the configuration tells what is in force.
    settings.set.splice(0..0, crate::demo::QUICK.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let resolved = ctx.resolve(&ctx.sources(&settings))?;
    crate::demo::run(resolved, args.duration).map_err(|error| failed(&error))
}

fn failed(error: &crate::app::Error) -> Error {
    let code = match error {
        crate::app::Error::Configuration(_) => Code::Config,
        _ => Code::Failed,
    };
    Error::new(code, format!("ellie did not start: {error}")).try_("ellie doctor")
}
