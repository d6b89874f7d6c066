//! Names that are safe in a URL path, a metric label, a log line and a file name.

use super::{Fault, excerpt};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest service name or instance id, in bytes.
pub const MAX_NAME: usize = 128;

/// Names that are path segments of the API and so can't be services.
pub const RESERVED_NAMES: [&str; 4] = ["health", "stats", "batch", "watch"];

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// A service's name: 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit, none of the reserved.
    ServiceName
}
name_type! {
    /// An instance's id, unique in its service: 1 to 128 of `A-Z a-z 0-9 . _ : -`, beginning with a letter or digit.
    InstanceId
}

impl ServiceName {
    /// Checks and takes a name; the fault names the field `name`.
    pub fn new(s: &str) -> Result<Self, Fault> {
        check("name", s, false)?;
        if RESERVED_NAMES.contains(&s) {
            return Err(Fault::new(
                "name",
                format!("`{s}` is reserved: it is a path of the API; choose another name"),
            ));
        }
        Ok(Self(s.into()))
    }
}

impl InstanceId {
    /// Checks and takes an id; the fault names the field `id`.
    pub fn new(s: &str) -> Result<Self, Fault> {
        check("id", s, true)?;
        Ok(Self(s.into()))
    }
}

fn check(field: &str, s: &str, colon: bool) -> Result<(), Fault> {
    let extra = if colon { ". _ : -" } else { ". _ -" };
    if s.is_empty() {
        return Err(Fault::new(field, "must not be empty"));
    }
    if s.len() > MAX_NAME {
        return Err(Fault::new(field, format!("is {} bytes long; at most {MAX_NAME} are allowed", s.len())));
    }
    if let Some(c) = s
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') || (colon && *c == ':')))
    {
        return Err(Fault::new(
            field,
            format!(
                "`{}` has the character `{}`; letters, digits and {extra} are allowed",
                excerpt(s),
                c.escape_debug()
            ),
        ));
    }
    if !s.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Fault::new(field, format!("`{}` must begin with a letter or a digit", excerpt(s))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_with_the_reason() {
        for (name, part) in [
            ("", "empty"),
            ("a/b", "`/`"),
            ("-a", "begin"),
            ("a b", "` `"),
            ("a\u{7}", "\\u{7}"),
            ("health", "reserved"),
            ("watch", "reserved"),
            ("é", "character"),
        ] {
            let fault = ServiceName::new(name).unwrap_err();
            assert_eq!(fault.field, "name");
            assert!(fault.message.contains(part), "{name:?}: {fault}");
        }
        assert!(ServiceName::new(&"a".repeat(129)).unwrap_err().message.contains("129 bytes"));
        assert!(ServiceName::new("user-service.v2_x").is_ok());
        assert!(InstanceId::new("10.0.0.1:80").is_ok());
        assert!(InstanceId::new("health").is_ok(), "only service names share a path with the API's words");
    }
}
