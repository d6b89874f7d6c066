//! A TCP check: a connection is accepted, and closed again.

use super::{Attempt, Failure, dial};
use crate::verdict::{Answer, Millis};
use ellie_core::Status;

pub(super) async fn check(attempt: &mut Attempt<'_>) -> Result<Answer, Failure> {
    let (_, address) = dial::tcp(attempt).await?;
    let output = format!("connected to {address} in {}", Millis(attempt.took()));
    Ok(Answer { verdict: Status::Healthy, output, code: None, body: None })
}
