//! What is wrong with a configuration: all of it, in the order of the file.

use super::origin::Origin;
use std::fmt;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub origin: Origin,
    /// The key, such as `gateway.listen` or `routes[2].path`; empty for a fault of syntax.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// All faults of a configuration; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Puts faults in the order in which a person mends them: the file from top to bottom, then the environment,
    /// then flags. `None` where there are none.
    pub(super) fn new(mut faults: Vec<Fault>) -> Option<Self> {
        let place = |fault: &Fault| match &fault.origin {
            Origin::File { line, column, .. } => (0, *line, *column, String::new()),
            Origin::Env(name) => (1, 0, 0, name.clone()),
            Origin::Flag(name) => (2, 0, 0, name.clone()),
            Origin::Default => (3, 0, 0, String::new()),
        };
        faults.sort_by_key(place);
        faults.dedup();
        (!faults.is_empty()).then_some(Self(faults))
    }

    pub(super) fn one(origin: Origin, message: impl Into<String>) -> Self {
        Self(vec![Fault { origin, key: String::new(), message: message.into() }])
    }

    /// The faults.
    #[must_use]
    pub fn all(&self) -> &[Fault] {
        &self.0
    }
}

/// One fault a line.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
