//! The situations that policies are put in, what is measured and what is asked for.

use ellie_policy::Rng;

use crate::rivals::Policy;
use crate::sim::{self, Change, Mode, Service, Setup, exponential};
use crate::stats::Stats;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    OneSlow,
    Slow1of4At30,
    Slow1of4At70,
    Slow2of4At30,
    Slow2of4At70,
    Slow4of20At70,
    FailFast,
    Identical3,
    Identical10,
    Identical100,
    Newcomer10,
    Newcomer100,
    Antagonists,
    Bimodal10,
    Bimodal100,
    Hangs,
    Weights,
    WeightsBusy,
    Weights32,
    Tail,
    AllFailSome,
    OneFailsSome,
    AllSlow,
    Mixed100,
}

/// What a metric has to be under health based balancing.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// At most so many times the same metric under another policy.
    TimesOf(f64, Policy),
    /// Within so much (as a share) of a value.
    Near(f64, f64),
}

pub struct Metric {
    pub name: &'static str,
    pub goal: Option<Goal>,
    /// Up to how many balancers the goal is meant.
    pub up_to: usize,
}

fn plain(name: &'static str) -> Metric {
    Metric {
        name,
        goal: None,
        up_to: 0,
    }
}

fn asked(name: &'static str, goal: Goal, up_to: usize) -> Metric {
    Metric {
        name,
        goal: Some(goal),
        up_to,
    }
}

/// Requests take 10 ms on average.
const ORDINARY: Service = Service::LogNormal(0.01, 0.5);
/// Hosts that never queue.
const PLENTY: usize = 10_000;

impl Scenario {
    pub const ALL: [Self; 24] = [
        Self::OneSlow,
        Self::Slow1of4At30,
        Self::Slow1of4At70,
        Self::Slow2of4At30,
        Self::Slow2of4At70,
        Self::Slow4of20At70,
        Self::FailFast,
        Self::Identical3,
        Self::Identical10,
        Self::Identical100,
        Self::Newcomer10,
        Self::Newcomer100,
        Self::Antagonists,
        Self::Bimodal10,
        Self::Bimodal100,
        Self::Hangs,
        Self::Weights,
        Self::WeightsBusy,
        Self::Weights32,
        Self::Tail,
        Self::AllFailSome,
        Self::OneFailsSome,
        Self::AllSlow,
        Self::Mixed100,
    ];

