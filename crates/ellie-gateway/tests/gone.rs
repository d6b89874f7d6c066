//! Clients that go away, or close half of their connection, while they are served.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, GET, Instance, OK, Wire};
use ellie_gateway::metrics::Totals;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// What an instance tells of its connections.
#[derive(Debug, PartialEq)]
enum Told {
    Asked,
    Closed,
}

/// Takes a request, answers it never, and tells when its connection is closed.
fn thinking() -> (Instance, Receiver<Told>) {
    let (tell, told) = channel();
    let tell = Arc::new(Mutex::new(tell));
    let i = Instance::new(move |c| {
        if c.request().is_some() {
            tell.lock().unwrap().send(Told::Asked).unwrap();
            c.wire.rest();
            tell.lock().unwrap().send(Told::Closed).unwrap();
        }
    });
    (i, told)
}

/// A gateway whose timeouts outlast the patience of every test.
fn patient(i: &Instance) -> Fixture {
    let long = common::PATIENCE * 10;
    Fixture::with(
        &[i.address],
        |c| {
            c.live.body_timeout = long;
            c.live.idle_timeout = long;
        },
        |r| r.timeout = Some(long.as_millis() as i128),
        |s| s.breaker.failure_threshold = 1,
    )
}

fn totals(f: &Fixture) -> Totals {
    f.table.route_totals().remove(0).1
}

/// The instance hears at once that nobody waits any more; it is held against nobody.
fn is_cancelled(f: &Fixture, told: &Receiver<Told>) {
    assert_eq!(told.recv_timeout(common::PATIENCE).unwrap(), Told::Closed);
    common::until("the request is over", || totals(f).in_flight == 0);
    let t = totals(f);
    assert_eq!((t.abandoned, t.answered(), t.in_flight), (1, 0, 0));
    let breaker = f.table.clusters().breakers().get("svc").unwrap().snapshot(ellie_core::Now::read().instant);
    assert_eq!((breaker.ignored_total, breaker.failed_total, breaker.succeeded_total), (1, 0, 0));
}

#[test]
fn a_client_that_closes_while_the_instance_thinks_is_noticed_at_once() {
    let (i, told) = thinking();
    let f = patient(&i);
    let mut c = f.client();
    c.send(GET);
    assert_eq!(told.recv_timeout(common::PATIENCE).unwrap(), Told::Asked);
    drop(c);
    is_cancelled(&f, &told);
}

#[test]
fn a_client_that_resets_while_the_instance_thinks_is_noticed_at_once() {
    let (i, told) = thinking();
    let f = patient(&i);
    let mut c = f.client();
    // A body, and what may be the next request, have been read by then.
    c.send("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(told.recv_timeout(common::PATIENCE).unwrap(), Told::Asked);
    c.send(GET);
    c.reset();
    is_cancelled(&f, &told);
}

#[test]
fn a_half_closed_client_is_asked_whether_it_is_there_and_gets_its_answer() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let i = Instance::new(move |c| {
        while c.request().is_some() {
            released.lock().unwrap().recv().unwrap();
            c.send(OK);
        }
    });
    let f = patient(&i);
    let mut c = f.client();
    c.send(GET);
    c.finish_sending();
    // The question has come, so its end was seen while the instance was still thinking.
    assert_eq!(c.response().head, "HTTP/1.1 100 Continue");
    release.send(()).unwrap();
    assert_eq!(c.response().text(), "ok");
    assert!(c.is_closed());
    // HTTP/1.0 knows no interim answers: it gets the one answer alone.
    let mut c = f.client();
    c.send("GET /api/x HTTP/1.0\r\n\r\n");
    c.finish_sending();
    release.send(()).unwrap();
    let (all, _) = c.rest();
    assert!(all.starts_with(b"HTTP/1.1 200 OK\r\n") && all.ends_with(b"ok"), "{}", all.escape_ascii());
    common::until("both are over", || totals(&f).in_flight == 0);
    assert_eq!((totals(&f).answered(), totals(&f).abandoned), (2, 0));
}

#[test]
fn being_asked_does_not_keep_a_request_from_being_tried_elsewhere() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let breaking = Instance::new(move |c| {
        c.request();
        let _ = released.lock().unwrap().recv();
    });
    let good = Instance::answering(OK);
    let f = Fixture::with(
        &[breaking.address, good.address],
        |_| {},
        |_| {},
        |s| s.strategy = ellie_policy::balance::Strategy::RoundRobin,
    );
    let mut asked = 0;
    for _ in 0..2 {
        let mut c = f.client();
        c.send(GET);
        c.finish_sending();
        let mut r = c.response();
        if r.status() == 100 {
            asked += 1;
            release.send(()).unwrap();
            r = c.response();
        }
        // Whichever instance was first.
        assert!(r.status() == 200, "{}", r.head);
    }
    assert!(asked >= 1 && breaking.requests() >= 1, "{asked}");
}

#[test]
fn requests_behind_one_another_wait_their_turn_while_the_client_is_watched() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let i = Instance::new(move |c| {
        while let Some((head, body)) = c.request() {
            released.lock().unwrap().recv().unwrap();
            let text = format!("{}+{}", head.split(' ').nth(1).unwrap(), body.len());
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        }
    });
    let f = patient(&i);
    let mut c = f.client();
    c.send("POST /api/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    common::until("the first is under way", || i.requests() == 1);
    c.send("POST /api/2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    c.send(GET.replace("/x", "/3"));
    (0..3).for_each(|_| release.send(()).unwrap());
    assert_eq!([c.response().text(), c.response().text(), c.response().text()], ["/1+2", "/2+3", "/3+0"]);
    assert_eq!(f.gateway.connections(), 1);
}

#[test]
fn a_stream_of_events_ends_with_its_client_though_nothing_happens() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let i = Instance::new(move |c| {
        c.request();
        c.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        c.wire.rest();
        tell.lock().unwrap().send(()).unwrap();
    });
    let f = patient(&i);
    let mut c = f.client();
    c.send(GET);
    assert!(c.head().unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(c.exactly(14), b"9\r\ndata: 1\n\n\r\n");
    drop(c);
    told.recv_timeout(common::PATIENCE).unwrap();
    common::until("it is over", || totals(&f).in_flight == 0);
}

#[test]
fn a_client_that_goes_before_a_connection_stands_is_noticed() {
    // An address of a network that is for documentation: nobody answers, nobody refuses. Where the machine has no way
    // there, connecting fails at once, and there is nothing to wait for.
    let f = Fixture::with(
        &["192.0.2.1:9".parse().unwrap()],
        |c| c.live.connect_timeout = common::PATIENCE * 10,
        |r| r.timeout = Some(3_600_000),
        |_| {},
    );
    let mut c: Wire = f.client();
    c.send(GET);
    common::until("it is under way or refused", || {
        let t = totals(&f);
        t.in_flight + t.answered() == 1
    });
    drop(c);
    common::until("it is over", || totals(&f).in_flight == 0);
    let t = totals(&f);
    assert_eq!(t.abandoned + t.answered(), 1);
}
