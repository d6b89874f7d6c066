//! A request's head: from received bytes to ranges, a target and a verdict about framing.

use super::body::Framing;
use super::facts::{is_authority, nominated, take_fields};
use super::field::{Field, Name, Span};
use super::head::{Limits, MAX_FIELDS, Parsed, complete, strict_lines};
use super::invalid::Invalid;
use std::mem::MaybeUninit;

/// A request's head. Reused from one request to the next: its vector keeps its room.
#[derive(Debug, Default)]
pub struct Request {
    /// The method.
    pub method: Span,
    /// The path of the target, `/` or `*` where it has none.
    pub path: Span,
    /// The query, without `?`.
    pub query: Option<Span>,
    /// The authority: of an absolute target, else of `Host`. Empty where HTTP/1.0 sent none.
    pub authority: Span,
    /// The minor version, 0 or 1.
    pub minor: u8,
    /// All field lines in their order.
    pub fields: Vec<Field>,
    /// How its body is framed.
    pub framing: Framing,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
    /// Whether `Expect: 100-continue` was sent by an HTTP/1.1 client with a body.
    pub expects_continue: bool,
    /// Whether it asks to switch protocols.
    pub upgrade: bool,
    /// Whether it accepts trailers (`TE: trailers`).
    pub trailers: bool,
    /// Fields that `Connection` nominates beyond the well-known.
    nominated: Vec<Span>,
}

impl Request {
    /// Parses the head at the beginning of `buf`.
    ///
    /// # Errors
    /// [`Invalid`]; the connection has to be closed then, since it is unknown where the request ends.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits) -> Result<Parsed, Invalid> {
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let room = limits.fields.min(MAX_FIELDS);
        let mut request = httparse::Request::new(&mut []);
        let result = request.parse_with_uninit_headers(buf, &mut storage[..room]);
        let length = match complete(result, buf, limits, true)? {
            Parsed::Complete(length) => length,
            Parsed::Partial => return Ok(Parsed::Partial),
        };
        let head = &buf[..length];
        strict_lines(head)?;
        let method = request.method.unwrap_or_default().as_bytes();
        let target = request.path.unwrap_or_default().as_bytes();
        self.minor = request.version.unwrap_or(1);
        self.method = Span::of(method, buf);
        let facts = take_fields(request.headers, buf, &mut self.fields, &mut self.nominated)?;
        let absolute = self.take_target(method, target, buf)?;
        if self.minor == 1 && facts.hosts == 0 {
            return Err(Invalid::Malformed("an HTTP/1.1 request needs a Host field"));
        }
        if facts.hosts > 1 {
            return Err(Invalid::Malformed("there is more than one Host field"));
        }
        if self.minor == 1 && facts.host.get(buf).is_empty() {
            return Err(Invalid::Malformed("the Host field is empty"));
        }
        if facts.expects_other {
            return Err(Invalid::Expectation);
        }
        if !is_authority(facts.host.get(buf)) {
            return Err(Invalid::Malformed("the Host field is not a host and port"));
        }
        // The authority of an absolute target stands above Host (RFC 9112, 3.2.2).
        self.authority = absolute.unwrap_or(facts.host);
        self.framing = match (facts.transfer_encoding, facts.length) {
            (true, Some(_)) => {
                return Err(Invalid::Malformed("both Content-Length and Transfer-Encoding were sent"));
            }
            (true, None) if self.minor == 0 => {
                return Err(Invalid::Malformed("Transfer-Encoding is not part of HTTP/1.0"));
            }
            (true, None) if facts.chunked => Framing::Chunked,
            (true, None) => {
                return Err(Invalid::NotImplemented("only the transfer coding `chunked` is understood"));
            }
            (false, Some(length)) => Framing::Length(length),
            (false, None) => Framing::Length(0),
        };
        self.keep_alive = if self.minor == 1 { !facts.close } else { facts.keep_alive && !facts.close };
        self.upgrade = facts.upgrade && facts.upgrade_nominated && self.minor == 1;
        self.expects_continue =
            facts.expects_continue && self.minor == 1 && !matches!(self.framing, Framing::Length(0));
        self.trailers = facts.trailers && facts.te_nominated;
        Ok(Parsed::Complete(length))
    }

    /// Splits the target; tells the authority of an absolute one.
    fn take_target(&mut self, method: &[u8], target: &[u8], buf: &[u8]) -> Result<Option<Span>, Invalid> {
        if target.iter().any(|b| *b <= b' ' || *b == 0x7f || *b == b'#') {
            return Err(Invalid::Malformed("the request target has a character that is not allowed"));
        }
        if method == b"CONNECT" {
            return Err(Invalid::NotImplemented("CONNECT is not offered: this is no forward proxy"));
        }
        let (authority, rest) = if target.first() == Some(&b'/') || (target == b"*" && method == b"OPTIONS") {
            (None, target)
        } else {
            let scheme = ["http://", "https://"]
                .into_iter()
                .find(|s| target.get(..s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s.as_bytes())))
                .ok_or(Invalid::Malformed("the request target is neither a path nor an absolute http URL"))?;
            let after = &target[scheme.len()..];
            let end = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
            if end == 0 || !is_authority(&after[..end]) {
                return Err(Invalid::Malformed("the request target's authority is not a host and port"));
            }
            (Some(Span::of(&after[..end], buf)), &after[end..])
        };
        let (path, query) = match memchr::memchr(b'?', rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        self.path = Span::of(path, buf);
        self.query = query.map(|q| Span::of(q, buf));
        Ok(authority)
    }

    /// The path's bytes; `/` where an absolute target has none.
    #[must_use]
    pub fn path<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        match self.path.get(buf) {
            [] => b"/",
            path => path,
        }
    }

    /// The first value of a field, by its lower-case name.
    #[must_use]
    pub fn field<'b>(&self, buf: &'b [u8], name: &str) -> Option<&'b [u8]> {
        let found = self.fields.iter().find(|f| f.name.get(buf).eq_ignore_ascii_case(name.as_bytes()))?;
        Some(found.value.get(buf))
    }

    /// The first value of a known field.
    #[must_use]
    pub fn known<'b>(&self, buf: &'b [u8], name: Name) -> Option<&'b [u8]> {
        self.fields.iter().find(|f| f.known == name).map(|f| f.value.get(buf))
    }

    /// Whether `Connection` names this field, so that it ends here.
    #[must_use]
    pub fn nominates(&self, buf: &[u8], field: &Field) -> bool {
        nominated(&self.nominated, buf, field)
    }

    /// Whether `Connection` names anything beyond the well-known.
    pub(super) fn connection_has_nominations(&self) -> bool {
        !self.nominated.is_empty()
    }
}
