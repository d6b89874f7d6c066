//! Answers that say that somebody else may do better, and when somebody else is asked.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, GET, Instance, OK};
use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;

const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";

/// A gateway that tries these statuses again, `retries` times.
fn retrying(instances: &[SocketAddr], statuses: &[i128], retries: i128) -> Fixture {
    let statuses = statuses.to_vec();
    Fixture::with(
        instances,
        |_| {},
        |r| {
            r.retry_on = Some(statuses);
            r.retries = Some(retries);
        },
        |s| s.strategy = ellie_policy::balance::Strategy::RoundRobin,
    )
}

#[test]
fn an_answer_is_an_answer_unless_its_status_is_named() {
    let busy = Instance::answering(BUSY);
    let f = Fixture::new(&[busy.address]);
    assert_eq!(f.client().ask(GET).status(), 503);
    let good = Instance::answering(OK);
    // Named is another one.
    let f = retrying(&[busy.address, good.address], &[502, 504], 2);
    let statuses: Vec<u16> = (0..4).map(|_| f.client().ask(GET).status()).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 503).count(), 2, "{statuses:?}");
}

#[test]
fn a_named_status_is_tried_elsewhere_and_the_connection_kept() {
    let (busy, good) = (Instance::answering(BUSY), Instance::answering(OK));
    let f = retrying(&[busy.address, good.address], &[503], 2);
    let mut client = f.client();
    for _ in 0..6 {
        let answer = client.ask(GET);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    }
    assert!(busy.requests() > 0, "round robin asks it first, now and then");
    assert_eq!(busy.connections.load(SeqCst), 1, "its answers came whole, so its connection is good");
    let totals = f.table.route_totals();
    assert_eq!(totals[0].1.retries as usize, busy.requests());
    // PUT may be sent twice, with its body.
    let before = good.requests();
    for _ in 0..2 {
        let put = "PUT /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(client.ask(put).status(), 200);
    }
    assert_eq!(good.requests() - before, 2);
    assert!(good.seen.lock().unwrap()[before..].iter().all(|m| m.body == b"hello"));
}

#[test]
fn what_may_not_be_sent_twice_keeps_its_answer() {
    let busy = Instance::answering(BUSY);
    let also = Instance::answering(BUSY);
    let f = retrying(&[busy.address, also.address], &[503], 2);
    let post = "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(f.client().ask(post).status(), 503);
    assert_eq!(busy.requests() + also.requests(), 1);
}

#[test]
fn the_last_answer_is_passed_on_where_there_is_nobody_else_or_no_retry() {
    let instances: Vec<Instance> = (0..3).map(|_| Instance::answering(BUSY)).collect();
    let addresses: Vec<SocketAddr> = instances.iter().map(|i| i.address).collect();
    let asked = || instances.iter().map(Instance::requests).sum::<usize>();
    let f = retrying(&addresses, &[503], 5);
    let answer = f.client().ask(GET);
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"), "the instance's own words");
    assert_eq!(asked(), 3, "each once");
    let f = retrying(&addresses, &[503], 1);
    f.client().ask(GET);
    assert_eq!(asked(), 5, "one retry");
    let f = retrying(&addresses, &[503], 0);
    assert_eq!(f.client().ask(GET).status(), 503);
    assert_eq!(asked(), 6, "none");
}

#[test]
fn the_budget_bounds_a_storm() {
    let instances: Vec<Instance> = (0..2).map(|_| Instance::answering(BUSY)).collect();
    let addresses: Vec<SocketAddr> = instances.iter().map(|i| i.address).collect();
    let f = Fixture::with(
        &addresses,
        |_| {},
        |r| r.retry_on = Some(vec![503]),
        // The breaker would end the storm otherwise.
        |s| s.breaker.failure_threshold = 1_000_000,
    );
    let mut client = f.client();
    for _ in 0..400 {
        assert_eq!(client.ask(GET).status(), 503);
    }
    let retries = instances.iter().map(Instance::requests).sum::<usize>() - 400;
    // A fifth of the requests, and the floor.
    assert!((80..=200).contains(&retries), "{retries} retries");
}

#[test]
fn an_answer_that_is_still_coming_is_let_go_with_its_connection() {
    let endless = Instance::new(|c| {
        while c.request().is_some() {
            c.send("HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\nonly this");
        }
    });
    let good = Instance::answering(OK);
    let f = retrying(&[endless.address, good.address], &[503], 2);
    let mut client = f.client();
    for _ in 0..4 {
        assert_eq!(client.ask(GET).text(), "ok");
    }
    assert_eq!(endless.connections.load(SeqCst), endless.requests(), "a new connection each time");
}
