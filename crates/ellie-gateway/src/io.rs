//! Streams in the clear or encrypted, a read buffer shared by a thread, and a timer that is seldom set.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// A connection to a client or an instance.
#[derive(Debug)]
pub(crate) enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// TLS, we are the server.
    Server(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS, we are the client.
    Client(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

macro_rules! each {
    ($self:expr, $s:ident => $e:expr) => {
        match $self {
            Stream::Plain($s) => $e,
            Stream::Server($s) => $e,
            Stream::Client($s) => $e,
        }
    };
}

impl Stream {
    /// The TCP connection under it.
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(s) => s,
            Self::Server(s) => s.get_ref().0,
            Self::Client(s) => s.get_ref().0,
        }
    }

    /// Another handle of the connection.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.tcp().as_fd().try_clone_to_owned()
    }

    /// Whether anything has arrived, a close included, on a connection that should be silent. Costs a system call only
    /// where the runtime has heard of something.
    pub(crate) fn has_stirred(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if self.tcp().poll_read_ready(&mut cx).is_pending() {
            return false;
        }
        self.poll_receive(&mut cx, &mut [0]).is_ready()
    }

    /// Reads into `buf`; 0 is the end. Clears the runtime's readiness on a short read, which saves the read that
    /// would only find nothing.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buf);
        match each!(self, s => Pin::new(s).poll_read(cx, &mut read)) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(read.filled().len())),
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes some of `buf`.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, s => Pin::new(s).poll_write(cx, buf))
    }

    /// Whether written bytes may wait for a flush.
    pub(crate) fn is_buffered(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), s => Pin::new(s).poll_shutdown(cx))
    }
}

/// Bytes that one read takes at most.
pub(crate) const SCRATCH: usize = 64 * 1024;

/// The thread's read buffer: filled and emptied within one poll, so that an idle connection holds none.
#[derive(Debug)]
pub(crate) struct Scratch(RefCell<Box<[u8]>>);

impl Default for Scratch {
    fn default() -> Self {
        Self(RefCell::new(vec![0; SCRATCH].into_boxed_slice()))
    }
}

impl Scratch {
    /// Lends the buffer. `f` doesn't await and doesn't call this again, so the buffer is free.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut [u8]) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }
}

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    /// Written to a stream that buffers, and not flushed yet.
    unflushed: bool,
    /// Whether any byte has been written since it was last cleared.
    touched: bool,
}

/// An outgoing buffer that grew beyond this is not kept.
const KEEP: usize = 64 * 1024;

impl Outgoing {
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && !self.unflushed
    }

    /// The buffer to append to, after what waits.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.sent > 0 && self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        &mut self.bytes
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
        self.unflushed = false;
        self.touched = false;
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
    }

    /// Back to the beginning, to be sent again elsewhere.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
        self.unflushed = false;
        self.touched = false;
    }

    /// Writes all that waits; ready when it is written.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<io::Result<()>> {
        while self.sent < self.bytes.len() {
            match to.poll_send(cx, &self.bytes[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.sent += n;
                    self.wrote(to);
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.poll_flush(cx, to)
    }

    /// Sends `bytes` after what waits: at once as far as possible, the rest waits.
    pub(crate) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Stream,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut rest = bytes;
        if self.sent == self.bytes.len() {
            while !rest.is_empty() {
                match to.poll_send(cx, rest) {
                    Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(n)) => {
                        rest = &rest[n..];
                        self.wrote(to);
                    }
                    Poll::Ready(Err(e)) => return Err(e),
                    Poll::Pending => break,
                }
            }
        }
        self.buffer().extend_from_slice(rest);
        Ok(())
    }

    fn wrote(&mut self, to: &Stream) {
        self.touched = true;
        self.unflushed = to.is_buffered();
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<io::Result<()>> {
        if self.unflushed {
            match Pin::new(to).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether any byte has been written.
    pub(crate) fn has_sent(&self) -> bool {
        self.touched
    }
}

/// A deadline that moves with every request, on a timer that is set about once a timeout: it is armed for the earliest
/// deadline seen, and when it fires too early it is armed again.
#[derive(Debug)]
pub(crate) struct Watchdog {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Watchdog {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(deadline)), deadline }
    }

    pub(crate) fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Ready when the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if Instant::now() >= self.deadline => return Poll::Ready(()),
                Poll::Ready(()) => self.sleep.as_mut().reset(self.deadline),
            }
        }
    }
}
