//! `/metrics`: everything that is counted, read at the moment it is asked for, in Prometheus' text formats.
//!
//! Label sets are bounded: services and routes by [`MAX_NAMES`], the rest by what the code knows.

mod parts;
pub(crate) mod process;
mod providers;
mod text;

pub use text::Format;

use crate::admin::AdminState;
use text::Writer;

/// Services, breakers or routes that are told by name, the first in alphabetical order; more are only counted in
/// `ellie_metrics_omitted_names`.
pub const MAX_NAMES: usize = 5_000;

/// All metrics of a system and its API.
#[must_use]
pub fn collect(state: &AdminState, format: Format) -> String {
    let mut w = Writer::new(format);
    parts::specification(&mut w, state);
    parts::registry(&mut w, state);
    parts::store(&mut w, state);
    parts::checks(&mut w, state);
    parts::balancer(&mut w, state);
    parts::breakers(&mut w, state);
    parts::gateway(&mut w, state);
    providers::providers(&mut w, state);
    parts::api(&mut w, state);
    parts::process(&mut w);
    w.finish()
}
