//! Rate limits of routes, and the header fields that tell clients about them (draft-ietf-httpapi-ratelimit-headers,
//! structured fields).

use crate::matcher::Fields;
use crate::route::{RateKey, RateLimit};
use ellie_policy::rate_limit::{Config, Decision, RateLimiter};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The name of the one policy that a route has.
const POLICY: &str = "default";

/// A route's limiter: lives as long as the route has this limit, whatever tables come and go.
#[derive(Debug)]
pub struct Limiter {
    limit: RateLimit,
    limiter: RateLimiter,
    /// How many leading bits of an IPv6 address make one client.
    ipv6_prefix: u8,
}

impl Limiter {
    /// What one customer of an access provider is given at least (RFC 6177): whoever has it has all its 2^64
    /// addresses, so counting them one by one would limit nobody.
    pub const IPV6_PREFIX: u8 = 64;

    /// A limiter that has seen nobody. It remembers up to 65,536 clients; IPv6 clients that share `ipv6_prefix` leading
    /// bits of their address are one.
    #[must_use]
    pub fn new(limit: RateLimit, ipv6_prefix: u8) -> Self {
        let max_keys = if limit.key == RateKey::Global { 1 } else { 65_536 };
        let config = Config { max_keys, ..Config::new(limit.max, limit.window) };
        Self { limiter: RateLimiter::new(&config), limit, ipv6_prefix }
    }

    /// What it enforces.
    #[must_use]
    pub fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// How many leading bits of an IPv6 address make one client.
    #[must_use]
    pub fn ipv6_prefix(&self) -> u8 {
        self.ipv6_prefix
    }

    /// Counts a request and says whether it may pass.
    pub fn check(&self, client: IpAddr, fields: &dyn Fields, now: Instant) -> Verdict {
        let key = match &self.limit.key {
            RateKey::Global => self.limiter.key(b"g"),
            RateKey::Client => self.client(client),
            RateKey::Header(name) => match fields.get(name) {
                // A prefix keeps values and addresses apart.
                Some(value) => self.limiter.key(value),
                None => self.client(client),
            },
        };
        let decision = self.limiter.check(key, now);
        Verdict { allowed: decision.allowed, decision, window: self.limit.window }
    }

    fn client(&self, client: IpAddr) -> ellie_policy::rate_limit::Key {
        match client.to_canonical() {
            IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()).into(),
            IpAddr::V6(v6) => {
                let rest = 128_u32.saturating_sub(self.ipv6_prefix.into());
                // No prefix at all: every IPv6 client is the same one.
                let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
                (u128::from(v6) & mask).into()
            }
        }
    }
}

/// Whether a request may pass, and what its client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may.
    pub allowed: bool,
    /// The figures.
    pub decision: Decision,
    window: Duration,
}

impl Verdict {
    /// The window of the limit.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }

    /// If not: when it may.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.decision.retry_after
    }

    /// Writes the fields `RateLimit` and `RateLimit-Policy`, each with its line end. `Retry-After` goes with the
    /// problem that refuses the request.
    pub fn write_fields(&self, out: &mut Vec<u8>) {
        let Decision { limit, remaining, reset_after, retry_after, .. } = self.decision;
        // When refused, what matters is when the next one may pass.
        let reset = seconds(retry_after.unwrap_or(reset_after));
        out.extend_from_slice(b"RateLimit: \"");
        out.extend_from_slice(POLICY.as_bytes());
        out.extend_from_slice(b"\";r=");
        number(out, remaining.into());
        out.extend_from_slice(b";t=");
        number(out, reset);
        out.extend_from_slice(b"\r\nRateLimit-Policy: \"");
        out.extend_from_slice(POLICY.as_bytes());
        out.extend_from_slice(b"\";q=");
        number(out, limit.into());
        out.extend_from_slice(b";w=");
        number(out, seconds(self.window));
        out.extend_from_slice(b"\r\n");
    }
}

