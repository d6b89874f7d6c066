//! Paths as they are compared: RFC 3986 section 6.2.2, so that `/api/../admin` and `/%61dmin` are the `/admin` that
//! the service behind will take them for, and can't slip past a route.

/// The normal form of a path: percent-encoded unreserved characters decoded, other escapes in capitals, percent signs
/// that begin no escape escaped, dot segments resolved. A path that is normal already, as nearly all are, is returned as it is; `scratch` is used otherwise.
#[must_use]
pub fn normalise<'a>(path: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if is_normal(path) {
        return path;
    }
    scratch.clear();
    decode(path, scratch);
    resolve_dots(scratch);
    scratch
}

/// Whether [`normalise`] would change nothing; it may also say no where it would not.
#[must_use]
pub fn is_normal(path: &[u8]) -> bool {
    memchr::memchr(b'%', path).is_none() && memchr::memmem::find(path, b"/.").is_none()
}

/// `.` or `..`, plain or percent-encoded.
#[must_use]
pub fn is_dots(segment: &[u8]) -> bool {
    let dots = dots(segment);
    dots == Some(1) || dots == Some(2)
}

/// How many dots a segment is made of; `None` where it has anything else.
fn dots(mut segment: &[u8]) -> Option<usize> {
    let mut n = 0;
    while !segment.is_empty() {
        segment = match segment {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return None,
        };
        n += 1;
    }
    Some(n)
}

fn decode(path: &[u8], out: &mut Vec<u8>) {
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let escaped = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| h << 4 | l),
            _ => None,
        };
        let Some(decoded) = escaped else {
            // A percent sign that begins no escape stands for itself. Left as it is, it could become one with what is
            // decoded behind it: `%2%65` would be `%2e`, a dot to the service behind and none to the routes.
            let literal: &[u8] = if byte == b'%' { b"%25" } else { &[byte] };
            out.extend_from_slice(literal);
            continue;
        };
        if decoded.is_ascii_alphanumeric() || b"-._~".contains(&decoded) {
            out.push(decoded);
        } else {
            out.extend([b'%', after[0].to_ascii_uppercase(), after[1].to_ascii_uppercase()]);
        }
        rest = &after[2..];
    }
}

pub(super) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|d| d as u8)
}

/// RFC 3986, 5.2.4, in place; the path is absolute.
fn resolve_dots(path: &mut Vec<u8>) {
    let (mut read, mut write) = (0, 0);
    while read < path.len() {
        let end = path[read + 1..].iter().position(|&b| b == b'/').map_or(path.len(), |i| read + 1 + i);
        let last = end == path.len();
        match &path[read + 1..end] {
            b"." => {}
            b".." => write = path[..write].iter().rposition(|&b| b == b'/').unwrap_or(0),
            _ => {
                path.copy_within(read..end, write);
                write += end - read;
                read = end;
                continue;
            }
        }
        if last {
            path[write] = b'/';
            write += 1;
        }
        read = end;
    }
    path.truncate(write);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> String {
        let mut scratch = Vec::new();
        String::from_utf8(normalise(path.as_bytes(), &mut scratch).to_vec()).unwrap()
    }

    #[test]
    fn what_is_equivalent_becomes_equal() {
        for (path, expected) in [
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/%2e%2e%2fb", "/a/..%2Fb"),
            ("/%61dmin", "/admin"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%zz", "/a%25zz"),
            ("/a%2", "/a%252"),
            ("/a%", "/a%25"),
            ("/a/%2%65%2%65/b", "/a/%252e%252e/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a/...", "/a/..."),
            ("/a//../b", "/a/b"),
            ("//", "//"),
            ("/", "/"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(normal(path), expected, "{path}");
            assert_eq!(normal(expected), expected, "once more: {path}");
        }
    }
}
