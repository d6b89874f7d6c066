//! Why a request went where it went: for `x-ellie-explain`, `resolve --explain`, `ellie why` and the dashboard.

mod header;
mod route_test;

pub use header::{MAX_HEADER, header};
pub use route_test::{Considered, MAX_CONSIDERED, RouteTest, Verdict};

use crate::cluster::{Attempt, Census, Cluster, Clusters};
use crate::table::{CompiledRoute, TableHandle};
use ellie_core::discovery::{Level, Standing};
use ellie_core::model::Instance;
use ellie_core::{InstanceId, ServiceName};
use ellie_policy::balance::{Score, Strategy};
use ellie_policy::breaker;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whether a bearer token entitles to explanations. It compares in constant time.
pub type Authorize = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// One instance in the eyes of the balancer.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// As the registry has it.
    pub instance: Arc<Instance>,
    /// Whether it gets traffic.
    pub standing: Standing,
    /// How much longer it is ejected as an outlier.
    pub ejected_for: Option<Duration>,
    /// What the strategy makes of it, where it gets traffic.
    pub score: Option<Score>,
    /// Whether it is the likeliest pick now; in the explanation of a request, whether it was picked.
    pub picked: bool,
    /// Why, for people.
    pub reason: String,
}

/// How a service is balanced at one moment.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The service.
    pub service: ServiceName,
    /// The strategy in force.
    pub strategy: Strategy,
    /// Which instances get traffic.
    pub level: Level,
    /// How many instances have which standing.
    pub census: Census,
    /// The breaker of the service.
    pub breaker: breaker::Snapshot,
    /// The likeliest pick now.
    pub pick: Option<InstanceId>,
    /// Every instance, by id.
    pub candidates: Vec<Candidate>,
}

/// The name of a level on the wire.
#[must_use]
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Healthy => "healthy",
        Level::Degraded => "degraded",
        Level::Panic => "panic",
    }
}

impl Cluster {
    /// What every instance looks like now, and which one is likeliest to be picked. Changes nothing.
    #[must_use]
    pub fn explain(&self, now: Instant) -> Explanation {
        self.explain_with(None, now)
    }

    /// The same, with the member that was picked already.
    fn explain_with(&self, picked: Option<usize>, now: Instant) -> Explanation {
        let scores = self.scores(now);
        let ejected = |place: usize| self.ejected_for(place, now).is_some();
        // An ejected instance is better than none.
        let all_ejected = (0..scores.len()).all(ejected);
        let may = |s: &&Score| s.eligible && (all_ejected || !ejected(s.index));
        let likeliest = || {
            let best = scores.iter().filter(may).max_by(|a, b| {
                a.share
                    .total_cmp(&b.share)
                    .then_with(|| b.cost.total_cmp(&a.cost))
                    .then(b.index.cmp(&a.index))
            });
            best.map(|s| s.index)
        };
        let pick = picked.or_else(likeliest);
        let mut candidates = Vec::with_capacity(self.entries().len());
        for entry in self.entries() {
            let score = entry.member.map(|place| scores[place].clone());
            let ejected_for = entry.member.and_then(|place| self.ejected_for(place, now));
            let is_pick = entry.member.is_some() && entry.member == pick;
            let chosen = pick.map(|place| &scores[place]);
            let reason = reason(
                &entry.instance,
                entry.standing,
                ejected_for,
                score.as_ref(),
                chosen,
                is_pick,
                self.strategy(),
            );
            candidates.push(Candidate {
                instance: entry.instance.clone(),
                standing: entry.standing,
                ejected_for,
                score,
                picked: is_pick,
                reason,
            });
        }
        Explanation {
            service: self.name().clone(),
            strategy: self.strategy(),
            level: self.level(),
            census: self.census(),
            breaker: self.breaker().snapshot(now),
            pick: candidates.iter().find(|c| c.picked).map(|c| c.instance.registration.id.clone()),
            candidates,
        }
    }
}

impl Clusters {
    /// How a service, or the part of it that has all `tags`, is balanced now; `None` where nobody has registered it.
    /// Changes nothing.
    #[must_use]
    pub fn explain<S: AsRef<str>>(&self, name: &str, tags: &[S], now: Instant) -> Option<Explanation> {
        Some(self.get(name, now)?.with_tags(tags, now).explain(now))
    }
}

impl TableHandle {
    /// The value of the response field `x-ellie-explain` for a request: at most [`MAX_HEADER`] bytes.
    #[must_use]
    pub fn explain(&self, route: &CompiledRoute, attempt: &Attempt, now: Instant) -> String {
        let explanation = attempt.cluster().explain_with(Some(attempt.member()), now);
        header(route.id(), &explanation, attempt)
    }
}

/// Why an instance is, or is not, the pick.
fn reason(
    instance: &Instance,
    standing: Standing,
    ejected_for: Option<Duration>,
    score: Option<&Score>,
    chosen: Option<&Score>,
    picked: bool,
    strategy: Strategy,
) -> String {
    let by = |mark: Option<&ellie_core::model::Mark>, what: &str| {
        let mut text = what.to_owned();
        if let Some(mark) = mark {
            let _ = write!(text, " by {}", mark.by);
            if let Some(reason) = &mark.reason {
                let _ = write!(text, ": {reason}");
            }
        }
        text
    };
    match standing {
        Standing::Unhealthy => return format!("unhealthy: {}", instance.reason),
        Standing::DegradedStandby => {
            return format!("degraded ({}), and enough others are healthy", instance.reason);
        }
        Standing::Draining => return by(instance.operator.draining.as_ref(), "drained"),
        Standing::Maintenance => {
            return by(instance.operator.maintenance.as_ref(), "in maintenance, put there");
        }
        Standing::WeightZero => return "its weight is 0 and others have more".into(),
        Standing::TagMismatch => return "it lacks a tag that was asked for".into(),
        Standing::Routable => {}
    }
    if let Some(left) = ejected_for {
        return format!("ejected as an outlier for {:.1} s more", left.as_secs_f64());
    }
    let Some(score) = score else { return "not a candidate".into() };
    if picked {
        return match strategy {
            Strategy::RoundRobin | Strategy::WeightedRoundRobin => "it is its turn".into(),
            Strategy::Random => format!("drawn with a chance of {:.0} %", score.share * 100.0),
            Strategy::LeastConnections => format!("the fewest in flight: {}", score.in_flight),
            Strategy::HealthBased if score.sick => "sick, and tried to see whether it has recovered".into(),
            Strategy::HealthBased => format!("the least cost: {:.2}", score.cost),
        };
    }
    match strategy {
        Strategy::RoundRobin | Strategy::WeightedRoundRobin => "it is another one's turn".into(),
        Strategy::Random => format!("not drawn, with a chance of {:.0} %", score.share * 100.0),
        _ if score.sick => {
            let mut text = "sick:".to_owned();
            if score.failure_rate > 0.2 {
                let _ = write!(text, " {:.0} % failures,", score.failure_rate * 100.0);
            }
            let _ = write!(text, " {:.1} times the median latency; gets trials only", score.relative_latency);
            text
        }
        _ => match chosen {
            Some(best) if score.cost > best.cost => {
                format!("costs {:.2}, the pick {:.2}", score.cost, best.cost)
            }
            _ => format!("as good as the pick at {:.2}; ties are broken by chance", score.cost),
        },
    }
}
