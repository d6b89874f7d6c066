//! `ellie strategy`: the load-balancing strategy, shown or switched.

use super::args::{StrategyArgs, Switch};
use super::client::segment;
use super::context::Context;
use super::error::{Code, Error, Result};
use super::table::{Align::Left, Cell, Column, DIM};
use ellie_api::ServiceDetail;
use ellie_api::request::StrategyChange;
use ellie_api::stats::Strategies;
use std::fmt::Write;
use ureq::http::Method;

pub(super) fn run(ctx: &Context, args: &StrategyArgs) -> Result<()> {
    let client = ctx.client()?;
    let service = args.service.as_deref();
    let all: Strategies = match args.strategy {
        Some(Switch(None)) if service.is_none() => {
            return Err(Error::new(Code::Usage, "`default` is for one service: the strategy of all others")
                .try_("ellie strategy default --service NAME"));
        }
        Some(Switch(strategy)) => {
            let strategy = strategy.map(|strategy| strategy.as_str().to_owned());
            let body = StrategyChange { strategy, service: args.service.clone() };
            client.call(&Method::PUT, "/load-balancer/strategy", Some(&body))?
        }
        None => client.get("/load-balancer/strategy")?,
    };
    let line = |service: Option<&str>, strategy: &str| StrategyLine {
        service: service.map(str::to_owned),
        strategy: strategy.to_owned(),
    };
    let of_all = line(None, &all.strategy);
    let own = all.services.iter().map(|(name, strategy)| line(Some(name), strategy));
    let table = |text: &mut String, lines: &[StrategyLine]| {
        let row = |l: &StrategyLine| {
            vec![l.service.as_deref().unwrap_or("(all others)").into(), l.strategy.clone().into()]
        };
        let rows: Vec<Vec<Cell>> = lines.iter().map(row).collect();
        text.push_str(&ctx.out.table(&[Column("SERVICE", Left), Column("STRATEGY", Left)], &rows));
    };
    let name = |l: &StrategyLine| l.strategy.clone();
    let Some(service) = service else {
        let lines: Vec<_> = std::iter::once(of_all).chain(own).collect();
        return ctx.out.print(&all, &lines, name, |text| table(text, &lines));
    };
    let is_registered = match client.get::<ServiceDetail>(&format!("/services/{}", segment(service))) {
        Ok(_) => true,
        // A strategy may be set before there is a service; what was not set is not there.
        Err(error) if error.code == Code::NotFound => {
            if args.strategy.is_none() && !all.services.contains_key(service) {
                return Err(error);
            }
            false
        }
        Err(error) => return Err(error),
    };
    let its = all.services.get(service).unwrap_or(&all.strategy);
    let its = line(Some(service), its);
    ctx.out.print_one(&its, name, |text| {
        table(text, std::slice::from_ref(&its));
        if !is_registered {
            let _ = writeln!(text, "{DIM}{service} is not registered yet; it holds once it is{DIM:#}");
        }
    })
}

/// A strategy in force, of all services that have none of their own or of one.
#[derive(serde::Serialize)]
struct StrategyLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    strategy: String,
}
