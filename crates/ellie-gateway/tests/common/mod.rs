//! A gateway in front of scripted instances, and clients that speak bytes.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "tests")]

use ellie_core::model::{Actor, CheckDraft, Draft, Source};
use ellie_core::{Command, Now, Registry};
use ellie_gateway::cluster::{Clusters, Settings};
use ellie_gateway::route::{self, Routes};
use ellie_gateway::table::{Defaults, TableHandle};
use ellie_gateway::{Config, Gateway};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Long enough for anything that is not broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A timeout that a test waits for.
pub const BLINK: Duration = Duration::from_millis(300);

/// Waits until `holds`.
#[allow(clippy::disallowed_methods, reason = "the deadline that turns a hang into a message")]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// One end of a connection, with what was read too far.
pub struct Wire {
    pub stream: TcpStream,
    left: Vec<u8>,
}

/// A message as received.
#[derive(Debug)]
pub struct Message {
    /// Start line and fields, without the empty line.
    pub head: String,
    pub body: Vec<u8>,
    /// The chunked coding's bytes, where there was one.
    pub raw: Vec<u8>,
}

impl Message {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, v) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| v.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, left: Vec::new() }
    }

    pub fn connect(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect(to).unwrap())
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what the other side may refuse to take.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut buf = [0; 16 * 1024];
        let n = self.stream.read(&mut buf)?;
        self.left.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    /// The next head; `None` at a close in place of one.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.left.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(self.left[..at].to_vec()).unwrap();
                self.left.drain(..at + 4);
                return Some(head);
            }
            if self.fill().unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.left.len() < n {
            assert!(self.fill().unwrap() > 0, "closed after {} of {n} bytes", self.left.len());
        }
        self.left.drain(..n).collect()
    }

    /// All until the other side closes; the flag says that it was a close and not a reset.
    pub fn rest(&mut self) -> (Vec<u8>, bool) {
        loop {
            match self.fill() {
                Ok(0) => return (std::mem::take(&mut self.left), true),
                Ok(_) => {}
                Err(e) => {
                    assert_ne!(e.kind(), std::io::ErrorKind::WouldBlock, "nothing came and nothing closed");
                    return (std::mem::take(&mut self.left), false);
                }
            }
        }
    }

    fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(at) = self.left.iter().position(|b| *b == b'\n') {
                return self.left.drain(..=at).collect();
            }
            assert!(self.fill().unwrap() > 0, "closed inside a line");
        }
    }

    fn chunked(&mut self) -> (Vec<u8>, Vec<u8>) {
        let (mut body, mut raw) = (Vec::new(), Vec::new());
        loop {
            let line = self.line();
            raw.extend_from_slice(&line);
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            if size == 0 {
                loop {
                    let line = self.line();
                    raw.extend_from_slice(&line);
                    if line == b"\r\n" {
                        return (body, raw);
                    }
                }
            }
            let data = self.exactly(size + 2);
            body.extend_from_slice(&data[..size]);
            raw.extend_from_slice(&data);
        }
    }

    fn body(&mut self, head: String, to_close: bool) -> Message {
        let mut m = Message { head, body: Vec::new(), raw: Vec::new() };
        if m.field("transfer-encoding") == Some("chunked") {
            (m.body, m.raw) = self.chunked();
        } else if let Some(n) = m.field("content-length") {
            m.body = self.exactly(n.parse().unwrap());
        } else if to_close {
            m.body = self.rest().0;
        }
        m
    }

    /// The next request; `None` at a close.
    pub fn request(&mut self) -> Option<Message> {
        let head = self.head()?;
        Some(self.body(head, false))
    }

    /// The next response to something else than HEAD.
    pub fn response(&mut self) -> Message {
        let head = self.head().expect("a response");
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status < 200 || status == 204 || status == 304 {
            return Message { head, body: Vec::new(), raw: Vec::new() };
        }
        self.body(head, true)
    }

    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Message {
        self.send(request);
        self.response()
    }

    /// Cuts the connection: the other side gets a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Whether the other side closes, after nothing more.
    pub fn is_closed(&mut self) -> bool {
        self.rest().0.is_empty()
    }
}

