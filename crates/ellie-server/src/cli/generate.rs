//! `ellie completions`, `man` and `openapi`: what is made from the program itself.

use super::args::Cli;
use super::context::Context;
use super::error::{Code, Error, Result};
use clap::CommandFactory;
use std::path::Path;

pub(super) fn completions(ctx: &Context, shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ellie", &mut script);
    ctx.out.write(&String::from_utf8_lossy(&script))
}

pub(super) fn man(ctx: &Context, dir: Option<&Path>) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::new(Code::Failed, "the manual can't be written").because(error);
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), dir).map_err(failed)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
            ctx.out.write(&String::from_utf8_lossy(&page))
        }
    }
}

pub(super) fn openapi(ctx: &Context) -> Result<()> {
    ctx.out.write(&format!("{}\n", crate::admin::DOCUMENT.trim_end()))
}
