//! A new connection to an instance.

use crate::cluster::Upstream;
use crate::io::Stream;
use ellie_tls::client::{Alpn, Client, advice};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// Connects to an instance within `timeout`, trying each address that a name has; encrypts with `tls` where given.
pub(crate) async fn connect(
    upstream: &Upstream,
    tls: Option<&Client>,
    timeout: Duration,
) -> io::Result<Stream> {
    match tokio::time::timeout(timeout, open(upstream, tls)).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {timeout:?}"))),
    }
}

async fn open(upstream: &Upstream, tls: Option<&Client>) -> io::Result<Stream> {
    let tcp = match upstream.addr {
        Some(addr) => TcpStream::connect(addr).await?,
        None => TcpStream::connect((upstream.host.as_str(), upstream.port)).await?,
    };
    tcp.set_nodelay(true)?;
    let Some(config) = tls else { return Ok(Stream::Plain(tcp)) };
    let name =
        config.server_name(&upstream.host).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let connector = config.connector(Alpn::Http1).await.map_err(io::Error::other)?;
    let stream = connector.connect(name, tcp).await.map_err(|e| explained(&e, &upstream.host))?;
    Ok(Stream::Client(Box::new(stream)))
}

/// The failure of a handshake with what to do about it.
fn explained(error: &io::Error, host: &str) -> io::Error {
    let advice = advice(error, host);
    let colon = if advice.is_empty() { "" } else { ": " };
    io::Error::new(error.kind(), format!("TLS handshake failed{colon}{advice}: {error}"))
}
