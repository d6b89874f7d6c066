use std::collections::VecDeque;

use ellie_policy::Rng;

use crate::sim::{Balancer, Choice, Outcome, Truth};

/// Prequal (Wydrowski et al., *Load is not what you should balance*, NSDI 2024): asynchronous
/// probes, three a request, into a pool of sixteen; hot-cold lexicographic rule at the 0.84
/// quantile of requests in flight; probes are reused, and removed by age and worst in turn.
pub struct Prequal {
    hosts: usize,
    pool: Vec<Probe>,
    /// Latest answers' requests in flight: what hot means.
    seen: VecDeque<u32>,
    remove_oldest: bool,
    /// Failure averages, where hosts that fail are avoided (the paper's section on sinkholing).
    failures: Option<Vec<(f64, f64)>>,
}

struct Probe {
    host: usize,
    at: f64,
    in_flight: u32,
    latency: f64,
    uses: f64,
}

const PROBES: usize = 3;
const POOL: usize = 16;
const MAX_AGE: f64 = 1.0;
const HOT: f64 = 0.84;

impl Prequal {
    pub fn new(hosts: usize, avoiding: bool) -> Self {
        Self {
            hosts,
            pool: Vec::new(),
            seen: VecDeque::new(),
            remove_oldest: false,
            failures: avoiding.then(|| vec![(0.0, 0.0); hosts]),
        }
    }

    fn hot_from(&self) -> u32 {
        let mut seen: Vec<u32> = self.seen.iter().copied().collect();
        if seen.is_empty() {
            return u32::MAX;
        }
        let rank = ((seen.len() as f64 * HOT) as usize).min(seen.len() - 1);
        (*seen.select_nth_unstable(rank).1).max(1)
    }

    fn avoided(&self, host: usize, now: f64) -> bool {
        self.failures.as_ref().is_some_and(|failures| {
            let (rate, at) = failures[host];
            rate * (-(now - at) / 2.0).exp() > 0.3
        })
    }

    /// How many uses a probe is good for, from the paper's reuse formula with one removal a query.
    fn uses(&self) -> f64 {
        let hosts = self.hosts as f64;
        if self.hosts <= POOL {
            return 4.0;
        }
        let uses = (2.0 / ((1.0 - POOL as f64 / hosts) * PROBES as f64 - 1.0)).max(1.0);
        if uses.is_finite() { uses.min(4.0) } else { 4.0 }
    }
}

impl Balancer for Prequal {
    fn probes(&self) -> usize {
        PROBES
    }

    fn probed(&mut self, host: usize, now: f64, in_flight: u32, latency: f64) {
        self.seen.push_back(in_flight);
        if self.seen.len() > 64 {
            self.seen.pop_front();
        }
        if self.pool.len() == POOL {
            self.pool.remove(0);
        }
        let uses = self.uses();
        self.pool.push(Probe {
            host,
            at: now,
            in_flight,
            latency,
            uses,
        });
    }

    fn pick(&mut self, now: f64, rng: &mut Rng, _: &[Truth]) -> Choice<u64> {
        self.pool.retain(|probe| now - probe.at <= MAX_AGE);
        if self.pool.len() < 2 {
            return Choice {
                host: rng.below(self.hosts),
                token: 0,
            };
        }
        let hot_from = self.hot_from();
        let rank = |probe: &Probe| {
            if self.avoided(probe.host, now) {
                (2, f64::from(probe.in_flight))
            } else if probe.in_flight >= hot_from {
                (1, f64::from(probe.in_flight))
            } else {
                (0, probe.latency)
            }
        };
        let mut best = 0;
        for i in 1..self.pool.len() {
            if rank(&self.pool[i]) < rank(&self.pool[best]) {
                best = i;
            }
        }
        let host = self.pool[best].host;
        for probe in self.pool.iter_mut().filter(|probe| probe.host == host) {
            probe.in_flight += 1;
        }
        let left = self.pool[best].uses - 1.0;
        if left < 1.0 && rng.unit() >= left {
            self.pool.remove(best);
        } else {
            self.pool[best].uses = left;
        }
        if self.pool.len() > 2 {
            self.remove_oldest = !self.remove_oldest;
            if self.remove_oldest {
                self.pool.remove(0);
            } else {
                let badness = |probe: &Probe| {
                    if probe.in_flight >= hot_from {
                        (1, f64::from(probe.in_flight))
                    } else {
                        (0, probe.latency)
                    }
                };
                let mut worst = 0;
                for i in 1..self.pool.len() {
                    if badness(&self.pool[i]) > badness(&self.pool[worst]) {
                        worst = i;
                    }
                }
                self.pool.remove(worst);
            }
        }
        Choice { host, token: 0 }
    }

    fn end(&mut self, host: usize, _: u64, _: f64, now: f64, outcome: Outcome) {
        if let Some(failures) = &mut self.failures {
            let (rate, at) = &mut failures[host];
            *rate *= (-(now - *at) / 2.0).exp();
            *at = now;
            let failed = f64::from(u8::from(outcome != Outcome::Success));
            *rate += 0.2 * (failed - *rate);
        }
    }

    fn join(&mut self, _: f64) {
        self.hosts += 1;
        if let Some(failures) = &mut self.failures {
            failures.push((0.0, 0.0));
        }
    }
}
