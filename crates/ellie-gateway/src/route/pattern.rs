//! What a route compares: paths, hosts, header fields and query parameters.

use crate::matcher::path;
use ellie_core::Fault;
use ellie_core::model::excerpt;
use std::fmt;

/// The longest path pattern, in bytes.
pub(super) const MAX_PATH: usize = 1024;
/// The most segments of one: each may become a node of the index.
pub(super) const MAX_SEGMENTS: usize = 64;

/// `/users`, which is that path alone, or `/users/*`, which is `/users` and all below it by whole segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: String,
    fixed: usize,
    prefix: bool,
}

impl PathPattern {
    /// Checks and takes a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a fault of `field`.
    pub fn new(field: &str, text: &str) -> Result<Self, Fault> {
        let (fixed, prefix) = match text.strip_suffix("/*") {
            Some(fixed) => (fixed, true),
            None => (text, false),
        };
        if let Some(at) = fixed.find('*') {
            return Err(Fault::new(
                field,
                format!(
                    "`{}` has a `*` at character {}; a wildcard may only be the last segment, as in `/users/*`",
                    excerpt(text),
                    at + 1
                ),
            ));
        }
        if !(fixed.is_empty() && prefix) {
            check_path(field, fixed)?;
        }
        let mut scratch = Vec::new();
        let fixed = String::from_utf8_lossy(path::normalise(fixed.as_bytes(), &mut scratch)).into_owned();
        let text = if prefix { format!("{fixed}/*") } else { fixed.clone() };
        Ok(Self { text, fixed: fixed.len(), prefix })
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the star; empty for `/*`.
    #[must_use]
    pub fn fixed(&self) -> &str {
        &self.text[..self.fixed]
    }

    /// Whether it ends in a star.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// Whether a normalised path is one of its own.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        match path.strip_prefix(self.fixed().as_bytes()) {
            Some(b"") => true,
            Some(rest) => self.prefix && rest[0] == b'/',
            None => false,
        }
    }

    /// What the star matched in a path that matches, with the slash before it.
    #[must_use]
    pub fn rest<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        path.get(self.fixed..).unwrap_or_default()
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A path without a star: absolute, and something a client can send.
pub(super) fn check_path(field: &str, path: &str) -> Result<(), Fault> {
    let fault = |message: String| Err(Fault::new(field, message));
    if !path.starts_with('/') {
        return fault(format!("`{}` must begin with `/`", excerpt(path)));
    }
    if path.len() > MAX_PATH {
        return fault(format!("is {} bytes long; at most {MAX_PATH} are allowed", path.len()));
    }
    if path.split('/').count() > MAX_SEGMENTS + 1 {
        return fault(format!("has more than {MAX_SEGMENTS} segments"));
    }
    if let Some(c) = path.chars().find(|&c| !is_path_char(c)) {
        return fault(format!(
            "`{}` has the character `{}`, which a path can't have; percent-encode it",
            excerpt(path),
            c.escape_debug()
        ));
    }
    let broken = path.split('%').skip(1).any(|s| {
        let hex = s.as_bytes().get(..2);
        !hex.is_some_and(|h| h.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return fault(format!("`{}` has a `%` that is not followed by two hex digits", excerpt(path)));
    }
    if path.split('/').any(|s| path::is_dots(s.as_bytes())) {
        return fault(format!(
            "`{}` has a `.` or `..` segment; requests are matched after these are resolved",
            excerpt(path)
        ));
    }
    Ok(())
}

/// The characters of a path (RFC 3986, `pchar` and `/`).
fn is_path_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:@/".contains(c)
}

/// `api.example.com`, which is that host alone, or `*.example.com`, which is every host below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    text: String,
}

impl HostPattern {
    /// Checks and takes a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a fault of `field`.
    pub fn new(field: &str, text: &str) -> Result<Self, Fault> {
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        let name = lower.strip_prefix("*.").unwrap_or(lower);
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let address = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
        let good = match address {
            Some(ip) => name == lower && ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.len() <= 253 && name.split('.').all(label),
        };
        if good {
            return Ok(Self { text: lower.into() });
        }
        Err(Fault::new(
            field,
            format!(
                "`{}` is not a host: give a name such as `api.example.com` or `*.example.com`, without scheme and port",
                excerpt(text)
            ),
        ))
    }

