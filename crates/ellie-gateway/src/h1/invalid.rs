//! Why a head is refused, and with which status.

use std::fmt;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It is not HTTP/1.x, or could be read in two ways.
    Malformed(&'static str),
    /// It is longer than allowed.
    HeadTooLarge,
    /// It has more fields than allowed.
    TooManyFields,
    /// Its target is longer than allowed.
    TargetTooLong,
    /// Its major version is not 1.
    Version,
    /// It expects what nobody here can do.
    Expectation,
    /// It asks for something that is not implemented.
    NotImplemented(&'static str),
}

impl Invalid {
    /// The status that answers a request of this kind.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::TargetTooLong => 414,
            Self::Version => 505,
            Self::Expectation => 417,
            Self::NotImplemented(_) => 501,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(why) | Self::NotImplemented(why) => why,
            Self::HeadTooLarge => "the head is too large",
            Self::TooManyFields => "there are too many header fields",
            Self::TargetTooLong => "the request target is too long",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Self::Expectation => "the only expectation that is understood is 100-continue",
        })
    }
}

impl std::error::Error for Invalid {}
