//! The simulator: hosts with servers and a queue, balancers that choose among them, and events.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use ellie_policy::Rng;

use crate::stats::Stats;

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Success,
    Failure,
    Timeout,
}

/// How a host treats requests.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Works,
    /// Fails this share of requests within a millisecond.
    Fails(f64),
    /// Never answers.
    Hangs,
}

/// How long a request occupies a server.
#[derive(Clone, Copy)]
pub enum Service {
    /// Lognormal of this mean and sigma.
    LogNormal(f64, f64),
    /// 5 ms, or 200 ms for one in twenty.
    Bimodal,
}

/// What an oracle may know of a host.
#[derive(Clone, Copy)]
pub struct Truth {
    pub in_flight: u32,
    pub good: bool,
}

/// A choice, with whatever the balancer needs to recognise its end.
pub struct Choice<T> {
    pub host: usize,
    pub token: T,
}

/// A load balancer with its own view of the hosts.
pub trait Balancer {
    fn pick(&mut self, now: f64, rng: &mut Rng, truth: &[Truth]) -> Choice<u64>;
    fn end(&mut self, host: usize, token: u64, start: f64, now: f64, outcome: Outcome);
    /// A host joined.
    fn join(&mut self, now: f64);
    /// How many hosts to probe at each request.
    fn probes(&self) -> usize {
        0
    }
    /// A probe's answer.
    fn probed(&mut self, _host: usize, _now: f64, _in_flight: u32, _latency: f64) {}
}

/// Something that happens to the hosts or the load.
#[derive(Clone, Copy)]
pub enum Change {
    Mode(usize, Mode),
    /// Every request takes so many times as long; whether the oracle avoids the host.
    Slower(usize, f64, bool),
    AllSlower(f64),
    /// This share of requests takes so many times as long.
    Tail(usize, f64, f64),
    /// A new host, so many times slower.
    Join(f64),
    Rate(f64),
}

pub struct Setup {
    pub hosts: usize,
    /// Servers a host.
    pub servers: usize,
    pub rate: f64,
    pub service: Service,
    pub duration: f64,
    /// Requests that begin within these seconds are measured.
    pub measured: (f64, f64),
    pub changes: Vec<(f64, Change)>,
}

/// After which a request to a host that hangs is given up.
const TIMEOUT: f64 = 5.0;
/// What a failure and a probe take.
const QUICK: f64 = 0.001;

struct Host {
    busy: usize,
    queue: VecDeque<usize>,
    slower: f64,
    mode: Mode,
    tail: (f64, f64),
    truth: Truth,
    /// Latest answers, by the requests in flight at their start: what Prequal's probes report.
    answers: VecDeque<(u32, f64)>,
}

impl Host {
    fn new(slower: f64) -> Self {
        Self {
            busy: 0,
            queue: VecDeque::new(),
            slower,
            mode: Mode::Works,
            tail: (0.0, 1.0),
            truth: Truth {
                in_flight: 0,
                good: true,
            },
            answers: VecDeque::new(),
        }
    }

    fn remember(&mut self, in_flight: u32, latency: f64) {
        if self.answers.len() == 32 {
            self.answers.pop_front();
        }
        self.answers.push_back((in_flight, latency));
    }

    /// Prequal's estimate: the median of the answers at about the present number in flight, scaled
    /// up where there were fewer than now and all servers are busy.
    fn estimate(&self, servers: usize) -> f64 {
        let next = self.truth.in_flight + 1;
        let mut near: Vec<(u32, f64)> = self
            .answers
            .iter()
            .map(|&(at, latency)| {
                let queued = at < next && next > servers as u32;
                let scale = if queued {
                    f64::from(next) / f64::from(at.max(servers as u32))
                } else {
                    1.0
                };
                (at.abs_diff(next), latency * scale)
            })
            .collect();
        near.sort_by_key(|&(distance, _)| distance);
        near.truncate(7);
        near.sort_by(|a, b| a.1.total_cmp(&b.1));
        near.get(near.len() / 2).map_or(0.0, |&(_, latency)| latency)
    }

