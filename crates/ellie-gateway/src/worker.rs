//! One thread of the gateway: a runtime, a listener, the connections it accepted, and its own pool of upstream ones.

use crate::access::Log;
use crate::config::{Config, Live};
use crate::forward::{self, Work};
use crate::io::{Scratch, Stream};
use crate::table::{Table, TableHandle};
use crate::upstream::Pool;
use arc_swap::ArcSwap;
use ellie_policy::Rng;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Waker;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What the threads of one gateway share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) live: ArcSwap<Live>,
    pub(crate) table: Arc<TableHandle>,
    pub(crate) log: Option<Log>,
    /// Client connections over all threads.
    pub(crate) connections: AtomicUsize,
    /// Told when a connection ends while there are as many as allowed.
    pub(crate) freed: Notify,
    /// Cancelled: no new connections, idle ones close, every answer closes its connection.
    pub(crate) draining: CancellationToken,
    /// Cancelled: everything ends at once.
    pub(crate) abort: CancellationToken,
}

impl Shared {
    fn is_full(&self) -> bool {
        self.connections.load(SeqCst) >= self.config.max_connections
    }

    /// Waits until there are fewer connections than allowed. Threads may come to this at once, so there can be a few
    /// more than allowed, one a thread at most.
    async fn room(&self) {
        while self.is_full() {
            let mut freed = pin!(self.freed.notified());
            // Listens before it looks again: an end in between is not missed.
            freed.as_mut().enable();
            if self.is_full() {
                freed.await;
            }
        }
    }

    /// One connection less.
    fn leave(&self) {
        if self.connections.fetch_sub(1, SeqCst) >= self.config.max_connections {
            self.freed.notify_waiters();
        }
    }
}

/// A table, counted by the thread alone, so that requests on different threads write no word in common.
#[allow(clippy::redundant_allocation, reason = "the outer count is the point")]
type Snapshot = Rc<Arc<Table>>;

/// The state of one thread.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: RefCell<Pool>,
    pub(crate) rng: RefCell<Rng>,
    pub(crate) scratch: Scratch,
    /// Buffers of requests that have ended.
    #[allow(clippy::vec_box, reason = "they are lent and given back as boxes")]
    spare: RefCell<Vec<Box<Work>>>,
    live: RefCell<Arc<Live>>,
    table: RefCell<Snapshot>,
    latest: Cell<Instant>,
    date: RefCell<Date>,
    draining: Cell<bool>,
    wakers: RefCell<Wakers>,
    connections: Cell<usize>,
}

