//! TLS as all parts of ellie use it: an [`Identity`] (a certificate and its key), what a listener says of itself
//! ([`server`]), and whom a connection to an instance believes ([`client`]).
//!
//! Nothing here reads files or the clock; whoever reads them hands their contents over. The one exception are the
//! certificate authorities that the system trusts: they are read when the first connection needs them.

#![forbid(unsafe_code)]

pub mod client;
mod identity;
pub mod server;

pub use identity::{Identity, IdentityFault, authorities};

use rustls::crypto::CryptoProvider;
use std::sync::Arc;

/// The cryptography that is used everywhere.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
