//! Reads an object field by field and notes every fault with its path; reading goes on after each.

use super::json::Value;
use ellie_core::Fault;
use ellie_core::model::{excerpt, limits};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

/// Faults told in one answer; what is beyond is counted.
const MAX_FAULTS: usize = 100;
/// Bytes of an operator's reason.
const MAX_REASON: usize = 256;

/// What is wrong with one body, in the order it was found.
#[derive(Debug, Default)]
pub(super) struct Faults {
    list: Vec<Fault>,
    more: usize,
}

impl Faults {
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.push(Fault::new(field, message));
    }

    pub(super) fn push(&mut self, fault: Fault) {
        if self.list.len() < MAX_FAULTS {
            self.list.push(fault);
        } else {
            self.more += 1;
        }
    }

    /// Adds the faults of a validation under `prefix`, except those of fields that are at fault already: a port that
    /// is a string was not read, and need not be called missing too.
    pub(super) fn merge(&mut self, prefix: &str, found: Vec<Fault>) {
        for fault in found {
            let field = format!("{prefix}{}", fault.field);
            if !self.list.iter().any(|f| f.field == field) {
                self.add(field, fault.message);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults, and how many more there were.
    pub(super) fn into_parts(self) -> (Vec<Fault>, usize) {
        (self.list, self.more)
    }
}

/// An object being read.
pub(super) struct Fields<'f> {
    prefix: String,
    values: BTreeMap<String, Value>,
    known: Vec<&'static str>,
    faults: &'f mut Faults,
}

impl<'f> Fields<'f> {
    /// Begins with `value`, whose path is `path` (empty for a whole body). Duplicate keys are noted.
    pub(super) fn of(value: Value, path: &str, faults: &'f mut Faults) -> Option<Self> {
        let Value::Object(pairs) = value else {
            let field = if path.is_empty() { "(body)" } else { path };
            faults.add(field, format!("must be an object, is {}", value.kind()));
            return None;
        };
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let mut values = BTreeMap::new();
        for (key, value) in pairs {
            match values.entry(key) {
                Entry::Occupied(first) => {
                    faults.add(format!("{prefix}{}", excerpt(first.key())), "is given more than once");
                }
                Entry::Vacant(place) => {
                    place.insert(value);
                }
            }
        }
        Some(Self { prefix, values, known: Vec::new(), faults })
    }

    /// The path of one of its fields.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Notes a fault of one of its fields.
    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        let path = self.path(key);
        self.faults.add(path, message);
    }

    /// Where faults go, to read an inner object.
    pub(super) fn faults(&mut self) -> &mut Faults {
        self.faults
    }

    /// A field of any kind; `null` counts as absent.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.given(key).filter(|v| *v != Value::Null)
    }

    /// A field of any kind, `null` included.
    pub(super) fn given(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.values.remove(key)
    }

    fn wrong<T>(&mut self, key: &str, wanted: &str, value: &Value) -> Option<T> {
        let is = match value {
            // 1e300 has three hundred digits.
            Value::Float(n) if n.abs() >= 1e21 => format!("{n:e}"),
            Value::Float(n) => n.to_string(),
            other => other.kind().to_owned(),
        };
        self.fault(key, format!("must be {wanted}, is {is}"));
        None
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            Value::String(s) => Some(s),
            other => self.wrong(key, "a string", &other),
        }
    }

    pub(super) fn integer(&mut self, key: &'static str) -> Option<i128> {
        match self.take(key)? {
            Value::Int(n) => Some(n),
            other => self.wrong(key, "an integer", &other),
        }
    }

    pub(super) fn integers(&mut self, key: &'static str) -> Option<Vec<i128>> {
        let items = self.array(key)?;
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            match item {
                Value::Int(n) => out.push(n),
                other => {
                    self.fault(&format!("{key}[{i}]"), format!("must be an integer, is {}", other.kind()));
                }
            }
        }
        Some(out)
    }

    pub(super) fn array(&mut self, key: &'static str) -> Option<Vec<Value>> {
        match self.take(key)? {
            Value::Array(items) => Some(items),
            other => self.wrong(key, "an array", &other),
        }
    }

    pub(super) fn strings(&mut self, key: &'static str) -> Vec<String> {
        let items = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong::<()>(key, "an array of strings", &other);
                return Vec::new();
            }
        };
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            match item {
                Value::String(s) => out.push(s),
                other => self.fault(&format!("{key}[{i}]"), format!("must be a string, is {}", other.kind())),
            }
        }
        out
    }

    /// A map of text; with `nulls`, a value may be `null`.
    pub(super) fn pairs(&mut self, key: &'static str, nulls: bool) -> BTreeMap<String, Option<String>> {
        let mut out = BTreeMap::new();
        let pairs = match self.take(key) {
            None => return out,
            Some(Value::Object(pairs)) => pairs,
            Some(other) => {
                self.wrong::<()>(key, "an object of strings", &other);
                return out;
            }
        };
        for (name, value) in pairs {
            let at = format!("{key}.{}", excerpt(&name));
            if out.contains_key(&name) {
                self.fault(&at, "is given more than once");
                continue;
            }
            match value {
                Value::String(s) => {
                    out.insert(name, Some(s));
                }
                Value::Null if nulls => {
                    out.insert(name, None);
                }
                other => self.fault(&at, format!("must be a string, is {}", other.kind())),
            }
        }
        out
    }

    /// A duration in integer milliseconds, within the bounds that all durations have.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let ms = self.integer(key)?;
        let (least, most) = (limits::SHORTEST.as_millis() as i128, limits::DURATION.as_millis() as i128);
        if (least..=most).contains(&ms) {
            return Some(Duration::from_millis(ms as u64));
        }
        let why = if ms < 0 {
            "a duration can't be negative".into()
        } else {
            format!("{least} to {most} is allowed")
        };
        self.fault(key, format!("is {ms} ms; {why}"));
        None
    }

    /// The `ttl` and `reason` that every operator call may carry.
    pub(super) fn ttl_and_reason(&mut self) -> (Option<Duration>, Option<String>) {
        let ttl = self.duration("ttl");
        let reason = self.string("reason");
        if let Some(r) = &reason {
            if r.len() > MAX_REASON {
                self.fault("reason", format!("is {} bytes long; at most {MAX_REASON} are allowed", r.len()));
            } else if r.chars().any(char::is_control) {
                self.fault("reason", format!("`{}` has a control character", excerpt(r)));
            }
        }
        (ttl, reason)
    }

    /// Notes every field that was not asked for.
    pub(super) fn finish(self) {
        for key in self.values.keys() {
            let hint = match nearest(key, &self.known) {
                Some(near) => format!("; did you mean `{near}`?"),
                None => format!("; known are {}", self.known.join(", ")),
            };
            self.faults
                .add(format!("{}{}", self.prefix, excerpt(key)), format!("is not a known field{hint}"));
        }
    }
}

