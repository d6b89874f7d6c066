//! Wire types of ellie's HTTP API: what is sent and received, nothing else.
#![forbid(unsafe_code)]
