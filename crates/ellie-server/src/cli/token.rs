//! `ellie token`: works on the data directory, so on the server's machine; a running server sees the change.

use super::args::{TokenArgs, TokenCommand};
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{Align::*, BOLD, Cell, Column, DIM, YELLOW};
use crate::auth::{self, TOKENS_FILE};
use crate::say::{ago, until};
use ellie_core::Now;
use std::io;
use std::path::Path;

pub(super) fn run(ctx: &Context, args: &TokenArgs) -> Result<()> {
    let dir = ctx.data_dir()?;
    match &args.command {
        TokenCommand::Create { name, scope, ttl, force } => {
            if *force {
                auth::revoke(&dir, name).map_err(|e| failed(&e, &dir))?;
            }
            let token =
                auth::create(&dir, name, *scope, *ttl, Now::read().wall).map_err(|e| match e.kind() {
                    io::ErrorKind::AlreadyExists => {
                        Error::new(Code::Refused, e.to_string()).try_("the same with --force, to replace it")
                    }
                    io::ErrorKind::InvalidInput => Error::new(Code::Usage, e.to_string()),
                    _ => failed(&e, &dir),
                })?;
            let value = serde_json::json!({ "name": name, "scope": scope.as_str(), "token": token.expose() });
            // The token alone on standard output, so that it can be piped; what to do with it beside it.
            ctx.out.print_one(
                &value,
                |_| token.expose().to_owned(),
                |text| text.push_str(&format!("{}\n", token.expose())),
            )?;
            if ctx.out.format == super::args::Format::Table {
                anstream::eprintln!(
                    "{DIM}token {BOLD}{name}{BOLD:#}{DIM} of scope {scope}: shown this once, {} keeps only its hash{DIM:#}",
                    dir.join(TOKENS_FILE).display()
                );
            }
            Ok(())
        }
        TokenCommand::Ls => list(ctx, &dir),
        TokenCommand::Revoke { name } => {
            if !auth::revoke(&dir, name).map_err(|e| failed(&e, &dir))? {
                let what = format!("no token `{name}` in {}", dir.join(TOKENS_FILE).display());
                return Err(Error::new(Code::NotFound, what).try_("ellie token ls"));
            }
            let value = serde_json::json!({ "name": name, "revoked": true });
            ctx.out.print_one(
                &value,
                |_| name.clone(),
                |text| text.push_str(&format!("revoked token {name}\n")),
            )
        }
    }
}

fn failed(error: &io::Error, dir: &Path) -> Error {
    Error::new(Code::Failed, "the tokens can't be read or written")
        .because(error)
        .try_(format!("ls -ld {}    # tokens are made by the user who runs the server", dir.display()))
}

fn list(ctx: &Context, dir: &Path) -> Result<()> {
    let now = Now::read().wall;
    let entries = auth::list(dir).map_err(|e| failed(&e, dir))?;
    let time = |t| humantime::format_rfc3339_seconds(t).to_string();
    let items: Vec<serde_json::Value> = entries
        .iter()
        .map(|e| {
            let mut item = serde_json::json!({ "name": e.name, "scope": e.scope.as_str(), "createdAt": time(e.created) });
            if let Some(at) = e.expires {
                item["expiresAt"] = time(at).into();
                item["expired"] = (at <= now).into();
            }
            item
        })
        .collect();
    ctx.out.print(&items, &items, |item| item["name"].as_str().unwrap_or_default().to_owned(), |text| {
        if entries.is_empty() {
            text.push_str("No token but the operator's own.\n  try: ellie token create --name ci --scope register\n");
            return;
        }
        let columns = [Column("TOKEN", Left), Column("SCOPE", Left), Column("CREATED", Left), Column("EXPIRES", Left)];
        let rows: Vec<Vec<Cell>> = entries
            .iter()
            .map(|e| {
                let expires = match e.expires {
                    None => "never".into(),
                    Some(at) if at <= now => Cell::styled("expired", YELLOW),
                    Some(at) => until(&time(at)).into(),
                };
                vec![Cell::styled(&e.name, BOLD), e.scope.as_str().into(), ago(&time(e.created)).into(), expires]
            })
            .collect();
        text.push_str(&ctx.out.table(&columns, &rows));
    })
}
