//! What every end-to-end test shares: the real binary, started as a user would start it.
//!
//! ```ignore
//! mod common;
//! let ellie = common::Ellie::start();                       // port 0 everywhere, a data directory of its own
//! let answer = ellie.post("/services", &json!({"name": "a", "host": "127.0.0.1", "port": 1}));
//! assert_eq!(answer.status, 201);
//! let output = ellie.cli(&["services", "-o", "json"]).success();
//! ```
//!
//! The process is killed when the value is dropped. Nothing here sleeps: a wait is for a condition
//! (a line of the log, a state that is read again and again), and its deadline is only there to turn
//! a hang into a message.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses the part it needs")]

mod docker;
mod http;
mod nginx;
mod page;
mod peers;
mod process;
mod processes;
mod tls;
mod upstream;

pub use docker::{Daemon, IMAGE, with_docker};
pub use http::{Answer, request};
pub use nginx::Nginx;
pub use page::Page;
pub use peers::{Peer, free_port, peer, text_of};
pub use process::{Builder, Ellie, Ran};
pub use processes::{SERVICE, is_alive, pid, script, service, signal};
pub use tls::{Authority, Issued};
pub use upstream::{Asked, Upstream};

use std::time::{Duration, Instant};

/// How long a wait may take before it is called a hang. Never part of what a test asserts.
pub const HANG: Duration = Duration::from_secs(90);

/// Reads a state again and again until `look` returns something, and returns that.
///
/// # Panics
/// When [`HANG`] has passed; the message says what was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + HANG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "waited {HANG:?} in vain for: {what}");
        pause();
    }
}

/// [`wait_for`] a condition.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Between two looks at the same state; yields the processor to the process that is looked at.
pub fn pause() {
    std::thread::park_timeout(Duration::from_millis(10));
}

#[allow(clippy::disallowed_methods, reason = "the deadline that turns a hang into a message")]
fn now() -> Instant {
    Instant::now()
}
