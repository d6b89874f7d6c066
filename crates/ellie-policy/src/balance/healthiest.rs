//! The cheapest by latency, failures and load, and trials of the sick.

use std::sync::atomic::Ordering::Relaxed;

use super::alias::Draw;
use super::candidates::{Candidates, Pick, TRIES};
use super::choice::Costs;
use super::health::{View, steps};
use super::slab::Cold;
use crate::Rng;

/// How many drawn instances are compared, at most, while all of them are sick.
const DRAWS: usize = 5;
/// The most trials, as a share of all requests.
const TRIALS: f32 = 0.004;
/// The most trials of one instance, as a share of what would be fair.
const TRIAL_SHARE: f32 = 0.029;
/// A sick instance that nobody tried for so long is due, in nanoseconds.
const OVERDUE: i64 = 300_000_000_000;

/// What a pick has learned about one member.
struct Seen {
    penalty: f32,
    cost: f32,
    ramp: f32,
    idle: bool,
}

impl Candidates {
    fn view(&self, now: i64) -> View {
        View::new(&self.service, self.scans(), now < self.ramped_at)
    }

    #[inline(always)]
    fn see(&self, view: &View, index: usize, now: i64) -> Seen {
        let hot = self.shelves.hot(index);
        let load = hot.load();
        let penalty = view.penalty(hot, load, now);
        let ramp = view.ramp(hot, now);
        let load_steps = if self.even && !view.ramping {
            load.in_flight as f32
        } else {
            steps(load.in_flight, self.inverse[index] / ramp)
        };
        Seen { penalty, cost: penalty * (1.0 + load_steps), ramp, idle: load.in_flight == 0 }
    }

    pub(super) fn healthiest_of_all(
        &self,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Option<Pick> {
        let n = self.active_len();
        let view = self.view(now);
        let mut costs = Costs::new();
        let fair = self.even && !view.ramping;
        let mut worst = 0.0;
        for k in 0..n {
            let index = self.active(k);
            if excluded(index) {
                costs.push(f32::INFINITY);
                continue;
            }
            let seen = self.see(&view, index, now);
            costs.push(seen.cost);
            if !fair {
                costs.set_share(u64::from(self.share(index)) * (seen.ramp * 1024.0) as u64);
            }
            worst = if seen.penalty > worst { seen.penalty } else { worst };
        }
        let pick = self.active(costs.cheapest(rng)?);
        if !view.is_sick(worst) {
            return Some(pick.into());
        }
        Some(self.trial_of_all(pick, &view, now, rng, excluded))
    }

    /// The pick, or a sick one of all instead, if it is time for a trial.
    #[cold]
    fn trial_of_all(
        &self,
        pick: usize,
        view: &View,
        now: i64,
        rng: &mut Rng,
        excluded: &impl Fn(usize) -> bool,
    ) -> Pick {
        let n = self.active_len();
        let mut sick = 0_u32;
        let mut trial = Trial::default();
        for index in (0..n).map(|k| self.active(k)).filter(|&index| !excluded(index)) {
            let seen = self.see(view, index, now);
            if view.is_sick(seen.penalty) {
                sick += 1;
                if seen.idle {
                    let eager = || rng.unit32() * (n as f32) < 2.0;
                    trial.consider(index, self.shelves.cold(index), now, eager);
                }
            }
        }
        self.or_trial(pick, &trial, sick as f32 / n as f32)
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
        let first = self.draw_newcomers_less(draw, &view, now, rng, excluded);
        let Some(first) = first else {
            return self.any(rng, excluded).map(Pick::from);
        };
        let second = self.draw_newcomers_less(draw, &view, now, rng, |i| i == first || excluded(i));
        let Some(second) = second else {
            return Some(first.into());
        };
        let (a, b) = (self.see(&view, first, now), self.see(&view, second, now));
        // Selected by index: nobody could predict a branch here, and a wrong guess waits for memory.
        let cheaper = usize::from(b.cost < a.cost);
        let (mut pick, mut cost) = ([first, second][cheaper], [a.cost, b.cost][cheaper]);
        let is_sick = |seen: &Seen| view.is_sick(seen.penalty);
        let (mut sick, mut count) = (u32::from(is_sick(&a)) + u32::from(is_sick(&b)), 2);
        if sick == 0 {
            self.note_sick(0.0);
            return Some(pick.into());
        }
        let mut trial = Trial::default();
        let mut drawn = [first, second, usize::MAX, usize::MAX, usize::MAX];
        for (index, seen) in [(first, a), (second, b)] {
            if is_sick(&seen) && seen.idle {
                trial.consider(index, self.shelves.cold(index), now, || true);
            }
        }
        while sick as usize == count && count < DRAWS {
            let found = self
                .draw_newcomers_less(draw, &view, now, rng, |i| drawn[..count].contains(&i) || excluded(i));
            let Some(index) = found else { break };
            drawn[count] = index;
            count += 1;
            let seen = self.see(&view, index, now);
            if is_sick(&seen) {
                sick += 1;
                if seen.idle {
                    trial.consider(index, self.shelves.cold(index), now, || true);
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
        now: i64,
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
            let ramp = view.ramp(self.shelves.hot(index), now);
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
