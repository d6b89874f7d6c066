//! The strategies of `ellie-policy`, driven as the gateway drives them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ellie_policy::Rng;
use ellie_policy::balance::{Candidates, Endpoint, InFlight, Member, Outcome, Service, Strategy};
use ellie_policy::outlier::{self, Detector};

use crate::sim::{self, Balancer, Choice, Truth};

pub struct Ours {
    origin: Instant,
    strategy: Strategy,
    service: Arc<Service>,
    members: Vec<Member>,
    candidates: Candidates,
    in_flight: Vec<Option<InFlight>>,
    free: Vec<usize>,
    /// Outlier ejection, where it is on.
    ejection: Option<(Detector, Vec<outlier::Instance>)>,
}

impl Ours {
    pub fn new(strategy: Strategy, ejection: bool, weights: &[u32], seed: u64) -> Self {
        let origin = Instant::now();
        let service = Arc::new(Service::new(seed));
        let members: Vec<Member> = weights
            .iter()
            .map(|&weight| Member {
                endpoint: Arc::new(Endpoint::established(&service, origin)),
                weight,
            })
            .collect();
        Self {
            origin,
            strategy,
            candidates: Candidates::new(strategy, Arc::clone(&service), members.clone()),
            ejection: ejection.then(|| {
                let instances = members.iter().map(|_| outlier::Instance::default()).collect();
                (Detector::new(outlier::Config::default()), instances)
            }),
            service,
            members,
            in_flight: Vec::new(),
            free: Vec::new(),
        }
    }

    fn instant(&self, now: f64) -> Instant {
        self.origin + Duration::from_secs_f64(now)
    }
}

impl Balancer for Ours {
    fn pick(&mut self, now: f64, rng: &mut Rng, _: &[Truth]) -> Choice<u64> {
        let now = self.instant(now);
        let pick = match &self.ejection {
            None => self.candidates.pick(now, rng, |_| false),
            Some((_, instances)) => self
                .candidates
                .pick(now, rng, |host| instances[host].is_ejected(now)),
        };
        let pick = pick.expect("at most half of the members are ejected");
        let request = Some(self.candidates.begin(pick, now));
        let token = match self.free.pop() {
            Some(place) => {
                self.in_flight[place] = request;
                place
            }
            None => {
                self.in_flight.push(request);
                self.in_flight.len() - 1
            }
        };
        Choice {
            host: pick.index,
            token: token as u64,
        }
    }

    fn end(&mut self, host: usize, token: u64, _start: f64, now: f64, outcome: sim::Outcome) {
        let now = self.instant(now);
        let request = self.in_flight[token as usize].take().expect("a request ends once");
        self.free.push(token as usize);
        let outcome = match outcome {
            sim::Outcome::Success => Outcome::Success,
            sim::Outcome::Failure => Outcome::Failure,
            sim::Outcome::Timeout => Outcome::Timeout,
        };
        self.candidates.finish(request, outcome, now);
        if let Some((detector, instances)) = &self.ejection {
            let failed = outcome != Outcome::Success;
            detector.record(&instances[host], failed, instances.len(), now);
        }
    }

    /// A new table with the live state of the old one, as after a registration.
    fn join(&mut self, now: f64) {
        self.members.push(Member {
            endpoint: Arc::new(Endpoint::newcomer(&self.service, self.instant(now))),
            weight: 1,
        });
        let service = Arc::clone(&self.service);
        self.candidates = Candidates::new(self.strategy, service, self.members.clone());
        if let Some((_, instances)) = &mut self.ejection {
            instances.push(outlier::Instance::default());
        }
    }
}