/// One waker a connection, by slot: a drain wakes them all, so that idle ones close. Registered once a connection,
/// which costs a request nothing.
#[derive(Default)]
struct Wakers {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// Request buffers that a thread keeps.
const SPARE: usize = 256;
/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// Until accepting is tried again after the system refused (no file descriptors left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let shared_live = shared.live.load_full();
        let table = shared.table.cell().load_full();
        Self {
            shared,
            pool: RefCell::default(),
            rng: RefCell::new(Rng::from_entropy()),
            scratch: Scratch::default(),
            spare: RefCell::default(),
            live: RefCell::new(shared_live),
            table: RefCell::new(Rc::new(table)),
            latest: Cell::new(Instant::now()),
            date: RefCell::default(),
            draining: Cell::new(false),
            wakers: RefCell::default(),
            connections: Cell::new(0),
        }
    }

    /// The table in force. What it returns is this thread's own: cloning it disturbs no other.
    pub(crate) fn table(&self) -> Snapshot {
        let current = self.shared.table.cell().load();
        let mut known = self.table.borrow_mut();
        if !Arc::ptr_eq(&current, &known) {
            *known = Rc::new(current.clone());
        }
        known.clone()
    }

    /// What can change while running, as it is now.
    pub(crate) fn with_live<T>(&self, f: impl FnOnce(&Live) -> T) -> T {
        f(&self.live.borrow())
    }

    /// Reads the clock.
    pub(crate) fn tick(&self) -> Instant {
        let now = Instant::now();
        self.latest.set(now);
        now
    }

    /// The clock as it was last read: a request ago at most.
    pub(crate) fn latest(&self) -> Instant {
        self.latest.get()
    }

    /// Lends the `Date` line of the second.
    pub(crate) fn with_date<T>(&self, f: impl FnOnce(&[u8]) -> T) -> T {
        let mut date = self.date.borrow_mut();
        date.refresh(self.latest());
        f(&date.line)
    }

    /// Lends the buffers for a request.
    pub(crate) fn lend(&self) -> Box<Work> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes them back.
    pub(crate) fn give_back(&self, mut work: Box<Work>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE {
            work.reset();
            spare.push(work);
        }
    }

    /// Writes a request id: 128 random bits in hex. Not secret: it only has to be unlike others.
    pub(crate) fn write_id(&self, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut rng = self.rng.borrow_mut();
        for bits in [rng.next_u64(), rng.next_u64()] {
            let mut digits = [0; 16];
            for (i, digit) in digits.iter_mut().enumerate() {
                *digit = HEX[(bits >> (i * 4)) as usize & 15];
            }
            out.extend_from_slice(&digits);
        }
    }

    /// Whether answers close their connections.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Accepts and serves until drained or aborted; returns when no connection is left.
    pub(crate) async fn run(self: Rc<Self>, listener: TcpListener) {
        let abort = self.shared.abort.clone();
        tokio::select! {
            () = abort.cancelled() => {}
            () = self.serve(listener) => {}
        }
    }

    async fn serve(self: &Rc<Self>, listener: TcpListener) {
        let draining = self.shared.draining.clone();
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        'serving: loop {
            // A place first: what can't be served is not accepted.
            let mut accepting = pin!(async {
                self.shared.room().await;
                listener.accept().await
            });
            let accepted = loop {
                tokio::select! {
                    () = draining.cancelled() => break 'serving,
                    accepted = &mut accepting => break accepted,
                    _ = sweep.tick() => self.sweep(),
                }
            };
            match accepted {
                Ok((stream, peer)) => self.welcome(stream, peer),
                Err(e) => {
                    tracing::warn!("the gateway can't accept a connection: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        self.draining.set(true);
        // What the kernel has accepted already is served; closing would reset it.
        let mut cx = std::task::Context::from_waker(Waker::noop());
        while let std::task::Poll::Ready(Ok((stream, peer))) = listener.poll_accept(&mut cx) {
            self.welcome(stream, peer);
        }
        drop(listener);
        self.pool.borrow_mut().clear();
        let wakers: Vec<Waker> = self.wakers.borrow().slots.iter().flatten().cloned().collect();
        wakers.iter().for_each(Waker::wake_by_ref);
        while self.connections.get() > 0 {
            // The last connection's end wakes nobody but this: a hundred looks a second for the seconds of a drain.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Looks after what no request looks after.
    fn sweep(&self) {
        let now = self.tick();
        let before = std::mem::replace(&mut *self.live.borrow_mut(), self.shared.live.load_full());
        if !self.with_live(|live| live.upstream_tls.is(&before.upstream_tls)) {
            // What was believed before is not asked for anything more.
            self.pool.borrow_mut().clear_encrypted();
        }
        let most = self.with_live(|live| live.upstream_idle_timeout);
        self.pool.borrow_mut().sweep(now, most);
        // A thread without requests must not keep an old table alive.
        let _ = self.table();
    }

    fn welcome(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let worker = self.clone();
        let presence = Presence::new(worker.clone());
        tokio::task::spawn_local(async move {
            let presence = presence;
            // Read anew for each connection: a new certificate does not wait for the next look at the rest.
            let tls = worker.shared.live.load().tls.clone();
            let stream = match tls {
                None => Stream::Plain(stream),
                Some(tls) => {
                    let limit = worker.with_live(|live| live.header_timeout);
                    match tokio::time::timeout(limit, encrypt(stream, tls)).await {
                        Ok(Some(stream)) => stream,
                        Ok(None) | Err(_) => return,
                    }
                }
            };
            forward::serve(&worker, stream, peer, &presence).await;
        });
    }
}

/// Shakes hands. A client that speaks in the clear is told so.
async fn encrypt(mut stream: TcpStream, tls: Arc<rustls::ServerConfig>) -> Option<Stream> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 1 && ellie_tls::server::is_plain_http(first[0]) {
        ellie_tls::server::refuse_plain_http(&mut stream).await;
        return None;
    }
    let accepted = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await;
    accepted.ok().map(|stream| Stream::Server(Box::new(stream)))
}

/// The `Date` line, made once a second.
#[derive(Default)]
struct Date {
    line: Vec<u8>,
    made: Option<Instant>,
}

impl Date {
    fn refresh(&mut self, now: Instant) {
        if self.made.is_none_or(|made| now.saturating_duration_since(made) >= Duration::from_secs(1)) {
            self.made = Some(now);
            self.line.clear();
            self.line.extend_from_slice(b"Date: ");
            self.line.extend_from_slice(httpdate::fmt_http_date(ellie_core::Now::read().wall).as_bytes());
            self.line.extend_from_slice(b"\r\n");
        }
    }
}

/// A connection's place among those of its thread; dropping it gives the place back.
pub(crate) struct Presence {
    worker: Rc<Worker>,
    slot: usize,
}

impl Presence {
    fn new(worker: Rc<Worker>) -> Self {
        worker.connections.set(worker.connections.get() + 1);
        worker.shared.connections.fetch_add(1, SeqCst);
        worker.shared.table.metrics().connection_opened();
        let mut wakers = worker.wakers.borrow_mut();
        let slot = match wakers.free.pop() {
            Some(slot) => slot,
            None => {
                wakers.slots.push(None);
                wakers.slots.len() - 1
            }
        };
        drop(wakers);
        Self { worker, slot }
    }

    /// Lets a drain wake the task of `waker`.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut wakers = self.worker.wakers.borrow_mut();
        if let Some(slot) = wakers.slots.get_mut(self.slot)
            && slot.as_ref().is_none_or(|known| !known.will_wake(waker))
        {
            *slot = Some(waker.clone());
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.worker.connections.set(self.worker.connections.get() - 1);
        self.worker.shared.leave();
        self.worker.shared.table.metrics().connection_closed();
        let mut wakers = self.worker.wakers.borrow_mut();
        if let Some(slot) = wakers.slots.get_mut(self.slot) {
            *slot = None;
        }
        wakers.free.push(self.slot);
    }
}

/// A listener that shares its address with those of the other threads: the kernel spreads connections over them.
pub(crate) fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}
