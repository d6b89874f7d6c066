use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::endpoint::get;
use super::health::{View, steps};
use super::waits::stamp;
use super::{Candidates, Strategy};
use crate::time::{duration, ticks};

/// Why a member would or would not be picked.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Its place among the members.
    pub index: usize,
    /// Its weight as configured.
    pub weight: u32,
    /// Whether it may get new requests: it has a weight, or nobody has.
    pub eligible: bool,
    /// What the strategy compares, less is better: health based, the penalty times one plus the
    /// load; least connections, requests in flight per weight; otherwise 0.
    pub cost: f64,
    /// Its recent latency, if any is known.
    pub latency: Option<Duration>,
    /// That latency, or the age of what it has not answered, relative to the service's median.
    pub relative_latency: f64,
    /// Recent share of failures.
    pub failure_rate: f64,
    /// Requests in flight.
    pub in_flight: u32,
    /// Mean age of the requests that wait for an answer.
    pub waiting_for: Option<Duration>,
    /// Whether health based balancing gives it trials only.
    pub sick: bool,
    /// The share of its weight that it may use as a newcomer.
    pub ramp: f64,
    /// If sick: how long until it may be tried again.
    pub retry_in: Option<Duration>,
    /// The chance that the next pick is this one, trials left out.
    pub share: f64,
}

impl Candidates {
    /// What every member looks like to the strategy now. Changes nothing.
    #[must_use]
    pub fn explain(&self, now: Instant) -> Vec<Score> {
        let mut scores = self.look(now);
        self.shares(&mut scores);
        scores
    }

    /// The same without the chance of the next pick, which is left at 0: in time linear in the number of members.
    #[must_use]
    pub fn look(&self, now: Instant) -> Vec<Score> {
        let now = ticks(now);
        let view = View::new(&self.service, self.scans(), now < self.ramped_at, now);
        let mut eligible = vec![self.active.is_none(); self.len()];
        for k in 0..self.active_len() {
            eligible[self.active(k)] = true;
        }
        (0..self.len()).map(|index| self.score(index, eligible[index], &view, now)).collect()
    }

    fn score(&self, index: usize, eligible: bool, view: &View, now: i64) -> Score {
        let at = self.shelves.at(index);
        let (look, cold) = (at.hot().look(), at.cold());
        let health_based = self.strategy() == Strategy::HealthBased;
        let (penalty, relative) = (view.penalty(look), view.relative_latency(look));
        let sick = health_based && view.is_sick(penalty);
        let ramp = if health_based { view.ramp(at) } else { 1.0 };
        let cost = match self.strategy() {
            Strategy::HealthBased => penalty * (1.0 + steps(look.in_flight(), self.inverse[index] / ramp)),
            Strategy::LeastConnections => steps(look.in_flight(), self.inverse[index]),
            _ => 0.0,
        };
        let latency = get(&cold.root).powi(2);
        let tried = cold.tried.load(Relaxed);
        Score {
            index,
            weight: self.weights[index],
            eligible,
            cost: cost.into(),
            latency: (latency > 0.0).then(|| Duration::from_secs_f32(latency)),
            relative_latency: if relative > 0.0 { relative.into() } else { 1.0 },
            failure_rate: get(&cold.failure).into(),
            in_flight: look.in_flight(),
            waiting_for: (look.waits.count() > 0)
                .then(|| Duration::from_secs_f32(look.waits.mean_age(stamp(now)).max(0.0))),
            sick,
            ramp: ramp.into(),
            retry_in: sick.then(|| duration(tried.saturating_add(cold.backoff()) - now)),
            share: 0.0,
        }
    }

    /// Fills in the chance of the next pick.
    fn shares(&self, scores: &mut [Score]) {
        if let Some(next) = self.next_turn() {
            scores[next].share = 1.0;
            return;
        }
        let weight = |score: &Score| {
            if score.eligible { f64::from(self.share(score.index)) * score.ramp } else { 0.0 }
        };
        let total: f64 = scores.iter().map(weight).sum();
        if total <= 0.0 {
            return;
        }
        if self.strategy() == Strategy::Random {
            for score in scores {
                score.share = weight(score) / total;
            }
        } else if self.scans() {
            let least = scores
                .iter()
                .filter(|score| score.eligible)
                .map(|score| score.cost)
                .fold(f64::INFINITY, f64::min);
            let best = |score: &Score| score.eligible && score.cost <= least;
            let of_best: f64 = scores.iter().filter(|s| best(s)).map(weight).sum();
            for score in scores.iter_mut().filter(|score| best(score)) {
                score.share = weight(score) / of_best;
            }
        } else {
            two_draws(scores, total, weight);
        }
    }
}

/// The chance to be the cheaper of two distinct draws, near enough for more than sixteen members:
/// drawn first or second, against someone costlier, or as costly half of the time.
fn two_draws(scores: &mut [Score], total: f64, weight: impl Fn(&Score) -> f64) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].cost.total_cmp(&scores[a].cost));
    let mut costlier = 0.0;
    let mut from = 0;
    while from < order.len() {
        let cost = scores[order[from]].cost;
        let to = (from..order.len()).find(|&i| scores[order[i]].cost < cost).unwrap_or(order.len());
        let equal: f64 = order[from..to].iter().map(|&i| weight(&scores[i])).sum();
        for &i in &order[from..to] {
            let own = weight(&scores[i]);
            scores[i].share = own * (2.0 * costlier + equal - own) / (total * total);
        }
        costlier += equal;
        from = to;
    }
    let sum: f64 = scores.iter().map(|score| score.share).sum();
    if sum > 0.0 {
        for score in scores {
            score.share /= sum;
        }
    }
}
