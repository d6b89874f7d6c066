//! A response's head: from received bytes to ranges and a verdict about framing.

use super::body::Framing;
use super::facts::{nominated, take_fields};
use super::field::{Field, Span};
use super::head::{Limits, MAX_FIELDS, Parsed, complete, strict_lines};
use super::invalid::Invalid;
use std::mem::MaybeUninit;

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

    /// Whether `Connection` names anything beyond the well-known.
    pub(super) fn connection_has_nominations(&self) -> bool {
        !self.nominated.is_empty()
    }
}
