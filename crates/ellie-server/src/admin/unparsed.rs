//! Bytes that are no HTTP request get the same kind of answer as everything else.
//!
//! hyper answers them by itself, before any service of ours is asked, with a bare status. This stream keeps that one
//! answer back and remembers its status, so that the listener can say what was wrong.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that keeps a bare refusal back.
pub(super) struct Unparsed<S> {
    inner: S,
    /// The status of the refusal that was kept back; whatever is written after it is dropped.
    refused: Option<u16>,
}

impl<S> Unparsed<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, refused: None }
    }

    /// The stream, and the status of the refusal that it still owes.
    pub(super) fn into_parts(self) -> (S, Option<u16>) {
        (self.inner, self.refused)
    }
}

/// The status of an answer that is a head of hyper's own and nothing else. Ours have more fields than these.
fn bare(bytes: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(bytes.strip_suffix(b"\r\n\r\n")?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let mut is_empty = false;
    for line in lines {
        match line.split_once(": ")? {
            ("connection" | "date", _) => {}
            ("content-length", "0") => is_empty = true,
            _ => return None,
        }
    }
    (is_empty && matches!(status, 400 | 414 | 431)).then_some(status)
}

impl<S: AsyncRead + Unpin> AsyncRead for Unparsed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unparsed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.refused = self.refused.or_else(|| bare(buf));
        match self.refused {
            Some(_) => Poll::Ready(Ok(buf.len())),
            None => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        match self.refused {
            Some(_) => Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum())),
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.refused {
            // There is an answer to come.
            Some(_) => Poll::Ready(Ok(())),
            None => Pin::new(&mut self.inner).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_hypers_own_is_told_from_answers_of_ours() {
        let own = |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\n{fields}\r\n\r\n").into_bytes();
        let fields = "connection: close\r\ncontent-length: 0\r\ndate: Wed, 25 Nov 2026 14:30:38 GMT";
        assert_eq!(bare(&own("400 Bad Request", fields)), Some(400));
        assert_eq!(bare(&own("431 Request Header Fields Too Large", fields)), Some(431));
        assert_eq!(bare(&own("404 Not Found", fields)), None);
        assert_eq!(bare(&own("204 No Content", fields)), None);
        assert_eq!(
            bare(&own("400 Bad Request", &format!("{fields}\r\nx-content-type-options: nosniff"))),
            None
        );
        assert_eq!(bare(&own("400 Bad Request", "content-length: 5")), None);
        assert_eq!(bare(b"HTTP/1.1 400 Bad Request\r\n"), None);
        assert_eq!(bare(b""), None);
    }
}
