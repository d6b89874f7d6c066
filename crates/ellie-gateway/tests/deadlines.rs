//! Deadlines of requests and of tries, and places for connections.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, GET, Instance, OK};
use ellie_gateway::cluster::Settings;
use std::sync::atomic::Ordering::SeqCst;

const POST: &str = "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx";

fn round_robin(settings: &mut Settings) {
    settings.strategy = ellie_policy::balance::Strategy::RoundRobin;
}

/// Takes requests and answers none.
fn silent() -> Instance {
    Instance::new(|c| while c.request().is_some() {})
}

#[test]
fn a_try_that_runs_out_of_its_time_is_followed_by_one_on_another_instance() {
    let (stuck, good) = (silent(), Instance::answering(OK));
    // Long enough for an instance that answers, on any machine; the whole request has half a minute.
    let f =
        Fixture::with(&[stuck.address, good.address], |_| {}, |r| r.try_timeout = Some(1000), round_robin);
    let mut c = f.client();
    assert!((0..2).all(|_| c.ask(GET).status() == 200));
    let tried = stuck.requests();
    assert!((1..=2).contains(&tried) && good.requests() == 2, "{tried}");
    // The client has its answer a moment before the gateway has counted it.
    common::until("both requests are counted", || {
        let totals = &f.table.route_totals()[0].1;
        (totals.retries, totals.answered(), totals.in_flight) == (tried as u64, 2, 0)
    });
    // What may have arrived is not sent twice; the client is told how long the try had.
    let told: Vec<_> = (0..2).map(|_| c.ask(POST)).map(|r| (r.status(), r.text())).collect();
    let (failed, answered): (Vec<_>, Vec<_>) = told.into_iter().partition(|(status, _)| *status != 200);
    assert_eq!((failed.len(), answered.len(), failed[0].0), (1, 1, 504));
    assert!(failed[0].1.contains("did not answer within 1s"), "{}", failed[0].1);
    assert_eq!((stuck.requests(), good.requests()), (tried + 1, 3));
}

#[test]
fn a_try_that_runs_out_of_its_time_with_nobody_else_to_ask_is_504_at_once() {
    let stuck = silent();
    let f = Fixture::with(
        &[stuck.address],
        |_| {},
        |r| {
            r.try_timeout = Some(50);
            // Longer than anybody here waits.
            r.timeout = Some(3_600_000);
        },
        |_| {},
    );
    let r = f.client().ask(GET);
    assert_eq!((r.status(), stuck.requests()), (504, 1));
    assert!(r.text().contains("did not answer within 50ms"), "{}", r.text());
}

#[test]
fn tries_end_with_their_request() {
    let (one, other) = (silent(), silent());
    let f = Fixture::with(
        &[one.address, other.address],
        |_| {},
        |r| {
            r.timeout = Some(2000);
            r.try_timeout = Some(1500);
        },
        round_robin,
    );
    let r = f.client().ask(GET);
    assert_eq!((r.status(), one.requests() + other.requests()), (504, 2));
    // The second try had but what the first one left.
    assert!(r.text().contains("did not answer within 2s"), "{}", r.text());
}

#[test]
fn the_gateways_own_deadline_of_a_try_holds_where_a_route_has_none() {
    let stuck = silent();
    let f = Fixture::new(&[stuck.address]);
    let defaults = ellie_gateway::table::Defaults {
        try_timeout: Some(std::time::Duration::from_millis(40)),
        ..Default::default()
    };
    f.table.configure(defaults, ellie_core::Now::read().instant);
    let r = f.client().ask(GET);
    assert!(r.status() == 504 && r.text().contains("within 40ms"), "{}", r.text());
}

#[test]
fn the_next_client_is_served_as_soon_as_one_of_too_many_leaves() {
    for threads in [1, 2] {
        let i = Instance::answering(OK);
        let f = Fixture::with(
            &[i.address],
            |c| {
                c.max_connections = 1;
                c.threads = threads;
                // Nobody leaves but by being dropped here.
                c.live.idle_timeout = common::PATIENCE * 10;
            },
            |_| {},
            |_| {},
        );
        let mut held = f.client();
        assert_eq!(held.ask(GET).status(), 200);
        for _ in 0..5 {
            // With a thread more there may be one connection more: both wait behind `held` at most.
            let mut next = f.client();
            next.send(GET);
            drop(std::mem::replace(&mut held, next));
            assert_eq!(held.response().status(), 200);
        }
        assert_eq!(i.requests(), 6);
        assert!(i.connections.load(SeqCst) >= 1);
    }
}
