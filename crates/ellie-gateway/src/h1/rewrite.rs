//! The head that goes to the other side: runs of the received bytes, without what ends here, with what is added here.

use super::field::{Field, Name, list};
use super::request::Request;
use super::response::Response;
use super::transfer::Coding;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// What the gateway adds to a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The client's address.
    pub client: IpAddr,
    /// Whether the client is a trusted proxy, whose `X-Forwarded-*` and `Forwarded` are believed.
    pub trusted: bool,
    /// Whether the client's connection is encrypted.
    pub tls: bool,
    /// The request's id: sent by the client or made here.
    pub request_id: &'a [u8],
    /// The target for the upstream.
    pub target: &'a [u8],
    /// The authority where the client sent none (HTTP/1.0): the upstream's own.
    pub fallback_host: &'a [u8],
}

/// What the gateway adds to a response.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseContext<'a> {
    /// Whether the client speaks HTTP/1.0.
    pub client_minor: u8,
    /// Whether the client's connection is closed after it.
    pub close: bool,
    /// How the body that follows is written; `None` where none follows.
    pub coding: Option<Coding>,
    /// A whole `Date` line, for an answer that came without.
    pub date: &'a [u8],
    /// Whole field lines to add, each with its CR LF.
    pub extra: &'a [u8],
    /// The request's id.
    pub request_id: &'a [u8],
}

/// The pseudonym in `Via`.
const VIA: &[u8] = b"Via: 1.1 ellie\r\n";

/// Whether an id sent by a client is fit to be logged and passed on.
#[must_use]
pub fn is_sane_request_id(id: &[u8]) -> bool {
    (1..=128).contains(&id.len()) && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(b))
}

/// Copies the lines of `fields` for which `keep` is true, neighbouring ones in one piece. `end` is where the last line
/// ends, before the empty line.
fn copy_lines(
    buf: &[u8],
    fields: &[Field],
    end: usize,
    out: &mut Vec<u8>,
    mut keep: impl FnMut(&Field) -> bool,
) {
    let mut run: Option<usize> = None;
    for field in fields {
        match (keep(field), run) {
            (true, None) => run = Some(field.name.start()),
            (false, Some(start)) => {
                out.extend_from_slice(buf.get(start..field.name.start()).unwrap_or_default());
                run = None;
            }
            _ => {}
        }
    }
    if let Some(start) = run {
        out.extend_from_slice(buf.get(start..end).unwrap_or_default());
    }
}

impl Request {
    /// Appends this request's head, for the upstream, to `out`. `length` is how many bytes of `buf` the head takes.
    pub fn write_upstream(&self, buf: &[u8], length: usize, context: &RequestContext<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method.get(buf));
        out.push(b' ');
        out.extend_from_slice(context.target);
        // An intermediary speaks its own version (RFC 9110, 2.5), whatever the client's.
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        let host = match self.authority.get(buf) {
            [] => context.fallback_host,
            authority => authority,
        };
        out.extend_from_slice(host);
        out.extend_from_slice(b"\r\n");
        let has_options = self.connection_has_nominations();
        copy_lines(buf, &self.fields, length - 2, out, |f| match f.known {
            Name::Other if !has_options => true,
            Name::Host | Name::XForwardedFor | Name::XForwardedHost | Name::XForwardedProto => false,
            Name::XRequestId | Name::XEllieExplain | Name::ProxyAuthorization | Name::MaxForwards => false,
            Name::Forwarded => context.trusted && !self.nominates(buf, f),
            Name::Expect => self.expects_continue,
            // What frames the message or guards it can't be taken away by nomination.
            Name::ContentLength | Name::TransferEncoding | Name::Authorization | Name::Via => true,
            known => !known.is_hop_by_hop() && !self.nominates(buf, f),
        });
        self.write_connection(buf, out);
        self.write_forwarded(buf, context, host, out);
        if let Some(n) = self.max_forwards(buf) {
            let _ = write!(out, "Max-Forwards: {}\r\n", n.saturating_sub(1));
        }
        out.extend_from_slice(b"X-Request-Id: ");
        out.extend_from_slice(context.request_id);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(if self.minor == 1 { VIA } else { b"Via: 1.0 ellie\r\n" });
        out.extend_from_slice(b"\r\n");
    }

    fn write_connection(&self, buf: &[u8], out: &mut Vec<u8>) {
        if self.upgrade {
            out.extend_from_slice(b"Connection: upgrade");
            if self.trailers {
                out.extend_from_slice(b", te\r\nTE: trailers");
            }
            for f in self.fields.iter().filter(|f| f.known == Name::Upgrade) {
                out.extend_from_slice(b"\r\nUpgrade: ");
                out.extend_from_slice(f.value.get(buf));
            }
            out.extend_from_slice(b"\r\n");
        } else if self.trailers {
            out.extend_from_slice(b"Connection: te\r\nTE: trailers\r\n");
        }
    }

    /// `X-Forwarded-*`: a trusted proxy's are carried on, anyone else's begin here.
    fn write_forwarded(&self, buf: &[u8], context: &RequestContext<'_>, host: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"X-Forwarded-For: ");
        let sent = |name: Name| context.trusted.then(|| self.known(buf, name)).flatten();
        if context.trusted {
            for f in
                self.fields.iter().filter(|f| f.known == Name::XForwardedFor && !f.value.get(buf).is_empty())
            {
                out.extend_from_slice(f.value.get(buf));
                out.extend_from_slice(b", ");
            }
        }
        write_ip(context.client, out);
        out.extend_from_slice(b"\r\nX-Forwarded-Proto: ");
        out.extend_from_slice(sent(Name::XForwardedProto).unwrap_or(if context.tls {
            b"https"
        } else {
            b"http"
        }));
        out.extend_from_slice(b"\r\nX-Forwarded-Host: ");
        out.extend_from_slice(sent(Name::XForwardedHost).unwrap_or(host));
        out.extend_from_slice(b"\r\n");
    }

    /// The value of `Max-Forwards`, where the method makes it count (RFC 9110, 7.6.2).
    #[must_use]
    pub fn max_forwards(&self, buf: &[u8]) -> Option<u32> {
        if !matches!(self.method.get(buf), b"OPTIONS" | b"TRACE") {
            return None;
        }
        std::str::from_utf8(self.known(buf, Name::MaxForwards)?).ok()?.parse().ok()
    }
}

