//! What others see of the machine.

use super::Machine;
use super::unit::State;
use crate::status::{Need, Phase, Status, UnitStatus};
use ellie_core::Now;
use std::sync::Arc;

impl Machine {
    /// Everything, as of `now`.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        Status { units: (0..self.units.len()).map(|unit| self.unit_status(unit, now)).collect() }
    }

    fn unit_status(&self, unit: usize, now: Now) -> UnitStatus {
        let it = &self.units[unit];
        let definition = self.definition(unit);
        let needs = definition.dependencies.iter().zip(&self.needs[unit]).map(|(dependency, targets)| Need {
            name: dependency.name.clone(),
            condition: dependency.condition.to_string(),
            met: targets.iter().all(|target| self.met(*target, &dependency.condition).is_some()),
        });
        let needs: Vec<Need> = needs.collect();
        let phase = match it.state.phase() {
            Phase::Backoff if it.crash_loop => Phase::CrashLoop,
            phase => phase,
        };
        let retrying = it.deadline.filter(|_| it.state == State::Backoff);
        UnitStatus {
            unit: Arc::from(self.plan.slots()[unit].unit.as_str()),
            process: Arc::from(definition.name.as_str()),
            external: definition.external.is_some(),
            phase,
            reason: if it.state == State::Waiting { self.waits_for(unit, &needs) } else { it.reason.clone() },
            since: it.since,
            run: it.run,
            pid: it.pid,
            port: it.port,
            restarts: it.run.saturating_sub(1),
            failures: it.history.failures(),
            last_exit: it.last_exit.clone(),
            retry_in: retrying.map(|at| at.saturating_duration_since(now.instant)),
            times: it.times.clone(),
            needs,
        }
    }

    /// What is missing, and how it fares.
    fn waits_for(&self, unit: usize, needs: &[Need]) -> String {
        let missing =
            needs.iter().zip(&self.needs[unit]).filter(|(need, _)| !need.met).map(|(need, targets)| {
                let worst =
                    targets.iter().map(|target| &self.units[*target]).find(|it| it.state != State::Ready);
                let phase = worst.map(|it| match it.state.phase() {
                    Phase::Backoff if it.crash_loop => Phase::CrashLoop,
                    phase => phase,
                });
                let phase = phase.map(|phase| format!(" ({phase})")).unwrap_or_default();
                format!("{}{phase} to be {}", need.name, need.condition)
            });
        let missing: Vec<String> = missing.collect();
        if missing.is_empty() { String::new() } else { format!("waits for {}", missing.join(", ")) }
    }
}
