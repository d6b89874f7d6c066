//! Definitions from files of other tools.

pub mod procfile;
