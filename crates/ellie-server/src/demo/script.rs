//! What goes wrong in the demo and when: the same every round, so that it can be talked about while it runs.

use std::time::Duration;

/// One thing that the script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Every instance of payments answers 500: its breaker opens.
    PaymentsFail,
    /// Payments works again: the breaker's probes find out.
    PaymentsRecover,
    /// One of users answers 40 times slower: the balancer turns away from it.
    UsersSlow,
    /// It is fast again.
    UsersFast,
    /// One of orders crashes: connections fail, checks fail, traffic goes to the other.
    OrdersCrash,
    /// It comes back.
    OrdersReturn,
}

impl Act {
    /// What is going on after it, for the screen.
    pub(super) fn caption(self) -> &'static str {
        match self {
            Self::PaymentsFail => "payments answers every request with 500 (seeded): watch its breaker open",
            Self::PaymentsRecover => "payments works again: the breaker lets probes through, then closes",
            Self::UsersSlow => "users-3 became 40 times slower: watch the balancer turn away from it",
            Self::UsersFast => "users-3 is fast again: small trials find out, its share returns",
            Self::OrdersCrash => "orders-2 crashed: its requests are retried on orders-1, its checks fail",
            Self::OrdersReturn => "orders-2 is back: its first passing check brings it traffic",
        }
    }
}

/// A round, as (seconds since its start, act).
const ROUND: [(f64, Act); 6] = [
    (3.0, Act::PaymentsFail),
    (6.0, Act::PaymentsRecover),
    (14.0, Act::UsersSlow),
    (21.0, Act::UsersFast),
    (26.0, Act::OrdersCrash),
    (33.0, Act::OrdersReturn),
];

/// How long a round is.
const LENGTH: f64 = 40.0;

/// The acts whose time lies in `from..to`, both since the start of the demo.
pub(super) fn between(from: Duration, to: Duration) -> Vec<Act> {
    let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
    let first = (from / LENGTH) as u64;
    let last = (to / LENGTH) as u64;
    (first..=last)
        .flat_map(|round| ROUND.map(|(at, act)| (round as f64 * LENGTH + at, act)))
        .filter(|(at, _)| (from..to).contains(at))
        .map(|(_, act)| act)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_comes_once_a_round_however_the_time_is_cut() {
        let mut all = Vec::new();
        for tenth in 0..800 {
            all.extend(between(Duration::from_millis(tenth * 100), Duration::from_millis((tenth + 1) * 100)));
        }
        let round = ROUND.map(|(_, act)| act);
        assert_eq!(all, [round, round].concat());
    }

    #[test]
    fn the_breaker_has_time_to_open_and_recover_within_twenty_seconds() {
        let acts = between(Duration::ZERO, Duration::from_secs(7));
        assert_eq!(acts, [Act::PaymentsFail, Act::PaymentsRecover]);
    }
}
