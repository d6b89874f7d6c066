//! The server's side: a listener with an identity.

use crate::{Identity, IdentityFault, provider};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A listener's side of TLS 1.2 and 1.3, with HTTP/1.1 in it. Sessions are resumed by tickets whose keys are this
/// configuration's own: after a change of the identity no client goes on with what the old one vouched for.
///
/// # Errors
/// What is wrong with the identity.
pub fn config(identity: &Identity) -> Result<Arc<ServerConfig>, IdentityFault> {
    let made = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(identity.chain().to_vec(), identity.key())
        });
    let mut config = made.map_err(|e| IdentityFault::Certificate(format!("can't be used: {e}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    match rustls::crypto::ring::Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(e) => tracing::warn!("TLS sessions are resumed from memory, not by tickets: {e}"),
    }
    Ok(Arc::new(config))
}

/// Whether the first byte that a client sent is that of a request in the clear: methods are letters, a handshake
/// begins with a record type below them.
#[must_use]
pub fn is_plain_http(first: u8) -> bool {
    first.is_ascii_alphabetic()
}

/// What a client is told that speaks HTTP in the clear to a listener that speaks TLS; the connection ends with it.
const PLAIN_HTTP: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/problem+json\r\nContent-Length: 178\r\n\r\n",
    "{\"type\":\"urn:ellie:problem:invalid-request\",\"title\":\"The request can't be understood\",\"status\":400,",
    "\"detail\":\"this port speaks TLS: the address begins with https://, not http://\"}"
);

/// Tells a client that speaks HTTP in the clear what is wrong. Part of its request is taken, or the system would reset
/// the connection before the answer is read; bounded, in bytes and by a second.
pub async fn refuse_plain_http(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let told = async {
        stream.write_all(PLAIN_HTTP.as_bytes()).await?;
        stream.shutdown().await?;
        let mut sink = vec![0; 16 << 10];
        for _ in 0..16 {
            if stream.read(&mut sink).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // Whether it hears of it is the client's matter.
    let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_in_the_clear_is_told_by_its_first_byte() {
        assert!(b"GPDHOCTp".iter().all(|b| is_plain_http(*b)));
        assert!(![0x16, 0x80, 0, b'\r'].iter().any(|b| is_plain_http(*b)));
        let (head, body) = PLAIN_HTTP.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
