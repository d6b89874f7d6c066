//! What a simulation measured.

/// Latencies in logarithmic steps of one per cent from 100 µs on, and requests a host in tenths
/// of seconds.
pub struct Stats {
    latencies: Vec<u64>,
    /// Requests that began within the measured time and ended, or hung until the end.
    pub requests: u64,
    pub within_a_second: u64,
    pub failures: u64,
    /// By host: requests that were lost (failed, timed out or never answered).
    pub lost: Vec<u64>,
    given: Vec<Vec<u32>>,
}

const STEPS: usize = 1400;
const FIRST: f64 = 1e-4;
const STEP: f64 = 0.01;

impl Stats {
    pub fn new(hosts: usize) -> Self {
        Self {
            latencies: vec![0; STEPS],
            requests: 0,
            within_a_second: 0,
            failures: 0,
            lost: vec![0; hosts],
            given: vec![Vec::new(); hosts],
        }
    }

    pub fn add_host(&mut self) {
        self.lost.push(0);
        self.given.push(Vec::new());
    }

    pub fn latency(&mut self, seconds: f64) {
        let step = ((seconds / FIRST).max(1.0).ln() / STEP) as usize;
        self.latencies[step.min(STEPS - 1)] += 1;
    }

    pub fn never(&mut self) {
        self.latencies[STEPS - 1] += 1;
    }

    pub fn given(&mut self, host: usize, at: f64) {
        let bin = (at * 10.0) as usize;
        let bins = &mut self.given[host];
        if bins.len() <= bin {
            bins.resize(bin + 1, 0);
        }
        bins[bin] += 1;
    }

    /// In seconds.
    pub fn percentile(&self, share: f64) -> f64 {
        let total: u64 = self.latencies.iter().sum();
        let rank = (total as f64 * share).ceil() as u64;
        let mut below = 0;
        for (step, count) in self.latencies.iter().enumerate() {
            below += count;
            if below >= rank {
                return FIRST * ((step as f64 + 0.5) * STEP).exp();
            }
        }
        0.0
    }

    fn count(&self, host: usize, from: f64, to: f64) -> f64 {
        let (from, to) = ((from * 10.0).round() as usize, (to * 10.0).round() as usize);
        let bins = &self.given[host];
        bins[from.min(bins.len())..to.min(bins.len())]
            .iter()
            .map(|&count| f64::from(count))
            .sum()
    }

    /// The share of requests between two seconds that a host was given.
    pub fn share(&self, host: usize, from: f64, to: f64) -> f64 {
        let total: f64 = (0..self.given.len()).map(|host| self.count(host, from, to)).sum();
        self.count(host, from, to) / total.max(1.0)
    }

    /// The least share of any host, relative to an equal one.
    pub fn least_share(&self, from: f64, to: f64) -> f64 {
        let hosts = self.given.len();
        (0..hosts)
            .map(|host| self.share(host, from, to) * hosts as f64)
            .fold(f64::INFINITY, f64::min)
    }
}
