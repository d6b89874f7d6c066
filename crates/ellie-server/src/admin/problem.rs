//! Errors of the API. A handler returns an [`Error`]; [`super::outer`] gives it its path and turns it into the body.

use super::fields::Faults;
use axum::response::{IntoResponse, Response};
use ellie_api::problem::{KINDS, kind};
use ellie_api::{FieldError, Problem};
use ellie_core::registry::Rejected;
use http::{HeaderName, HeaderValue, StatusCode, header};

/// What a handler returns.
pub(super) type Result<T> = std::result::Result<T, Error>;

/// An error on its way out.
#[derive(Clone, Debug)]
pub(super) struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    problem: Problem,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Error {
    /// A problem of one of the documented kinds; status and title are the kind's.
    pub(super) fn new(kind: &str, detail: impl Into<String>) -> Self {
        let (status, title) =
            KINDS.iter().find(|k| k.uri == kind).map_or((500, "Internal error"), |k| (k.status, k.title));
        let problem = Problem {
            kind: kind.into(),
            title: title.into(),
            status,
            detail: Some(detail.into()),
            instance: None,
            errors: Vec::new(),
        };
        Self(Box::new(Inner { problem, headers: Vec::new() }))
    }

    /// Every fault of a body.
    pub(super) fn invalid(kind: &str, faults: Faults) -> Self {
        let (list, more) = faults.into_parts();
        let what = match (list.len() + more, more) {
            (1, _) => "one field is invalid; nothing was changed".to_owned(),
            (n, 0) => format!("{n} fields are invalid; nothing was changed"),
            (n, more) => format!("{n} fields are invalid, {more} of them not listed; nothing was changed"),
        };
        let errors = list.into_iter().map(|f| FieldError { field: f.field, message: f.message }).collect();
        Self::new(kind, what).with_errors(errors)
    }

    pub(super) fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.problem.errors = errors;
        self
    }

    pub(super) fn with_field(self, field: &str, message: impl Into<String>) -> Self {
        self.with_errors(vec![FieldError { field: field.into(), message: message.into() }])
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(super) fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A fault of ellie: the log gets `cause`, the client does not.
    pub(super) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside");
        Self::new(kind::INTERNAL, "a fault of ellie; its log has more")
    }

    pub(super) fn service_not_found(name: &str) -> Self {
        let name = ellie_core::model::excerpt(name);
        Self::new(kind::SERVICE_NOT_FOUND, format!("service `{name}` has no instance"))
    }

    pub(super) fn instance_not_found(name: &str, id: &str) -> Self {
        let (name, id) = (ellie_core::model::excerpt(name), ellie_core::model::excerpt(id));
        Self::new(kind::INSTANCE_NOT_FOUND, format!("service `{name}` has no instance `{id}`"))
    }

    /// What the registry refused; `at` is the path of the item in a batch, `registrations[3]`, else empty.
    pub(super) fn rejected(rejected: &Rejected, at: &str) -> Self {
        let field = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        match rejected {
            Rejected::NotFound { .. } => {
                let error = Self::new(kind::INSTANCE_NOT_FOUND, rejected.to_string());
                if at.is_empty() { error } else { error.with_field(&field("id"), "is not registered") }
            }
            Rejected::Cycle(cycle) => Self::new(kind::DEPENDENCY_CYCLE, rejected.to_string())
                .with_field(&field("dependencies"), format!("closes a cycle: {cycle}")),
            Rejected::Full { .. } => Self::new(kind::REGISTRY_FULL, rejected.to_string()),
            Rejected::OwnedBy { source } => Self::new(kind::MANAGED_ELSEWHERE, rejected.to_string())
                .with_field(&field("id"), format!("is managed by `{source}`")),
        }
    }

    /// The body, for who writes it himself.
    pub(super) fn into_problem(self) -> Problem {
        self.0.problem
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Inner { problem, headers } = *self.0;
        let mut response =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        response.extensions_mut().insert(Pending(problem));
        response
    }
}

/// A problem whose body is still to be written.
#[derive(Clone, Debug)]
pub(super) struct Pending(pub(super) Problem);
