//! Heads: from received bytes to ranges and a verdict about framing.

use super::body::Framing;
use super::field::{Field, Name, Span, list};
use std::fmt;
use std::mem::MaybeUninit;

/// The bounds of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, start line included.
    pub head: usize,
    /// Field lines, at most [`MAX_FIELDS`].
    pub fields: usize,
}

/// The most field lines that can be configured.
pub const MAX_FIELDS: usize = 128;

impl Default for Limits {
    fn default() -> Self {
        Self { head: 16 * 1024, fields: MAX_FIELDS }
    }
}

/// Whether a head has arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It has, and takes this many bytes.
    Complete(usize),
    /// More bytes are needed.
    Partial,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It is not HTTP/1.x, or could be read in two ways.
    Malformed(&'static str),
    /// It is longer than allowed.
    HeadTooLarge,
    /// It has more fields than allowed.
    TooManyFields,
    /// Its target is longer than allowed.
    TargetTooLong,
    /// Its major version is not 1.
    Version,
    /// It expects what nobody here can do.
    Expectation,
    /// It asks for something that is not implemented.
    NotImplemented(&'static str),
}

impl Invalid {
    /// The status that answers a request of this kind.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::TargetTooLong => 414,
            Self::Version => 505,
            Self::Expectation => 417,
            Self::NotImplemented(_) => 501,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(why) | Self::NotImplemented(why) => why,
            Self::HeadTooLarge => "the head is too large",
            Self::TooManyFields => "there are too many header fields",
            Self::TargetTooLong => "the request target is too long",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Self::Expectation => "the only expectation that is understood is 100-continue",
        })
    }
}

impl std::error::Error for Invalid {}

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

/// A response's head.
#[derive(Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The reason phrase.
    pub reason: Span,
    /// The minor version, 0 or 1.
    pub minor: u8,
    /// All field lines in their order.
    pub fields: Vec<Field>,
    /// How its body is framed.
    pub framing: Framing,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
    /// Fields that `Connection` nominates beyond the well-known.
    nominated: Vec<Span>,
}

/// What the fields say together.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    chunked: bool,
    transfer_encoding: bool,
    close: bool,
    keep_alive: bool,
    upgrade_nominated: bool,
    te_nominated: bool,
    hosts: usize,
    host: Span,
    upgrade: bool,
    expects_continue: bool,
    expects_other: bool,
    trailers: bool,
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
}

impl Response {
    /// Parses the head at the beginning of `buf`; `head_only` says that the request was HEAD, so that no body follows.
    ///
    /// # Errors
    /// [`Invalid`]; the connection can't be used any more.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits, head_only: bool) -> Result<Parsed, Invalid> {
        let mut storage = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let room = limits.fields.min(MAX_FIELDS);
        let mut response = httparse::Response::new(&mut []);
        let result = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            buf,
            &mut storage[..room],
        );
        let length = match complete(result, buf, limits, false)? {
            Parsed::Complete(length) => length,
            Parsed::Partial => return Ok(Parsed::Partial),
        };
        strict_lines(&buf[..length])?;
        self.status = response.code.unwrap_or(0);
        if self.status < 100 {
            return Err(Invalid::Malformed("the status code is below 100"));
        }
        self.minor = response.version.unwrap_or(1);
        self.reason = response
            .reason
            .filter(|r| !r.is_empty())
            .map(|r| Span::of(r.as_bytes(), buf))
            .unwrap_or_default();
        let facts = take_fields(response.headers, buf, &mut self.fields, &mut self.nominated)?;
        let bodiless = head_only || matches!(self.status, 100..=199 | 204 | 304);
        self.framing = match (bodiless, facts.transfer_encoding, facts.length) {
            (true, _, _) => Framing::Length(0),
            (_, true, Some(_)) => {
                return Err(Invalid::Malformed("both Content-Length and Transfer-Encoding were sent"));
            }
            (_, true, None) if self.minor == 0 => {
                return Err(Invalid::Malformed("Transfer-Encoding is not part of HTTP/1.0"));
            }
            (_, true, None) if facts.chunked => Framing::Chunked,
            (_, true, None) => {
                return Err(Invalid::NotImplemented("only the transfer coding `chunked` is understood"));
            }
            (_, false, None) => Framing::UntilClose,
            (_, false, Some(length)) => Framing::Length(length),
        };
        let asked = if self.minor == 1 { !facts.close } else { facts.keep_alive && !facts.close };
        self.keep_alive = asked && self.framing != Framing::UntilClose;
        Ok(Parsed::Complete(length))
    }

    /// Whether `Connection` names this field, so that it ends here.
    #[must_use]
    pub fn nominates(&self, buf: &[u8], field: &Field) -> bool {
        nominated(&self.nominated, buf, field)
    }

    /// The first value of a field, by its lower-case name.
    #[must_use]
    pub fn field<'b>(&self, buf: &'b [u8], name: &str) -> Option<&'b [u8]> {
        let found = self.fields.iter().find(|f| f.name.get(buf).eq_ignore_ascii_case(name.as_bytes()))?;
        Some(found.value.get(buf))
    }
}

fn nominated(names: &[Span], buf: &[u8], field: &Field) -> bool {
    !names.is_empty() && names.iter().any(|n| n.get(buf).eq_ignore_ascii_case(field.name.get(buf)))
}

