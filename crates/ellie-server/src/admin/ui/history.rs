//! The last two minutes by the second and the last half hour by ten, of the whole and of services with traffic: a ring
//! each, of a fixed size, for a bounded number of services.

use super::meter::{BUCKETS, Step, percentile};
use ellie_api::ui::{Resolution, Series, Track};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// The resolution of the last two minutes.
pub(super) const FINE: Resolution = Resolution { step: 1000, points: 120 };
/// The resolution of the last half hour.
pub(super) const COARSE: Resolution = Resolution { step: 10_000, points: 180 };
/// How many fine steps are one coarse one.
const RATIO: u32 = (COARSE.step / FINE.step) as u32;
/// What both cover.
pub(super) const SPAN: Duration = Duration::from_millis(COARSE.step * COARSE.points as u64);
/// How many services are remembered.
pub(super) const MAX_LINES: usize = 512;
/// One that has been idle for so many seconds makes room where there is none.
const GIVES_WAY: u32 = 60;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    rps: f32,
    errors: f32,
    p95: Option<f32>,
    state: u8,
}

fn point(step: &Step, seconds: f32, state: u8) -> Point {
    let tenths = |x: f32| (x * 10.0).round() / 10.0;
    let mut buckets = [0.0; BUCKETS];
    for (out, n) in buckets.iter_mut().zip(step.buckets) {
        *out = n as f32;
    }
    Point {
        rps: tenths(step.answered as f32 / seconds),
        errors: (step.error_share() * 1e4).round() as f32 / 1e4,
        p95: percentile(&buckets, 0.95).map(|ms| ms as f32),
        state,
    }
}

/// One thing over time.
#[derive(Clone, Debug, Default)]
struct Line {
    fine: VecDeque<Point>,
    coarse: VecDeque<Point>,
    /// Of the coarse step that is under way: what happened, for how many seconds, and the worst state.
    sum: Step,
    seconds: f32,
    worst: u8,
    /// Seconds without an answer.
    idle: u32,
}

impl Line {
    fn push(&mut self, step: &Step, seconds: f32, state: u8) {
        keep(&mut self.fine, point(step, seconds, state), FINE.points);
        self.sum.add(step);
        self.seconds += seconds;
        self.worst = self.worst.max(state);
        self.idle = if step.answered > 0 { 0 } else { self.idle.saturating_add(1) };
    }

    fn turn(&mut self) {
        if self.seconds > 0.0 {
            keep(&mut self.coarse, point(&self.sum, self.seconds, self.worst), COARSE.points);
        }
        (self.sum, self.seconds, self.worst) = (Step::default(), 0.0, 0);
    }

    fn track(&self, with_state: bool) -> Track {
        Track { fine: series(&self.fine, with_state), coarse: series(&self.coarse, with_state) }
    }
}

fn keep(ring: &mut VecDeque<Point>, point: Point, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(point);
}

fn series(ring: &VecDeque<Point>, with_state: bool) -> Series {
    Series {
        rps: ring.iter().map(|p| p.rps).collect(),
        errors: ring.iter().map(|p| p.errors).collect(),
        p95: ring.iter().map(|p| p.p95).collect(),
        state: if with_state { ring.iter().map(|p| p.state).collect() } else { Vec::new() },
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Lines {
    total: Line,
    services: HashMap<String, Line>,
    beat: u32,
}

impl Lines {
    /// Takes one second. `state` tells how the breaker of a service is: 0 closed, 1 half-open, 2 open.
    pub(super) fn push(
        &mut self,
        seconds: f32,
        total: &Step,
        services: &HashMap<&str, Step>,
        state: impl Fn(&str) -> u8,
    ) {
        self.total.push(total, seconds, 0);
        let nothing = Step::default();
        for (name, line) in &mut self.services {
            line.push(services.get(name.as_str()).unwrap_or(&nothing), seconds, state(name));
        }
        for (name, step) in services.iter().filter(|(_, step)| step.answered > 0) {
            if !self.services.contains_key(*name) && self.has_room() {
                let mut line = Line::default();
                line.push(step, seconds, state(name));
                self.services.insert((*name).to_owned(), line);
            }
        }
        self.beat += 1;
        if self.beat.is_multiple_of(RATIO) {
            self.total.turn();
            self.services.values_mut().for_each(Line::turn);
            let most = RATIO * COARSE.points as u32;
            self.services.retain(|_, line| line.idle < most);
        }
    }

    fn has_room(&mut self) -> bool {
        if self.services.len() < MAX_LINES {
            return true;
        }
        let idlest = self.services.iter().max_by_key(|(_, line)| line.idle);
        let Some(name) = idlest.filter(|(_, line)| line.idle >= GIVES_WAY).map(|(name, _)| name.clone())
        else {
            return false;
        };
        self.services.remove(&name).is_some()
    }

    pub(super) fn total(&self) -> Track {
        self.total.track(false)
    }

    /// By name; of one service alone where it is named.
    pub(super) fn services<'l>(
        &'l self,
        only: Option<&'l str>,
    ) -> impl Iterator<Item = (String, Track)> + use<'l> {
        let wanted = move |(name, _): &(&String, &Line)| only.is_none_or(|only| *name == only);
        self.services.iter().filter(wanted).map(|(name, line)| (name.clone(), line.track(true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(answered: u64, errors: u64) -> Step {
        let mut step = Step { answered, errors, ..Step::default() };
        step.buckets[2] = answered as u32;
        step
    }

    #[test]
    fn rings_have_their_size_whatever_happens() {
        let mut lines = Lines::default();
        for second in 0..10_000_u64 {
            let services = HashMap::from([("a", step(second % 7, 0))]);
            lines.push(1.0, &step(10, 1), &services, |_| u8::from(second == 9_993) * 2);
        }
        let total = lines.total();
        assert_eq!((total.fine.rps.len(), total.coarse.rps.len()), (FINE.points, COARSE.points));
        assert_eq!((total.coarse.rps[0], total.coarse.errors[0]), (10.0, 0.1));
        assert!(total.coarse.p95[0].is_some() && total.fine.state.is_empty());
        let (name, a) = lines.services(None).next().expect("it has traffic");
        assert_eq!((name.as_str(), a.fine.state.len()), ("a", FINE.points));
        assert_eq!(a.coarse.state.last(), Some(&2), "the worst of the step");
        assert_eq!(lines.services(Some("b")).count(), 0);
    }

    #[test]
    fn services_are_bounded_and_the_idle_give_way() {
        let names: Vec<String> = (0..MAX_LINES + 50).map(|n| format!("s{n}")).collect();
        let all: HashMap<&str, Step> = names.iter().map(|n| (n.as_str(), step(1, 0))).collect();
        let mut lines = Lines::default();
        for _ in 0..3 {
            lines.push(1.0, &step(1, 0), &all, |_| 0);
        }
        assert_eq!(lines.services(None).count(), MAX_LINES);
        for _ in 0..GIVES_WAY {
            lines.push(1.0, &step(0, 0), &HashMap::new(), |_| 0);
        }
        lines.push(1.0, &step(1, 0), &HashMap::from([("new", step(1, 0))]), |_| 0);
        assert_eq!((lines.services(None).count(), lines.services(Some("new")).count()), (MAX_LINES, 1));
        for _ in 0..2 * RATIO * COARSE.points as u32 {
            lines.push(1.0, &step(0, 0), &HashMap::new(), |_| 0);
        }
        assert_eq!(lines.services(None).count(), 0, "forgotten after half an hour");
    }
}