    pub fn name(&self) -> &'static str {
        match self {
            Self::OneSlow => "one-slow",
            Self::Slow1of4At30 => "slow-1of4-30",
            Self::Slow1of4At70 => "slow-1of4-70",
            Self::Slow2of4At30 => "slow-2of4-30",
            Self::Slow2of4At70 => "slow-2of4-70",
            Self::Slow4of20At70 => "slow-4of20-70",
            Self::FailFast => "fail-fast",
            Self::Identical3 => "identical-3",
            Self::Identical10 => "identical-10",
            Self::Identical100 => "identical-100",
            Self::Newcomer10 => "newcomer-10",
            Self::Newcomer100 => "newcomer-100",
            Self::Antagonists => "antagonists",
            Self::Bimodal10 => "bimodal-10",
            Self::Bimodal100 => "bimodal-100",
            Self::Hangs => "hangs",
            Self::Weights => "weights",
            Self::WeightsBusy => "weights-busy",
            Self::Weights32 => "weights-32",
            Self::Tail => "tail",
            Self::AllFailSome => "all-fail-some",
            Self::OneFailsSome => "one-fails-some",
            Self::AllSlow => "all-slow",
            Self::Mixed100 => "mixed-100",
        }
    }

    pub fn describe(&self) -> &'static str {
        match self {
            Self::OneSlow => "11 hosts, 1,000 req/s, one answers in 2 s for 30 of 60 s",
            Self::Slow1of4At30 => "1 of 4 hosts 10 times slower, 30 % load",
            Self::Slow1of4At70 => "1 of 4 hosts 10 times slower, 70 % load",
            Self::Slow2of4At30 => "2 of 4 hosts 10 times slower, 30 % load",
            Self::Slow2of4At70 => "2 of 4 hosts 10 times slower, 70 % load",
            Self::Slow4of20At70 => "4 of 20 hosts 10 times slower, 70 % load",
            Self::FailFast => "10 hosts, 1,000 req/s, one fails at once for 30 s and recovers",
            Self::Identical3 => "3 identical hosts, 60 s",
            Self::Identical10 => "10 identical hosts, 60 s",
            Self::Identical100 => "100 identical hosts, 60 s",
            Self::Newcomer10 => "10 hosts, an 11th joins, 3 times slower for 5 s",
            Self::Newcomer100 => "100 hosts, another joins, 3 times slower for 5 s",
            Self::Antagonists => {
                "100 hosts whose speed changes at random, 0.75 to 1.74 of their allocation"
            }
            Self::Bimodal10 => "10 identical hosts, answers in 5 ms, one in twenty in 200 ms",
            Self::Bimodal100 => "100 identical hosts, answers in 5 ms, one in twenty in 200 ms",
            Self::Hangs => "10 hosts, 1,000 req/s, one never answers, 60 s, given up after 5 s",
            Self::Weights => "3 hosts of weights 1, 1, 4 at 20 req/s",
            Self::WeightsBusy => "the same at 1,200 req/s, 12 in flight",
            Self::Weights32 => "32 hosts, every second of weight 4, 320 req/s",
            Self::Tail => "10 hosts, one takes 100 times as long for a fifth of its requests",
            Self::AllFailSome => "10 hosts that all fail a tenth of their requests",
            Self::OneFailsSome => "10 hosts, one fails 30 % of its requests",
            Self::AllSlow => "10 hosts that all become 10 times slower",
            Self::Mixed100 => "100 hosts, one fails at once for 20 s, another is 10 times slower",
        }
    }

    /// How many independent balancers the scenario is run with.
    pub fn balancers(&self) -> &'static [usize] {
        match self {
            Self::Hangs | Self::Antagonists => &[1, 16, 100],
            _ => &[1, 16],
        }
    }

    /// How many seeds a mean is over: more where a share is decided by some hundred requests, or by
    /// when a trial happens to come.
    pub fn seeds(&self) -> u64 {
        match self {
            Self::FailFast | Self::Weights | Self::Weights32 => 30,
            _ => 3,
        }
    }

    pub fn metrics(&self) -> Vec<Metric> {
        let p99 = || asked("p99 ms", Goal::TimesOf(1.15, Policy::Oracle), 16);
        match self {
            Self::OneSlow => vec![
                asked("answered under 1 s, %", Goal::AtLeast(99.9), 16),
                plain("share of fair 5 s after recovery"),
            ],
            Self::Slow1of4At30
            | Self::Slow1of4At70
            | Self::Slow2of4At30
            | Self::Slow2of4At70
            | Self::Slow4of20At70 => vec![p99(), plain("share of the slow, %")],
            Self::FailFast => vec![
                asked("share of fair while failing, %", Goal::AtMost(3.0), 16),
                asked("share of fair 5 s after recovery", Goal::AtLeast(0.5), 16),
            ],
            Self::Identical3 | Self::Identical10 | Self::Identical100 => vec![
                asked("least share of fair", Goal::AtLeast(0.9), 16),
                plain("p99 ms"),
            ],
            Self::Newcomer10 | Self::Newcomer100 => vec![
                asked("share of fair in its first second", Goal::AtMost(1.2), 16),
                asked("share of fair after 30 s", Goal::AtLeast(0.8), 16),
                plain("p99 ms in its first 5 s"),
            ],
            Self::Antagonists => vec![
                asked("p99 ms", Goal::TimesOf(1.1, Policy::Prequal), 100),
                plain("median ms"),
            ],
            Self::Bimodal10 | Self::Bimodal100 => vec![
                asked(
                    "p99 ms",
                    Goal::TimesOf(1.02, Policy::LeastConnectionsAlone),
                    1,
                ),
                plain("p90 ms"),
                plain("least share of fair"),
            ],
            Self::Hangs => vec![
                asked("lost", Goal::AtMost(5.0), 1),
                plain("p99 ms"),
            ],
            Self::Weights => vec![
                asked("share of weight 4 (.667)", Goal::Near(2.0 / 3.0, 0.05), 16),
                asked("share of weight 1 (.167)", Goal::Near(1.0 / 6.0, 0.05), 16),
            ],
            Self::WeightsBusy => vec![
                plain("share of weight 4 (.667)"),
                plain("share of weight 1 (.167)"),
            ],
            Self::Weights32 => vec![asked("share of weight 4 (.8)", Goal::Near(0.8, 0.05), 16)],
            Self::Tail => vec![plain("its share of fair"), plain("p99 ms")],
            Self::AllFailSome => vec![
                asked("least share of fair", Goal::AtLeast(0.8), 16),
                plain("p99 ms"),
            ],
            Self::OneFailsSome => vec![plain("its share of fair"), plain("failed, %")],
            Self::AllSlow => vec![plain("least share of fair"), plain("p99 ms")],
            Self::Mixed100 => vec![
                plain("share of fair while failing"),
                plain("share of fair 5 s after recovery"),
                plain("share of the slow one of fair"),
                plain("p99 ms"),
            ],
        }
    }

    /// Runs it, and gives the metrics in the order of [`metrics`](Self::metrics).
    pub fn run(self, policy: Policy, balancers: usize, seed: u64) -> Vec<f64> {
        let (setup, weights) = self.setup(seed);
        let make = |number| policy.balancer(&weights, seed.wrapping_mul(1_000) + number);
        let all = (0..balancers as u64).map(make).collect();
        self.measure(&sim::run(&setup, all, seed), &setup, seed)
    }

    /// Recoveries come at another moment of the strategies' rhythms with every seed.
    fn shift(seed: u64) -> f64 {
        ((seed as f64 * 1.7) % 8.0 * 10.0).round() / 10.0
    }

    fn setup(self, seed: u64) -> (Setup, Vec<u32>) {
        let setup = |hosts: usize, servers, rate, duration, measured, changes| Setup {
            hosts,
            servers,
            rate,
            service: ORDINARY,
            duration,
            measured,
            changes,
        };
        let shift = Self::shift(seed);
        let slow = |hosts: usize, bad: usize, load: f64| {
            let changes = (0..bad).map(|h| (0.0, Change::Slower(h, 10.0, true))).collect();
            let rate = load * 800.0 * (hosts - bad) as f64;
            setup(hosts, 8, rate, 65.0, (10.0, 60.0), changes)
        };
        let identical = |hosts: usize| {
            setup(hosts, 2, 100.0 * hosts as f64, 65.0, (0.0, 60.0), Vec::new())
        };
        let newcomer = |hosts: usize| {
            let changes = vec![
                (20.0, Change::Join(3.0)),
                (25.0, Change::Slower(hosts, 1.0, false)),
            ];
            setup(hosts, 4, 100.0 * hosts as f64, 60.0, (20.0, 25.0), changes)
        };
        let bimodal = |hosts: usize, to: f64| Setup {
            service: Service::Bimodal,
            ..setup(
                hosts,
                4,
                0.7 * 400.0 * hosts as f64 / 1.475,
                to + 5.0,
                (2.0, to),
                Vec::new(),
            )
        };
        let mut weights = None;
        let made = match self {
            Self::OneSlow => {
                let changes = vec![
                    (15.0, Change::Slower(0, 200.0, true)),
                    (45.0 + shift, Change::Slower(0, 1.0, false)),
                ];
                setup(11, PLENTY, 1000.0, 75.0, (0.0, 60.0), changes)
            }
            Self::Slow1of4At30 => slow(4, 1, 0.3),
            Self::Slow1of4At70 => slow(4, 1, 0.7),
            Self::Slow2of4At30 => slow(4, 2, 0.3),
            Self::Slow2of4At70 => slow(4, 2, 0.7),
            Self::Slow4of20At70 => slow(20, 4, 0.7),
            Self::FailFast => {
                let changes = vec![
                    (15.0, Change::Mode(0, Mode::Fails(1.0))),
                    (45.0 + shift, Change::Mode(0, Mode::Works)),
                ];
                setup(10, 8, 1000.0, 75.0, (0.0, 75.0), changes)
            }
            Self::Identical3 => identical(3),
            Self::Identical10 => identical(10),
            Self::Identical100 => identical(100),
            Self::Newcomer10 => newcomer(10),
            Self::Newcomer100 => newcomer(100),
            Self::Antagonists => antagonists(seed),
            Self::Bimodal10 => bimodal(10, 60.0),
            Self::Bimodal100 => bimodal(100, 30.0),
            Self::Hangs => {
                let changes = vec![(2.0, Change::Mode(0, Mode::Hangs))];
                setup(10, PLENTY, 1000.0, 62.0, (2.0, 62.0), changes)
            }
            Self::Weights | Self::WeightsBusy => {
                weights = Some(vec![1, 1, 4]);
                let rate = if self == Self::Weights { 20.0 } else { 1200.0 };
                setup(3, PLENTY, rate, 120.0, (0.0, 120.0), Vec::new())
            }
            Self::Weights32 => {
                weights = Some((0..32).map(|i| if i % 2 == 0 { 1 } else { 4 }).collect());
                setup(32, PLENTY, 320.0, 120.0, (0.0, 120.0), Vec::new())
            }
            Self::Tail => {
                let changes = vec![(2.0, Change::Tail(0, 0.2, 100.0))];
                setup(10, PLENTY, 1000.0, 62.0, (5.0, 60.0), changes)
            }
            Self::AllFailSome => {
                let fails = |host| (2.0, Change::Mode(host, Mode::Fails(0.1)));
                setup(10, 4, 2000.0, 62.0, (5.0, 60.0), (0..10).map(fails).collect())
            }
            Self::OneFailsSome => {
                let changes = vec![(2.0, Change::Mode(0, Mode::Fails(0.3)))];
                setup(10, 8, 1000.0, 62.0, (5.0, 60.0), changes)
            }
            Self::AllSlow => {
                let changes = vec![(20.0, Change::AllSlower(10.0))];
                setup(10, PLENTY, 1000.0, 62.0, (20.0, 60.0), changes)
            }
            Self::Mixed100 => {
                let changes = vec![
                    (5.0, Change::Mode(0, Mode::Fails(1.0))),
                    (5.0, Change::Slower(1, 10.0, true)),
                    (25.0, Change::Mode(0, Mode::Works)),
                ];
                setup(100, 8, 5000.0, 42.0, (10.0, 40.0), changes)
            }
        };
        let weights = weights.unwrap_or_else(|| vec![1; made.hosts]);
        (made, weights)
    }

    fn measure(self, stats: &Stats, setup: &Setup, seed: u64) -> Vec<f64> {
        let p99 = stats.percentile(0.99) * 1e3;
        let recovered = 45.0 + Self::shift(seed);
        let (from, to) = setup.measured;
        let hosts = setup.hosts as f64;
        match self {
            Self::OneSlow => vec![
                100.0 * stats.within_a_second as f64 / stats.requests as f64,
                hosts * stats.share(0, recovered + 4.0, recovered + 6.0),
            ],
            Self::Slow1of4At30 | Self::Slow1of4At70 => vec![p99, 100.0 * shares(stats, 1)],
            Self::Slow2of4At30 | Self::Slow2of4At70 => vec![p99, 100.0 * shares(stats, 2)],
            Self::Slow4of20At70 => vec![p99, 100.0 * shares(stats, 4)],
            Self::FailFast => vec![
                100.0 * hosts * stats.share(0, 16.0, 45.0),
                hosts * stats.share(0, recovered + 4.0, recovered + 5.0),
            ],
            Self::Identical3 | Self::Identical10 | Self::Identical100 => {
                vec![stats.least_share(from, to), p99]
            }
            Self::Newcomer10 | Self::Newcomer100 => vec![
                (hosts + 1.0) * stats.share(setup.hosts, 20.0, 21.0),
                (hosts + 1.0) * stats.share(setup.hosts, 48.0, 52.0),
                p99,
            ],
            Self::Antagonists => vec![p99, stats.percentile(0.5) * 1e3],
            Self::Bimodal10 | Self::Bimodal100 => vec![
                p99,
                stats.percentile(0.9) * 1e3,
                stats.least_share(0.0, to),
            ],
            Self::Hangs => vec![stats.lost[0] as f64, p99],
            Self::Weights | Self::WeightsBusy => {
                vec![stats.share(2, from, to), stats.share(0, from, to)]
            }
            Self::Weights32 => vec![(0..16).map(|i| stats.share(2 * i + 1, from, to)).sum()],
            Self::Tail => vec![hosts * stats.share(0, from, to), p99],
            Self::AllFailSome | Self::AllSlow => vec![stats.least_share(from, to), p99],
            Self::OneFailsSome => vec![
                hosts * stats.share(0, from, to),
                100.0 * stats.failures as f64 / stats.requests as f64,
            ],
            Self::Mixed100 => vec![
                hosts * stats.share(0, 6.0, 25.0),
                hosts * stats.share(0, 29.0, 31.0),
                hosts * stats.share(1, 6.0, 40.0),
                p99,
            ],
        }
    }
}

