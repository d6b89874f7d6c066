//! Whether and when a process that ended is started again.

use ellie_policy::Rng;
use ellie_policy::backoff::{Backoff, Config};
use std::time::{Duration, Instant};

/// After which ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// After all but those that were asked for.
    Always,
    /// After failures: an exit code other than 0, a signal, a missed deadline, a failed liveness check.
    #[default]
    OnFailure,
    /// After none.
    Never,
}

impl When {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        }
    }
}

/// How a process is kept running.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// After which ends it is started again.
    pub when: When,
    /// The pauses before.
    pub backoff: Config,
    /// So long after it was ready, earlier failures are forgotten.
    pub steady: Duration,
    /// So many failures in a row make a crash loop; it goes on with pauses that grow up to the longest.
    pub crash_loop: u32,
    /// So many failures in a row, and it is given up. Absent: never.
    pub limit: Option<u32>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            when: When::OnFailure,
            backoff: Config {
                base: Duration::from_millis(250),
                factor: 2.0,
                cap: Duration::from_secs(30),
                jitter: 0.5,
            },
            steady: Duration::from_secs(10),
            crash_loop: 5,
            limit: None,
        }
    }
}

impl Policy {
    /// The default pauses, after ends such as these.
    #[must_use]
    pub fn new(when: When) -> Self {
        Self { when, ..Self::default() }
    }
}

/// What follows an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is started again after this.
    Again {
        /// The pause.
        after: Duration,
        /// Whether the failures have become a crash loop.
        crash_loop: bool,
    },
    /// It has failed so often that it is given up.
    GiveUp,
    /// It stays ended.
    Stay,
}

/// The failures of one process so far.
#[derive(Clone, Debug)]
pub struct History {
    policy: Policy,
    backoff: Backoff,
}

impl History {
    /// None yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { backoff: Backoff::new(policy.backoff.clone()), policy }
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Forgets them: somebody has seen to it.
    pub fn forget(&mut self) {
        self.backoff.reset();
    }

    /// It has ended unasked, `failed` or with success; it had been ready since `ready`.
    pub fn ended(&mut self, failed: bool, ready: Option<Instant>, now: Instant, rng: &mut Rng) -> Verdict {
        let again = match self.policy.when {
            When::Always => true,
            When::OnFailure => failed,
            When::Never => false,
        };
        if ready.is_some_and(|since| now.saturating_duration_since(since) >= self.policy.steady) {
            self.backoff.reset();
        }
        if !again {
            return Verdict::Stay;
        }
        if self.policy.limit.is_some_and(|limit| self.backoff.failures() >= limit) {
            return Verdict::GiveUp;
        }
        let after = self.backoff.next_delay(rng);
        Verdict::Again { after, crash_loop: self.backoff.failures() >= self.policy.crash_loop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ellie_core::Now;

    fn policy(when: When, limit: Option<u32>) -> Policy {
        let backoff = Config { jitter: 0.0, ..Policy::default().backoff };
        Policy { when, limit, backoff, ..Policy::default() }
    }

    #[test]
    fn pauses_grow_into_a_crash_loop_and_end_at_the_limit() {
        let mut rng = Rng::new(1);
        let now = Now::read().instant;
        let mut history = History::new(policy(When::OnFailure, Some(6)));
        let mut pauses = Vec::new();
        let verdict = loop {
            match history.ended(true, None, now, &mut rng) {
                Verdict::Again { after, crash_loop } => pauses.push((after.as_millis(), crash_loop)),
                other => break other,
            }
        };
        assert_eq!(verdict, Verdict::GiveUp);
        assert_eq!(
            pauses,
            [(250, false), (500, false), (1000, false), (2000, false), (4000, true), (8000, true)]
        );
    }

    #[test]
    fn a_steady_run_forgives() {
        let mut rng = Rng::new(1);
        let start = Now::read().instant;
        let mut history = History::new(policy(When::Always, None));
        for _ in 0..4 {
            history.ended(true, None, start, &mut rng);
        }
        let short = history.ended(true, Some(start), start + Duration::from_secs(9), &mut rng);
        assert!(matches!(short, Verdict::Again { crash_loop: true, .. }), "{short:?}");
        let long = history.ended(true, Some(start), start + Duration::from_secs(10), &mut rng);
        assert_eq!(long, Verdict::Again { after: Duration::from_millis(250), crash_loop: false });
    }

    #[test]
    fn success_is_an_end_unless_it_always_runs() {
        let mut rng = Rng::new(1);
        let now = Now::read().instant;
        for (when, failed, again) in [
            (When::Always, false, true),
            (When::OnFailure, false, false),
            (When::OnFailure, true, true),
            (When::Never, true, false),
        ] {
            let verdict = History::new(policy(when, None)).ended(failed, None, now, &mut rng);
            assert_eq!(verdict != Verdict::Stay, again, "{when:?} {failed}");
        }
    }
}
