//! Requests that two parsers could read in two ways: refused, and the instance sees none of them. The cases are those
//! of the public collections (request smuggling research, desync guardians, HTTP/1.1 probes), told anew.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, Instance, OK};

/// (what, status, request); behind each request stands another one, which must not be seen either.
const REFUSED: &[(&str, u16, &str)] = &[
    (
        "both framings",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "both framings, other order",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "the same length twice",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    ),
    ("a list of lengths", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na"),
    ("a signed length", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na"),
    ("a negative length", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\na"),
    ("a hexadecimal length", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\na"),
    (
        "an overflowing length",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\na",
    ),
    ("an empty length", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\na"),
    ("a length with a space inside", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1 0\r\n\r\na"),
    ("a length with an underscore", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1_0\r\n\r\na"),
    (
        "a vertical tab before the coding",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    ("an unknown coding", 501, "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n"),
    ("identity", 501, "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (
        "two codings",
        501,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        501,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two fields of codings",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "a quoted coding",
        501,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked with a comma",
        501,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked in HTTP/1.0",
        400,
        "POST /api/x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a space before the colon", 400, "POST /api/x HTTP/1.1\r\nHost: h\r\nContent-Length : 1\r\n\r\na"),
    (
        "a tab before the colon",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a folded line",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    ),
    ("a folded value", 400, "GET /api/x HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"),
    ("a space before the first field", 400, "GET /api/x HTTP/1.1\r\n Host: h\r\n\r\n"),
    ("line feeds alone", 400, "GET /api/x HTTP/1.1\nHost: h\n\n"),
    ("one line feed alone", 400, "GET /api/x HTTP/1.1\r\nHost: h\nX: a\r\n\r\n"),
    ("a last line feed alone", 400, "GET /api/x HTTP/1.1\r\nHost: h\r\n\n"),
    (
        "a carriage return in a value",
        400,
        "GET /api/x HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 5\r\n\r\n",
    ),
    ("a carriage return in a name", 400, "GET /api/x HTTP/1.1\r\nHost: h\r\nX\r: a\r\n\r\n"),
    ("NUL in a value", 400, "GET /api/x HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"),
    ("NUL in a name", 400, "GET /api/x HTTP/1.1\r\nHost: h\r\nX\0: a\r\n\r\n"),
    ("NUL in the target", 400, "GET /api/\0 HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("an empty name", 400, "GET /api/x HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n"),
    ("a line without a colon", 400, "GET /api/x HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n"),
    ("no Host", 400, "GET /api/x HTTP/1.1\r\nX: a\r\n\r\n"),
    ("two Hosts", 400, "GET /api/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("the same Host twice", 400, "GET /api/x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    ("two Hosts in one", 400, "GET /api/x HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("an empty Host", 400, "GET /api/x HTTP/1.1\r\nHost:\r\n\r\n"),
    ("a Host with a path", 400, "GET /api/x HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a Host with credentials", 400, "GET /api/x HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    ("a Host with an odd port", 400, "GET /api/x HTTP/1.1\r\nHost: a:8x\r\n\r\n"),
    ("credentials in the target", 400, "GET http://u@h/api/x HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("another scheme", 400, "GET ftp://h/api/x HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a relative target", 400, "GET api/x HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a fragment", 400, "GET /api/x#y HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a star for GET", 400, "GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("CONNECT", 501, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("two spaces", 400, "GET  /api/x HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a tab as separator", 400, "GET\t/api/x\tHTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a space behind the version", 400, "GET /api/x HTTP/1.1 \r\nHost: h\r\n\r\n"),
    ("no version", 400, "GET /api/x\r\nHost: h\r\n\r\n"),
    ("HTTP/2 in words", 505, "GET /api/x HTTP/2.0\r\nHost: h\r\n\r\n"),
    ("HTTP/1.2", 505, "GET /api/x HTTP/1.2\r\nHost: h\r\n\r\n"),
    ("a small version", 505, "GET /api/x http/1.1\r\nHost: h\r\n\r\n"),
    ("a method that is no token", 400, "G(T /api/x HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("the preface of HTTP/2", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (
        "an odd chunk size",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    ),
    (
        "a signed chunk size",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
    ),
    (
        "a spaced chunk size",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
    ),
    (
        "an overflowing chunk size",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
    ),
    (
        "a chunk ended by a line feed",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    ),
    (
        "a chunk longer than its size",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    ),
    (
        "a line feed in an extension",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
    ),
    (
        "a bad trailer",
        400,
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n",
    ),
];

#[test]
fn what_is_ambiguous_is_refused_and_seen_by_nobody() {
    let i = Instance::answering(OK);
    let f = Fixture::new(&[i.address]);
    for (what, status, request) in REFUSED {
        let mut c = f.client();
        c.try_send(format!("{request}GET /api/smuggled HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let r = c.response();
        assert_eq!((r.status(), r.field("connection")), (*status, Some("close")), "{what}: {}", r.head);
        assert_eq!(r.field("content-type"), Some("application/problem+json"), "{what}");
        assert!(c.is_closed(), "{what}");
        assert_eq!(i.requests(), 0, "{what}");
    }
}

#[test]
fn a_malformed_body_after_a_good_beginning_ends_both_connections() {
    let i = Instance::answering(OK);
    let f = Fixture::new(&[i.address]);
    let mut c = f.client();
    c.send("POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    c.send("zz\r\n\r\nGET /api/smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(c.response().status(), 400);
    assert!(c.is_closed());
    assert_eq!(i.requests(), 0);
}

#[test]
fn what_is_unusual_and_clear_passes() {
    for request in [
        "\r\nGET /api/x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://other:80/api/x?y HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nhOsT:h\r\nX-Empty:\r\nX-Latin: \u{e9}\r\n\r\n",
        "POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n",
        "PURGE /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 00\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let i = Instance::answering(OK);
        let f = Fixture::new(&[i.address]);
        assert_eq!(f.client().ask(request).status(), 200, "{request}");
    }
}

#[test]
fn an_absolute_target_stands_above_the_host() {
    let i = Instance::answering(OK);
    Fixture::new(&[i.address]).client().ask("GET HTTP://other:81/api/x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(i.heads()[0].starts_with("GET /x HTTP/1.1\r\nHost: other:81\r\n"), "{}", i.heads()[0]);
}

#[test]
fn any_split_of_the_bytes_is_the_same_request() {
    let i = Instance::answering(OK);
    let f = Fixture::new(&[i.address]);
    let request = b"POST /api/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
    for at in 1..request.len() {
        let mut c = f.client();
        c.send(&request[..at]);
        c.send(&request[at..]);
        assert_eq!(c.response().status(), 200, "{at}");
    }
    let seen = i.seen.lock().unwrap();
    assert!(seen.iter().all(|m| m.body == b"abcde" && m.raw.ends_with(b"0\r\nX-T: 1\r\n\r\n")));
    assert_eq!(seen.len(), request.len() - 1);
}
