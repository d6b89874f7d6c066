use ellie_policy::Rng;

use crate::sim::{Balancer, Choice, Outcome, Truth};

/// Power of two choices by requests in flight, or by tower's peak-EWMA: the latency estimate jumps
/// to a peak and decays over ten seconds, times the requests in flight plus one.
pub struct P2c {
    peak: bool,
    hosts: Vec<Host>,
}

struct Host {
    in_flight: u32,
    estimate: f64,
    updated: f64,
}

const DECAY: f64 = 10.0;
const DEFAULT_LATENCY: f64 = 0.03;

impl P2c {
    pub fn new(hosts: usize, peak: bool) -> Self {
        Self {
            peak,
            hosts: (0..hosts).map(|_| Host::new(0.0)).collect(),
        }
    }

    fn cost(&self, host: usize, now: f64) -> f64 {
        let Host {
            in_flight,
            estimate,
            updated,
        } = self.hosts[host];
        if self.peak {
            estimate * (-(now - updated) / DECAY).exp() * f64::from(in_flight + 1)
        } else {
            f64::from(in_flight)
        }
    }
}

impl Host {
    fn new(now: f64) -> Self {
        Self {
            in_flight: 0,
            estimate: DEFAULT_LATENCY,
            updated: now,
        }
    }
}

impl Balancer for P2c {
    fn pick(&mut self, now: f64, rng: &mut Rng, _: &[Truth]) -> Choice<u64> {
        let first = rng.below(self.hosts.len());
        let mut second = rng.below(self.hosts.len() - 1);
        if second >= first {
            second += 1;
        }
        // Drawn in random order, so the first wins ties at random.
        let host = if self.cost(second, now) < self.cost(first, now) {
            second
        } else {
            first
        };
        self.hosts[host].in_flight += 1;
        Choice { host, token: 0 }
    }

    fn end(&mut self, host: usize, _: u64, start: f64, now: f64, _: Outcome) {
        let host = &mut self.hosts[host];
        host.in_flight -= 1;
        let latency = now - start;
        if host.estimate < latency {
            host.estimate = latency;
        } else {
            let kept = (-(now - host.updated) / DECAY).exp();
            host.estimate = host.estimate * kept + latency * (1.0 - kept);
        }
        host.updated = now;
    }

    fn join(&mut self, now: f64) {
        self.hosts.push(Host::new(now));
    }
}
