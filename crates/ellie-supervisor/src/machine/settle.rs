//! Who may start, and who has to stop because of others.

use super::unit::{After, State, Want};
use super::{Action, Machine};
use crate::definition::Condition;
use ellie_core::Now;
use std::sync::Arc;
use std::time::SystemTime;

impl Machine {
    /// Goes over all processes until nothing changes any more.
    pub(super) fn settle(&mut self, now: Now) {
        // Each pass that changes something moves at least one process on, and a state has few successors without an
        // input, so this ends.
        let mut changed = true;
        while changed {
            changed = false;
            for unit in 0..self.units.len() {
                changed |= self.step(unit, now);
            }
        }
    }

    /// Moves one on as far as the others allow; whether it changed.
    fn step(&mut self, unit: usize, now: Now) -> bool {
        let down = match self.units[unit].want {
            Want::Down { ordered } => Some(ordered),
            Want::Up => None,
        };
        match (&self.units[unit].state, down) {
            (State::Waiting | State::Backoff, Some(_)) => {
                self.units[unit].deadline = None;
                self.enter(unit, State::Stopped, "not wanted".into(), now);
                true
            }
            (State::Waiting, None) => match self.unblocked(unit) {
                Some(blocker) => {
                    self.launch(unit, blocker, now);
                    true
                }
                None => false,
            },
            (state, Some(ordered)) if state.is_up() => {
                if ordered && self.dependents[unit].iter().any(|d| self.units[*d].state.is_active()) {
                    return false;
                }
                self.begin_stop(unit, After::Stay, "asked to stop", now);
                true
            }
            (state, None) if state.is_up() => match self.lost(unit) {
                Some(name) => {
                    self.begin_stop(
                        unit,
                        After::Again,
                        &format!("`{name}`, on which it depends, is gone"),
                        now,
                    );
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// Whether everything that `unit` needs is so far, and what came last.
    fn unblocked(&self, unit: usize) -> Option<Option<usize>> {
        let mut last: Option<(SystemTime, usize)> = None;
        for (dependency, targets) in self.definition(unit).dependencies.iter().zip(&self.needs[unit]) {
            for target in targets {
                let at = self.met(*target, &dependency.condition)?;
                if last.is_none_or(|(latest, _)| at > latest) {
                    last = Some((at, *target));
                }
            }
        }
        let asked = self.units[unit].times.asked;
        Some(last.filter(|(at, _)| asked.is_none_or(|asked| *at > asked)).map(|(_, target)| target))
    }

    /// Since when `condition` holds of `target`, where it does.
    pub(super) fn met(&self, target: usize, condition: &Condition) -> Option<SystemTime> {
        let it = &self.units[target];
        match condition {
            Condition::Healthy => it.times.ready.filter(|_| it.state == State::Ready),
            Condition::Started => {
                it.times.started.filter(|_| it.state.is_up() || it.state == State::Completed)
            }
            Condition::Completed => it.times.ended.filter(|_| it.state == State::Completed),
            Condition::Log(text) => {
                it.seen.get(text).copied().filter(|_| it.state.is_up() || it.state == State::Completed)
            }
        }
    }

    /// A dependency that no longer holds, and with which `unit` is to be restarted.
    fn lost(&self, unit: usize) -> Option<String> {
        let mut dependencies = self.definition(unit).dependencies.iter().zip(&self.needs[unit]);
        let lost = dependencies.find(|(dependency, targets)| {
            dependency.restart
                && targets.iter().any(|target| self.met(*target, &dependency.condition).is_none())
        });
        lost.map(|(dependency, _)| dependency.name.clone())
    }

    fn launch(&mut self, unit: usize, blocker: Option<usize>, now: Now) {
        let blocker = blocker.map(|b| Arc::from(self.plan.slots()[b].unit.as_str()));
        // What runs elsewhere is waited for as long as it takes.
        let limit = self.definition(unit).start_timeout;
        let timed = self.definition(unit).external.is_none();
        let it = &mut self.units[unit];
        it.run += 1;
        it.pid = None;
        it.announced = false;
        it.ready_at = None;
        it.seen.clear();
        it.times.unblocked = Some(now.wall);
        it.times.blocker = blocker;
        (it.times.started, it.times.ready, it.times.ended) = (None, None, None);
        it.deadline = if timed { now.instant.checked_add(limit) } else { None };
        let run = it.run;
        self.enter(unit, State::Starting, String::new(), now);
        self.out.push(Action::Launch { unit, run });
    }
}
