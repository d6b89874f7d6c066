//! Any bytes as an answer: no panic, and what the client gets is one head that reads the same.
#![no_main]

use ellie_gateway::h1::rewrite::ResponseContext;
use ellie_gateway::h1::{Coding, Framing, Limits, Parsed, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut response, limits) = (Response::default(), Limits::default());
    let Ok(Parsed::Complete(length)) = response.parse(data, &limits, false) else { return };
    let coding = if matches!(response.framing, Framing::Length(_)) { Coding::Identity } else { Coding::Chunked };
    let context = ResponseContext { client_minor: 1, coding: Some(coding), date: b"Date: x\r\n", ..Default::default() };
    let mut out = Vec::new();
    response.write_client(data, length, &context, &mut out);
    let mut again = Response::default();
    let wide = Limits { head: usize::MAX, ..limits };
    match again.parse(&out, &wide, false) {
        Ok(Parsed::Complete(n)) => {
            assert_eq!(n, out.len(), "one answer alone");
            assert_eq!(again.status, response.status);
        }
        Err(ellie_gateway::h1::Invalid::TooManyFields) => {}
        other => panic!("{other:?}: {}", out.escape_ascii()),
    }
});
