//! The TCP listeners of the API and the dashboard.

use super::Error;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Connections that the kernel keeps waiting.
const BACKLOG: i32 = 1024;

/// The listener that was handed over, or one on `address`; the error names it.
pub(super) fn open(
    listener: &'static str,
    address: SocketAddr,
    handed: Option<std::net::TcpListener>,
) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source: io::Error| Error::Bind { listener, address, source };
    let opened = match handed {
        Some(handed) => handed.set_nonblocking(true).and_then(|()| TcpListener::from_std(handed)),
        None => bind(address),
    };
    let opened = opened.map_err(failed)?;
    let actual = opened.local_addr().map_err(failed)?;
    Ok((opened, actual))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A restart takes the port at once, although connections of the last life linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
