//! After a 101: bytes both ways until both sides have ended, or one breaks.

use super::client::Client;
use crate::io::Stream;
use std::io;
use tokio::io::AsyncWriteExt;

/// Copies both ways; `first` came from the client behind its request, `early` from the instance behind its 101.
/// Returns bytes (from the client, to the client).
pub(crate) async fn tunnel(
    client: &mut Client,
    upstream: &mut Stream,
    first: &[u8],
    early: &[u8],
) -> io::Result<(u64, u64)> {
    if !first.is_empty() {
        upstream.write_all(first).await?;
        upstream.flush().await?;
    }
    if !early.is_empty() {
        client.stream.write_all(early).await?;
        client.stream.flush().await?;
    }
    let (up, down) = tokio::io::copy_bidirectional(&mut client.stream, upstream).await?;
    Ok((up + first.len() as u64, down + early.len() as u64))
}
