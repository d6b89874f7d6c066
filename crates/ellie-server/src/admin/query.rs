//! Query strings, as strict as bodies: unknown, repeated and unreadable parameters are refused.

use super::fields::nearest;
use super::problem::Error;
use ellie_api::FieldError;
use ellie_api::problem::kind;
use ellie_core::model::excerpt;
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// The parameters of one request.
#[derive(Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
    faults: Vec<FieldError>,
}

impl Query {
    /// Splits and decodes a query string.
    pub(super) fn new(query: Option<&str>) -> Self {
        let mut out = Self::default();
        for pair in query.unwrap_or_default().split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |s: &str| percent_decode_str(&s.replace('+', " ")).decode_utf8().map(Into::into);
            match (decode(name), decode(value)) {
                (Ok(name), Ok(value)) => out.pairs.push((name, value)),
                _ => out.fault(&excerpt(name), "is not UTF-8 after percent-decoding"),
            }
        }
        out
    }

    fn fault(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(FieldError { field: field.into(), message: message.into() });
    }

    /// All values of a parameter that may be repeated.
    pub(super) fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.push(name);
        let (mine, rest) = std::mem::take(&mut self.pairs).into_iter().partition(|(n, _)| n == name);
        self.pairs = rest;
        mine.into_iter().map(|(_, v): (String, String)| v).collect()
    }

    /// The value of a parameter that is given once at most.
    pub(super) fn one(&mut self, name: &'static str) -> Option<String> {
        let mut all = self.all(name);
        if all.len() > 1 {
            self.fault(name, "is given more than once");
        }
        (!all.is_empty()).then(|| all.swap_remove(0))
    }

    pub(super) fn number(&mut self, name: &'static str) -> Option<u64> {
        let text = self.one(name)?;
        let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        if number.is_none() {
            self.fault(name, format!("`{}` is not a whole number", excerpt(&text)));
        }
        number
    }

    /// `true` or `false`; the bare name means true.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        match self.one(name).as_deref() {
            None | Some("false") => false,
            Some("true" | "") => true,
            Some(other) => {
                self.fault(name, format!("`{}` is not true or false", excerpt(other)));
                false
            }
        }
    }

    /// A duration such as `30s`, or an integer in milliseconds.
    pub(super) fn duration(&mut self, name: &'static str) -> Option<Duration> {
        let text = self.one(name)?;
        let parsed = match text.parse::<u64>() {
            Ok(ms) => Some(Duration::from_millis(ms)),
            Err(_) => humantime::parse_duration(&text).ok(),
        };
        if parsed.is_none() {
            self.fault(
                name,
                format!("`{}` is not a duration such as `30s`, or milliseconds", excerpt(&text)),
            );
        }
        parsed
    }

    /// One of a few words.
    pub(super) fn choice(&mut self, name: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let text = self.one(name)?;
        let found = words.iter().find(|w| w.eq_ignore_ascii_case(&text)).copied();
        if found.is_none() {
            self.fault(name, format!("`{}` is not one of {}", excerpt(&text), words.join(", ")));
        }
        found
    }

    /// Ends reading; what was not asked for is unknown.
    ///
    /// # Errors
    /// 400 [`kind::INVALID_QUERY`] with every fault.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        for (name, _) in std::mem::take(&mut self.pairs).into_iter().take(20) {
            let hint = match nearest(&name, &self.known) {
                Some(near) => format!("; did you mean `{near}`?"),
                None if self.known.is_empty() => "; this call takes none".into(),
                None => format!("; known are {}", self.known.join(", ")),
            };
            self.fault(&excerpt(&name), format!("is not a known parameter{hint}"));
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        Err(Error::new(kind::INVALID_QUERY, "the query string has faults").with_errors(self.faults))
    }
}
