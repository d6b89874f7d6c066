//! `GET /ui/config`: every value in force and who said it. Secrets are masked where they are resolved.

use super::super::problem::{Error, Result};
use super::super::query::Query;
use super::super::wire;
use super::Shared;
use crate::config::{Effective, Origin, is_at_start};
use axum::{Extension, Json};
use ellie_api::problem::kind;
use ellie_api::ui::{self, Config, Pending, Setting, StaticService};
use http::Uri;

/// The handler.
pub(super) async fn config(Extension(ui): Extension<Shared>, uri: Uri) -> Result<Json<Config>> {
    Query::new(uri.query()).finish()?;
    let configured = ui.state.configured();
    let Some(loaded) = configured.get() else {
        return Err(Error::new(kind::NOT_FOUND, "this process has no configuration"));
    };
    let resolved = &loaded.resolved;
    let pending = loaded.pending.iter().map(|change| Pending {
        key: change.key.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
    });
    let services = resolved.services.iter().map(|s| StaticService {
        name: s.name.to_string(),
        id: s.id.to_string(),
        address: s.authority(),
    });
    Ok(Json(Config {
        file: resolved.file.as_ref().map(|file| file.display().to_string()),
        loaded_at: wire::time(loaded.at),
        items: resolved.effective.iter().map(setting).collect(),
        pending: pending.collect(),
        services: services.collect(),
        routes: resolved.routes.iter().map(|r| r.id.clone()).collect(),
        warnings: resolved.warnings.clone(),
        reloadable: configured.is_reloadable(),
    }))
}

fn setting(effective: &Effective) -> Setting {
    Setting {
        key: effective.key.clone(),
        value: effective.value.clone(),
        origin: origin(&effective.origin),
        restart: is_at_start(&effective.key),
    }
}

fn origin(origin: &Origin) -> ui::Origin {
    let text = origin.short();
    let of = |kind: &str| ui::Origin { kind: kind.into(), text: text.clone(), ..ui::Origin::default() };
    match origin {
        Origin::Default => of("default"),
        Origin::File { path, line, .. } => {
            ui::Origin { file: Some(path.display().to_string()), line: Some(*line), ..of("file") }
        }
        Origin::Env(name) => ui::Origin { name: Some(name.clone()), ..of("env") },
        Origin::Flag(name) => ui::Origin { name: Some(name.clone()), ..of("flag") },
    }
}