/// An instance that does what a closure says with each connection.
pub struct Instance {
    pub address: SocketAddr,
    /// Requests as received, written down by [`Served::request`].
    pub seen: Arc<Mutex<Vec<Message>>>,
    pub connections: Arc<AtomicUsize>,
}

/// A connection to an [`Instance`].
pub struct Served {
    pub wire: Wire,
    /// The how-manieth connection it is, from 0.
    pub number: usize,
    seen: Arc<Mutex<Vec<Message>>>,
}

impl Served {
    /// The next request, noted; its head and body.
    pub fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let m = self.wire.request()?;
        let copy = (m.head.clone(), m.body.clone());
        self.seen.lock().unwrap().push(m);
        Some(copy)
    }

    /// How many requests came on any connection.
    pub fn seen_here(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.try_send(bytes.as_ref());
    }
}

impl Instance {
    pub fn new(script: impl Fn(&mut Served) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let script = Arc::new(script);
        let (s, c) = (seen.clone(), connections.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let number = c.fetch_add(1, SeqCst);
                let (script, seen) = (script.clone(), s.clone());
                std::thread::spawn(move || script(&mut Served { wire: Wire::new(stream), number, seen }));
            }
        });
        Self { address, seen, connections }
    }

    /// Answers every request with `response`.
    pub fn answering(response: &'static str) -> Self {
        Self::new(move |c| {
            while c.request().is_some() {
                c.send(response);
            }
        })
    }

    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn heads(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|m| m.head.clone()).collect()
    }
}

/// An address that nobody listens at.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A gateway with one route, `/api/*` of the service `svc` to `/`.
pub struct Fixture {
    pub gateway: Gateway,
    pub table: Arc<TableHandle>,
    pub registry: Arc<Registry>,
}

impl Fixture {
    pub fn new(instances: &[SocketAddr]) -> Self {
        Self::with(instances, |_| {}, |_| {}, |_| {})
    }

    pub fn with(
        instances: &[SocketAddr],
        configure: impl FnOnce(&mut Config),
        route: impl FnOnce(&mut route::Draft),
        settings: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::speaking("http", instances, configure, route, settings)
    }

    pub fn speaking(
        protocol: &str,
        instances: &[SocketAddr],
        configure: impl FnOnce(&mut Config),
        route: impl FnOnce(&mut route::Draft),
        settings: impl FnOnce(&mut Settings),
    ) -> Self {
        let registry = Arc::new(Registry::new(ellie_core::registry::Settings::default(), Arc::default()));
        let now = Now::read();
        for (i, address) in instances.iter().enumerate() {
            let draft = Draft {
                name: Some("svc".into()),
                id: Some(format!("svc-{i}")),
                protocol: Some(protocol.into()),
                host: Some(address.ip().to_string()),
                port: Some(address.port().into()),
                check: Some(CheckDraft { kind: Some("none".into()), ..CheckDraft::default() }),
                ..Draft::default()
            };
            let registration = Arc::new(draft.validate().unwrap());
            let command = Command::Register { registration, source: Source::Api, actor: Actor::new("test") };
            registry.apply(command, now).unwrap();
        }
        let mut s = Settings::default();
        settings(&mut s);
        let clusters = Arc::new(Clusters::new(registry.clone(), s, 7, now.instant));
        let routes = Arc::new(Routes::new(Arc::default()));
        let mut draft = route::Draft {
            id: Some("r".into()),
            path: Some("/api/*".into()),
            service_name: Some("svc".into()),
            target_path: Some("/".into()),
            ..route::Draft::default()
        };
        route(&mut draft);
        routes.add(draft.validate().unwrap(), true, Source::Api, "test", now).unwrap();
        let table = Arc::new(TableHandle::new(clusters, routes, Defaults::default(), now.instant));
        let mut config = Config::new("127.0.0.1:0".parse().unwrap());
        config.threads = 1;
        configure(&mut config);
        let gateway = Gateway::start(config, table.clone()).unwrap();
        Self { gateway, table, registry }
    }

    pub fn client(&self) -> Wire {
        Wire::connect(self.gateway.local_addr())
    }
}

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
pub const GET: &str = "GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n";
