//! A store that keeps nothing.

use crate::{Error, Stats, Store, Write};
use ellie_core::model::Record;

/// Keeps nothing: every start begins with an empty registry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ephemeral;

impl Store for Ephemeral {
    fn name(&self) -> &'static str {
        "ephemeral"
    }

    fn load(&mut self) -> Result<Vec<Record>, Error> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: &[Write]) -> Result<(), Error> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }
}
