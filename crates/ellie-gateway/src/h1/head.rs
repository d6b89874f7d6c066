//! What heads of requests and responses have in common: their bounds, their end, their lines.

use super::invalid::Invalid;

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

/// Turns httparse's answer into ours; an incomplete head beyond the limit is refused instead of read on.
pub(super) fn complete(
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
pub(super) fn strict_lines(head: &[u8]) -> Result<(), Invalid> {
    for at in memchr::memchr_iter(b'\n', head) {
        if at == 0 || head[at - 1] != b'\r' {
            return Err(Invalid::Malformed("a line does not end with CR LF"));
        }
    }
    Ok(())
}
