use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::Strategy;
use super::alias::Draw;
use super::endpoint::Endpoint;
use super::health::{SCAN, ramped_at};
use super::interleave::Interleave;
use super::service::Service;
use super::shelves::Shelves;
use crate::Rng;
use crate::time::ticks;

/// How many draws or turns may fall on excluded members before all are looked at.
pub(super) const TRIES: usize = 16;

/// One instance in a table.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its live state.
    pub endpoint: Arc<Endpoint>,
    /// Its share relative to the others; 0 for no new requests.
    pub weight: u32,
}

/// An instance chosen for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Its place among the members.
    pub index: usize,
    /// Whether it is sick and gets this request to see whether it has recovered.
    pub trial: bool,
}

impl From<usize> for Pick {
    /// A choice that someone else made, for example because a session sticks to its instance.
    fn from(index: usize) -> Self {
        Self { index, trial: false }
    }
}

/// The instances of a service that may get requests, prepared for picking. Immutable; made anew
/// when members, weights or strategy change.
#[derive(Debug)]
pub struct Candidates {
    strategy: Strategy,
    pub(super) service: Arc<Service>,
    /// The members' live state.
    pub(super) shelves: Shelves,
    /// Keeps it alive.
    endpoints: Box<[Arc<Endpoint>]>,
    /// As configured.
    pub(super) weights: Box<[u32]>,
    /// One over the weight, in units of [`unit`].
    pub(super) inverse: Box<[f32]>,
    /// The members that have a weight; `None`: all.
    pub(super) active: Option<Box<[u32]>>,
    order: Order,
    /// All weights are equal, so that load need not be divided by them.
    pub(super) even: bool,
    /// When the last newcomer has its full share.
    pub(super) ramped_at: i64,
}

#[derive(Debug)]
enum Order {
    Turns(Interleave),
    Draws(Draw),
    /// Small: all are looked at.
    Scan,
}

impl Candidates {
    /// Prepares the table, in time linear in the number of members.
    #[must_use]
    pub fn new(strategy: Strategy, service: Arc<Service>, members: Vec<Member>) -> Self {
        let weights: Box<[u32]> = members.iter().map(|m| m.weight).collect();
        let all_zero = weights.iter().all(|&w| w == 0);
        let effective = |w: u32| if all_zero { 1 } else { w };
        let unit = unit(&weights);
        let inverse = weights.iter().map(|&w| unit / effective(w) as f32).collect();
        let endpoints: Box<[Arc<Endpoint>]> = members.into_iter().map(|m| m.endpoint).collect();
        let active: Option<Box<[u32]>> = (!all_zero && weights.contains(&0))
            .then(|| (0..weights.len() as u32).filter(|&i| weights[i as usize] > 0).collect());
        let of_active: Vec<u32> = weights.iter().map(|&w| effective(w)).filter(|&w| w > 0).collect();
        let order = match strategy {
            Strategy::RoundRobin | Strategy::WeightedRoundRobin => Order::Turns(Interleave::new(&of_active)),
            Strategy::LeastConnections | Strategy::HealthBased if of_active.len() <= SCAN => Order::Scan,
            _ => Order::Draws(Draw::new(&of_active)),
        };
        let joined = endpoints.iter().map(|endpoint| endpoint.place.joined().load(Relaxed));
        let ramped_at = joined.map(ramped_at).max().unwrap_or(i64::MIN);
        let even = of_active.windows(2).all(|pair| pair[0] == pair[1]);
        let shelves = Shelves::new(endpoints.iter().map(|endpoint| &**endpoint));
        Self { strategy, service, shelves, endpoints, weights, inverse, active, order, even, ramped_at }
    }

    /// How many members there are, whatever their weight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// How it chooses.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The live state of the service.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The live state of one member.
    #[must_use]
    pub fn endpoint(&self, index: usize) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(index)
    }

    /// Chooses a member that is not `excluded` (tried already, ejected, behind an open breaker);
    /// `None` if there is none. Only [`begin`](Self::begin) makes the choice count, so a pick may
    /// be thrown away; it does move the turn of round robin on.
    #[inline]
    pub fn pick(&self, now: Instant, rng: &mut Rng, excluded: impl Fn(usize) -> bool) -> Option<Pick> {
        if self.active_len() == 0 {
            return None;
        }
        match (&self.order, self.strategy) {
            (Order::Turns(turns), _) => self.by_turn(turns, rng, &excluded),
            (Order::Scan, Strategy::HealthBased) => self.healthiest_of_all(ticks(now), rng, &excluded),
            (Order::Scan, _) => self.least_of_all(rng, &excluded),
            (Order::Draws(draw), Strategy::HealthBased) => {
                self.healthiest_drawn(draw, ticks(now), rng, &excluded)
            }
            (Order::Draws(draw), Strategy::LeastConnections) => self.least_of_two(draw, rng, &excluded),
            (Order::Draws(draw), _) => {
                self.draw(draw, rng, &excluded).or_else(|| self.any(rng, &excluded)).map(Pick::from)
            }
        }
    }

    #[inline]
    pub(super) fn active_len(&self) -> usize {
        self.active.as_ref().map_or(self.endpoints.len(), |a| a.len())
    }

    /// What a member counts for in draws: its weight; 1 where all are zero.
    #[inline]
    pub(super) fn share(&self, index: usize) -> u32 {
        self.weights[index].max(1)
    }

    /// The index of the `k`-th member that has a weight.
    #[inline]
    pub(super) fn active(&self, k: usize) -> usize {
        match &self.active {
            None => k,
            Some(active) => active[k] as usize,
        }
    }

    pub(super) fn scans(&self) -> bool {
        matches!(self.order, Order::Scan)
    }

    /// Whose turn is next, where there are turns.
    pub(super) fn next_turn(&self) -> Option<usize> {
        match &self.order {
            Order::Turns(turns) if self.active_len() > 0 => {
                Some(self.active(turns.at(self.service.next_turn())))
            }
            _ => None,
        }
    }

    /// The member whose turn it is. An excluded one loses its turn to the one after, so what it
    /// would have got spreads over all.
    fn by_turn(&self, turns: &Interleave, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<Pick> {
        for _ in 0..TRIES.max(self.active_len().min(64)) {
            let index = self.active(turns.at(self.service.turn()));
            if !excluded(index) {
                return Some(index.into());
            }
        }
        self.any(rng, excluded).map(Pick::from)
    }

    /// Any member that is not excluded, found by looking at all from a random one on.
    #[cold]
    pub(super) fn any(&self, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<usize> {
        let n = self.active_len();
        let from = rng.below(n);
        (from..n).chain(0..from).map(|k| self.active(k)).find(|&index| !excluded(index))
    }

    /// A member drawn by weight that is not excluded, if one turns up soon.
    #[inline]
    pub(super) fn draw(
        &self,
        draw: &Draw,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<usize> {
        (0..TRIES).map(|_| self.active(draw.draw(rng))).find(|&index| !excluded(index))
    }
}

/// The weight that counts as 1 when load is compared: the least, so that weights of 100 each mean
/// what weights of 1 each do. Not less than a sixteenth of the largest, though, or an instance that
/// is heavier than that by far could pile up requests unnoticed.
fn unit(weights: &[u32]) -> f32 {
    let least = weights.iter().copied().filter(|&w| w > 0).min().unwrap_or(1);
    let most = weights.iter().copied().max().unwrap_or(1);
    (least as f32).max(most as f32 / 16.0)
}
