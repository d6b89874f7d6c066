//! `ellie routes`.

use super::args::{AddRouteArgs, RoutesArgs, RoutesCommand};
use super::client::segment;
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{Align::*, BOLD, Cell, Column, DIM};
use crate::say::{span, span_ms};
use crate::why::methods;
use ellie_api::route::Methods;
use ellie_api::{RateLimit, Route, Routes};
use std::collections::BTreeMap;
use ureq::http::Method;

pub(super) fn run(ctx: &Context, args: &RoutesArgs) -> Result<()> {
    match &args.command {
        None | Some(RoutesCommand::Ls) => list(ctx),
        Some(RoutesCommand::Add(add)) => self::add(ctx, add),
        Some(RoutesCommand::Rm { id }) => remove(ctx, id),
        Some(RoutesCommand::Test(test)) => super::route_test::run(ctx, test),
    }
}

fn list(ctx: &Context) -> Result<()> {
    let all: Routes = ctx.client()?.get("/routes")?;
    ctx.out.print(&all, &all.routes, |r| r.id.clone().unwrap_or_default(), |text| {
        if all.routes.is_empty() {
            text.push_str("No route yet.\n  try: ellie routes add '/api/users/*' user-service --target-path /users\n");
        } else {
            text.push_str(&table(ctx, &all.routes));
        }
    })
}

fn wanted(pairs: &[(String, String)]) -> BTreeMap<String, Option<String>> {
    pairs.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect()
}

/// Routes as a table.
pub(super) fn table(ctx: &Context, routes: &[Route]) -> String {
    let columns = [
        Column("ROUTE", Left),
        Column("METHOD", Left),
        Column("HOST", Left),
        Column("PATH", Flexible),
        Column("SERVICE", Left),
        Column("TARGET", Flexible),
        Column("TIMEOUT", ExtraRight),
        Column("LIMIT", Extra),
        Column("FROM", Extra),
    ];
    let row = |r: &Route| {
        let mut path = r.path.clone();
        for (name, value) in &r.query {
            let sign = if path.contains('?') { '&' } else { '?' };
            path.push_str(&format!("{sign}{name}={}", value.as_deref().unwrap_or("…")));
        }
        for (name, value) in &r.headers {
            path.push_str(&format!(" {name}: {}", value.as_deref().unwrap_or("…")));
        }
        vec![
            Cell::styled(r.id.clone().unwrap_or_default(), BOLD),
            methods(r).into(),
            r.host.clone().unwrap_or_default().into(),
            path.into(),
            r.service_name.clone().into(),
            r.target_path.clone().unwrap_or_default().into(),
            r.timeout.map_or_else(String::new, span_ms).into(),
            r.rate_limit
                .as_ref()
                .map_or_else(String::new, |l| format!("{}/{}", l.max, span_ms(l.window_ms)))
                .into(),
            Cell::styled(r.source.clone().unwrap_or_default(), DIM),
        ]
    };
    ctx.out.table(&columns, &routes.iter().map(row).collect::<Vec<_>>())
}

fn add(ctx: &Context, args: &AddRouteArgs) -> Result<()> {
    let client = ctx.client()?;
    let route = Route {
        id: args.id.clone(),
        path: args.path.clone(),
        method: args.method.clone().map(Methods::One),
        host: args.host.clone(),
        headers: wanted(&args.header),
        query: wanted(&args.query),
        service_name: args.service.clone(),
        target_path: args.target_path.clone(),
        timeout: args.request_timeout.map(|d| d.as_millis() as u64),
        try_timeout: args.try_timeout.map(|d| d.as_millis() as u64),
        retries: args.retries,
        retry_on: (!args.retry_on.is_empty()).then(|| args.retry_on.clone()),
        max_body: args.max_body,
        rate_limit: args.rate_limit.map(|(max, window)| RateLimit {
            window_ms: window.as_millis() as u64,
            max,
            key: None,
        }),
        tags: args.tag.clone(),
        ..Route::default()
    };
    // Empty maps are left out: an older server need not know them.
    let mut body = serde_json::to_value(&route)
        .map_err(|e| Error::new(Code::Failed, "the route can't be written as JSON").because(e))?;
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| {
            !value.as_object().is_some_and(serde_json::Map::is_empty)
                && !value.as_array().is_some_and(Vec::is_empty)
        });
    }
    let added: Route = match (&args.id, args.force) {
        (Some(id), true) => {
            let put = client.call(&Method::PUT, &format!("/routes/{}", segment(id)), Some(&body));
            match put {
                Err(error) if error.code == Code::NotFound => {
                    client.call(&Method::POST, "/routes", Some(&body))?
                }
                other => other?,
            }
        }
        (Some(id), false) => {
            let all: Routes = client.get("/routes")?;
            if let Some(old) = all.routes.iter().find(|r| r.id.as_ref() == Some(id)) {
                let what = format!("a route `{id}` exists: {} to {}", old.path, old.service_name);
                return Err(Error::new(Code::Refused, what).try_("the same with --force, to replace it"));
            }
            client.call(&Method::POST, "/routes", Some(&body))?
        }
        (None, _) => client.call(&Method::POST, "/routes", Some(&body))?,
    };
    ctx.out.print_one(
        &added,
        |r| r.id.clone().unwrap_or_default(),
        |text| {
            let limit = args
                .rate_limit
                .map_or_else(String::new, |(max, window)| format!(", {max} per {}", span(window)));
            text.push_str(&format!(
                "added route {BOLD}{}{BOLD:#}: {} {} → {}{limit}\n",
                added.id.as_deref().unwrap_or_default(),
                methods(&added),
                added.path,
                added.service_name
            ));
        },
    )
}

fn remove(ctx: &Context, id: &str) -> Result<()> {
    ctx.client()?.send(&Method::DELETE, &format!("/routes/{}", segment(id)), None::<&()>).map_err(
        |error| match error.code {
            Code::NotFound => error.try_("ellie routes"),
            _ => error,
        },
    )?;
    let value = serde_json::json!({ "id": id, "removed": true });
    ctx.out.print_one(&value, |_| id.to_owned(), |text| text.push_str(&format!("removed route {id}\n")))
}
