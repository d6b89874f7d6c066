//! Connections to instances: each thread keeps its own, newest first.

mod connect;
mod pool;

pub(crate) use connect::connect;
pub(crate) use pool::Pool;
