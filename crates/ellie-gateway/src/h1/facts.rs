//! What the fields of a head say together: framing, the connection, the host.

use super::field::{Field, Name, Span, list};
use super::invalid::Invalid;

/// What the fields say together.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) transfer_encoding: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade_nominated: bool,
    pub(super) te_nominated: bool,
    pub(super) hosts: usize,
    pub(super) host: Span,
    pub(super) upgrade: bool,
    pub(super) expects_continue: bool,
    pub(super) expects_other: bool,
    pub(super) trailers: bool,
}

pub(super) fn take_fields(
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
pub(super) fn is_authority(value: &[u8]) -> bool {
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

/// Whether `names` has the name of `field`.
pub(super) fn nominated(names: &[Span], buf: &[u8], field: &Field) -> bool {
    !names.is_empty() && names.iter().any(|n| n.get(buf).eq_ignore_ascii_case(field.name.get(buf)))
}
