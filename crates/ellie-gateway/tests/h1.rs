//! The engine alone: whatever the bytes, one verdict, and what is sent on reads the same.
#![allow(clippy::unwrap_used, reason = "tests")]

use ellie_gateway::h1::rewrite::{RequestContext, ResponseContext};
use ellie_gateway::h1::{Coding, Framing, Invalid, Limits, Parsed, Request, Response};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));

fn upstream(request: &Request, buf: &[u8], length: usize, trusted: bool) -> Vec<u8> {
    let context = RequestContext {
        client: CLIENT,
        trusted,
        tls: false,
        request_id: b"id",
        target: b"/t",
        fallback_host: b"fallback:1",
    };
    let mut out = Vec::new();
    request.write_upstream(buf, length, &context, &mut out);
    out
}

/// Lines that are near to what matters, and some that are far from it.
fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("Host"),
        Just("Content-Length"),
        Just("Transfer-Encoding"),
        Just("Connection"),
        Just("Upgrade"),
        Just("TE"),
        Just("Expect"),
        Just("X-Forwarded-For"),
        Just("Via"),
        Just("X-Request-Id"),
        Just("Max-Forwards"),
        Just("Trailer"),
        Just("host"),
        Just("X-A"),
        Just("Content-Length "),
        Just("X B"),
        Just(" X"),
        Just(""),
    ];
    let value = prop_oneof![
        Just("h"),
        Just("5"),
        Just("05"),
        Just("5, 5"),
        Just("+5"),
        Just("chunked"),
        Just("gzip, chunked"),
        Just("close"),
        Just("keep-alive, X-A"),
        Just("upgrade"),
        Just("websocket"),
        Just("trailers"),
        Just("100-continue"),
        Just("1.2.3.4"),
        Just("a b"),
        Just(""),
        Just("\u{1}"),
        Just("x\ry"),
        Just("Host, Content-Length"),
    ];
    let end = prop_oneof![8 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\n ")];
    (name, value, end).prop_map(|(n, v, e)| format!("{n}: {v}{e}"))
}

