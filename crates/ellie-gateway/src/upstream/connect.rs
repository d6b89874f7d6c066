//! A new connection to an instance.

use crate::cluster::Upstream;
use crate::io::Stream;
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Connects to an instance within `timeout`, trying each address that a name has; encrypts with `tls` where given.
pub(crate) async fn connect(
    upstream: &Upstream,
    tls: Option<Arc<rustls::ClientConfig>>,
    timeout: Duration,
) -> io::Result<Stream> {
    match tokio::time::timeout(timeout, open(upstream, tls)).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {timeout:?}"))),
    }
}

async fn open(upstream: &Upstream, tls: Option<Arc<rustls::ClientConfig>>) -> io::Result<Stream> {
    let tcp = match upstream.addr {
        Some(addr) => TcpStream::connect(addr).await?,
        None => TcpStream::connect((upstream.host.as_str(), upstream.port)).await?,
    };
    tcp.set_nodelay(true)?;
    let Some(config) = tls else { return Ok(Stream::Plain(tcp)) };
    let name = ServerName::try_from(upstream.host.clone())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await?;
    Ok(Stream::Client(Box::new(stream)))
}
