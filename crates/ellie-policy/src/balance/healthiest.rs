//! The cheapest by latency, failures and load, and trials of the sick.

use std::sync::atomic::Ordering::Relaxed;

use super::alias::Draw;
use super::candidates::{Candidates, Pick, TRIES};
use super::choice::{Cheapest, Costs};
use super::endpoint::Look;
use super::health::{DRAWN_SICK, SCAN, SCANNED_SICK, View, steps};
use super::slab::{Cold, Hot};
use crate::Rng;

/// How many drawn instances are compared, at most, while all of them are sick.
const DRAWS: usize = 5;
/// Costs are as good as equal from this ratio on, where weights differ.
const EQUAL: f32 = 0.95;
/// The most trials, as a share of all requests.
const TRIALS: f32 = 0.004;
/// The most trials of one instance, as a share of what would be fair.
const TRIAL_SHARE: f32 = 0.029;
/// A sick instance that nobody tried for so long is due, in nanoseconds.
const OVERDUE: i64 = 300_000_000_000;

/// What a pick has learned about one member.
struct Seen {
    sick: bool,
    cost: f32,
    idle: bool,
}

impl Candidates {
    #[inline(always)]
    fn view(&self, now: i64) -> View {
        View::new(&self.service, self.scans(), now < self.ramped_at, now)
    }

    /// Requests in flight per weight that a member may use now.
    #[inline(always)]
    fn load_steps(&self, index: usize, in_flight: u32, ramp: f32) -> f32 {
        if self.even && ramp == 1.0 {
            in_flight as i32 as f32
        } else {
            steps(in_flight, self.inverse[index] / ramp)
        }
    }

    /// What is seen of a drawn member.
    #[inline(always)]
    fn see(&self, view: &View, index: usize) -> Seen {
        let at = self.shelves.at(index);
        let look = at.hot().look();
        let penalty = view.penalty_of_drawn(look);
        let load = self.load_steps(index, look.in_flight(), view.ramp(at));
        Seen { sick: penalty >= DRAWN_SICK, cost: penalty * (1.0 + load), idle: look.in_flight() == 0 }
    }

    pub(super) fn healthiest_of_all(
        &self,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let view = self.view(now);
        if !self.even || view.ramping {
            return self.healthiest_of_uneven(&view, now, rng, excluded);
        }
        if view.known
            && self.active.is_none()
            && let Some(all) = self.shelves.only()
        {
            // As long as nobody is sick, the penalties are all 1 and only load counts.
            let mut cheapest = Cheapest::new(rng);
            for (k, hot) in all.enumerate() {
                if !excluded(k) {
                    let look = hot.look();
                    if view.is_suspect(look) {
                        return self.healthiest_of_even(&view, now, rng, excluded);
                    }
                    cheapest.push(k, look.in_flight());
                }
            }
            return cheapest.place().map(Pick::from);
        }
        self.healthiest_of_even(&view, now, rng, excluded)
    }

    #[inline(never)]
    fn healthiest_of_even(
        &self,
        view: &View,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let mut cheapest = Cheapest::new(rng);
        let mut sick = Sick::default();
        let mut see = |k: usize, hot: &Hot| {
            let look = hot.look();
            let penalty = view.penalty_of_all(look);
            let cost = penalty * (1.0 + look.in_flight() as i32 as f32);
            cheapest.push(k, cost.to_bits());
            sick.note(k, penalty, look);
        };
        if self.active.is_none()
            && let Some(all) = self.shelves.only()
        {
            for (k, hot) in all.enumerate().filter(|&(k, _)| !excluded(k)) {
                see(k, hot);
            }
        } else {
            for k in (0..self.active_len()).filter(|&k| !excluded(self.active(k))) {
                see(k, self.shelves.hot(self.active(k)));
            }
        }
        Some(self.or_trial_of_all(self.active(cheapest.place()?), &sick, now, rng))
    }

