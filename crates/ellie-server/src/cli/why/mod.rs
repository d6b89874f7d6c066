//! `ellie why`: every reason why a service or an instance is, or is not, discoverable and routable, from the running
//! system, and what to do next.

mod print;

use super::args::WhyArgs;
use super::client::{Client, query, segment};
use super::context::Context;
use super::error::{Code, Error, Result};
use crate::config::nearest;
use crate::why::{self, Facts};
use ellie_api::health::NamedHealth;
use ellie_api::{Breakers, Events, Providers, Resolved, Routes, ServiceDetail, Services, Stats};

/// Code 1 where what was asked about gets no traffic, so that a script may ask; the report is the same.
pub(super) fn run(ctx: &Context, args: &WhyArgs) -> Result<u8> {
    let client = ctx.client()?;
    let path = format!("/services/{}", segment(&args.name));
    let detail: ServiceDetail = match client.get(&path) {
        Ok(detail) => detail,
        Err(error) if error.code == Code::NotFound => return Err(unknown_service(&client, &args.name)),
        Err(error) => return Err(error),
    };
    if let Some(id) = &args.id
        && !detail.instances.iter().any(|i| i.id == *id)
    {
        return Err(unknown_instance(&client, &detail, id));
    }
    let tags: String = args.tag.iter().map(|tag| format!("&tag={}", query(tag))).collect();
    let stats = client.get::<Stats>("/services/stats").ok();
    let facts = Facts {
        resolved: client.get::<Resolved>(&format!("{path}/resolve?explain=true{tags}")).ok(),
        health: client.get::<NamedHealth>(&format!("{path}/health")).ok(),
        breaker: client
            .get::<Breakers>("/breakers")
            .ok()
            .and_then(|all| all.breakers.into_iter().find(|b| b.name.as_deref() == Some(&args.name))),
        routes: client.get::<Routes>("/routes").ok().map_or_else(Vec::new, |all| all.routes),
        balance: stats.as_ref().and_then(|s| s.load_balancer.services.get(&args.name).cloned()),
        by_route: stats.as_ref().map(|s| s.gateway.by_route.clone()).unwrap_or_default(),
        expiry_paused: stats.and_then(|s| s.registry.expiry_paused),
        events: events(&client, &args.name),
        providers: providers(&client),
        tags: args.tag.clone(),
        detail,
    };
    let report = why::report(&facts, args.id.as_deref());
    ctx.out.print_one(
        &report,
        |r| r.verdict.clone(),
        |text| print::report(text, &report, ctx.out.width()),
    )?;
    Ok(if report.routable { 0 } else { Code::Failed as u8 })
}

fn providers(client: &Client) -> Vec<ellie_api::provider::Provider> {
    client.get::<Providers>("/providers").map_or_else(|_| Vec::new(), |all| all.providers)
}

fn events(client: &Client, name: &str) -> Vec<ellie_api::Event> {
    let all = client.get::<Events>(&format!("/events?service={}", query(name)));
    let mut events = all.map_or_else(|_| Vec::new(), |all| all.events);
    events.retain(|e| e.service.as_deref() == Some(name));
    events
}

/// A name that nobody registered: what is near it, and what became of it.
fn unknown_service(client: &Client, name: &str) -> Error {
    let mut error =
        Error::new(Code::NotFound, format!("no service `{name}` is registered at {}", client.base()));
    let providers = providers(client);
    let notes = why::provided::notes(&providers, name);
    if !notes.is_empty() {
        for note in notes.iter().take(8) {
            error = error.because(why::provided::line(note));
        }
        return error.try_("ellie doctor");
    }
    let services = client.get::<Services>("/services").map_or_else(|_| Vec::new(), |all| all.services);
    let near = nearest(name, services.iter().map(|s| s.name.as_str()));
    if let Some(near) = near {
        error = error.because(format!("did you mean `{near}`?"));
    } else if services.is_empty() {
        error = error.because("nothing is registered at all");
    } else {
        let names: Vec<&str> = services.iter().take(8).map(|s| s.name.as_str()).collect();
        let more = services.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        error = error.because(format!("registered are {}{more}", names.join(", ")));
    }
    for event in events(client, name).iter().rev().take(3) {
        error = error.because(why::event_line(event));
    }
    let routes = client.get::<Routes>("/routes").map_or_else(|_| Vec::new(), |all| all.routes);
    for route in routes.iter().filter(|r| r.service_name == name) {
        error = error.because(format!(
            "route {} ({}) leads to it and answers 503 until it is registered",
            route.id.as_deref().unwrap_or_default(),
            route.path
        ));
    }
    match near {
        Some(near) => error.try_(format!("ellie why {near}")),
        None => {
            error.try_(format!("ellie register {name} --port PORT --health /health")).try_("ellie services")
        }
    }
}

fn unknown_instance(client: &Client, detail: &ServiceDetail, id: &str) -> Error {
    let name = &detail.name;
    let mut error = Error::new(Code::NotFound, format!("service `{name}` has no instance `{id}`"));
    let near = nearest(id, detail.instances.iter().map(|i| i.id.as_str()));
    if let Some(near) = near {
        error = error.because(format!("did you mean `{near}`?"));
    } else {
        let ids: Vec<&str> = detail.instances.iter().take(8).map(|i| i.id.as_str()).collect();
        error = error.because(format!("it has {}", ids.join(", ")));
    }
    let gone = events(client, name).into_iter().filter(|e| e.instance.as_deref() == Some(id));
    for event in gone.collect::<Vec<_>>().iter().rev().take(3) {
        error = error.because(why::event_line(event));
    }
    error.try_(match near {
        Some(near) => format!("ellie why {name} {near}"),
        None => format!("ellie instances {name}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::why::tests::{facts, instance};

    #[test]
    fn text_and_json_tell_the_same() {
        let r = why::report(&facts(vec![instance("a\u{1b}[2J")]), None);
        let mut text = String::new();
        print::report(&mut text, &r, Some(80));
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.contains(&r.verdict) && plain.contains("GET http://127.0.0.1:3001/health"));
        assert!(plain.lines().all(|l| l.chars().count() <= 80), "{plain}");
        assert_eq!(serde_json::to_value(&r).unwrap()["try"][0], r.hints[0]);
    }
}
