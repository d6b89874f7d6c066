//! JSON as it came: duplicate keys and the kind of every value are kept, so that whoever reads it can name each fault
//! by its path instead of stopping at the first.

use super::problem::Error;
use ellie_api::problem::kind;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A JSON value. Objects keep their order and their duplicates.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// Any number without a fractional part that fits; `1e3` and `5.0` are integers, as JSON means them.
    Int(i128),
    Float(f64),
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// What it is, for an error message.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(Value::Bool(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        // Every integer up to 2^100 that a double holds converts to i128 without loss.
        let is_integer = n.fract() == 0.0 && n.abs() <= 2_f64.powi(100);
        Ok(if is_integer { Value::Int(n as i128) } else { Value::Float(n) })
    }

    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(Value::String(s.to_owned()))
    }

    fn visit_string<E>(self, s: String) -> Result<Value, E> {
        Ok(Value::String(s))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Value::Object(pairs))
    }
}

/// Parses a whole body. Nesting is limited to 127 levels by the parser.
///
/// # Errors
/// 400 [`kind::MALFORMED_JSON`] with line and column.
pub(super) fn parse(body: &[u8]) -> Result<Value, Error> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(kind::MALFORMED_JSON, "the body is empty; send a JSON object"));
    }
    serde_json::from_slice(body).map_err(|e| {
        let text = e.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        Error::new(kind::MALFORMED_JSON, format!("line {}, column {}: {what}", e.line(), e.column()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_and_number_kinds_are_kept() {
        let value =
            parse(br#"{"a":1,"a":2.5,"b":1e3,"c":-7,"d":99999999999999999999,"e":[null,true,"x"]}"#).unwrap();
        let Value::Object(pairs) = value else { panic!("{value:?}") };
        assert_eq!(pairs[0], ("a".into(), Value::Int(1)));
        assert_eq!(pairs[1], ("a".into(), Value::Float(2.5)));
        assert_eq!(pairs[2].1, Value::Int(1000));
        assert_eq!(pairs[3].1, Value::Int(-7));
        assert_eq!(pairs[4].1, Value::Int(100_000_000_000_000_000_000));
        assert_eq!(pairs[5].1, Value::Array(vec![Value::Null, Value::Bool(true), Value::String("x".into())]));
    }

    #[test]
    fn malformed_json_is_told_with_its_place() {
        for (body, place) in [
            ("{\n  \"name\": }", "line 2, column 11"),
            ("", "empty"),
            (" \n", "empty"),
            ("{\"a\":1} x", "line 1, column 9"),
            ("{\"a\":01}", "line 1, column 7"),
            ("{\"a\":\"\u{1}\"}", "line 1"),
            ("{'a':1}", "line 1, column 2"),
            ("{\"a\":1e999}", "line 1"),
        ] {
            let problem = parse(body.as_bytes()).unwrap_err().into_problem();
            assert_eq!((problem.kind.as_str(), problem.status), (kind::MALFORMED_JSON, 400), "{body:?}");
            assert!(problem.detail.as_deref().unwrap_or_default().contains(place), "{body:?}: {problem}");
        }
        let deep = "[".repeat(10_000);
        assert!(parse(deep.as_bytes()).unwrap_err().into_problem().to_string().contains("recursion"));
        assert_eq!(parse(b"\"\xff\"").unwrap_err().into_problem().status, 400);
    }
}
