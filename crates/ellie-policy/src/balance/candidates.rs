use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::Strategy;
use super::alias::Draw;
use super::endpoint::Endpoint;
use super::health::{SCAN, View, ramped_at, steps};
use super::interleave::Interleave;
use super::service::Service;
use crate::Rng;
use crate::time::ticks;

/// How many draws or turns may fall on excluded members before all are looked at.
const TRIES: usize = 16;
/// How many drawn instances are compared, at most, while all of them are sick.
const DRAWS: usize = 5;
/// The most trials, as a share of all requests.
const TRIALS: f32 = 0.005;
/// The most trials of one instance, as a multiple of its fair share.
const TRIAL_SHARE: f32 = 0.045;
/// A sick instance that nobody tried for so long is due, in nanoseconds.
const OVERDUE: i64 = 300_000_000_000;

/// One instance in a table.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its live state.
    pub endpoint: Arc<Endpoint>,
    /// Its share relative to the others; 0 for no new requests.
    pub weight: u32,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) weight: f32,
    pub(super) inverse: f32,
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
    pub(super) slots: Box<[Slot]>,
    pub(super) weights: Box<[u32]>,
    /// The members that have a weight; `None`: all.
    pub(super) active: Option<Box<[u32]>>,
    order: Order,
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
        let slots: Box<[Slot]> = members
            .into_iter()
            .map(|member| {
                let weight = effective(member.weight) as f32;
                Slot { endpoint: member.endpoint, weight, inverse: 1.0 / weight.max(1.0) }
            })
            .collect();
        let active: Option<Box<[u32]>> = (!all_zero && weights.contains(&0))
            .then(|| (0..weights.len() as u32).filter(|&i| weights[i as usize] > 0).collect());
        let of_active: Vec<u32> = weights.iter().map(|&w| effective(w)).filter(|&w| w > 0).collect();
        let order = match strategy {
            Strategy::RoundRobin | Strategy::WeightedRoundRobin => Order::Turns(Interleave::new(&of_active)),
            Strategy::LeastConnections | Strategy::HealthBased if of_active.len() <= SCAN => Order::Scan,
            _ => Order::Draws(Draw::new(&of_active)),
        };
        let ramped_at = slots.iter().map(|slot| ramped_at(slot.endpoint.joined())).max().unwrap_or(i64::MIN);
        Self { strategy, service, slots, weights, active, order, ramped_at }
    }

    /// How many members there are, whatever their weight.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
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
        self.slots.get(index).map(|slot| &slot.endpoint)
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
        self.active.as_ref().map_or(self.slots.len(), |a| a.len())
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
    fn any(&self, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<usize> {
        let n = self.active_len();
        let from = rng.below(n);
        (from..n).chain(0..from).map(|k| self.active(k)).find(|&index| !excluded(index))
    }

    /// A member drawn by weight that is not excluded, if one turns up soon.
    #[inline]
    fn draw(&self, draw: &Draw, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<usize> {
        (0..TRIES).map(|_| self.active(draw.draw(rng))).find(|&index| !excluded(index))
    }

    fn least_of_all(&self, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<Pick> {
        let mut best = Best::new();
        for k in 0..self.active_len() {
            let index = self.active(k);
            if excluded(index) {
                continue;
            }
            let slot = &self.slots[index];
            let in_flight = slot.endpoint.load().in_flight as f32;
            best.offer(index, in_flight * slot.inverse, slot.weight, rng);
        }
        best.index.map(Pick::from)
    }

    fn least_of_two(&self, draw: &Draw, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<Pick> {
        let Some(first) = self.draw(draw, rng, excluded) else {
            return self.any(rng, excluded).map(Pick::from);
        };
        let second =
            (0..TRIES).map(|_| self.active(draw.draw(rng))).find(|&index| index != first && !excluded(index));
        let Some(second) = second else {
            return Some(first.into());
        };
        // The draw has taken the weights into account, and here they decide again, so that equal
        // load per weight is what the members tend to.
        let per_weight = |index: usize| {
            let slot = &self.slots[index];
            slot.endpoint.load().in_flight as f32 * slot.inverse
        };
        let less = per_weight(second) < per_weight(first);
        Some(if less { second } else { first }.into())
    }

    fn view(&self, now: i64) -> View {
        View::new(&self.service, self.scans(), now < self.ramped_at)
    }

    fn healthiest_of_all(&self, now: i64, rng: &mut Rng, excluded: &impl Fn(usize) -> bool) -> Option<Pick> {
        let n = self.active_len();
        let view = self.view(now);
        let mut best = Best::new();
        let mut sick = 0_u32;
        let mut trial = Trial::default();
        for k in 0..n {
            let index = self.active(k);
            if excluded(index) {
                continue;
            }
            let slot = &self.slots[index];
            let load = slot.endpoint.load();
            let penalty = view.penalty(&slot.endpoint, load, now);
            if view.is_sick(penalty) {
                sick += 1;
                if load.in_flight == 0 {
                    trial.consider(index, &slot.endpoint, now, || rng.unit32() * (n as f32) < 2.0);
                }
            }
            let ramp = view.ramp(&slot.endpoint, now);
            let inverse = slot.inverse / ramp;
            let cost = penalty * (1.0 + steps(load.in_flight, inverse));
            best.offer(index, cost, slot.weight * ramp, rng);
        }
        let chance = (TRIAL_SHARE / n as f32 * sick as f32).min(TRIALS);
        trial.decide(best.index?, chance, rng)
    }

    fn healthiest_drawn(
        &self,
        draw: &Draw,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let view = self.view(now);
        let mut drawn = [usize::MAX; DRAWS];
        let mut best = Best::new();
        let mut trial = Trial::default();
        let (mut count, mut sick) = (0, 0);
        while count < DRAWS && (count < 2 || sick == count) {
            let found = self.draw_newcomers_less(draw, &view, now, rng, |index| {
                drawn[..count].contains(&index) || excluded(index)
            });
            let Some(index) = found else { break };
            drawn[count] = index;
            count += 1;
            let slot = &self.slots[index];
            let load = slot.endpoint.load();
            let penalty = view.penalty(&slot.endpoint, load, now);
            if view.is_sick(penalty) {
                sick += 1;
                if load.in_flight == 0 {
                    trial.consider(index, &slot.endpoint, now, || true);
                }
            }
            let ramp = view.ramp(&slot.endpoint, now);
            let cost = penalty * (1.0 + steps(load.in_flight, slot.inverse / ramp));
            best.offer(index, cost, 1.0, rng);
        }
        let Some(index) = best.index else {
            return self.any(rng, excluded).map(Pick::from);
        };
        let share = self.note_sick(sick, count) * count as f32;
        let chance = (TRIAL_SHARE / count as f32).min(TRIALS / share.max(0.01));
        trial.decide(index, chance, rng)
    }

    /// As [`draw`](Self::draw), with a newcomer's weight reduced by its ramp.
    #[inline]
    fn draw_newcomers_less(
        &self,
        draw: &Draw,
        view: &View,
        now: i64,
        rng: &mut Rng,
        excluded: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        for _ in 0..TRIES {
            let index = self.active(draw.draw(rng));
            if excluded(index) {
                continue;
            }
            let ramp = view.ramp(&self.slots[index].endpoint, now);
            if ramp >= 1.0 || rng.unit32() < ramp {
                return Some(index);
            }
        }
        None
    }

    /// Tracks which share of the drawn is sick, to keep the trials of all of them together under
    /// their cap. Writes nothing while nobody is sick.
    #[inline]
    fn note_sick(&self, sick: usize, drawn: usize) -> f32 {
        let share = self.service.sick();
        if sick == 0 && share < 1e-3 {
            return share;
        }
        let moved = share + 0.01 * (sick as f32 / drawn as f32 - share);
        self.service.set_sick(moved);
        moved
    }
}

/// The cheapest so far; among equals, at random in proportion to their weights.
struct Best {
    index: Option<usize>,
    cost: f32,
    weight: f32,
}

impl Best {
    #[inline]
    fn new() -> Self {
        Self { index: None, cost: f32::INFINITY, weight: 0.0 }
    }

    #[inline]
    fn offer(&mut self, index: usize, cost: f32, weight: f32, rng: &mut Rng) {
        if self.index.is_none() || cost < self.cost {
            self.index = Some(index);
            self.cost = cost;
            self.weight = weight;
        } else if cost <= self.cost {
            self.weight += weight;
            if rng.unit32() * self.weight < weight {
                self.index = Some(index);
            }
        }
    }
}

/// The sick instance that is next to be tried.
#[derive(Default)]
struct Trial {
    index: Option<usize>,
    tried: i64,
    /// It answers well, or nobody has asked for long: no chance involved.
    due: bool,
}

impl Trial {
    /// Considers a sick instance with nothing in flight. One that has begun to answer well is
    /// tried as `eager` says, another one after its back-off, the longest untried first.
    #[cold]
    fn consider(&mut self, index: usize, endpoint: &Endpoint, now: i64, eager: impl FnOnce() -> bool) {
        let tried = endpoint.hot.tried.load(Relaxed);
        let since = now.saturating_sub(tried);
        let (ready, due, tried) = if endpoint.hot.streak.load(Relaxed) > 0 {
            (eager(), true, i64::MIN)
        } else {
            let backoff = i64::from(endpoint.hot.backoff.load(Relaxed).max(500)) * 1_000_000;
            (since >= backoff, since >= OVERDUE, tried)
        };
        if ready && (self.index.is_none() || tried < self.tried) {
            *self = Self { index: Some(index), tried, due };
        }
    }

    /// The pick, or with this chance the trial instead.
    #[inline]
    fn decide(self, pick: usize, chance: f32, rng: &mut Rng) -> Option<Pick> {
        Some(match self.index {
            Some(index) if index != pick && (self.due || rng.unit32() < chance) => {
                Pick { index, trial: true }
            }
            _ => pick.into(),
        })
    }
}