/// The share of the first hosts, once the strategies have settled.
fn shares(stats: &Stats, hosts: usize) -> f64 {
    (0..hosts).map(|host| stats.share(host, 10.0, 60.0)).fold(0.0, |sum, share| sum + share)
}

/// Prequal's experiment in spirit: hosts lose up to 60 % of their speed to neighbours that come
/// and go, while the load rises in nine steps from 0.75 to 1.74 times the allocation, which is
/// 45 % of what undisturbed hosts can do.
fn antagonists(seed: u64) -> Setup {
    const HOSTS: usize = 100;
    const SERVERS: usize = 4;
    const DURATION: f64 = 40.0;
    let mut rng = Rng::new(seed ^ 0x5eed);
    let mut changes = Vec::new();
    for host in 0..HOSTS {
        let mut at = 0.0;
        while at <= DURATION {
            let slower = if rng.unit() < 0.5 {
                1.0 / (0.4 + 0.6 * rng.unit())
            } else {
                1.0
            };
            changes.push((at, Change::Slower(host, slower, false)));
            at += exponential(&mut rng, 5.0);
        }
    }
    let allocation = 0.45 * (HOSTS * SERVERS) as f64 / 0.01;
    for step in 0..9 {
        let load = 0.75 * (1.74_f64 / 0.75).powf(f64::from(step) / 8.0);
        changes.push((f64::from(step) * DURATION / 9.0, Change::Rate(allocation * load)));
    }
    Setup {
        hosts: HOSTS,
        servers: SERVERS,
        rate: allocation * 0.75,
        service: ORDINARY,
        duration: DURATION,
        measured: (4.0, DURATION - 0.5),
        changes,
    }
}
