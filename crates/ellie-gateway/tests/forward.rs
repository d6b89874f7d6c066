//! What a client and an instance see of a gateway between them.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, GET, Instance, OK, nobody};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::time::Duration;

fn problem(kind: &str) -> String {
    format!("urn:ellie:problem:{kind}")
}

#[test]
fn heads_are_rewritten_and_nothing_else() {
    let i = Instance::answering(
        "HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n\
         Set-Cookie: b=2\r\nContent-Length: 2\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nX-Odd:  spaced \r\n\r\nok",
    );
    let f = Fixture::new(&[i.address]);
    let r = f.client().ask(
        "GET /api/a%20b?q=1&r=%2F HTTP/1.1\r\nX-A: 1\r\nHost: example.org:81\r\nx-b:2\r\nX-A: 3\r\nConnection: close, X-Drop\r\n\
         X-Drop: me\r\nTE: trailers, gzip\r\nProxy-Connection: x\r\nKeep-Alive: 1\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\
         Cookie: c=d\r\nX-Request-Id: abc-1\r\nVia: 1.1 front\r\nX-Ellie-Explain: 1\r\n\r\n",
    );
    assert_eq!(
        i.heads()[0],
        "GET /a%20b?q=1&r=%2F HTTP/1.1\r\nHost: example.org:81\r\nX-A: 1\r\nx-b:2\r\nX-A: 3\r\nCookie: c=d\r\nVia: 1.1 front\r\n\
         X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: example.org:81\r\nX-Request-Id: abc-1\r\nVia: 1.1 ellie"
    );
    assert_eq!(
        r.head,
        "HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\n\
         X-Odd:  spaced \r\nConnection: close\r\nX-Request-Id: abc-1\r\nVia: 1.1 ellie"
    );
    assert_eq!(r.body, b"ok");
}

#[test]
fn a_trusted_proxy_is_believed() {
    let i = Instance::answering(OK);
    let f = Fixture::with(
        &[i.address],
        |c| c.live.trusted = std::sync::Arc::new(|ip| ip.is_loopback()),
        |_| {},
        |_| {},
    );
    f.client().ask("GET /api/ HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: w\r\n\r\n");
    let head = i.heads().remove(0);
    assert!(
        head.contains(
            "\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: w\r\n"
        ),
        "{head}"
    );
    assert_eq!(head.matches("X-Forwarded-For").count(), 1);
}

#[test]
fn both_connections_are_kept_and_pipelined_requests_are_answered_in_order() {
    let i = Instance::new(|c| {
        while let Some((head, body)) = c.request() {
            let text = format!("{}+{}", head.split(' ').nth(1).unwrap(), body.len());
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        }
    });
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    let post = "POST /api/b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    c.send(format!("{}{post}\r\n{}", GET.replace("/x", "/a"), GET.replace("/x", "/c")));
    let answers: Vec<String> = (0..3).map(|_| c.response().text()).collect();
    assert_eq!(answers, ["/a+0", "/b+3", "/c+0"]);
    assert_eq!(c.ask(post).text(), "/b+3");
    assert_eq!(i.connections.load(SeqCst), 1);
    assert_eq!(f.gateway.connections(), 1);
}

#[test]
fn chunked_bodies_are_chunked_anew_both_ways() {
    let i = Instance::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n",
    );
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    c.send("POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nwi");
    c.send("ki\r\n0\r\nX-T: 1\r\nHost: evil\r\n\r\n");
    let r = c.response();
    assert_eq!(
        (r.body.as_slice(), r.raw.as_slice()),
        (&b"abc"[..], &b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"[..])
    );
    let seen = i.seen.lock().unwrap();
    assert_eq!(seen[0].body, b"wiki");
    assert!(seen[0].raw.ends_with(b"\r\n0\r\nX-T: 1\r\n\r\n"), "{}", seen[0].raw.escape_ascii());
    drop(seen);
    // HTTP/1.0 knows no chunks: the close tells the end.
    let mut old = f.client();
    let r = old.ask("GET /api/x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(
        (r.body.as_slice(), r.field("connection"), r.field("transfer-encoding")),
        (&b"abc"[..], Some("close"), None)
    );
}

#[test]
fn a_body_until_close_is_chunked_for_the_client() {
    let i = Instance::new(|c| {
        c.request();
        c.send("HTTP/1.0 200 OK\r\n\r\nto the end");
    });
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    for _ in 0..2 {
        let r = c.ask(GET);
        assert_eq!((r.text().as_str(), r.field("transfer-encoding")), ("to the end", Some("chunked")));
        assert_eq!(r.field("via"), Some("1.0 ellie"));
    }
}

