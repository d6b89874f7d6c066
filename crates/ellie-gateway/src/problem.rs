//! What the gateway itself answers: RFC 9457 `application/problem+json`, saying which service and why.

use crate::cluster::Refusal;
use crate::limits::Verdict;
use crate::table::CompiledRoute;
use ellie_core::model::excerpt;
use std::time::Duration;

/// The media type.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An answer of the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: u16,
    kind: &'static str,
    title: &'static str,
    detail: String,
    service: Option<String>,
    instance: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: u16, kind: &'static str, title: &'static str, detail: String) -> Self {
        Self { status, kind, title, detail, service: None, instance: None, retry_after: None }
    }

    fn of(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self
    }

    /// 400, 408, 414, 431…: the request can't be understood.
    #[must_use]
    pub fn invalid_request(status: u16, detail: &str) -> Self {
        Self::new(status, "invalid-request", "The request can't be understood", detail.to_owned())
    }

    /// 404: no route is for this path.
    #[must_use]
    pub fn no_route(path: &[u8]) -> Self {
        let path = excerpt(&String::from_utf8_lossy(path));
        Self::new(
            404,
            "no-route",
            "No route matches",
            format!("no route of the gateway is for `{path}`, this host and these fields"),
        )
    }

    /// 405: routes are for this path, but with other methods.
    #[must_use]
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(
            405,
            "method-not-allowed",
            "No route matches with this method",
            format!("the routes of this path are for {allow}"),
        )
    }

    /// 413: the body is larger than the route allows.
    #[must_use]
    pub fn too_large(service: &str, limit: u64) -> Self {
        let detail = format!("the body is larger than {limit} bytes, the most that the route allows");
        Self::new(413, "body-too-large", "The body is too large", detail).of(service)
    }

    /// 429: the client has asked too often.
    #[must_use]
    pub fn rate_limited(route: &CompiledRoute, verdict: &Verdict) -> Self {
        let decision = &verdict.decision;
        let after = decision.retry_after.unwrap_or_default();
        let detail = format!(
            "the route `{}` allows {} requests per {} s; the next one may come in {:.3} s",
            route.id(),
            decision.limit,
            verdict.window().as_secs_f64(),
            after.as_secs_f64(),
        );
        let mut problem = Self::new(429, "rate-limited", "Too many requests", detail).of(route.service());
        problem.retry_after = Some(after);
        problem
    }

    /// 502: the instance gave no answer that could be passed on.
    #[must_use]
    pub fn bad_gateway(service: &str, instance: &str, detail: &str) -> Self {
        let mut problem =
            Self::new(502, "upstream-failed", "The service did not answer", detail.to_owned()).of(service);
        problem.instance = Some(instance.to_owned());
        problem
    }

    /// 504: the instance gave no answer in time.
    #[must_use]
    pub fn gateway_timeout(service: &str, instance: &str, detail: &str) -> Self {
        let mut problem =
            Self::new(504, "upstream-timeout", "The service did not answer in time", detail.to_owned())
                .of(service);
        problem.instance = Some(instance.to_owned());
        problem
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// When asking again may help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// For the log.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Writes the body.
    pub fn body(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"urn:ellie:problem:");
        out.extend_from_slice(self.kind.as_bytes());
        out.extend_from_slice(b"\"");
        member(out, "title", self.title);
        out.extend_from_slice(b",\"status\":");
        out.extend_from_slice(self.status.to_string().as_bytes());
        member(out, "detail", &self.detail);
        if let Some(service) = &self.service {
            member(out, "service", service);
        }
        if let Some(instance) = &self.instance {
            member(out, "serviceInstance", instance);
        }
        if let Some(after) = self.retry_after {
            out.extend_from_slice(b",\"retryAfter\":");
            out.extend_from_slice(after.as_millis().to_string().as_bytes());
        }
        out.push(b'}');
    }
}

impl From<&Refusal> for Problem {
    /// 503.
    fn from(refusal: &Refusal) -> Self {
        let (kind, title) = match refusal {
            Refusal::UnknownService { .. } => ("unknown-service", "The service is not registered"),
            Refusal::NoInstance { .. } => ("no-routable-instance", "The service has no instance to ask"),
            Refusal::BreakerOpen { .. } => ("circuit-open", "The service's circuit breaker is open"),
            Refusal::AllTried { .. } => ("all-instances-tried", "No instance of the service answered"),
            Refusal::BudgetSpent { .. } => ("retry-budget-spent", "Too much is being retried"),
        };
        let mut problem = Self::new(503, kind, title, refusal.to_string()).of(refusal.service().as_str());
        problem.retry_after = Some(match refusal {
            // An operator's word has no end that is known here.
            Refusal::BreakerOpen { retry_after, .. } => retry_after.unwrap_or(Duration::from_secs(60)),
            // The next check may find one that works.
            _ => Duration::from_secs(1),
        });
        problem
    }
}

/// `,"name":"value"` with the value escaped (RFC 8259, section 7).
fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    for c in value.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ellie_core::ServiceName;

    fn body(problem: &Problem) -> String {
        let mut out = Vec::new();
        problem.body(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_problem_is_json_whatever_is_in_it() {
        let problem = Problem::bad_gateway("users", "u-1", "said \"no\"\\\r\n\u{1}é");
        assert_eq!(
            body(&problem),
            "{\"type\":\"urn:ellie:problem:upstream-failed\",\"title\":\"The service did not answer\",\
             \"status\":502,\"detail\":\"said \\\"no\\\"\\\\\\u000d\\u000a\\u0001é\",\"service\":\"users\",\
             \"serviceInstance\":\"u-1\"}"
        );
    }

    #[test]
    fn refusals_are_503_with_the_service_the_reason_and_when_to_come_again() {
        let service = ServiceName::new("users").unwrap();
        let problem = Problem::from(&Refusal::BreakerOpen {
            service: service.clone(),
            reason: ellie_policy::breaker::Reason::Open,
            retry_after: Some(Duration::from_millis(59_500)),
        });
        assert_eq!((problem.status(), problem.retry_after()), (503, Some(Duration::from_millis(59_500))));
        let text = body(&problem);
        assert!(text.contains("problem:circuit-open") && text.contains("\"service\":\"users\""), "{text}");
        assert!(text.contains("is open: too many calls failed") && text.contains("\"retryAfter\":59500"));
        let refusal = Refusal::NoInstance { service, detail: "2 registered: 2 unhealthy".into() };
        let problem = Problem::from(&refusal);
        assert!(body(&problem).contains("can be sent traffic: 2 registered: 2 unhealthy"));
        assert_eq!(problem.retry_after(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn hostile_paths_do_not_grow_answers() {
        let problem = Problem::no_route(&[0xff; 10_000]);
        assert!(body(&problem).len() < 600);
    }
}
