//! How a process comes to its end, and what follows.

use super::unit::{After, State, Want};
use super::{Action, Machine, NoticeKind};
use crate::restart::Verdict;
use crate::status::{Exit, Timeline};
use ellie_core::Now;

impl Machine {
    /// The deadline of a state has passed.
    pub(super) fn due(&mut self, unit: usize, now: Now) {
        match self.units[unit].state.clone() {
            State::Starting => {
                let limit = humantime::format_duration(self.definition(unit).start_timeout);
                let why = match self.units[unit].reason.strip_prefix("not ready: ") {
                    Some(last) => format!("was not ready within {limit}: {last}"),
                    None => format!("was not ready within {limit}"),
                };
                self.tell(unit, NoticeKind::Failed, why.clone());
                self.begin_stop(unit, After::Failed(why.clone()), &why, now);
            }
            State::Draining(after) => self.signal(unit, after, now),
            State::Stopping(after) => {
                let limit = humantime::format_duration(self.definition(unit).stop_timeout);
                self.kill(unit, after, format!("did not stop within {limit}: killed"), now);
            }
            State::Backoff => {
                self.units[unit].times = Timeline { asked: Some(now.wall), ..Timeline::default() };
                self.enter(unit, State::Waiting, String::new(), now);
            }
            _ => {}
        }
    }

    /// Takes it out of traffic and tells it to stop; what is stopping already only gets another `after`.
    pub(super) fn begin_stop(&mut self, unit: usize, after: After, why: &str, now: Now) {
        match &mut self.units[unit].state {
            State::Draining(then) | State::Stopping(then) | State::Killing(then) => {
                *then = after;
                return;
            }
            state if !state.is_up() => return,
            _ => {}
        }
        let definition = self.definition(unit);
        let (external, drain) = (definition.external.is_some(), definition.drain_timeout);
        let it = &mut self.units[unit];
        it.deadline = None;
        let (run, announced) = (it.run, it.announced);
        if external {
            self.out.push(Action::Release { unit, run });
            return self.over(unit, after, now);
        }
        self.tell(unit, NoticeKind::Stopping, why.to_owned());
        if announced {
            self.out.push(Action::Drain { unit, run });
        }
        // Nobody waits for the requests of one that does not work.
        if announced && !drain.is_zero() && !matches!(after, After::Failed(_)) {
            self.units[unit].deadline = now.instant.checked_add(drain);
            self.enter(unit, State::Draining(after), why.to_owned(), now);
        } else {
            self.enter(unit, State::Draining(after.clone()), why.to_owned(), now);
            self.signal(unit, after, now);
        }
    }

    /// Tells it to stop.
    pub(super) fn signal(&mut self, unit: usize, after: After, now: Now) {
        let limit = self.definition(unit).stop_timeout;
        let reason = self.units[unit].reason.clone();
        self.units[unit].deadline = now.instant.checked_add(limit);
        self.enter(unit, State::Stopping(after), reason, now);
        self.out.push(Action::Signal { unit, run: self.units[unit].run });
    }

    fn kill(&mut self, unit: usize, after: After, why: String, now: Now) {
        self.units[unit].deadline = None;
        self.tell(unit, NoticeKind::Stopping, why.clone());
        self.enter(unit, State::Killing(after), why, now);
        self.out.push(Action::Kill { unit, run: self.units[unit].run });
    }

    /// Kills everything.
    pub(super) fn kill_all(&mut self, now: Now) {
        for unit in 0..self.units.len() {
            self.units[unit].want = Want::Down { ordered: false };
            if self.units[unit].state.is_active() && self.definition(unit).external.is_none() {
                self.kill(unit, After::Stay, "killed at once, as asked".into(), now);
            }
        }
    }

    /// The process is gone.
    pub(super) fn ended(&mut self, unit: usize, exit: &Exit, now: Now) {
        let it = &mut self.units[unit];
        it.deadline = None;
        it.last_exit = Some(exit.clone());
        it.times.ended = Some(now.wall);
        let run = it.run;
        self.out.push(Action::Release { unit, run });
        let state = self.units[unit].state.clone();
        match state {
            State::Draining(after) | State::Stopping(after) | State::Killing(after) => {
                self.over(unit, after, now);
            }
            _ if exit.is_success() && exit.left > 0 => {
                let n = exit.left;
                let them = if n == 1 { "a process that was" } else { "processes that were" };
                let why = format!(
                    "went into the background, leaving {n} {them} ended: let it run in the foreground, or set \
                     forks = true"
                );
                self.failed(unit, why, now);
            }
            _ if exit.is_success() => self.completed(unit, now),
            _ => self.failed(unit, exit.to_string(), now),
        }
    }

    /// It has stopped as it was asked to.
    fn over(&mut self, unit: usize, after: After, now: Now) {
        self.units[unit].pid = None;
        let wanted = self.units[unit].want == Want::Up;
        match after {
            After::Failed(why) if wanted => self.judge(unit, true, why, now),
            // Wanted again while it was stopping, or stopped in order to be started.
            _ if wanted => {
                self.units[unit].times = Timeline { asked: Some(now.wall), ..Timeline::default() };
                self.enter(unit, State::Waiting, String::new(), now);
            }
            _ => {
                let reason = self.units[unit].last_exit.as_ref().map(ToString::to_string).unwrap_or_default();
                let told = match reason.as_str() {
                    "" => "stopped".to_owned(),
                    reason => format!("stopped: {reason}"),
                };
                self.tell(unit, NoticeKind::Stopped, told);
                self.enter(unit, State::Stopped, reason, now);
            }
        }
    }

    fn completed(&mut self, unit: usize, now: Now) {
        if self.definition(unit).restart.when == crate::restart::When::Always {
            return self.failed_or_not(unit, false, "ended with exit code 0".into(), now);
        }
        self.units[unit].pid = None;
        self.tell(unit, NoticeKind::Completed, "completed".into());
        self.enter(unit, State::Completed, "ended with exit code 0".into(), now);
    }

    /// It has failed unasked.
    pub(super) fn failed(&mut self, unit: usize, why: String, now: Now) {
        self.failed_or_not(unit, true, why, now);
    }

    fn failed_or_not(&mut self, unit: usize, failed: bool, why: String, now: Now) {
        self.tell(unit, NoticeKind::Failed, why.clone());
        self.judge(unit, failed, why, now);
    }

    /// What the restart policy makes of an end that has been told of.
    fn judge(&mut self, unit: usize, failed: bool, why: String, now: Now) {
        let it = &mut self.units[unit];
        it.pid = None;
        it.deadline = None;
        let ready_at = it.ready_at.take();
        let verdict = it.history.ended(failed, ready_at, now.instant, &mut self.rng);
        match verdict {
            Verdict::Again { after, crash_loop } => {
                it.deadline = now.instant.checked_add(after);
                let newly = crash_loop && !it.crash_loop;
                it.crash_loop = crash_loop;
                let failures = it.history.failures();
                if newly {
                    self.tell(unit, NoticeKind::CrashLoop, format!("failed {failures} times in a row"));
                }
                self.enter(unit, State::Backoff, why, now);
            }
            Verdict::GiveUp => {
                let failures = it.history.failures();
                let why = format!("{why}; given up after {} failures in a row", failures + 1);
                self.tell(unit, NoticeKind::Failed, why.clone());
                self.enter(unit, State::Failed, why, now);
            }
            Verdict::Stay => self.enter(unit, State::Failed, why, now),
        }
    }
}