#[test]
fn answers_without_bodies_have_none() {
    for (method, answer, framing) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", Some("10")),
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", None),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n",
            Some("10"),
        ),
    ] {
        let i = Instance::answering(answer);
        let f = Fixture::new(&[i.address]);
        let mut c = f.client();
        for _ in 0..2 {
            c.send(format!("{method} /api/x HTTP/1.1\r\nHost: h\r\n\r\n"));
            let head = c.head().unwrap();
            let m = common::Message { head, body: Vec::new(), raw: Vec::new() };
            assert_eq!(
                (m.field("content-length"), m.field("transfer-encoding")),
                (framing, None),
                "{method} {answer}"
            );
        }
        assert_eq!(i.connections.load(SeqCst), 1, "{method} {answer}");
    }
}

#[test]
fn http_1_0_clients_are_kept_only_if_they_ask() {
    let i = Instance::answering(OK);
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    let r = c.ask("GET /api/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(r.field("connection"), Some("keep-alive"));
    let r = c.ask("GET /api/x HTTP/1.0\r\n\r\n");
    assert_eq!(r.field("connection"), Some("close"));
    assert!(c.is_closed());
    // Without a Host, the instance is told its own.
    assert!(
        i.heads()[0].starts_with(&format!("GET /x HTTP/1.1\r\nHost: {}\r\n", i.address)),
        "{}",
        i.heads()[0]
    );
    assert!(i.heads()[0].ends_with("Via: 1.0 ellie"));
}

#[test]
fn interim_answers_reach_http_1_1_alone() {
    let i = Instance::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    assert_eq!(c.ask(GET).head, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nVia: 1.1 ellie");
    assert_eq!(c.response().text(), "ok");
    assert_eq!(f.client().ask("GET /api/x HTTP/1.0\r\n\r\n").status(), 200);
}

#[test]
fn a_body_is_sent_once_the_instance_says_continue() {
    let i = Instance::new(|c| {
        let head = c.wire.head().unwrap();
        assert!(head.contains("\r\nExpect: 100-continue\r\n"));
        c.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(c.wire.exactly(4), b"body");
        c.send(OK);
    });
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    let r = c.ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(r.status(), 100);
    assert_eq!(c.ask("body").text(), "ok");
    let r = f.client().ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: magic\r\n\r\n");
    assert_eq!(r.status(), 417);
}

#[test]
fn protocols_switch_after_the_101_and_bytes_go_both_ways() {
    let i = Instance::new(|c| {
        let (head, _) = c.request().unwrap();
        if !head.contains("\r\nConnection: upgrade\r\nUpgrade: websocket\r\n") {
            c.send("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        c.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
        assert_eq!(c.wire.exactly(4), b"ping");
        c.send("pong");
        // The client's half close arrives; ours follows.
        assert_eq!(c.wire.rest(), (Vec::new(), true));
        c.send("bye");
    });
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    c.send("GET /api/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(
        c.head().unwrap(),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nVia: 1.1 ellie"
    );
    assert_eq!(c.exactly(5), b"hello");
    c.send("ping");
    assert_eq!(c.exactly(4), b"pong");
    c.finish_sending();
    assert_eq!(c.rest(), (b"bye".to_vec(), true));
    // A switch that nobody asked for is no answer.
    let j = Instance::answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
    assert_eq!(Fixture::new(&[j.address]).client().ask(GET).status(), 502);
}

#[test]
fn bodies_of_any_size_stream_both_ways() {
    let i = Instance::new(|c| {
        while let Some((_, body)) = c.request() {
            c.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
            c.send(body);
        }
    });
    let f = Fixture::new(&[i.address]);
    let body: Vec<u8> = (0..8_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let mut c = f.client();
    for _ in 0..2 {
        c.send(format!("PUT /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
        c.send(&body);
        assert!(c.response().body == body);
    }
    let mut c = f.client();
    c.send("PUT /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in body.chunks(100_001) {
        c.send(format!("{:x}\r\n", part.len()));
        c.send(part);
        c.send("\r\n");
    }
    c.send("0\r\n\r\n");
    assert!(c.response().body == body);
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced_for_what_may_be_sent_twice() {
    // The first connection answers once and closes at the second request, without an answer.
    let script = |c: &mut common::Served| {
        while c.request().is_some() {
            if c.number == 0 && c.wire.stream.peer_addr().is_ok() && c.seen_here() > 1 {
                return;
            }
            c.send(OK);
        }
    };
    let i = Instance::new(script);
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    assert_eq!(c.ask(GET).status(), 200);
    assert_eq!(c.ask(GET).status(), 200);
    assert_eq!((i.requests(), i.connections.load(SeqCst)), (3, 2));
    // A POST is never sent twice.
    let i = Instance::new(script);
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    assert_eq!(c.ask(GET).status(), 200);
    let r = c.ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!((r.status(), i.requests(), i.connections.load(SeqCst)), (502, 2, 1));
    assert!(r.text().contains(&problem("upstream-failed")), "{}", r.text());
}

#[test]
fn what_was_not_sent_is_tried_on_another_instance() {
    let i = Instance::answering(OK);
    let f = Fixture::with(
        &[nobody(), i.address],
        |_| {},
        |_| {},
        |s| s.strategy = ellie_policy::balance::Strategy::RoundRobin,
    );
    let mut c = f.client();
    for _ in 0..4 {
        assert_eq!(c.ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").status(), 200);
    }
    assert_eq!(i.requests(), 4);
    let f = Fixture::new(&[nobody()]);
    let r = f.client().ask(GET);
    assert_eq!((r.status(), r.field("content-type")), (502, Some("application/problem+json")));
    assert!(
        r.text().contains("\"service\":\"svc\"") && r.text().contains("no connection to 127.0.0.1:"),
        "{}",
        r.text()
    );
}

#[test]
fn an_instance_that_breaks_off_is_replaced_only_for_idempotent_requests() {
    let broken = Instance::new(|c| {
        c.request();
    });
    let good = Instance::answering(OK);
    let round_robin =
        |s: &mut ellie_gateway::cluster::Settings| s.strategy = ellie_policy::balance::Strategy::RoundRobin;
    let f = Fixture::with(&[broken.address, good.address], |_| {}, |_| {}, round_robin);
    let mut c = f.client();
    assert!((0..4).all(|_| c.ask(GET).status() == 200));
    assert!(broken.requests() > 0);
    let f = Fixture::with(&[broken.address], |_| {}, |_| {}, round_robin);
    let before = broken.requests();
    assert_eq!(f.client().ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").status(), 502);
    assert_eq!(broken.requests(), before + 1);
}

#[test]
fn a_body_that_breaks_off_is_never_a_short_success() {
    for head in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let i = Instance::new(move |c| {
            c.request();
            let part = if head.starts_with('C') { "12345" } else { "5\r\n12345\r\n" };
            c.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}"));
        });
        let f = Fixture::new(&[i.address]);
        let mut c = f.client();
        c.send(GET);
        assert!(c.head().unwrap().starts_with("HTTP/1.1 200 "));
        let (rest, _) = c.rest();
        assert!(rest.ends_with(b"12345") || rest.ends_with(b"12345\r\n"), "{}", rest.escape_ascii());
    }
}

#[test]
fn answers_that_are_not_http_are_502() {
    for answer in [
        "gibberish\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
        "HTTP/1.1 200",
    ] {
        let i = Instance::new(move |c| {
            c.request();
            c.send(answer);
        });
        let r = Fixture::new(&[i.address]).client().ask(GET);
        assert_eq!(r.status(), 502, "{answer}");
        assert!(r.text().contains(&problem("upstream-failed")), "{answer}: {}", r.text());
    }
}

#[test]
fn silence_is_504_and_names_the_service() {
    let i = Instance::new(|c| {
        c.request();
        c.wire.rest();
    });
    let f = Fixture::with(&[i.address], |_| {}, |r| r.timeout = Some(50), |_| {});
    let mut c = f.client();
    let r = c.ask(GET);
    assert_eq!(r.status(), 504);
    assert!(
        r.text().contains(&problem("upstream-timeout")) && r.text().contains("\"service\":\"svc\""),
        "{}",
        r.text()
    );
    // The client's connection is as good as before.
    assert_eq!(c.ask(GET).status(), 504);
}

#[test]
fn requests_that_go_nowhere_say_why() {
    let f = Fixture::with(&[], |_| {}, |r| r.methods = vec!["GET".into()], |_| {});
    let mut c = f.client();
    let r = c.ask(GET);
    assert_eq!((r.status(), r.field("retry-after")), (503, Some("1")));
    assert!(r.text().contains("\"service\":\"svc\""), "{}", r.text());
    let r = c.ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((r.status(), r.text().contains(&problem("no-route"))), (404, true));
    let r = c.ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((r.status(), r.field("allow").is_some_and(|a| a.contains("GET"))), (405, true));
    // Dot segments can't leave the route.
    assert_eq!(c.ask("GET /api/../secret HTTP/1.1\r\nHost: h\r\n\r\n").status(), 404);
    assert_eq!(c.ask("GET /api/%2e%2e/secret HTTP/1.1\r\nHost: h\r\n\r\n").status(), 404);
    c.send("HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(c.head().unwrap().starts_with("HTTP/1.1 404 "));
    assert_eq!(c.ask(GET).status(), 503);
}

#[test]
fn rate_limits_answer_429_and_open_breakers_503() {
    let i = Instance::answering(OK);
    let limit =
        ellie_gateway::route::RateLimitDraft { window_ms: Some(60_000), max: Some(1), ..Default::default() };
    let f = Fixture::with(&[i.address], |_| {}, |r| r.rate_limit = Some(limit), |_| {});
    let mut c = f.client();
    assert!(c.ask(GET).field("ratelimit").is_some());
    let r = c.ask(GET);
    assert_eq!((r.status(), r.field("retry-after").is_some(), i.requests()), (429, true, 1));
    assert!(r.text().contains(&problem("rate-limited")), "{}", r.text());

    let i = Instance::answering("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    for _ in 0..5 {
        assert_eq!(c.ask(GET).status(), 500);
    }
    let r = c.ask(GET);
    assert_eq!((r.status(), i.requests()), (503, 5));
    assert!(r.text().contains(&problem("circuit-open")), "{}", r.text());
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let i = Instance::new(|c| {
        c.wire.head();
        c.send("HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop");
        c.wire.rest();
    });
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    c.send("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nsome");
    let r = c.response();
    assert_eq!((r.status(), r.text().as_str(), r.field("connection")), (413, "stop", Some("close")));
    c.try_send(&[b'x'; 1000]);
    assert!(c.is_closed());
}

#[test]
fn bodies_are_limited_by_the_route() {
    let i = Instance::answering(OK);
    let f = Fixture::with(&[i.address], |_| {}, |r| r.max_body = Some(10), |_| {});
    let r = f.client().ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n");
    assert_eq!((r.status(), i.requests()), (413, 0));
    assert!(r.text().contains(&problem("body-too-large")), "{}", r.text());
    let r = f.client().ask(
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n12345678901\r\n0\r\n\r\n",
    );
    assert_eq!((r.status(), i.requests()), (413, 0));
    let mut c = f.client();
    c.send("POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n123456789\r\n");
    c.send("9\r\n123456789\r\n0\r\n\r\n");
    assert_eq!((c.response().status(), i.requests()), (413, 0));
    let r = f.client().ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n1234567890");
    assert_eq!(r.status(), 200);
}

#[test]
fn heads_are_limited() {
    let i = Instance::answering(OK);
    let f = Fixture::new(&[i.address]);
    let long = "x".repeat(17_000);
    let r = f.client().ask(format!("GET /api/{long} HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert_eq!(r.status(), 414);
    let r = f.client().ask(format!("GET /api/ HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"));
    assert_eq!(r.status(), 431);
    let r = f.client().ask(format!("GET /api/ HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(200)));
    assert_eq!((r.status(), r.field("connection"), i.requests()), (431, Some("close"), 0));
}

#[test]
fn slow_heads_and_bodies_end_and_idle_connections_close() {
    let i = Instance::answering(OK);
    let short = Duration::from_millis(50);
    let f = Fixture::with(&[i.address], |c| c.live.header_timeout = short, |_| {}, |_| {});
    let mut c = f.client();
    let r = c.ask("GET /api/x HTTP/1.1\r\n");
    assert_eq!(r.status(), 408);
    assert!(c.is_closed());
    let f = Fixture::with(&[i.address], |c| c.live.body_timeout = short, |_| {}, |_| {});
    let mut c = f.client();
    let r = c.ask("POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    assert_eq!(r.status(), 408);
    assert!(c.is_closed());
    let f = Fixture::with(&[i.address], |c| c.live.idle_timeout = short, |_| {}, |_| {});
    let mut c = f.client();
    assert_eq!(c.ask(GET).status(), 200);
    assert!(c.is_closed());
}

#[test]
fn a_drain_lets_requests_finish_and_takes_no_more() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (arrive, arrived) = mpsc::channel::<()>();
    let arrive = std::sync::Mutex::new(arrive);
    let i = Instance::new(move |c| {
        while c.request().is_some() {
            arrive.lock().unwrap().send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            c.send(OK);
        }
    });
    let f = Fixture::new(&[i.address]);
    let (mut idle, mut busy) = (f.client(), f.client());
    idle.send(GET);
    arrived.recv().unwrap();
    release.send(()).unwrap();
    assert_eq!(idle.response().status(), 200);
    busy.send(GET);
    arrived.recv().unwrap();
    let address = f.gateway.local_addr();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let drained = runtime.spawn(async move { f.gateway.drain(common::PATIENCE).await });
    assert!(idle.is_closed());
    release.send(()).unwrap();
    let r = busy.response();
    assert_eq!((r.status(), r.field("connection")), (200, Some("close")));
    assert_eq!(runtime.block_on(drained).unwrap(), 0);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_drain_ends_what_does_not_end() {
    let (arrive, arrived) = mpsc::channel::<()>();
    let arrive = std::sync::Mutex::new(arrive);
    let i = Instance::new(move |c| {
        c.request();
        arrive.lock().unwrap().send(()).unwrap();
        c.wire.rest();
    });
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    c.send(GET);
    arrived.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    assert_eq!(runtime.block_on(f.gateway.drain(Duration::from_millis(50))), 1);
    assert!(c.is_closed());
}
