//! A body on its way from one connection to another: read in the sender's framing, written in the receiver's.
//!
//! A chunked body is never passed on as it came. It is taken apart and chunked anew, without extensions and with no
//! trailer that could be mistaken for framing or routing, so that what two parsers might read in two ways ends here.

use super::body::{Body, Framing, Malformed};
use super::field::Name;
use std::io::Write as _;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As it is: its end is told by the head or by the connection's.
    Identity,
    /// In the chunked transfer coding.
    Chunked,
}

/// What [`Transfer::take`] took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes of the input; what follows them is not this body's.
    pub input: usize,
    /// Bytes of data among them.
    pub data: u64,
}

/// One body under way.
#[derive(Debug)]
pub struct Transfer {
    body: Body,
    to: Coding,
    trailers: Vec<u8>,
    ended: bool,
}

impl Transfer {
    /// A body framed as `from` says, to be written as `to` says.
    #[must_use]
    pub fn new(from: Framing, to: Coding) -> Self {
        let body = Body::new(from);
        Self { body, to, trailers: Vec::new(), ended: body.is_done() }
    }

    /// Whether all of it has been taken and its end been written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.ended
    }

    /// Whether bytes go on as they come, so that [`plain`](Self::plain) serves.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.to == Coding::Identity && !matches!(self.body, Body::Chunked(_))
    }

    /// How many bytes of `input` belong to a body that [`is_plain`](Self::is_plain): all data.
    pub fn plain(&mut self, input: usize) -> usize {
        match &mut self.body {
            Body::Length(left) => {
                let taken = usize::try_from(*left).map_or(input, |left| left.min(input));
                *left -= taken as u64;
                self.ended = *left == 0;
                taken
            }
            Body::UntilClose => input,
            Body::Chunked(_) => 0,
        }
    }

    /// Takes what of `input` belongs to the body and appends it to `out`, in the receiver's framing.
    ///
    /// # Errors
    /// [`Malformed`] chunked coding; `out` then has a body without its end.
    pub fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Taken, Malformed> {
        let mut taken = Taken::default();
        while !self.ended && taken.input < input.len() {
            let rest = &input[taken.input..];
            let step = self.body.next(rest, &mut self.trailers)?;
            self.write(&rest[step.skip..step.skip + step.data], out);
            taken.input += step.skip + step.data;
            taken.data += step.data as u64;
            if self.body.is_done() {
                self.end(out);
            }
        }
        Ok(taken)
    }

    /// The sender has closed. Says whether that is a right end; if so, it is written.
    #[must_use]
    pub fn close(&mut self, out: &mut Vec<u8>) -> bool {
        if !self.ended && self.body.ends_at_close() {
            self.end(out);
        }
        self.ended
    }

    fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        if self.to == Coding::Identity {
            out.extend_from_slice(data);
            return;
        }
        let _ = write!(out, "{:x}\r\n", data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.ended = true;
        if self.to == Coding::Chunked {
            out.extend_from_slice(b"0\r\n");
            for line in self.trailers.split_inclusive(|b| *b == b'\n').filter(|line| may_trail(line)) {
                out.extend_from_slice(line);
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Whether a trailer line may go on: not what frames, routes, authenticates or describes the content (RFC 9110,
/// 6.5.1), since a receiver that merges trailers into the head would act on it.
fn may_trail(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let name = &line[..colon];
    let is_content = name.get(..8).is_some_and(|n| n.eq_ignore_ascii_case(b"content-"));
    let barred: [&[u8]; 8] = [
        b"cookie",
        b"set-cookie",
        b"cache-control",
        b"pragma",
        b"range",
        b"expires",
        b"age",
        b"www-authenticate",
    ];
    Name::of(name) == Name::Other && !is_content && !barred.iter().any(|b| name.eq_ignore_ascii_case(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(parts: &[&[u8]], from: Framing, to: Coding) -> Result<(Vec<u8>, bool, usize), Malformed> {
        let (mut transfer, mut out, mut taken) = (Transfer::new(from, to), Vec::new(), 0);
        for part in parts {
            taken += transfer.take(part, &mut out)?.input;
        }
        Ok((out, transfer.is_done(), taken))
    }

    #[test]
    fn a_chunked_body_is_chunked_anew_without_extensions() {
        let input = b"5;name=value\r\nhello\r\n0006\r\n world\r\n0\r\nGrpc-Status: 0\r\nContent-Length: 3\r\nhost: x\r\n\r\nGET";
        let (out, done, taken) = through(&[input], Framing::Chunked, Coding::Chunked).unwrap();
        assert_eq!(out, b"5\r\nhello\r\n6\r\n world\r\n0\r\nGrpc-Status: 0\r\n\r\n");
        assert!(done);
        assert_eq!(&input[taken..], b"GET");
    }

    #[test]
    fn a_chunked_body_is_unwrapped_for_who_does_not_know_the_coding() {
        let input = b"5\r\nhello\r\n0\r\nA: b\r\n\r\n";
        let (out, done, _) = through(&[input], Framing::Chunked, Coding::Identity).unwrap();
        assert_eq!((out.as_slice(), done), (&b"hello"[..], true));
    }

    #[test]
    fn a_body_until_close_ends_rightly_and_others_do_not() {
        let mut out = Vec::new();
        let mut transfer = Transfer::new(Framing::UntilClose, Coding::Chunked);
        transfer.take(b"abc", &mut out).unwrap();
        assert!(transfer.close(&mut out));
        assert_eq!(out, b"3\r\nabc\r\n0\r\n\r\n");
        assert!(!Transfer::new(Framing::Length(3), Coding::Identity).close(&mut out));
        assert!(!Transfer::new(Framing::Chunked, Coding::Identity).close(&mut out));
        assert!(Transfer::new(Framing::Length(0), Coding::Identity).close(&mut out));
    }

    #[test]
    fn odd_chunked_codings_are_refused() {
        for input in [
            &b"\r\n"[..],
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"5\t;a\r\nhello\r\n",
            b"5;\r\nhello\r\n",
            b"5; a\r\nhello\r\n",
            b"5;a\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"5\r\nhelloX\r\n",
            b"0x5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"-1\r\n",
            b"5_0\r\n",
            b"fffffffffffffffff\r\n",
            b"0000000000000000005\r\n",
            b"0\r\n\n",
            b"0\r\n a: b\r\n\r\n",
            b"0\r\na : b\r\n\r\n",
            b"0\r\na\r\n\r\n",
            b"0\r\na: b\rc\r\n\r\n",
            b"0\r\na: \0\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
            b"5\r\r\nhello\r\n",
            b"g\r\n",
        ] {
            let result = through(&[input], Framing::Chunked, Coding::Chunked);
            assert_eq!(result, Err(Malformed), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn sections_without_end_are_bounded() {
        let mut extension = b"5;".to_vec();
        extension.extend(std::iter::repeat_n(b'a', 300));
        assert_eq!(through(&[&extension], Framing::Chunked, Coding::Chunked), Err(Malformed));
        let mut trailers = b"0\r\n".to_vec();
        for _ in 0..1000 {
            trailers.extend_from_slice(b"name: value\r\n");
        }
        assert_eq!(through(&[&trailers], Framing::Chunked, Coding::Chunked), Err(Malformed));
    }

    proptest! {
        /// Whatever the split of the bytes, data and end are the same.
        #[test]
        fn the_split_of_the_bytes_does_not_matter(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in prop::collection::vec(0_usize..400, 0..8),
        ) {
            let mut input = Vec::new();
            for c in &chunks {
                write!(input, "{:X};x=\"y\"\r\n", c.len()).unwrap();
                input.extend_from_slice(c);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\nx-a: 1\r\n\r\nrest");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(input.len())).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut at = 0;
            for c in cuts.into_iter().chain([input.len()]) {
                parts.push(&input[at..c]);
                at = c;
            }
            let (data, done, taken) = through(&parts, Framing::Chunked, Coding::Identity).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert!(done);
            // Parts after the end are not taken.
            prop_assert_eq!(taken, input.len() - 4);
            let (again, _, _) = through(&parts, Framing::Chunked, Coding::Chunked).unwrap();
            let (data, done, _) = through(&[&again], Framing::Chunked, Coding::Identity).unwrap();
            prop_assert_eq!(data, chunks.concat());
            prop_assert!(done);
        }

        /// Any bytes at all: the same verdict for one piece as for single bytes, and no panic.
        #[test]
        fn any_bytes_get_one_verdict(input in "[0-9a-f;= \\r\\n:xQ]{0,60}") {
            let whole = through(&[input.as_bytes()], Framing::Chunked, Coding::Identity);
            let single: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
            prop_assert_eq!(whole, through(&single, Framing::Chunked, Coding::Identity));
        }
    }
}