    fn service_time(&self, service: Service, rng: &mut Rng) -> f64 {
        let time = match service {
            Service::LogNormal(mean, sigma) => {
                mean * (sigma * normal(rng) - sigma * sigma / 2.0).exp()
            }
            Service::Bimodal if rng.unit() < 0.05 => 0.2,
            Service::Bimodal => 0.005,
        };
        let (share, times) = self.tail;
        let tail = if share > 0.0 && rng.unit() < share { times } else { 1.0 };
        time * self.slower * tail
    }
}

pub fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -(1.0 - rng.unit()).ln() * mean
}

fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}

#[derive(Clone, Copy)]
struct Request {
    balancer: usize,
    host: usize,
    token: u64,
    start: f64,
    in_flight: u32,
}

enum Event {
    Arrival,
    Served(usize),
    Failed(usize),
    TimedOut(usize),
    Probed {
        balancer: usize,
        host: usize,
        in_flight: u32,
        latency: f64,
    },
    Change(usize),
}

struct Scheduled {
    at: f64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    /// The earliest first, then the first scheduled: the heap yields its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at).then(other.sequence.cmp(&self.sequence))
    }
}

struct Sim<'a> {
    setup: &'a Setup,
    rng: Rng,
    hosts: Vec<Host>,
    /// As the hosts', in one row for the oracle.
    truth: Vec<Truth>,
    balancers: Vec<Box<dyn Balancer>>,
    requests: Vec<Option<Request>>,
    free: Vec<usize>,
    events: BinaryHeap<Scheduled>,
    scheduled: u64,
    rate: f64,
    stats: Stats,
}

/// Runs a setup with balancers that each see a random part of the requests.
pub fn run(setup: &Setup, balancers: Vec<Box<dyn Balancer>>, seed: u64) -> Stats {
    let mut sim = Sim {
        setup,
        rng: Rng::new(seed),
        hosts: (0..setup.hosts).map(|_| Host::new(1.0)).collect(),
        truth: Vec::new(),
        balancers,
        requests: Vec::new(),
        free: Vec::new(),
        events: BinaryHeap::new(),
        scheduled: 0,
        rate: setup.rate,
        stats: Stats::new(setup.hosts),
    };
    sim.truth = sim.hosts.iter().map(|host| host.truth).collect();
    for (number, change) in setup.changes.iter().enumerate() {
        sim.schedule(change.0, Event::Change(number));
    }
    sim.schedule(0.0, Event::Arrival);
    while let Some(Scheduled { at, event, .. }) = sim.events.pop() {
        if at > setup.duration {
            break;
        }
        sim.handle(event, at);
    }
    sim.count_unfinished();
    sim.stats
}

