//! How a try ended, and why there was none.

use ellie_core::ServiceName;
use ellie_policy::{balance, breaker};
use std::fmt;
use std::time::Duration;

/// How one try at an instance ended. A client that went away is none of these: drop the [`super::Attempt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status code.
    Status(u16),
    /// No connection could be made.
    ConnectFailed,
    /// It did not answer in time.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Reset,
}

impl Outcome {
    /// For the balancer, 5xx and 429 are failures: both say "not here, not now".
    #[must_use]
    pub fn for_balancer(self) -> balance::Outcome {
        match self {
            Self::Status(429 | 500..) | Self::ConnectFailed | Self::Reset => balance::Outcome::Failure,
            Self::Timeout => balance::Outcome::Timeout,
            Self::Status(_) => balance::Outcome::Success,
        }
    }

    /// For the breaker, errors, timeouts and 5xx are failures; 429 is neither: the service works, for others.
    #[must_use]
    pub fn for_breaker(self) -> breaker::Outcome {
        match self {
            Self::Status(500..) | Self::ConnectFailed | Self::Timeout | Self::Reset => {
                breaker::Outcome::Failure
            }
            Self::Status(429) => breaker::Outcome::Ignored,
            Self::Status(_) => breaker::Outcome::Success,
        }
    }

    /// For outlier ejection, what a gateway in front would call a failure: no answer, or 502, 503, 504.
    #[must_use]
    pub fn is_gateway_failure(self) -> bool {
        matches!(self, Self::Status(502..=504) | Self::ConnectFailed | Self::Timeout | Self::Reset)
    }

    /// The status code that the client sees where this is all there is to tell.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Status(code) => code,
            Self::Timeout => 504,
            Self::ConnectFailed | Self::Reset => 502,
        }
    }
}

impl From<balance::Outcome> for Outcome {
    /// For users of the library, who speak whatever they like with the instance.
    fn from(outcome: balance::Outcome) -> Self {
        match outcome {
            balance::Outcome::Success | balance::Outcome::Cancelled => Self::Status(200),
            balance::Outcome::Failure => Self::Reset,
            balance::Outcome::Timeout => Self::Timeout,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "status {code}"),
            Self::ConnectFailed => f.write_str("connection failed"),
            Self::Timeout => f.write_str("timeout"),
            Self::Reset => f.write_str("connection broke"),
        }
    }
}

/// Why a request gets no instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody has registered the service.
    UnknownService {
        /// Its name.
        service: ServiceName,
    },
    /// None of its instances may be sent traffic.
    NoInstance {
        /// Its name.
        service: ServiceName,
        /// How many there are and what is with them, for people.
        detail: String,
    },
    /// Its breaker doesn't let the request through.
    BreakerOpen {
        /// Its name.
        service: ServiceName,
        /// Open, forced open, or half-open with all probes under way.
        reason: breaker::Reason,
        /// When asking again may help.
        retry_after: Option<Duration>,
    },
    /// Every instance that may be sent traffic has been tried for this request.
    AllTried {
        /// Its name.
        service: ServiceName,
    },
    /// So much is being retried already that more would make matters worse.
    BudgetSpent {
        /// Its name.
        service: ServiceName,
    },
}

impl Refusal {
    /// The service it is about.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        match self {
            Self::UnknownService { service }
            | Self::NoInstance { service, .. }
            | Self::BreakerOpen { service, .. }
            | Self::AllTried { service }
            | Self::BudgetSpent { service } => service,
        }
    }

    /// When asking again may help, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BreakerOpen { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownService { service } => {
                write!(f, "no instance of the service `{service}` is registered")
            }
            Self::NoInstance { service, detail } => {
                write!(f, "no instance of the service `{service}` can be sent traffic: {detail}")
            }
            Self::BreakerOpen { service, reason, .. } => {
                let how = match reason {
                    breaker::Reason::Open => "is open: too many calls failed",
                    breaker::Reason::HalfOpenFull => {
                        "is half-open and as many probes as allowed are under way"
                    }
                    breaker::Reason::ForcedOpen => "is held open by an operator",
                };
                write!(f, "the circuit breaker of the service `{service}` {how}")
            }
            Self::AllTried { service } => {
                write!(f, "every instance of the service `{service}` that gets traffic has been tried")
            }
            Self::BudgetSpent { service } => {
                write!(f, "the retry budget of the service `{service}` is spent")
            }
        }
    }
}

impl std::error::Error for Refusal {}
