//! The API's description, written by hand and held against the router and real answers by tests.

/// The OpenAPI 3.1 document.
pub const DOCUMENT: &str = include_str!("openapi.json");
