//! Any bytes as a request: no panic, and what is sent on is one request that reads the same.
#![no_main]

use ellie_gateway::h1::rewrite::{RequestContext, client_behind};
use ellie_gateway::h1::{Limits, Parsed, Request};
use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv4Addr};

fuzz_target!(|data: &[u8]| {
    let (mut request, limits) = (Request::default(), Limits::default());
    let Ok(Parsed::Complete(length)) = request.parse(data, &limits) else { return };
    let context = RequestContext {
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        trusted: data.len() % 2 == 0,
        tls: false,
        request_id: b"id",
        target: b"/",
        fallback_host: b"h",
    };
    // Proxies on loopback are trusted: the client is the peer, or somebody who is not one of them.
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let _ = client_behind(&request, data, peer, |ip| ip.is_loopback());
    assert_eq!(client_behind(&request, data, peer, |_| false), peer, "a stranger is not believed");
    let mut out = Vec::new();
    request.write_upstream(data, length, &context, &mut out);
    let mut again = Request::default();
    let wide = Limits { head: usize::MAX, ..limits };
    match again.parse(&out, &wide) {
        Ok(Parsed::Complete(n)) => {
            assert_eq!(n, out.len(), "one request alone");
            assert_eq!(again.framing, request.framing);
            assert_eq!(again.method.get(&out), request.method.get(data));
        }
        // The fields that are added may be too many.
        Err(ellie_gateway::h1::Invalid::TooManyFields) => {}
        other => panic!("{other:?}: {}", out.escape_ascii()),
    }
});
