//! From a pipe to lines.

use super::{File, Logs, MAX_LINE, RATE, Stream};
use ellie_core::Now;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// Over which the rate is measured.
const WINDOW: Duration = Duration::from_millis(100);

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    rest: Vec<u8>,
}

impl Splitter {
    /// The lines that `bytes` complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |piece| (piece, true));
            let mut piece = piece;
            while self.rest.len() + piece.len() > MAX_LINE {
                let (head, tail) = piece.split_at(MAX_LINE - self.rest.len());
                self.rest.extend_from_slice(head);
                lines.push(self.take());
                piece = tail;
            }
            self.rest.extend_from_slice(piece);
            if ended {
                lines.push(self.take());
            }
        }
        lines
    }

    /// What is left when no more bytes come.
    pub(super) fn finish(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        if self.rest.last() == Some(&b'\r') {
            self.rest.pop();
        }
        // A separator of lines for whoever reads them again.
        let text = String::from_utf8_lossy(&self.rest).replace('\r', "\u{240d}");
        self.rest.clear();
        text
    }
}

/// Reads `pipe` until it ends. `see` is given every text before anyone else.
pub(crate) async fn pump(
    mut pipe: impl AsyncRead + Unpin,
    logs: Arc<Logs>,
    unit: Arc<str>,
    stream: Stream,
    file: Option<Arc<Mutex<File>>>,
    mut see: impl FnMut(&str),
) {
    let mut buffer = vec![0_u8; CHUNK];
    let mut splitter = Splitter::default();
    let (mut since, mut read_since) = (Instant::now(), 0_usize);
    let mut failed = false;
    loop {
        let n = pipe.read(&mut buffer).await.unwrap_or(0);
        let texts = match n {
            0 => splitter.finish().into_iter().collect(),
            n => splitter.push(&buffer[..n]),
        };
        if !texts.is_empty() {
            texts.iter().for_each(|text| see(text));
            let lines = logs.append(&unit, stream, texts, Now::read());
            if let Some(file) = file.clone() {
                // A disk may be slow; the runtime's threads must not be.
                let written = tokio::task::spawn_blocking(move || {
                    // One stream of the process at a time.
                    file.lock().unwrap_or_else(PoisonError::into_inner).append(&lines)
                });
                if let Ok(Err(error)) = written.await
                    && !std::mem::replace(&mut failed, true)
                {
                    tracing::warn!(process = %unit, %error, "its log file can't be written; lines are in memory only");
                }
            }
        }
        if n == 0 {
            return;
        }
        let now = Instant::now();
        if now - since >= WINDOW {
            (since, read_since) = (now, 0);
        }
        read_since += n;
        if read_since > RATE / 10 {
            tokio::time::sleep_until(since + WINDOW).await;
        }
    }
}
