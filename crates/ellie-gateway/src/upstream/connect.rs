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

/// The configuration that was given, or one with the system's roots.
pub(crate) fn native_tls(given: Option<Arc<rustls::ClientConfig>>) -> Arc<rustls::ClientConfig> {
    given.unwrap_or_else(|| {
        let mut roots = rustls::RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!("a root certificate of the system can't be read: {error}");
        }
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!("{added} root certificates are trusted, {ignored} could not be used");
        let mut config =
            rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("ring has the suites of TLS 1.2 and 1.3")
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    })
}
