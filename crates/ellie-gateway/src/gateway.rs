//! The gateway as a whole: its threads, started together and drained together.

use crate::access::Log;
use crate::config::{Config, Live};
use crate::table::TableHandle;
use crate::worker::{Shared, Worker, bind};
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A running gateway. Dropping it ends it at once; [`Gateway::drain`] ends it in order.
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
    // Taken once, by whoever ends the gateway.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Gateway {
    /// Binds the listeners and starts the threads; when it returns, connections are accepted.
    ///
    /// # Errors
    /// What the system said about the address or the threads.
    pub fn start(config: Config, table: Arc<TableHandle>) -> io::Result<Self> {
        refuse_taken(config.listen)?;
        let first = bind(config.listen)?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..threads(&config) {
            listeners.push(bind(address)?);
        }
        Self::run(listeners, address, config, table)
    }

    /// Like [`Gateway::start`], on a listener that somebody else has opened: connections wait in its queue, and are not
    /// refused, while one process ends and the next one starts. All threads accept from that one queue.
    ///
    /// # Errors
    /// What the system said about the listener or the threads.
    pub fn start_on(
        listener: &std::net::TcpListener,
        config: Config,
        table: Arc<TableHandle>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listeners = (0..threads(&config)).map(|_| listener.try_clone()).collect::<io::Result<_>>()?;
        let address = listener.local_addr()?;
        Self::run(listeners, address, Config { listen: address, ..config }, table)
    }

    fn run(
        listeners: Vec<std::net::TcpListener>,
        address: SocketAddr,
        config: Config,
        table: Arc<TableHandle>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            live: ArcSwap::from_pointee(config.live.clone()),
            log: Log::start(config.access_log)?,
            config,
            table,
            connections: AtomicUsize::new(0),
            freed: Notify::new(),
            draining: CancellationToken::new(),
            abort: CancellationToken::new(),
        });
        let gateway = Self { shared: shared.clone(), address, threads: Mutex::default() };
        for (n, listener) in listeners.into_iter().enumerate() {
            // Built here so that a failure is told to the caller; the thread only runs it.
            let shared = shared.clone();
            let (tell, told) = std::sync::mpsc::channel();
            let thread = std::thread::Builder::new().name(format!("gateway-{n}")).spawn(move || {
                let runtime =
                    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                        Ok(runtime) => runtime,
                        Err(e) => {
                            let _ = tell.send(Err(e));
                            return;
                        }
                    };
                runtime.block_on(async move {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => {
                            let _ = tell.send(Ok(()));
                            Rc::new(Worker::new(shared)).run(listener).await;
                        }
                        Err(e) => {
                            let _ = tell.send(Err(e));
                        }
                    }
                });
            })?;
            gateway.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            told.recv().map_err(io::Error::other)??;
        }
        Ok(gateway)
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Client connections at the moment.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// Lines of the access log that were dropped because standard output was too slow.
    #[must_use]
    pub fn access_log_dropped(&self) -> u64 {
        self.shared.log.as_ref().map_or(0, Log::dropped)
    }

    /// Changes what can change while running.
    pub fn configure(&self, live: Live) {
        self.shared.live.store(Arc::new(live));
    }

    /// Stops accepting, closes idle connections, lets requests in flight finish for at most `deadline` and then ends
    /// what is left. Returns how many connections were cut off.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.shared.draining.cancel();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut ended = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A panic of a thread has been reported by the panic hook already.
                let _ = thread.join();
            }
        });
        if tokio::time::timeout(deadline, &mut ended).await.is_ok() {
            return 0;
        }
        let left = self.connections();
        self.shared.abort.cancel();
        let _ = ended.await;
        left
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.draining.cancel();
        self.shared.abort.cancel();
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

fn threads(config: &Config) -> usize {
    match config.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// With `SO_REUSEPORT` a second gateway would silently share the port; a bind without it tells that it is taken.
fn refuse_taken(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1).map(drop)
}