fn request() -> impl Strategy<Value = String> {
    let start = prop_oneof![
        6 => Just("GET /a?b HTTP/1.1\r\n"), 2 => Just("POST /a HTTP/1.0\r\n"), 1 => Just("GET http://o:1/a HTTP/1.1\r\n"),
        1 => Just("OPTIONS * HTTP/1.1\r\n"), 1 => Just("GET a HTTP/1.1\r\n"), 1 => Just("GET /a\nHTTP/1.1\r\n"),
    ];
    let host = prop_oneof![4 => Just("Host: h\r\n"), 1 => Just("")];
    (start, host, prop::collection::vec(line(), 0..5))
        .prop_map(|(s, h, l)| format!("{s}{h}{}\r\nrest", l.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is sent on is one request with the same framing, one Host, and no field of the connection.
    #[test]
    fn an_accepted_request_goes_on_as_one_request(text in request(), trusted in any::<bool>()) {
        let (buf, limits) = (text.as_bytes(), Limits::default());
        let mut request = Request::default();
        let Ok(Parsed::Complete(length)) = request.parse(buf, &limits) else { return Ok(()) };
        let out = upstream(&request, buf, length, trusted);
        let mut again = Request::default();
        prop_assert_eq!(again.parse(&out, &limits), Ok(Parsed::Complete(out.len())), "{}", out.escape_ascii());
        prop_assert_eq!(again.framing, request.framing);
        let sent = String::from_utf8(out.clone()).unwrap().to_lowercase();
        prop_assert_eq!(sent.matches("\r\nhost:").count(), 1);
        prop_assert_eq!(sent.matches("\r\nx-forwarded-for:").count(), 1);
        prop_assert!(!sent.contains("\r\nkeep-alive:") && !sent.contains("\r\nproxy-connection:"));
        prop_assert!(again.keep_alive, "a request never closes the gateway's own connection");
        if !trusted {
            prop_assert!(sent.contains("\r\nx-forwarded-for: 192.0.2.77\r\n"));
        }
    }

    /// Any prefix of a head is either incomplete or refused for what the whole is refused for too.
    #[test]
    fn a_head_that_comes_in_parts_gets_the_same_verdict(text in request(), cut in 0_usize..120) {
        let (buf, limits) = (text.as_bytes(), Limits::default());
        let whole = Request::default().parse(buf, &limits);
        let part = &buf[..cut.min(buf.len())];
        match (Request::default().parse(part, &limits), whole) {
            (Ok(Parsed::Complete(n)), whole) => prop_assert_eq!(whole, Ok(Parsed::Complete(n))),
            (Err(_), whole) => prop_assert!(whole.is_err(), "{}", part.escape_ascii()),
            (Ok(Parsed::Partial), _) => {}
        }
    }

    /// The same for answers.
    #[test]
    fn an_accepted_answer_goes_on_as_one_answer(
        status in 100_u16..600,
        lines in prop::collection::vec(line(), 0..5),
        head_only in any::<bool>(),
        minor in 0_u8..2,
    ) {
        let text = format!("HTTP/1.1 {status} Why\r\n{}\r\n", lines.concat());
        let (buf, limits) = (text.as_bytes(), Limits::default());
        let mut response = Response::default();
        let Ok(Parsed::Complete(length)) = response.parse(buf, &limits, head_only) else { return Ok(()) };
        let known = matches!(response.framing, Framing::Length(_));
        let coding = if known || minor == 0 { Coding::Identity } else { Coding::Chunked };
        let context = ResponseContext { client_minor: minor, coding: Some(coding), date: b"Date: d\r\n", ..Default::default() };
        let mut out = Vec::new();
        response.write_client(buf, length, &context, &mut out);
        let mut again = Response::default();
        prop_assert_eq!(again.parse(&out, &limits, head_only), Ok(Parsed::Complete(out.len())), "{}", out.escape_ascii());
        prop_assert_eq!(again.status, status);
        match coding {
            Coding::Chunked => prop_assert_eq!(again.framing, if status < 200 { response.framing } else { Framing::Chunked }),
            // A client that knows no chunks gets the bytes alone, up to the close.
            Coding::Identity if response.framing == Framing::Chunked => {
                prop_assert_eq!(again.framing, Framing::UntilClose);
            }
            Coding::Identity => prop_assert_eq!(again.framing, response.framing),
        }
    }

    /// No bytes make it panic.
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let limits = Limits { head: 64, fields: 4 };
        let _ = Request::default().parse(&bytes, &limits);
        let _ = Response::default().parse(&bytes, &limits, false);
    }
}

#[test]
fn limits_are_exact() {
    let head = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n";
    let parse = |head: &str, bytes, fields| {
        Request::default().parse(head.as_bytes(), &Limits { head: bytes, fields })
    };
    assert_eq!(parse(head, head.len(), 2), Ok(Parsed::Complete(head.len())));
    assert_eq!(parse(head, head.len() - 1, 2), Err(Invalid::HeadTooLarge));
    assert_eq!(parse(head, head.len(), 1), Err(Invalid::TooManyFields));
    assert_eq!(parse("GET /aaaaaaaaaaaaaaa", 10, 2), Err(Invalid::TargetTooLong));
    assert_eq!(parse("GET / HTTP/1.1\r\nA: bbbb", 20, 2), Err(Invalid::HeadTooLarge));
}

#[test]
fn nomination_takes_away_what_is_nominated_but_not_what_frames_or_guards() {
    let text = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nAuthorization: x\r\nCookie: c\r\n\
                Connection: content-length, authorization, cookie, x-forwarded-for, host\r\n\r\n";
    let mut request = Request::default();
    let Ok(Parsed::Complete(n)) = request.parse(text.as_bytes(), &Limits::default()) else { panic!() };
    let out = String::from_utf8(upstream(&request, text.as_bytes(), n, false)).unwrap();
    assert_eq!(
        out,
        "POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nAuthorization: x\r\nX-Forwarded-For: 192.0.2.77\r\n\
         X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\nX-Request-Id: id\r\nVia: 1.1 ellie\r\n\r\n"
    );
}
