//! Where registrations last.
//!
//! A [`Store`] keeps what somebody said of the services (registrations, operators' decisions), never what was observed
//! of them. [`Embedded`] keeps it in one file of a data directory and is done when the disk is; [`Ephemeral`] keeps
//! nothing. A [`Registrar`] is the one way for a durable change: it rehearses what is asked against the registry, makes
//! many submissions durable in one commit, and only then makes them true in memory.
#![forbid(unsafe_code)]

mod embedded;
mod ephemeral;
mod expiry;
mod lock;
mod record;
pub mod registrar;
mod store;

pub use embedded::{Embedded, FILE_NAME, FORMAT};
pub use ephemeral::Ephemeral;
pub use expiry::expire;
pub use registrar::Registrar;
pub use store::{Error, Stats, Store, Write};