    #[inline(never)]
    fn healthiest_of_uneven(
        &self,
        view: &View,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let mut costs = Costs::new();
        let mut sick = Sick::default();
        for k in 0..self.active_len() {
            let index = self.active(k);
            if !excluded(index) {
                let at = self.shelves.at(index);
                let (look, ramp) = (at.hot().look(), view.ramp(at));
                let penalty = view.penalty_of_all(look);
                let cost = penalty * (1.0 + self.load_steps(index, look.in_flight(), ramp));
                costs.push(k, cost, u64::from(self.share(index)) * (ramp * 1024.0) as u64);
                sick.note(k, penalty, look);
            }
        }
        Some(self.or_trial_of_all(self.active(costs.cheapest(rng)?), &sick, now, rng))
    }

    /// The pick, or a sick one of all instead, if it is time for a trial.
    #[inline(always)]
    fn or_trial_of_all(&self, pick: usize, sick: &Sick, now: i64, rng: &mut Rng) -> Pick {
        if sick.all == 0 {
            return pick.into();
        }
        let n = self.active_len();
        let mut trial = Trial::default();
        let mut idle = sick.idle;
        while idle != 0 {
            let index = self.active(idle.trailing_zeros() as usize);
            idle &= idle - 1;
            let eager = || rng.unit32() * (n as f32) < 2.0;
            trial.consider(index, self.shelves.at(index).cold(), now, eager);
        }
        self.or_trial(pick, &trial, sick.all.count_ones() as f32 / n as f32)
    }

    pub(super) fn healthiest_drawn(
        &self,
        draw: &Draw,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let view = self.view(now);
        // Both are drawn before either is looked at, so that their memory is fetched at once.
        let first = self.draw_newcomers_less(draw, &view, rng, excluded);
        let Some(first) = first else {
            return self.any(rng, excluded).map(Pick::from);
        };
        let second = self.draw_newcomers_less(draw, &view, rng, |i| i == first || excluded(i));
        let Some(second) = second else {
            return Some(first.into());
        };
        if view.known && !view.ramping {
            let (a, b) = (self.shelves.hot(first).look(), self.shelves.hot(second).look());
            let known = (a.root() > 0.0) & (b.root() > 0.0);
            if known & !view.is_suspect(a) & !view.is_suspect(b) {
                // The penalties are the relative latencies' roots, and what those are relative to
                // is the same for both.
                let cost =
                    |index, look: Look| look.root() * (1.0 + self.load_steps(index, look.in_flight(), 1.0));
                // Where weights differ, the light are measured less often and look worse for longer
                // when by chance they look bad: a margin keeps them their share.
                let margin = if self.even { 1.0 } else { EQUAL };
                self.note_sick(0.0);
                // Selected by index: nobody could predict a branch here, and a wrong guess waits for
                // memory.
                return Some([first, second][usize::from(cost(second, b) < margin * cost(first, a))].into());
            }
        }
        self.healthiest_suspect(draw, [first, second], &view, now, rng, excluded)
    }

    /// The cheaper of two drawn, or of a few more while all are sick, or a trial.
    #[inline(never)]
    fn healthiest_suspect(
        &self,
        draw: &Draw,
        [first, second]: [usize; 2],
        view: &View,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let (a, b) = (self.see(view, first), self.see(view, second));
        let cheaper = usize::from(b.cost < a.cost);
        let (mut pick, mut cost) = ([first, second][cheaper], [a.cost, b.cost][cheaper]);
        let (mut sick, mut count) = (u32::from(a.sick) + u32::from(b.sick), 2);
        if sick == 0 {
            self.note_sick(0.0);
            return Some(pick.into());
        }
        let mut trial = Trial::default();
        let mut drawn = [first, second, usize::MAX, usize::MAX, usize::MAX];
        for (index, seen) in [(first, a), (second, b)] {
            if seen.sick && seen.idle {
                trial.consider(index, self.shelves.at(index).cold(), now, || true);
            }
        }
        while sick as usize == count && count < DRAWS {
            let found =
                self.draw_newcomers_less(draw, view, rng, |i| drawn[..count].contains(&i) || excluded(i));
            let Some(index) = found else { break };
            drawn[count] = index;
            count += 1;
            let seen = self.see(view, index);
            if seen.sick {
                sick += 1;
                if seen.idle {
                    trial.consider(index, self.shelves.at(index).cold(), now, || true);
                }
            }
            if seen.cost < cost {
                (pick, cost) = (index, seen.cost);
            }
        }
        let share = self.note_sick(sick as f32 / count as f32);
        Some(self.or_trial(pick, &trial, share))
    }