/// Whole seconds, rounded up.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Decimal digits, without allocating.
fn number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn limiter(max: u32, window_ms: u64, key: RateKey) -> Limiter {
        Limiter::new(RateLimit { window: Duration::from_millis(window_ms), max, key }, Limiter::IPV6_PREFIX)
    }

    fn fields(verdict: Verdict) -> String {
        let mut out = Vec::new();
        verdict.write_fields(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn none() -> [(String, String); 0] {
        []
    }

    #[test]
    fn the_fields_are_exact() {
        let limiter = limiter(2, 60_000, RateKey::Client);
        let now = ellie_core::Now::read().instant;
        let check = |at: Duration| limiter.check(CLIENT, &none().as_slice(), now + at);
        assert_eq!(
            fields(check(Duration::ZERO)),
            "RateLimit: \"default\";r=1;t=30\r\nRateLimit-Policy: \"default\";q=2;w=60\r\n"
        );
        assert_eq!(
            fields(check(Duration::ZERO)),
            "RateLimit: \"default\";r=0;t=60\r\nRateLimit-Policy: \"default\";q=2;w=60\r\n"
        );
        let refused = check(Duration::from_millis(500));
        assert!(!refused.allowed);
        assert_eq!(refused.retry_after(), Some(Duration::from_millis(29_500)));
        assert_eq!(
            fields(refused),
            "RateLimit: \"default\";r=0;t=30\r\nRateLimit-Policy: \"default\";q=2;w=60\r\n"
        );
        assert!(check(Duration::from_secs(30)).allowed, "whoever waits as told is let through");
    }

    #[test]
    fn fractions_of_seconds_are_rounded_up() {
        let limiter = limiter(1, 1500, RateKey::Global);
        let now = ellie_core::Now::read().instant;
        assert!(limiter.check(CLIENT, &none().as_slice(), now).allowed);
        let refused = limiter.check(CLIENT, &none().as_slice(), now + Duration::from_millis(1400));
        assert_eq!(
            fields(refused),
            "RateLimit: \"default\";r=0;t=1\r\nRateLimit-Policy: \"default\";q=1;w=2\r\n"
        );
    }

    #[test]
    fn whose_requests_count_together_is_the_keys_to_say() {
        let now = ellie_core::Now::read().instant;
        let other: IpAddr = "10.0.0.2".parse().unwrap();
        let mapped: IpAddr = "::ffff:10.0.0.2".parse().unwrap();
        let key = |value: &str| [("X-Key".to_owned(), value.to_owned())];
        let by_client = limiter(1, 1000, RateKey::Client);
        assert!(by_client.check(CLIENT, &none().as_slice(), now).allowed);
        assert!(by_client.check(other, &none().as_slice(), now).allowed);
        assert!(
            !by_client.check(mapped, &none().as_slice(), now).allowed,
            "the same address in other clothes"
        );
        let by_header = limiter(1, 1000, RateKey::Header("x-key".into()));
        assert!(by_header.check(CLIENT, &key("a").as_slice(), now).allowed);
        assert!(by_header.check(CLIENT, &key("b").as_slice(), now).allowed);
        assert!(!by_header.check(other, &key("a").as_slice(), now).allowed);
        assert!(by_header.check(other, &none().as_slice(), now).allowed);
        assert!(!by_header.check(other, &none().as_slice(), now).allowed, "without the field, by address");
        let global = limiter(1, 1000, RateKey::Global);
        assert!(global.check(CLIENT, &none().as_slice(), now).allowed);
        assert!(!global.check(other, &key("z").as_slice(), now).allowed);
    }

    #[test]
    fn ipv6_clients_count_by_their_network_and_ipv4_ones_alone() {
        let now = ellie_core::Now::read().instant;
        let limit = || RateLimit { window: Duration::from_secs(1), max: 1, key: RateKey::Client };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let passes =
            |limiter: &Limiter, client: &str| limiter.check(ip(client), &none().as_slice(), now).allowed;
        let limiter = Limiter::new(limit(), Limiter::IPV6_PREFIX);
        assert!(passes(&limiter, "2001:db8:0:1::1"));
        assert!(!passes(&limiter, "2001:db8:0:1:ffff:ffff:ffff:ffff"), "the same /64");
        assert!(passes(&limiter, "2001:db8:0:2::1"), "the next /64");
        assert!(passes(&limiter, "::ffff:10.0.0.1") && !passes(&limiter, "10.0.0.1"));
        assert!(passes(&limiter, "::ffff:10.0.0.2"), "another IPv4 address, though the same /64 as written");
        assert!(passes(&limiter, "::1"), "not one with IPv4 either");
        let single = Limiter::new(limit(), 128);
        assert!(passes(&single, "2001:db8::1") && passes(&single, "2001:db8::2"));
        let all = Limiter::new(limit(), 0);
        assert!(passes(&all, "2001:db8::1") && !passes(&all, "fe80::1"));
    }
}