/// Turns httparse's answer into ours; an incomplete head beyond the limit is refused instead of read on.
fn complete(
    result: httparse::Result<usize>,
    buf: &[u8],
    limits: &Limits,
    request: bool,
) -> Result<Parsed, Invalid> {
    match result {
        Ok(httparse::Status::Complete(length)) if length <= limits.head => Ok(Parsed::Complete(length)),
        Ok(httparse::Status::Partial) if buf.len() < limits.head => Ok(Parsed::Partial),
        Ok(_) => Err(too_large(buf, limits, request)),
        Err(httparse::Error::TooManyHeaders) => Err(Invalid::TooManyFields),
        Err(httparse::Error::Version) => Err(Invalid::Version),
        Err(httparse::Error::HeaderName) => Err(Invalid::Malformed("a header field's name is malformed")),
        Err(httparse::Error::HeaderValue) => Err(Invalid::Malformed("a header field's value is malformed")),
        Err(httparse::Error::NewLine) => Err(Invalid::Malformed("a line does not end with CR LF")),
        Err(httparse::Error::Status) => Err(Invalid::Malformed("the status line is malformed")),
        Err(httparse::Error::Token) => Err(Invalid::Malformed("the start line is malformed")),
    }
}

fn too_large(buf: &[u8], limits: &Limits, request: bool) -> Invalid {
    let head = &buf[..buf.len().min(limits.head)];
    if request && memchr::memchr(b'\n', head).is_none() {
        Invalid::TargetTooLong
    } else {
        Invalid::HeadTooLarge
    }
}

/// httparse forgives a line that ends with LF alone; another parser on the way may not, so it is refused here.
fn strict_lines(head: &[u8]) -> Result<(), Invalid> {
    for at in memchr::memchr_iter(b'\n', head) {
        if at == 0 || head[at - 1] != b'\r' {
            return Err(Invalid::Malformed("a line does not end with CR LF"));
        }
    }
    Ok(())
}

fn take_fields(
    received: &[httparse::Header<'_>],
    buf: &[u8],
    fields: &mut Vec<Field>,
    nominated: &mut Vec<Span>,
) -> Result<Facts, Invalid> {
    fields.clear();
    nominated.clear();
    let mut facts = Facts::default();
    for header in received {
        let (name, value) = (header.name.as_bytes(), header.value);
        let known = Name::of(name);
        // httparse leaves the value of an empty field unanchored; such a span must not be computed from its address.
        let value_span = if value.is_empty() { Span::default() } else { Span::of(value, buf) };
        fields.push(Field { name: Span::of(name, buf), value: value_span, known });
        if known == Name::Other {
            continue;
        }
        facts.take(known, value, buf, nominated)?;
        if known == Name::Host {
            facts.host = value_span;
        }
    }
    Ok(facts)
}

impl Facts {
    fn take(
        &mut self,
        known: Name,
        value: &[u8],
        buf: &[u8],
        nominated: &mut Vec<Span>,
    ) -> Result<(), Invalid> {
        match known {
            Name::Host => self.hosts += 1,
            Name::ContentLength => {
                let length = content_length(value)?;
                if self.length.is_some() {
                    return Err(Invalid::Malformed("there is more than one Content-Length"));
                }
                self.length = Some(length);
            }
            Name::TransferEncoding => {
                if self.transfer_encoding {
                    return Err(Invalid::Malformed("there is more than one Transfer-Encoding field"));
                }
                self.transfer_encoding = true;
                self.chunked = value.eq_ignore_ascii_case(b"chunked");
            }
            Name::Connection => {
                for option in list(value) {
                    if option.eq_ignore_ascii_case(b"close") {
                        self.close = true;
                    } else if option.eq_ignore_ascii_case(b"keep-alive") {
                        self.keep_alive = true;
                    } else if option.eq_ignore_ascii_case(b"upgrade") {
                        self.upgrade_nominated = true;
                    } else if option.eq_ignore_ascii_case(b"te") {
                        self.te_nominated = true;
                    } else {
                        nominated.push(Span::of(option, buf));
                    }
                }
            }
            Name::Upgrade => self.upgrade = !value.is_empty(),
            Name::Expect => {
                self.expects_continue = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_other |= !self.expects_continue;
            }
            Name::Te => self.trailers |= list(value).any(|t| t.eq_ignore_ascii_case(b"trailers")),
            _ => {}
        }
        Ok(())
    }
}

/// Digits alone, without sign, list or overflow.
fn content_length(value: &[u8]) -> Result<u64, Invalid> {
    const MALFORMED: Invalid = Invalid::Malformed("the Content-Length is not a number");
    if value.is_empty() || value.len() > 19 {
        return Err(MALFORMED);
    }
    value.iter().try_fold(0_u64, |n, b| match b {
        b'0'..=b'9' => Ok(n * 10 + u64::from(b - b'0')),
        _ => Err(MALFORMED),
    })
}

/// `host`, `host:port`, `[v6]:port`: nothing that another parser could take for something else.
fn is_authority(value: &[u8]) -> bool {
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(b);
    let (host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            let ok = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            if end == 0 || !rest[..end].iter().all(ok) {
                return false;
            }
            (&b"v6"[..], &rest[end + 1..])
        }
        _ => {
            let end = memchr::memchr(b':', value).unwrap_or(value.len());
            (&value[..end], &value[end..])
        }
    };
    host.iter().all(allowed)
        && match port {
            [] => true,
            [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
            _ => false,
        }
}

impl Request {
    /// Whether `Connection` names anything beyond the well-known.
    pub(super) fn connection_has_nominations(&self) -> bool {
        !self.nominated.is_empty()
    }
}

impl Response {
    /// Whether `Connection` names anything beyond the well-known.
    pub(super) fn connection_has_nominations(&self) -> bool {
        !self.nominated.is_empty()
    }
}
