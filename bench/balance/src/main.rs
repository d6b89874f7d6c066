//! Compares load balancing strategies by an open-loop discrete-event simulation: requests arrive
//! by a Poisson process that does not wait for answers, so a slow instance builds up a queue as it
//! would in production.
//!
//! `ellie-policy` is driven through its public API, on simulated instants. Rivals are written from
//! their papers and sources. An oracle that knows which instances are bad, and how many requests
//! all balancers together have in flight at each, bounds what is possible.
//!
//! ```text
//! cargo run --release                       everything, rewrites RESULTS.md
//! cargo run --release -- SCENARIO,… POLICY,… [BALANCERS,…] [SEEDS]    prints some of it
//! cargo run --release -- list               what there is
//! ```
//! `SEED=1000` in the environment shifts the seeds.

mod ours;
mod report;
mod rivals;
mod scenario;
mod sim;
mod stats;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rivals::Policy;
use scenario::Scenario;

/// One simulation: a scenario under a policy, with so many balancers and a seed.
#[derive(Clone, Copy)]
struct Job {
    scenario: Scenario,
    policy: Policy,
    balancers: usize,
    seed: u64,
}

/// The metrics of all seeds, by scenario, balancers and policy.
type Results = BTreeMap<(Scenario, usize, Policy), Vec<Vec<f64>>>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "list") {
        println!("scenarios:");
        for scenario in Scenario::ALL {
            println!("  {:14} {}", scenario.name(), scenario.describe());
        }
        println!("policies:");
        for policy in Policy::ALL {
            println!("  {}", policy.name());
        }
        return;
    }
    let first_seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let seeds: Option<u64> = args.get(3).map(|n| n.parse().expect("SEEDS is a number"));
    let scenarios = choose(args.first(), &Scenario::ALL, Scenario::name);
    let policies = choose(args.get(1), &Policy::ALL, Policy::name);
    let balancers: Option<Vec<usize>> = args.get(2).map(|list| {
        list.split(',').map(|n| n.parse().expect("BALANCERS are numbers")).collect()
    });

    let mut jobs = Vec::new();
    for &scenario in &scenarios {
        for &count in balancers.as_deref().unwrap_or(scenario.balancers()) {
            for &policy in &policies {
                let seeds = first_seed..first_seed + seeds.unwrap_or(scenario.seeds());
                jobs.extend(seeds.map(|seed| Job {
                    scenario,
                    policy,
                    balancers: count,
                    seed,
                }));
            }
        }
    }
    let results = run(&jobs);
    if args.is_empty() {
        std::fs::write("RESULTS.md", report::markdown(&results, first_seed))
            .expect("RESULTS.md can be written");
    } else {
        print!("{}", report::tables(&results, &scenarios));
    }
}

fn choose<T: Copy>(list: Option<&String>, all: &[T], name: impl Fn(&T) -> &'static str) -> Vec<T> {
    let Some(list) = list.filter(|list| *list != "all") else {
        return all.to_vec();
    };
    list.split(',')
        .map(|wanted| {
            *all.iter()
                .find(|item| name(item) == wanted)
                .unwrap_or_else(|| panic!("no {wanted}, see `list`"))
        })
        .collect()
}

fn run(jobs: &[Job]) -> Results {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![None; jobs.len()]);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(number) else { break };
                    let metrics = job.scenario.run(job.policy, job.balancers, job.seed);
                    done.lock().expect("no job panicked")[number] = Some(metrics);
                }
            });
        }
    });
    let mut results = Results::new();
    for (job, metrics) in jobs.iter().zip(done.into_inner().expect("no job panicked")) {
        results
            .entry((job.scenario, job.balancers, job.policy))
            .or_default()
            .push(metrics.expect("every job ran"));
    }
    results
}
