//! `ellie demo`: the real system with three small services, seeded faults and real traffic, and nothing configured.

mod screen;
mod script;
mod services;
mod traffic;

use crate::app::{self, Error, Running};
use crate::config::Resolved;
use ellie::{RouteInfo, ServiceInfo};
use ellie_core::Now;
use ellie_core::journal::Entry;
use ellie_gateway::cluster::ServiceStats;
use screen::{Frame, InstanceRow, ServiceRow};
use script::Act;
use services::Server;
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use traffic::{Counts, Seen};

/// What runs: service, instances.
const SERVICES: [(&str, usize); 3] = [("orders", 2), ("payments", 2), ("users", 3)];
/// What is asked for.
const PATHS: [&str; 3] = ["/api/orders/7", "/api/payments/42", "/api/users/alice"];
/// Keys with which checks and breakers react while somebody watches; the defaults are made for weeks. The screen tells
/// what happens: the log would write over it.
pub(crate) const QUICK: [(&str, &str); 6] = [
    ("health.interval", "1s"),
    ("health.timeout", "500ms"),
    ("circuit_breaker.recovery_timeout", "4s"),
    ("circuit_breaker.max_recovery_timeout", "8s"),
    ("circuit_breaker.monitoring_period", "10s"),
    ("log.level", "error"),
];
/// Between two pictures.
const BEAT: Duration = Duration::from_millis(500);
/// How much slower the slow instance is.
const SLOW: Duration = Duration::from_millis(120);
/// Events on the screen.
const EVENTS: usize = 6;

/// Runs the demo until `duration` has passed or a signal ends it.
///
/// # Errors
/// Why it could not start.
pub(crate) fn run(resolved: Resolved, duration: Option<Duration>) -> Result<(), Error> {
    app::logging(&resolved.log);
    app::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        app::follow_signals(stop.clone(), Arc::new(Notify::new()))?;
        let running = Running::start(resolved).await?;
        let mut demo = Demo::start(running.clone(), &stop).await?;
        demo.play(duration, &stop).await;
        stop.cancel();
        drop(demo);
        running.stop(Duration::from_secs(1)).await;
        Ok(())
    })
}

struct Demo {
    running: Running,
    servers: Vec<Server>,
    seen: Arc<Seen>,
    caption: &'static str,
    last: Beat,
    last_event: u64,
}

/// What was counted at the last picture.
#[derive(Default)]
struct Beat {
    counts: Counts,
    instances: BTreeMap<String, u64>,
}

impl Demo {
    async fn start(running: Running, stop: &CancellationToken) -> Result<Self, Error> {
        let failed =
            |e: &dyn std::fmt::Display| Error::Configuration(format!("the demo can't be set up: {e}"));
        let ellie = running.ellie();
        let mut servers = Vec::new();
        for (service, instances) in SERVICES {
            for n in 1..=instances {
                let server =
                    Server::start(service, format!("{service}-{n}"), 0).await.map_err(Error::Runtime)?;
                let info = ServiceInfo::new(service, "127.0.0.1", server.address.port())
                    .id(server.id.clone())
                    .version("1.0.0")
                    .health_endpoint("/health");
                ellie.discovery.register_service(info).await.map_err(|e| failed(&e))?;
                servers.push(server);
            }
            let route = RouteInfo::new(format!("/api/{service}/*"), service).target_path("/");
            ellie.gateway.register_route(route).map_err(|e| failed(&e))?;
        }
        let seen = traffic::start(running.addresses().gateway, &PATHS, stop);
        let caption = "all is well: checks pass, requests are answered";
        Ok(Self { running, servers, seen, caption, last: Beat::default(), last_event: 0 })
    }

    async fn play(&mut self, duration: Option<Duration>, stop: &CancellationToken) {
        let started = Instant::now();
        let terminal = std::io::stdout().is_terminal();
        let colour = anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never;
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until = Duration::ZERO;
        if terminal {
            say("\x1b[2J");
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            let elapsed = started.elapsed();
            for act in script::between(until, elapsed) {
                self.act(act).await;
                if !terminal {
                    say(&format!("{:>5.1} s  ▶ {}", elapsed.as_secs_f64(), act.caption()));
                }
            }
            until = elapsed;
            if terminal {
                // Drawn over the last picture, whose rest is cleared line by line: clearing all of it first flickers.
                let picture = screen::render(&self.frame(elapsed), colour).replace('\n', "\x1b[K\n");
                say(&format!("\x1b[H{picture}\x1b[J"));
            } else {
                for event in self.new_events() {
                    say(&format!("{:>5.1} s    {event}", elapsed.as_secs_f64()));
                }
            }
            if duration.is_some_and(|duration| elapsed >= duration) {
                break;
            }
        }
        let c = self.seen.counts();
        say(&format!(
            "\n{} requests answered well, {} failed by a service, {} refused by a breaker, {} without an answer",
            c.ok, c.failed, c.refused, c.broken
        ));
    }

