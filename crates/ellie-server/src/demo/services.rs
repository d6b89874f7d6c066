//! The demo's own services: small HTTP servers on loopback whose faults follow a script.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What is wrong with an instance at the moment; the script turns it.
#[derive(Debug, Default)]
pub(super) struct Fault {
    failing: AtomicBool,
    delay_ms: AtomicU64,
}

impl Fault {
    /// Requests are answered with 500, the health check still passes: only the breaker notices.
    pub(super) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Relaxed);
    }

    /// Every answer takes this much longer.
    pub(super) fn set_delay(&self, delay: Duration) {
        self.delay_ms.store(delay.as_millis() as u64, Relaxed);
    }
}

/// One running instance.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) service: &'static str,
    pub(super) id: String,
    pub(super) address: SocketAddr,
    pub(super) fault: Arc<Fault>,
    stop: CancellationToken,
}

impl Server {
    /// Starts `id` of `service` on a free port, or on `port` when it comes back.
    pub(super) async fn start(service: &'static str, id: String, port: u16) -> io::Result<Self> {
        let listener = bind(port).await?;
        let address = listener.local_addr()?;
        let fault = Arc::new(Fault::default());
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, id.clone(), fault.clone(), stop.clone()));
        Ok(Self { service, id, address, fault, stop })
    }

    /// Stops accepting and closes every connection, as a crash would.
    pub(super) fn crash(&self) {
        self.stop.cancel();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    // A restarted instance takes its old port at once.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(1024)
}

async fn accept(listener: TcpListener, id: String, fault: Arc<Fault>, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of file descriptors or an aborted handshake: the next accept may work.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // The demo's own traffic is the only client; its connections are bounded by the gateway's pools.
        let (id, fault, stop) = (id.clone(), fault.clone(), stop.clone());
        tokio::spawn(async move {
            let handler = service_fn(|request| answer(request, &id, &fault));
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

async fn answer(
    request: Request<hyper::body::Incoming>,
    id: &str,
    fault: &Fault,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let health = request.uri().path() == "/health";
    let delay = Duration::from_millis(if health { 0 } else { 3 + fault.delay_ms.load(Relaxed) });
    tokio::time::sleep(delay).await;
    let (status, body) = if health {
        (StatusCode::OK, r#"{"status":"healthy","version":"1.0.0"}"#.to_owned())
    } else if fault.failing.load(Relaxed) {
        (StatusCode::INTERNAL_SERVER_ERROR, format!(r#"{{"error":"seeded fault","instance":"{id}"}}"#))
    } else {
        (StatusCode::OK, format!(r#"{{"instance":"{id}","path":"{}"}}"#, request.uri().path()))
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}
