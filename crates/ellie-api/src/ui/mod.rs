//! What the dashboard's pages read beside the API: under `/api/ui/` at the dashboard's listener. Made for the pages of
//! the same release and changed with them; programs use the API.

mod config;
mod detail;
mod history;
mod route_test;
mod stream;

pub use config::{Config, Origin, Pending, Setting, StaticService};
pub use detail::{Check, Finding, InstanceDetail, Level, ServiceDetail, Why, WhyInstance};
pub use history::{History, Resolution, Series, Track};
pub use route_test::{Considered, RouteAnswer, RouteQuestion};
pub use stream::{
    BreakerFigures, CheckRates, Delta, InstanceFigures, Mode, Rejected, RouteRates, Row, Service,
    ServiceRates, Snapshot, Tick, flag,
};

fn is_zero(n: &u64) -> bool {
    *n == 0
}