impl Response {
    /// Appends this response's head, for the client, to `out`. `length` is how many bytes of `buf` the head takes.
    pub fn write_client(&self, buf: &[u8], length: usize, context: &ResponseContext<'_>, out: &mut Vec<u8>) {
        // An intermediary answers in its own version (RFC 9110, 2.5); an HTTP/1.0 client understands that.
        out.extend_from_slice(b"HTTP/1.1 ");
        let digits = [
            b'0' + (self.status / 100 % 10) as u8,
            b'0' + (self.status / 10 % 10) as u8,
            b'0' + (self.status % 10) as u8,
        ];
        out.extend_from_slice(&digits);
        out.push(b' ');
        out.extend_from_slice(self.reason.get(buf));
        out.extend_from_slice(b"\r\n");
        let has_options = self.connection_has_nominations();
        let switching = self.status == 101;
        // What may not have a body, or has none because of the request, can still tell the length of what it stands
        // for; 1xx and 204 can't (RFC 9112, 6.2).
        let tells_length = self.status >= 200 && self.status != 204;
        let mut has_date = false;
        copy_lines(buf, &self.fields, length - 2, out, |f| match f.known {
            Name::Other if !has_options => true,
            Name::Upgrade if switching => true,
            Name::XRequestId => context.request_id.is_empty(),
            Name::ContentLength => tells_length,
            Name::TransferEncoding => false,
            Name::Date => {
                has_date = true;
                true
            }
            Name::Via => true,
            known => !known.is_hop_by_hop() && !self.nominates(buf, f),
        });
        if switching {
            out.extend_from_slice(b"Connection: upgrade\r\n");
        } else if self.status >= 200 {
            if !has_date {
                out.extend_from_slice(context.date);
            }
            if context.coding == Some(Coding::Chunked) {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            if context.close {
                out.extend_from_slice(b"Connection: close\r\n");
            } else if context.client_minor == 0 {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
            }
            if !context.request_id.is_empty() {
                out.extend_from_slice(b"X-Request-Id: ");
                out.extend_from_slice(context.request_id);
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(context.extra);
        out.extend_from_slice(if self.minor == 1 { VIA } else { b"Via: 1.0 ellie\r\n" });
        out.extend_from_slice(b"\r\n");
    }
}

/// An address in digits; IPv4 in IPv6 clothes as IPv4. By hand for IPv4: formatting machinery costs more than the rest
/// of the head.
fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            for (i, octet) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                if octet >= 100 {
                    out.push(b'0' + octet / 100);
                }
                if octet >= 10 {
                    out.push(b'0' + octet / 10 % 10);
                }
                out.push(b'0' + octet % 10);
            }
        }
        IpAddr::V6(v6) => {
            let _ = write!(out, "{v6}");
        }
    }
}

/// The address of a hop: alone, or with a port or in brackets, as some proxies write it.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?;
    let ip = hop
        .parse()
        .or_else(|_| hop.parse().map(|with_port: SocketAddr| with_port.ip()))
        .ok()
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(ip.to_canonical())
}

/// The client's address behind trusted proxies: the rightmost one in `X-Forwarded-For` that is not itself trusted.
pub fn client_behind(
    request: &Request,
    buf: &[u8],
    peer: IpAddr,
    mut is_trusted: impl FnMut(IpAddr) -> bool,
) -> IpAddr {
    if !is_trusted(peer) {
        return peer;
    }
    let mut client = peer;
    for field in request.fields.iter().rev().filter(|f| f.known == Name::XForwardedFor) {
        let hops: Vec<&[u8]> = list(field.value.get(buf)).collect();
        for hop in hops.into_iter().rev() {
            let Some(ip) = address(hop) else { return client };
            client = ip;
            if !is_trusted(ip) {
                return client;
            }
        }
    }
    client
}
