//! What the API counts of its own requests. Labels are bounded: routes by the table, methods and codes by what it
//! answers.

use super::table;
use http::Method;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the histogram, in seconds; one more bucket takes the rest.
pub(crate) const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What was asked of no call.
const OTHER: &str = "other";

/// Requests of one route, method and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) route: &'static str,
    pub(crate) method: &'static str,
    pub(crate) code: u16,
}

/// How long answers of one route took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Histogram {
    /// Not cumulative; the last is beyond all bounds.
    pub(crate) buckets: [u64; BOUNDS.len() + 1],
    pub(crate) sum: f64,
}

/// All counters at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) requests: BTreeMap<Key, u64>,
    pub(crate) durations: BTreeMap<&'static str, Histogram>,
}

/// The counters.
#[derive(Debug, Default)]
pub(super) struct Counters(
    // Two entries are touched under it per request of the API, which is no data path.
    Mutex<Counted>,
);

impl Counters {
    pub(super) fn record(&self, method: &Method, template: Option<&str>, code: u16, took: Duration) {
        let route = template.and_then(|t| table::all().find(|c| c.path == t)).map_or(OTHER, |c| c.path);
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => OTHER,
        };
        let seconds = took.as_secs_f64();
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.requests.entry(Key { route, method, code }).or_insert(0) += 1;
        let histogram = counted.durations.entry(route).or_default();
        histogram.buckets[BOUNDS.partition_point(|b| *b < seconds)] += 1;
        histogram.sum += seconds;
    }

    pub(super) fn read(&self) -> Counted {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
