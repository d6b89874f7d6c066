//! From a host name to a connection, trying each of its addresses.

use super::{Attempt, Failure, Phase, now};
use ellie_tls::client::Alpn;
use hyper_util::rt::TokioIo;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

/// The most addresses of a name that are tried.
const ADDRESSES: usize = 8;

/// A byte stream, in the clear or in TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
pub(super) type Io = TokioIo<Box<dyn Stream>>;

/// Connects to the first address that accepts. Each gets an equal share of the time that is left, so that one that
/// never answers leaves some for the others.
pub(super) async fn tcp(attempt: &mut Attempt<'_>) -> Result<(TcpStream, SocketAddr), Failure> {
    let target = attempt.target;
    if let Some(ip) = target.address {
        let address = SocketAddr::new(ip, target.port);
        *attempt.phase = Phase::Connecting(address);
        return match TcpStream::connect(address).await {
            Ok(stream) => Ok((stream, address)),
            Err(error) => Err(io_failure(&error, |text| format!("{text} ({address})"))),
        };
    }
    let addresses: Vec<SocketAddr> = match lookup_host((target.host.as_str(), target.port)).await {
        Ok(found) => found.take(ADDRESSES).collect(),
        Err(error) => {
            return Err(io_failure(&error, |text| format!("cannot resolve `{}`: {text}", target.host)));
        }
    };
    let mut refusals: Vec<String> = Vec::new();
    for (n, &address) in addresses.iter().enumerate() {
        *attempt.phase = Phase::Connecting(address);
        let share = attempt.deadline.saturating_duration_since(now()) / (addresses.len() - n) as u32;
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, address)),
            Ok(Err(error)) => match io_failure(&error, |text| format!("{text} ({address})")) {
                Failure::Remote(text) => refusals.push(text),
                local @ Failure::Local(_) => return Err(local),
            },
            Err(_) => refusals.push(format!("not connected within {share:.1?} ({address})")),
        }
    }
    if refusals.is_empty() {
        return Err(Failure::Remote(format!("cannot resolve `{}`: it has no address", target.host)));
    }
    Err(Failure::Remote(refusals.join(", ")))
}

/// Connects, in TLS where the target wants it.
pub(super) async fn stream(attempt: &mut Attempt<'_>, alpn: Alpn) -> Result<Io, Failure> {
    let (tcp, address) = tcp(attempt).await?;
    // One small request waits for one answer: there is nothing to gather.
    let _ = tcp.set_nodelay(true);
    if !attempt.target.tls {
        *attempt.phase = Phase::Asked;
        return Ok(TokioIo::new(Box::new(tcp)));
    }
    *attempt.phase = Phase::Handshaking;
    let connector = attempt.tls.connector(alpn).await.map_err(Failure::Local)?;
    let name = attempt.tls.server_name(&attempt.target.host).map_err(Failure::Remote)?;
    let tls = connector
        .connect(name, tcp)
        .await
        .map_err(|error| tls_failure(&error, &attempt.target.host, address))?;
    if alpn == Alpn::Http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Failure::Remote(format!(
            "the TLS server does not speak HTTP/2, which gRPC needs ({address})"
        )));
    }
    *attempt.phase = Phase::Asked;
    Ok(TokioIo::new(Box::new(tls)))
}

/// The words for a failed handshake, with what to do about it where that is known.
fn tls_failure(error: &io::Error, host: &str, address: SocketAddr) -> Failure {
    let advice = ellie_tls::client::advice(error, host);
    let colon = if advice.is_empty() { "" } else { ": " };
    io_failure(error, |text| format!("TLS handshake failed{colon}{advice}: {text} ({address})"))
}

/// The words for a connection that broke before `what`.
pub(super) fn lost(error: &io::Error, what: &str) -> Failure {
    let advice = ellie_tls::client::after_handshake(error).map(|a| format!("{a}: ")).unwrap_or_default();
    io_failure(error, |text| format!("{advice}{text} before {what}"))
}

/// The words for an I/O error, and whose fault it is.
pub(super) fn io_failure(error: &io::Error, say: impl FnOnce(&str) -> String) -> Failure {
    // The same numbers on every Unix; the standard library has no kind for them.
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    if let Some(ENFILE | EMFILE) = error.raw_os_error() {
        return Failure::Local(say("ellie has too many open files; raise the limit (ulimit -n)"));
    }
    let text = match error.kind() {
        ErrorKind::AddrNotAvailable => return Failure::Local(say("ellie has no local port left")),
        ErrorKind::OutOfMemory => return Failure::Local(say("ellie's host is out of memory")),
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::ConnectionReset => "connection reset".into(),
        ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => {
            "connection closed".into()
        }
        ErrorKind::TimedOut => "connection timed out".into(),
        ErrorKind::HostUnreachable => "host unreachable".into(),
        ErrorKind::NetworkUnreachable => "network unreachable".into(),
        _ => error.to_string(),
    };
    Failure::Remote(say(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ellie_lacks_is_not_the_instances_fault() {
        let of = |error: io::Error| io_failure(&error, |text| format!("{text} (a:1)"));
        for local in [
            io::Error::from_raw_os_error(24),
            io::Error::from_raw_os_error(23),
            ErrorKind::AddrNotAvailable.into(),
        ] {
            assert!(matches!(of(local), Failure::Local(text) if text.starts_with("ellie has ")));
        }
        for (kind, text) in [
            (ErrorKind::ConnectionRefused, "connection refused (a:1)"),
            (ErrorKind::HostUnreachable, "host unreachable (a:1)"),
            (ErrorKind::BrokenPipe, "connection closed (a:1)"),
        ] {
            assert!(matches!(of(kind.into()), Failure::Remote(said) if said == text));
        }
    }
}
