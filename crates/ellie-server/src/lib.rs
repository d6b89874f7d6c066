//! The server and the command line of ellie: what `main` composes. Not a library to embed: that is the crate `ellie`.
#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
mod dashboard;
mod demo;
pub mod metrics;
mod say;
mod why;