    /// As it is written, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// For `*.example.com`, `example.com`.
    #[must_use]
    pub fn suffix(&self) -> Option<&str> {
        self.text.strip_prefix("*.")
    }

    /// Whether a host in lower case is one of its own.
    #[must_use]
    pub fn matches(&self, host: &[u8]) -> bool {
        match self.suffix() {
            None => host == self.text.as_bytes(),
            Some(suffix) => {
                host.strip_suffix(suffix.as_bytes()).is_some_and(|h| h.len() > 1 && h.ends_with(b"."))
            }
        }
    }

    /// 0 for one host; for many, the less the longer the pattern is.
    pub(super) fn breadth(&self) -> usize {
        self.suffix().map_or(0, |s| usize::MAX - 1 - s.len())
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A header field or query parameter that must be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Match {
    /// Which.
    pub name: String,
    /// Its exact value; `None`: any.
    pub value: Option<String>,
}

impl Match {
    /// Whether a value will do.
    #[must_use]
    pub fn accepts(&self, value: &[u8]) -> bool {
        self.value.as_ref().is_none_or(|own| own.as_bytes() == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_match_whole_segments() {
        let p = PathPattern::new("path", "/api/users/*").unwrap();
        for yes in ["/api/users", "/api/users/", "/api/users/1", "/api/users/1/2"] {
            assert!(p.matches(yes.as_bytes()), "{yes}");
        }
        for no in ["/api/users2", "/api/user", "/api", "/", "/api/users2/1"] {
            assert!(!p.matches(no.as_bytes()), "{no}");
        }
        let p = PathPattern::new("path", "/api/users").unwrap();
        assert!(p.matches(b"/api/users") && !p.matches(b"/api/users/"));
        assert!(PathPattern::new("path", "/*").unwrap().matches(b"/anything"));
    }

    #[test]
    fn patterns_that_no_request_could_match_are_refused() {
        for (path, part) in [
            ("", "begin with `/`"),
            ("users", "begin with `/`"),
            ("*", "wildcard"),
            ("/a/*/b", "character 4"),
            ("/a*", "wildcard"),
            ("/a/*b", "wildcard"),
            ("/a/**", "wildcard"),
            ("/a b", "` `"),
            ("/a?x=1", "`?`"),
            ("/a#x", "`#`"),
            ("/ä", "`ä`"),
            ("/{id}", "`{`"),
            ("/a%2", "hex"),
            ("/a/../b", "`..`"),
            ("/a/%2e/b", "`..`"),
            ("/a\u{0}", "\\0"),
        ] {
            let fault = PathPattern::new("path", path).unwrap_err();
            assert_eq!(fault.field, "path");
            assert!(fault.message.contains(part), "{path:?}: {fault}");
        }
        assert!(PathPattern::new("path", &format!("/{}", "a".repeat(1024))).is_err());
        assert_eq!(PathPattern::new("path", "/%75sers/*").unwrap().as_str(), "/users/*");
    }

    #[test]
    fn hosts_match_exactly_or_by_suffix() {
        let exact = HostPattern::new("host", "API.example.com.").unwrap();
        assert!(exact.matches(b"api.example.com") && !exact.matches(b"x.api.example.com"));
        let wide = HostPattern::new("host", "*.example.com").unwrap();
        assert!(wide.matches(b"a.example.com") && wide.matches(b"a.b.example.com"));
        assert!(!wide.matches(b"example.com") && !wide.matches(b".example.com"));
        assert!(!wide.matches(b"aexample.com"));
        assert!(HostPattern::new("host", "[::1]").is_ok());
        for bad in ["", "*", "a.*.com", "http://a", "a:80", "a b", "-a.com", "a..b", "[::g]", "*.[::1]"] {
            assert!(HostPattern::new("host", bad).is_err(), "{bad}");
        }
    }
}
