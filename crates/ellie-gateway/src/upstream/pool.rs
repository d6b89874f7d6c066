//! Idle connections of one thread, by instance.

use crate::io::Stream;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: Instant,
}

/// Idle connections, last in first out: the busiest stay warm, the others age and are closed.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: HashMap<u64, Vec<Idle>>,
}

impl Pool {
    /// A connection to the instance `key` that is silent and younger than `most`.
    pub(crate) fn take(&mut self, key: u64, now: Instant, most: Duration) -> Option<Stream> {
        let idle = self.idle.get_mut(&key)?;
        while let Some(Idle { mut stream, since }) = idle.pop() {
            if now.saturating_duration_since(since) < most && !stream.has_stirred() {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection; with `room` kept already the oldest gives way.
    pub(crate) fn put(&mut self, key: u64, stream: Stream, now: Instant, room: usize) {
        let idle = self.idle.entry(key).or_default();
        if idle.len() >= room.max(1) {
            idle.remove(0);
        }
        idle.push(Idle { stream, since: now });
    }

    /// Closes what is older than `most` or was closed by the other side, and forgets instances without connections.
    pub(crate) fn sweep(&mut self, now: Instant, most: Duration) {
        self.idle.retain(|_, idle| {
            idle.retain_mut(|i| now.saturating_duration_since(i.since) < most && !i.stream.has_stirred());
            !idle.is_empty()
        });
    }

    /// Closes those that are encrypted.
    pub(crate) fn clear_encrypted(&mut self) {
        self.idle.retain(|_, idle| {
            idle.retain(|i| matches!(i.stream, Stream::Plain(_)));
            !idle.is_empty()
        });
    }

    /// Closes all.
    pub(crate) fn clear(&mut self) {
        self.idle.clear();
    }
}
