//! Any bytes as a chunked body: no panic, the same verdict and data for any split, and a canonical body goes on.
#![no_main]

use ellie_gateway::h1::{Coding, Framing, Transfer};
use libfuzzer_sys::fuzz_target;

fn through(parts: &[&[u8]], to: Coding) -> Option<(Vec<u8>, bool)> {
    let (mut transfer, mut out) = (Transfer::new(Framing::Chunked, to), Vec::new());
    for part in parts {
        transfer.take(part, &mut out).ok()?;
    }
    Some((out, transfer.is_done()))
}

fuzz_target!(|data: &[u8]| {
    let Some((&at, body)) = data.split_first() else { return };
    let (head, tail) = body.split_at(usize::from(at).min(body.len()));
    let whole = through(&[body], Coding::Identity);
    assert_eq!(whole, through(&[head, tail], Coding::Identity));
    let Some((plain, true)) = whole else { return };
    let (again, _) = through(&[body], Coding::Chunked).expect("the verdict does not depend on the receiver");
    assert_eq!(through(&[&again], Coding::Identity), Some((plain, true)));
});
