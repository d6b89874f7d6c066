//! Query parameters, decoded while they are compared.

use super::path::hex;
use crate::route::Match;

/// Whether `query` has the parameter.
#[must_use]
pub fn has(query: &[u8], wanted: &Match) -> bool {
    query.split(|&b| b == b'&').filter(|pair| !pair.is_empty()).any(|pair| {
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        equal(name, wanted.name.as_bytes())
            && wanted.value.as_ref().is_none_or(|wanted| equal(value, wanted.as_bytes()))
    })
}

/// Compares an encoded text with a plain one (`application/x-www-form-urlencoded`: plus is a space).
fn equal(mut encoded: &[u8], plain: &[u8]) -> bool {
    for &expected in plain {
        let byte = match encoded {
            [b'+', rest @ ..] => {
                encoded = rest;
                b' '
            }
            [b'%', high, low, rest @ ..] => match hex(*high).zip(hex(*low)) {
                Some((h, l)) => {
                    encoded = rest;
                    h << 4 | l
                }
                None => {
                    encoded = &encoded[1..];
                    b'%'
                }
            },
            [byte, rest @ ..] => {
                encoded = rest;
                *byte
            }
            [] => return false,
        };
        if byte != expected {
            return false;
        }
    }
    encoded.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_decoded() {
        let wanted =
            |name: &str, value: Option<&str>| Match { name: name.into(), value: value.map(Into::into) };
        let q = b"a=1&b=x%20y&c&d=%2B+&=e&f=a=b&g=%zz";
        assert!(has(q, &wanted("a", Some("1"))) && has(q, &wanted("a", None)));
        assert!(has(q, &wanted("b", Some("x y"))) && has(q, &wanted("d", Some("+ "))));
        assert!(has(q, &wanted("c", None)) && has(q, &wanted("c", Some(""))));
        assert!(has(q, &wanted("f", Some("a=b"))) && has(q, &wanted("g", Some("%zz"))));
        assert!(!has(q, &wanted("e", None)) && !has(q, &wanted("a", Some("12"))));
        assert!(!has(b"", &wanted("a", None)) && has(b"a=2&a=1", &wanted("a", Some("1"))));
    }
}
