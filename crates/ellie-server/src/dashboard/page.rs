//! The overview as HTML: what needs attention first, then every service.

use crate::app::Addresses;
use ellie::breaker::State;
use ellie::core::Now;
use ellie::core::discovery::Standing;
use ellie::{Ellie, Status};
use std::fmt::{self, Write as _};

/// At most this many instances are listed under one service; the rest is counted.
const LISTED: usize = 50;
/// The newest events that are shown.
const EVENTS: usize = 15;

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    links: Vec<(&'static str, String)>,
    at: String,
    counts: [(&'static str, usize); 5],
    attention: Vec<String>,
    services: Vec<Service>,
    events: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Service {
    name: String,
    status: Status,
    breaker: State,
    strategy: String,
    instances: Vec<Instance>,
    more: usize,
}

#[derive(Clone, Debug)]
struct Instance {
    id: String,
    address: String,
    version: String,
    status: Status,
    standing: Standing,
    reason: String,
}

impl View {
    pub(super) fn of(ellie: &Ellie, addresses: &Addresses) -> Self {
        let now = Now::read();
        let snapshot = ellie.discovery.snapshot();
        let breakers = ellie.breakers.list();
        let mut view = Self {
            links: vec![
                ("API", format!("http://{}", addresses.api)),
                ("gateway", format!("http://{}", addresses.gateway)),
            ],
            at: humantime::format_rfc3339_seconds(now.wall).to_string(),
            ..Self::default()
        };
        for service in snapshot.services.values() {
            let name = service.name.to_string();
            let breaker = breakers.get(&name).map_or(State::Closed, |b| b.state);
            let all = ellie.discovery.select::<&str>(&name, &[]).map(|s| s.all).unwrap_or_default();
            let more = all.len().saturating_sub(LISTED);
            let instances: Vec<Instance> = all
                .into_iter()
                .map(|(i, standing)| Instance {
                    id: i.registration.id.to_string(),
                    address: format!("{}://{}", i.registration.protocol, i.registration.authority()),
                    version: i.registration.version.clone(),
                    status: i.status,
                    standing,
                    reason: i.reason.to_string(),
                })
                .collect();
            view.note(&name, service.status(), breaker, &instances);
            view.services.push(Service {
                status: service.status(),
                breaker,
                strategy: ellie.balancer.strategy(Some(&name)).to_string(),
                instances: instances.into_iter().take(LISTED).collect(),
                more,
                name,
            });
        }
        view.services.sort_by(|a, b| (b.status, &a.name).cmp(&(a.status, &b.name)));
        let c = snapshot.counts;
        let open = breakers.values().filter(|b| b.state != State::Closed).count();
        view.counts = [
            ("services", snapshot.services.len()),
            ("healthy", c.healthy),
            ("degraded", c.degraded),
            ("unhealthy", c.unhealthy),
            ("breakers not closed", open),
        ];
        let journal = ellie.journal();
        view.events = journal
            .since(journal.last_id().saturating_sub(EVENTS as u64))
            .iter()
            .rev()
            .map(|event| {
                let e = &event.entry;
                let about =
                    [e.service.as_deref(), e.instance.as_deref()].into_iter().flatten().collect::<Vec<_>>();
                let at = humantime::format_rfc3339_seconds(event.at).to_string();
                (at, format!("{} {}: {} (by {})", e.kind.as_str(), about.join("/"), e.message, e.actor))
            })
            .collect();
        view
    }

    /// What an operator should look at, worst first.
    fn note(&mut self, name: &str, status: Status, breaker: State, instances: &[Instance]) {
        if breaker != State::Closed {
            self.attention.push(format!("{name}: its breaker is {breaker}"));
        }
        if status == Status::Unhealthy {
            let why = instances.first().map_or("it has no instances", |i| &i.reason);
            self.attention.push(format!("{name}: no instance gets traffic ({why})"));
            return;
        }
        for i in instances.iter().filter(|i| i.status != Status::Healthy) {
            self.attention.push(format!("{name}/{}: {} ({})", i.id, i.status, i.reason));
        }
    }
}

/// Text in HTML.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--ok:#1a7f37;--warn:#9a6700;--bad:#cf222e;--dim:#6e7781}
@media(prefers-color-scheme:dark){:root{--ok:#3fb950;--warn:#d29922;--bad:#f85149;--dim:#8b949e}}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
header{display:flex;flex-wrap:wrap;gap:.4rem 1.5rem;align-items:baseline}
.dim{color:var(--dim)}.healthy{color:var(--ok)}.degraded{color:var(--warn)}.unhealthy{color:var(--bad)}
.counts{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
.counts div{border:1px solid var(--line);border-radius:.5rem;padding:.4rem .9rem;min-width:6rem}
.counts b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600}code{font-size:.9em}li{margin:.15rem 0}.scroll{overflow-x:auto}
";

fn mark(status: Status) -> &'static str {
    match status {
        Status::Healthy => "●",
        Status::Degraded => "◐",
        Status::Unhealthy => "✗",
    }
}

/// The page.
pub(super) fn render(view: &View) -> String {
    let mut out = String::with_capacity(16 * 1024);
    let _ = write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content=5><title>ellie</title><style>{STYLE}</style><header><h1>ellie</h1>"
    );
    for (name, url) in &view.links {
        let _ = write!(out, "<span class=dim>{name} <code>{}</code></span>", Text(url));
    }
    let _ = write!(out, "<span class=dim>as of {}</span></header><main><div class=counts>", Text(&view.at));
    for (name, n) in view.counts {
        let _ = write!(out, "<div><b>{n}</b>{name}</div>");
    }
    out.push_str("</div>");
    attention(&mut out, view);
    for service in &view.services {
        table(&mut out, service);
    }
    if view.services.is_empty() {
        out.push_str(
            "<h2>Nothing is registered yet</h2><p>Register the first service:</p>\
             <pre><code>ellie register my-service --port 3000 --health /health</code></pre>",
        );
    }
    out.push_str("<h2>Events</h2><ul>");
    for (at, text) in &view.events {
        let _ = write!(out, "<li><span class=dim>{}</span> {}</li>", Text(at), Text(text));
    }
    out.push_str("</ul></main></html>");
    out
}

fn attention(out: &mut String, view: &View) {
    if view.attention.is_empty() {
        return;
    }
    out.push_str("<h2>Needs attention</h2><ul>");
    for line in view.attention.iter().take(LISTED) {
        let _ = write!(out, "<li class=unhealthy>{}</li>", Text(line));
    }
    if view.attention.len() > LISTED {
        let _ = write!(out, "<li>and {} more</li>", view.attention.len() - LISTED);
    }
    out.push_str("</ul>");
}

fn table(out: &mut String, s: &Service) {
    let _ = write!(
        out,
        "<h2><span class={0}>{1}</span> {2} <small class=dim>{0}, breaker {3}, {4}</small></h2>\
         <div class=scroll><table><tr><th>Instance<th>Address<th>Version<th>Status<th>Traffic<th>Why</tr>",
        s.status,
        mark(s.status),
        Text(&s.name),
        s.breaker,
        Text(&s.strategy)
    );
    for i in &s.instances {
        let _ = write!(
            out,
            "<tr><td>{}<td><code>{}</code><td>{}<td class={}>{} {}<td>{}<td>{}</tr>",
            Text(&i.id),
            Text(&i.address),
            Text(&i.version),
            i.status,
            mark(i.status),
            i.status,
            i.standing.as_str(),
            Text(&i.reason)
        );
    }
    out.push_str("</table></div>");
    if s.more > 0 {
        let _ = write!(
            out,
            "<p class=dim>and {} more: <code>ellie instances {}</code></p>",
            s.more,
            Text(&s.name)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_services_say_of_themselves_is_text_and_never_markup() {
        let instance = Instance {
            id: "a".into(),
            address: "http://x".into(),
            version: "<script>alert(1)</script>".into(),
            status: Status::Unhealthy,
            standing: Standing::Unhealthy,
            reason: "\"it's\" <b>".into(),
        };
        let service = Service {
            name: "api".into(),
            status: Status::Unhealthy,
            breaker: State::Open,
            strategy: "health_based".into(),
            instances: vec![instance.clone()],
            more: 3,
        };
        let mut view = View { services: vec![service], ..View::default() };
        view.note("api", Status::Unhealthy, State::Open, &[instance]);
        let html = render(&view);
        assert!(!html.contains("<script") && !html.contains("<b>\""));
        assert!(html.contains("&lt;script&gt;") && html.contains("&quot;it&#39;s&quot; &lt;b&gt;"));
        assert!(html.contains("api: its breaker is open") && html.contains("and 3 more"));
    }

    #[test]
    fn an_empty_registry_teaches_the_first_command() {
        assert!(render(&View::default()).contains("ellie register my-service"));
    }
}
