//! Binding a TCP listener of the API or the dashboard.

use super::Error;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Connections that the kernel keeps waiting.
const BACKLOG: i32 = 1024;

/// Binds `address`; the error names the listener.
pub(super) fn bind(listener: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source: io::Error| Error::Bind { listener, address, source };
    let bound = open(address).map_err(failed)?;
    let actual = bound.local_addr().map_err(failed)?;
    Ok((bound, actual))
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // A restart takes the port at once, although connections of the last life linger.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
