//! One question, outside of any schedule: how does something fare that is not registered yet?

use crate::probe::{Limits, Outcome, Probe, Sockets};
use crate::target::Target;
use ellie_core::model::{Registration, Status};
use ellie_tls::client::Client;
use std::sync::Arc;
use std::time::Duration;

/// Asks by the same rules as the checks of what is registered.
#[derive(Debug)]
pub struct Prober(Sockets);

impl Prober {
    /// A prober that believes what `tls` believes.
    #[must_use]
    pub fn new(tls: Client) -> Self {
        Self(Sockets::new(tls))
    }

    /// Asks as `registration` says, on a new connection, for at most `timeout`. A passive check has nothing to ask:
    /// healthy.
    ///
    /// # Errors
    /// Why nothing is known of it: ellie ran out of something that the question needs.
    pub async fn probe(
        &self,
        registration: &Registration,
        timeout: Duration,
    ) -> Result<(Status, String), String> {
        let Some(target) = Target::of(registration) else {
            return Ok((Status::Healthy, "nothing to ask: the check is passive".into()));
        };
        let limits = Limits { timeout, connection_age: Duration::ZERO };
        match self.0.probe(Arc::new(target), None, limits).await.outcome {
            Outcome::Answer(answer) => Ok((answer.verdict, answer.output)),
            Outcome::Inconclusive(why) => Err(why),
        }
    }
}