    async fn act(&mut self, act: Act) {
        self.caption = act.caption();
        let fault =
            |id: &str| self.servers.iter().find(|server| server.id == id).map(|server| server.fault.clone());
        match act {
            Act::PaymentsFail | Act::PaymentsRecover => {
                for server in self.servers.iter().filter(|server| server.service == "payments") {
                    server.fault.set_failing(act == Act::PaymentsFail);
                }
            }
            Act::UsersSlow => fault("users-3").into_iter().for_each(|fault| fault.set_delay(SLOW)),
            Act::UsersFast => fault("users-3").into_iter().for_each(|fault| fault.set_delay(Duration::ZERO)),
            Act::OrdersCrash => {
                self.servers.iter().filter(|server| server.id == "orders-2").for_each(Server::crash);
            }
            Act::OrdersReturn => {
                if let Some(server) = self.servers.iter_mut().find(|server| server.id == "orders-2")
                    && let Ok(again) =
                        Server::start(server.service, server.id.clone(), server.address.port()).await
                {
                    *server = again;
                }
            }
        }
    }

    /// The picture of now; shares and rates are those since the last one.
    fn frame(&mut self, elapsed: Duration) -> Frame {
        let ellie = self.running.ellie().clone();
        let addresses = *self.running.addresses();
        let breakers = ellie.breakers.list();
        let mut links = vec![("api", format!("http://{}", addresses.api))];
        links.extend(addresses.dashboard.map(|address| ("dashboard", format!("http://{address}"))));
        links.push(("gateway", format!("http://{}", addresses.gateway)));

        let counts = self.seen.counts();
        let all = |c: &Counts| c.ok + c.failed + c.refused + c.broken;
        let asked = all(&counts).saturating_sub(all(&self.last.counts));
        let well = counts.ok.saturating_sub(self.last.counts.ok);
        let mut next = Beat { counts, instances: BTreeMap::new() };
        let mut services = Vec::new();
        for (name, stats) in ellie.balancer.stats() {
            let breaker = breakers.get(name.as_str());
            let instances = self.instances(&ellie, name.as_str(), &stats, &mut next);
            services.push(ServiceRow {
                breaker: breaker.map_or(ellie::breaker::State::Closed, |breaker| breaker.state),
                retry_in: breaker.and_then(|breaker| breaker.retry_in),
                rate: instances.iter().map(|(_, answered)| *answered).sum::<u64>() as f64
                    / BEAT.as_secs_f64(),
                instances: instances.into_iter().map(|(row, _)| row).collect(),
                name: name.to_string(),
            });
        }
        self.last = next;
        let events = ellie.journal().since(0);
        let began = Now::read().wall.checked_sub(elapsed).unwrap_or(SystemTime::UNIX_EPOCH);
        let when = |at: SystemTime| at.duration_since(began).unwrap_or_default().as_secs_f64();
        let api = addresses.api.to_string();
        Frame {
            elapsed,
            columns: terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)),
            server: (api != "127.0.0.1:5000").then(|| format!("http://{api}")),
            links,
            caption: self.caption,
            rate: asked as f64 / BEAT.as_secs_f64(),
            ok_share: if asked == 0 { 1.0 } else { well as f64 / asked as f64 },
            services,
            events: events
                .iter()
                .skip(events.len().saturating_sub(EVENTS))
                .map(|event| format!("{:>5.1} s  {}", when(event.at), told(&event.entry)))
                .collect(),
        }
    }

    /// The instances of a service, each with the requests it has ended since the last picture.
    fn instances(
        &self,
        ellie: &ellie::Ellie,
        service: &str,
        stats: &ServiceStats,
        next: &mut Beat,
    ) -> Vec<(InstanceRow, u64)> {
        let ended = |instance: &ellie_gateway::cluster::InstanceStats| {
            let id = instance.id.to_string();
            let total = instance.endpoint.successes + instance.endpoint.failures + instance.endpoint.timeouts;
            (total.saturating_sub(self.last.instances.get(&id).copied().unwrap_or(0)), total)
        };
        let sum: u64 = stats.instances.iter().map(|instance| ended(instance).0).sum();
        let mut rows = Vec::new();
        for instance in &stats.instances {
            let id = instance.id.to_string();
            let Some(registered) = ellie.discovery.instance(service, &id) else { continue };
            let (new, total) = ended(instance);
            next.instances.insert(id.clone(), total);
            let row = InstanceRow {
                status: registered.status,
                reason: registered.reason.to_string(),
                share: if sum == 0 { 0.0 } else { new as f64 / sum as f64 },
                latency: instance.endpoint.latency,
                failure_rate: instance.endpoint.failure_rate,
                id,
            };
            rows.push((row, new));
        }
        rows
    }

    fn new_events(&mut self) -> Vec<String> {
        let events = self.running.ellie().journal().since(self.last_event);
        self.last_event = events.last().map_or(self.last_event, |event| event.id);
        events.iter().map(|event| told(&event.entry)).collect()
    }
}

/// An entry of the journal in one line: whom it is about, and what happened.
fn told(entry: &Entry) -> String {
    match &entry.instance {
        Some(instance) => format!("{instance}: {}", entry.message),
        None => entry.message.clone(),
    }
}

/// A closed standard output is no reason to stop.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