/// The known word that `word` was probably meant to be.
pub(super) fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let plain =
        |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // A long key is no typing error, and comparing it would cost its length.
    let word = plain(word.get(..64).unwrap_or(word));
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(&word, &plain(k)), *k))
        .filter(|(distance, k)| *distance <= 1 + k.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::super::json::parse;
    use super::*;

    #[test]
    fn every_fault_has_its_path_and_reading_goes_on() {
        let body = br#"{"s":1,"s":2,"n":"x","f":1.5,"t":["a",3],"m":{"k":true,"k":1},"d":-5,"helthCheck":{},"zzz":1}"#;
        let mut faults = Faults::default();
        let mut fields = Fields::of(parse(body).unwrap(), "items[3]", &mut faults).unwrap();
        assert_eq!(fields.string("s"), None);
        assert_eq!(fields.integer("n"), None);
        assert_eq!(fields.integer("f"), None);
        assert_eq!(fields.strings("t"), ["a"]);
        assert!(fields.pairs("m", false).is_empty());
        assert_eq!(fields.duration("d"), None);
        assert_eq!(fields.take("healthCheck"), None);
        fields.finish();
        let told: Vec<String> = faults.into_parts().0.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "items[3].s: is given more than once",
                "items[3].s: must be a string, is a number",
                "items[3].n: must be an integer, is a string",
                "items[3].f: must be an integer, is 1.5",
                "items[3].t[1]: must be a string, is a number",
                "items[3].m.k: must be a string, is a boolean",
                "items[3].m.k: must be a string, is a number",
                "items[3].d: is -5 ms; a duration can't be negative",
                "items[3].helthCheck: is not a known field; did you mean `healthCheck`?",
                "items[3].zzz: is not a known field; known are s, n, f, t, m, d, healthCheck",
            ]
        );
    }

    #[test]
    fn the_number_of_faults_told_is_bounded() {
        let mut faults = Faults::default();
        for i in 0..1000 {
            faults.add(i.to_string(), "bad");
        }
        let (list, more) = faults.into_parts();
        assert_eq!((list.len(), more), (100, 900));
    }
}