impl Sim<'_> {
    fn schedule(&mut self, at: f64, event: Event) {
        self.scheduled += 1;
        self.events.push(Scheduled {
            at,
            sequence: self.scheduled,
            event,
        });
    }

    fn handle(&mut self, event: Event, now: f64) {
        match event {
            Event::Arrival => self.arrive(now),
            Event::Served(number) => {
                let request = self.requests[number].expect("a served request exists");
                let host = &mut self.hosts[request.host];
                host.remember(request.in_flight, now - request.start);
                host.busy -= 1;
                if let Some(next) = host.queue.pop_front() {
                    self.serve(next, request.host, now);
                }
                self.end(number, now, Outcome::Success);
            }
            Event::Failed(number) => {
                let request = self.requests[number].expect("a failed request exists");
                self.hosts[request.host].remember(request.in_flight, QUICK);
                self.end(number, now, Outcome::Failure);
            }
            Event::TimedOut(number) => self.end(number, now, Outcome::Timeout),
            Event::Probed {
                balancer,
                host,
                in_flight,
                latency,
            } => self.balancers[balancer].probed(host, now, in_flight, latency),
            Event::Change(number) => self.change(self.setup.changes[number].1, now),
        }
    }

    fn arrive(&mut self, now: f64) {
        let gap = exponential(&mut self.rng, 1.0 / self.rate);
        self.schedule(now + gap, Event::Arrival);
        let balancer = self.rng.below(self.balancers.len());
        let choice = self.balancers[balancer].pick(now, &mut self.rng, &self.truth);
        self.probe(balancer, now);
        let number = self.free.pop().unwrap_or_else(|| {
            self.requests.push(None);
            self.requests.len() - 1
        });
        let index = choice.host;
        self.stats.given(index, now);
        self.hosts[index].truth.in_flight += 1;
        self.truth[index].in_flight += 1;
        self.requests[number] = Some(Request {
            balancer,
            host: index,
            token: choice.token,
            start: now,
            in_flight: self.truth[index].in_flight,
        });
        match self.hosts[index].mode {
            Mode::Hangs => self.schedule(now + TIMEOUT, Event::TimedOut(number)),
            Mode::Fails(share) if self.rng.unit() < share => {
                self.schedule(now + QUICK, Event::Failed(number));
            }
            _ if self.hosts[index].busy < self.setup.servers => self.serve(number, index, now),
            _ => self.hosts[index].queue.push_back(number),
        }
    }

    fn serve(&mut self, number: usize, host: usize, now: f64) {
        self.hosts[host].busy += 1;
        let time = self.hosts[host].service_time(self.setup.service, &mut self.rng);
        self.schedule(now + time, Event::Served(number));
    }

    fn probe(&mut self, balancer: usize, now: f64) {
        for _ in 0..self.balancers[balancer].probes() {
            let index = self.rng.below(self.hosts.len());
            let host = &self.hosts[index];
            if host.mode != Mode::Hangs {
                let event = Event::Probed {
                    balancer,
                    host: index,
                    in_flight: host.truth.in_flight,
                    latency: host.estimate(self.setup.servers),
                };
                self.schedule(now + QUICK, event);
            }
        }
    }

    fn measured(&self, start: f64) -> bool {
        (self.setup.measured.0..self.setup.measured.1).contains(&start)
    }

    fn end(&mut self, number: usize, now: f64, outcome: Outcome) {
        let request = self.requests[number].take().expect("a request ends once");
        self.free.push(number);
        self.hosts[request.host].truth.in_flight -= 1;
        self.truth[request.host].in_flight -= 1;
        let latency = now - request.start;
        if self.measured(request.start) {
            self.stats.requests += 1;
            match outcome {
                Outcome::Success => {
                    self.stats.within_a_second += u64::from(latency < 1.0);
                    self.stats.latency(latency);
                }
                Outcome::Failure | Outcome::Timeout => {
                    self.stats.failures += 1;
                    self.stats.lost[request.host] += 1;
                    if outcome == Outcome::Timeout {
                        self.stats.never();
                    }
                }
            }
        }
        let balancer = &mut self.balancers[request.balancer];
        balancer.end(request.host, request.token, request.start, now, outcome);
    }

    fn change(&mut self, change: Change, now: f64) {
        match change {
            Change::Mode(host, mode) => {
                self.hosts[host].mode = mode;
                self.know(host, mode == Mode::Works);
            }
            Change::Slower(host, times, avoid) => {
                self.hosts[host].slower = times;
                self.know(host, !avoid);
            }
            Change::AllSlower(times) => self.hosts.iter_mut().for_each(|h| h.slower = times),
            Change::Tail(host, share, times) => self.hosts[host].tail = (share, times),
            Change::Rate(rate) => self.rate = rate,
            Change::Join(slower) => {
                self.hosts.push(Host::new(slower));
                self.truth.push(Truth {
                    in_flight: 0,
                    good: true,
                });
                self.stats.add_host();
                self.balancers.iter_mut().for_each(|b| b.join(now));
            }
        }
    }

    fn know(&mut self, host: usize, good: bool) {
        self.hosts[host].truth.good = good;
        self.truth[host].good = good;
    }

    /// Requests that have not ended at the end count by what they have waited so far; without
    /// this, a strategy that never gets its answers would look good.
    fn count_unfinished(&mut self) {
        for request in self.requests.iter().flatten() {
            let waited = self.setup.duration - request.start;
            if self.measured(request.start) && waited > 0.05 {
                self.stats.requests += 1;
                self.stats.latency(waited);
                if self.hosts[request.host].mode == Mode::Hangs {
                    self.stats.failures += 1;
                    self.stats.lost[request.host] += 1;
                }
            }
        }
    }
}