    /// A member drawn by weight, a newcomer's reduced by its ramp, that is not excluded, if one
    /// turns up soon.
    #[inline]
    fn draw_newcomers_less(
        &self,
        draw: &Draw,
        view: &View,
        rng: &mut Rng,
        excluded: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        for _ in 0..TRIES {
            let index = self.active(draw.draw(rng));
            if excluded(index) {
                continue;
            }
            if !view.ramping {
                return Some(index);
            }
            let ramp = view.ramp(self.shelves.at(index));
            if ramp >= 1.0 || rng.unit32() < ramp {
                return Some(index);
            }
        }
        None
    }

    /// The pick, or the trial instead if there is one and it is time. Requests earn trials at a
    /// fixed rate rather than by chance: for the same number of trials, the wait for the one that
    /// finds an instance recovered is shorter and ends sooner.
    #[inline]
    fn or_trial(&self, pick: usize, trial: &Trial, sick: f32) -> Pick {
        if sick == 0.0 {
            return pick.into();
        }
        self.trial_instead(pick, trial, sick)
    }

    #[cold]
    fn trial_instead(&self, pick: usize, trial: &Trial, sick: f32) -> Pick {
        let credit = self.service.credit() + (TRIAL_SHARE * sick).min(TRIALS);
        let instead = trial.index.filter(|&index| index != pick);
        let Some(index) = instead.filter(|_| trial.due || credit >= 1.0) else {
            self.service.set_credit(credit.min(1.0));
            return pick.into();
        };
        self.service.set_credit(if trial.due { credit.min(1.0) } else { 0.0 });
        Pick { index, trial: true }
    }

    /// Tracks which share of the drawn is sick, to keep the trials of all of them together under
    /// their cap. Writes nothing while nobody is sick.
    #[inline]
    fn note_sick(&self, drawn: f32) -> f32 {
        let share = self.service.sick();
        if drawn == 0.0 && share < 1e-3 {
            return share;
        }
        let moved = share + 0.01 * (drawn - share);
        self.service.set_sick(moved);
        moved
    }
}

/// Which of the few members that were looked at are sick, as bits, and which of those are idle.
#[derive(Default)]
struct Sick {
    all: u32,
    idle: u32,
}

impl Sick {
    #[inline(always)]
    fn note(&mut self, place: usize, penalty: f32, look: Look) {
        let sick = u32::from(penalty >= SCANNED_SICK) << (place % SCAN);
        self.all |= sick;
        self.idle |= if look.in_flight() == 0 { sick } else { 0 };
    }
}

/// The sick instance that is next to be tried.
#[derive(Default)]
struct Trial {
    index: Option<usize>,
    tried: i64,
    /// It answers well, or nobody has asked for long: need not be earned.
    due: bool,
}

impl Trial {
    /// Considers a sick instance with nothing in flight. One that has begun to answer well is
    /// tried as `eager` says, another one after its back-off, the longest untried first.
    #[cold]
    fn consider(&mut self, index: usize, cold: &Cold, now: i64, eager: impl FnOnce() -> bool) {
        let tried = cold.tried.load(Relaxed);
        let since = now.saturating_sub(tried);
        let (ready, due, tried) = if cold.streak.load(Relaxed) > 0 {
            (eager(), true, i64::MIN)
        } else {
            (since >= cold.backoff(), since >= OVERDUE, tried)
        };
        if ready && (self.index.is_none() || tried < self.tried) {
            *self = Self { index: Some(index), tried, due };
        }
    }
}
