//! Peers that do not read, and clients behind proxies.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, GET, Instance, Wire, until};
use ellie_gateway::route::RateLimitDraft;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What one answer has; a hundred times what the kernel's buffers on loopback take.
const WHOLE: usize = 512 << 20;
/// What the kernel may hold on both connections, with as much again to spare.
const HELD: usize = 48 << 20;

/// Writes until `WHOLE` has gone or the other side takes no more for good; counts what it took.
fn flood(to: &mut TcpStream, taken: &AtomicUsize) {
    use std::io::Write;
    let piece = vec![b'x'; 64 << 10];
    while taken.load(SeqCst) < WHOLE {
        match to.write(&piece) {
            Ok(n) => taken.fetch_add(n, SeqCst),
            Err(_) => return,
        };
    }
}

/// The resident memory of this process, the gateway included, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_client_that_does_not_read_holds_the_instance_back_and_is_given_up() {
    let taken = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let (t, e) = (taken.clone(), ended.clone());
    let instance = Instance::new(move |c| {
        while c.request().is_some() {
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n"));
            flood(&mut c.wire.stream, &t);
            e.fetch_add(1, SeqCst);
        }
    });
    let patience = Duration::from_secs(2);
    let f = Fixture::with(&[instance.address], |c| c.live.body_timeout = patience, |_| {}, |_| {});
    let before = resident();
    let mut client = f.client();
    client.send(GET);
    until("the answer begins", || taken.load(SeqCst) > 0);
    // The instance is not drained for a client that takes nothing: it stands still, and is freed by the deadline.
    until("the instance's connection is given up", || ended.load(SeqCst) == 1);
    assert!(taken.load(SeqCst) < HELD, "{} bytes were taken from the instance", taken.load(SeqCst));
    let grown = resident().saturating_sub(before);
    assert!(grown < HELD, "{grown} bytes more are held");
    until("the client's connection is gone", || f.gateway.connections() == 0);
    // What it reads now is a broken answer, never a short success.
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(&WHOLE.to_string()), "{head}");
    assert!(client.rest().0.len() < WHOLE);
    // Another client is served meanwhile and afterwards.
    let mut other = f.client();
    other.send(GET);
    assert!(other.head().unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
fn an_instance_that_does_not_read_holds_the_client_back_and_is_given_up() {
    // The head, and nothing after it; the connection stays open.
    let held = Arc::new(Mutex::new(Vec::new()));
    let hold = held.clone();
    let instance = Instance::new(move |c| {
        c.wire.head();
        hold.lock().unwrap().push(c.wire.stream.try_clone().unwrap());
    });
    let patience = Duration::from_secs(2);
    let f = Fixture::with(&[instance.address], |c| c.live.body_timeout = patience, |_| {}, |_| {});
    let before = resident();
    let taken = Arc::new(AtomicUsize::new(0));
    let mut client = f.client();
    client.send(format!("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: {WHOLE}\r\n\r\n"));
    let mut sending = client.stream.try_clone().unwrap();
    let t = taken.clone();
    let writer = std::thread::spawn(move || flood(&mut sending, &t));
    let answer = client.response();
    assert_eq!(answer.status(), 504, "{}", answer.text());
    assert!(taken.load(SeqCst) < HELD, "{} bytes were taken from the client", taken.load(SeqCst));
    let grown = resident().saturating_sub(before);
    assert!(grown < HELD, "{grown} bytes more are held");
    drop(client);
    writer.join().unwrap();
}

/// A gateway that lets each client through once, and believes proxies of these networks.
fn once(instance: SocketAddr, trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Fixture {
    Fixture::with(
        &[instance],
        |c| c.live.trusted = Arc::new(trusted),
        |r| {
            r.rate_limit = Some(RateLimitDraft {
                window_ms: Some(3_600_000),
                max: Some(1),
                ..RateLimitDraft::default()
            });
        },
        |_| {},
    )
}

fn status(client: &mut Wire, fields: &str) -> u16 {
    client.ask(format!("GET /api/x HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).status()
}

fn forwarded(f: &str) -> String {
    format!("X-Forwarded-For: {f}\r\n")
}

#[test]
fn what_a_stranger_says_of_itself_is_not_believed() {
    let i = Instance::answering(common::OK);
    let f = once(i.address, |_| false);
    let mut client = f.client();
    assert_eq!(status(&mut client, &forwarded("1.1.1.1")), 200);
    for spoofed in ["2.2.2.2", "2.2.2.2, 3.3.3.3", "2001:db8::1", "[2001:db8::1]:443", "unknown", ""] {
        assert_eq!(status(&mut client, &forwarded(spoofed)), 429, "{spoofed}");
    }
    assert_eq!(status(&mut client, "Forwarded: for=9.9.9.9\r\nX-Real-IP: 9.9.9.9\r\n"), 429);
    assert!(i.heads().iter().all(|h| h.contains("\r\nX-Forwarded-For: 127.0.0.1\r\n")), "{:?}", i.heads());
}

#[test]
fn the_client_is_the_last_hop_that_nobody_trusted_vouches_for() {
    let i = Instance::answering(common::OK);
    // The gateway's peer and 10.0.0.0/8 are proxies; so is fd00::/8.
    let trusted = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.segments()[0] >> 8 == 0xfd,
    };
    let f = once(i.address, trusted);
    let mut client = f.client();
    let mut ask = |chain: &str| status(&mut client, &forwarded(chain));
    assert_eq!(ask("1.1.1.1"), 200);
    assert_eq!(ask("1.1.1.1, 10.0.0.7"), 429, "through one proxy more");
    assert_eq!(ask("1.1.1.1, 10.0.0.7, 10.9.9.9"), 429, "through two");
    assert_eq!(ask("6.6.6.6, 1.1.1.1"), 429, "what 1.1.1.1 itself said is not believed");
    assert_eq!(ask("10.0.0.1, 1.1.1.1, 10.0.0.7"), 429, "nor if it claims to be a proxy");
    assert_eq!(ask("1.1.1.1\r\nX-Forwarded-For: 10.0.0.7"), 429, "two fields are one list");
    assert_eq!(ask("2.2.2.2\r\nX-Forwarded-For: 1.1.1.1"), 429);
    assert_eq!(ask("2.2.2.2"), 200);
    assert_eq!(ask("1.1.1.1:4711"), 429, "with a port, as some proxies write it");
    // IPv6, one client a /64, with and without brackets and ports; mapped IPv4 is IPv4.
    assert_eq!(ask("2001:db8:0:1::1"), 200);
    assert_eq!(ask("2001:db8:0:1::2, fd00::1"), 429);
    assert_eq!(ask("[2001:db8:0:1::3]:443"), 429);
    assert_eq!(ask("2001:db8:0:2::1"), 200);
    assert_eq!(ask("::ffff:2.2.2.2"), 429);
    // Proxies all the way: the one farthest away that is told of.
    assert_eq!(ask("10.0.0.5, 10.0.0.6"), 200);
    assert_eq!(ask("10.0.0.5"), 429);
    // What is no address ends the chain: the proxy that let it through is the client.
    assert_eq!(ask("1.1.1.1, nonsense, 10.0.0.8"), 200);
    assert_eq!(ask("10.0.0.8"), 429);
    assert_eq!(ask(""), 200, "no chain: the peer itself");
    // The chain goes on to the instance with the peer appended; `Forwarded` of a trusted proxy goes on as it came.
    let f = Fixture::with(&[i.address], |c| c.live.trusted = Arc::new(trusted), |_| {}, |_| {});
    let chain = "X-Forwarded-For: 1.1.1.1, 10.0.0.7\r\nForwarded: for=1.1.1.1;proto=https\r\n";
    assert_eq!(status(&mut f.client(), chain), 200);
    let last = i.heads().pop().unwrap();
    assert!(last.contains("\r\nX-Forwarded-For: 1.1.1.1, 10.0.0.7, 127.0.0.1\r\n"), "{last}");
}
