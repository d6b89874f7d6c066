//! The API's client: blocking, one request at a time, bounded in time and size.

use super::error::{Code, Error, Result};
use crate::config::Secret;
use ellie_api::Problem;
use ellie_api::problem::kind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// The largest answer that is read: 250,000 instances at their largest would be more, but no person reads them.
const MAX_ANSWER: u64 = 512 << 20;

/// The API at one address.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<Secret>,
    /// Where the token was found, for messages.
    token_from: String,
    timeout: Duration,
}

/// An answer that is not an error.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Client {
    /// `roots` are the authorities that are believed; without any, those of the system.
    pub(crate) fn new(
        base: &str,
        token: Option<Secret>,
        token_from: String,
        timeout: Duration,
        roots: Option<Vec<Certificate<'static>>>,
    ) -> Self {
        let roots = roots.map_or(RootCerts::PlatformVerifier, RootCerts::from);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(timeout))
            .max_redirects(0)
            // A proxy for the web is none for an API on this machine.
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("ellie/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').into(), token, token_from, timeout }
    }

    /// Where the API is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(&Method::GET, path, None::<&()>)
    }

    /// Calls, and reads the answer's JSON.
    pub(crate) fn call<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        let answer = self.send(method, path, body)?;
        serde_json::from_str(&answer.body).map_err(|error| {
            Error::new(
                Code::Failed,
                format!("the answer to {method} {path} is not what this version of ellie knows"),
            )
            .because(error)
            .try_(format!("curl {}/health    # is it ellie, and which version?", self.base))
        })
    }

    /// Calls; what is not 2xx is an error.
    pub(crate) fn send(&self, method: &Method, path: &str, body: Option<&impl Serialize>) -> Result<Answer> {
        let body = body.map(serde_json::to_string).transpose().map_err(|error| {
            Error::new(Code::Failed, format!("the body of {method} {path} can't be written")).because(error)
        })?;
        let response = self.run(method, path, body, "application/json", None)?;
        let status = response.status();
        let mut text = String::new();
        response
            .into_body()
            .into_with_config()
            .limit(MAX_ANSWER)
            .reader()
            .read_to_string(&mut text)
            .map_err(|error| self.broken(method, path, &ureq::Error::from(error)))?;
        if status.is_success() {
            return Ok(Answer { status: status.as_u16(), body: text });
        }
        Err(self.refused(method, path, status, &text))
    }

    /// Opens a stream of server-sent events that may last for ever.
    pub(crate) fn stream(&self, path: &str, last_id: Option<u64>) -> Result<Events> {
        let response = self.run(&Method::GET, path, None, "text/event-stream", Some(last_id))?;
        let status = response.status();
        if !status.is_success() {
            let mut text = String::new();
            let _ = response.into_body().into_reader().take(1 << 20).read_to_string(&mut text);
            return Err(self.refused(&Method::GET, path, status, &text));
        }
        Ok(Events { lines: BufReader::new(Box::new(response.into_body().into_reader())) })
    }

    fn run(
        &self,
        method: &Method,
        path: &str,
        body: Option<String>,
        accept: &str,
        stream: Option<Option<u64>>,
    ) -> Result<Response<Body>> {
        let uri = format!("{}{path}", self.base);
        let mut request = Request::builder().method(method.clone()).uri(&uri).header("accept", accept);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(id) = stream.flatten() {
            request = request.header("last-event-id", id.to_string());
        }
        let bad = |error: &dyn std::fmt::Display| {
            Error::new(Code::Usage, format!("`{uri}` is not an address of an API"))
                .because(error)
                .try_("ellie --server http://127.0.0.1:5000 services")
        };
        let result = match body {
            Some(body) => self.agent.run(request.body(body).map_err(|e| bad(&e))?),
            None => {
                let request = request.body(()).map_err(|e| bad(&e))?;
                if stream.is_some() {
                    let long = self.agent.configure_request(request);
                    let long = long.timeout_global(None).timeout_connect(Some(self.timeout));
                    self.agent.run(long.timeout_recv_response(Some(self.timeout)).build())
                } else {
                    self.agent.run(request)
                }
            }
        };
        result.map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => bad(&error),
            error => self.broken(method, path, &error),
        })
    }

    /// No whole answer came.
    fn broken(&self, method: &Method, path: &str, error: &ureq::Error) -> Error {
        if let ureq::Error::Timeout(_) = error {
            return Error::new(
                Code::TimedOut,
                format!("no answer from {} within {}", self.base, crate::config::show_duration(self.timeout)),
            )
            .because(format!("{method} {path}"))
            .try_(format!("ellie doctor --server {}", self.base))
            .try_("the same with --timeout 60s");
        }
        Error::new(Code::Unreachable, format!("ellie can't be reached at {}", self.base))
            .because(reason(error))
            .try_("ellie serve                       # start it on this machine")
            .try_("ellie --server http://HOST:PORT … # or say where it is")
    }

    /// The answer is an error.
    fn refused(&self, method: &Method, path: &str, status: StatusCode, text: &str) -> Error {
        let Ok(problem) = serde_json::from_str::<Problem>(text) else {
            let code = if status == StatusCode::NOT_FOUND { Code::NotFound } else { Code::Failed };
            return Error::new(code, format!("{method} {path} was answered with {status}"))
                .because(text.chars().take(200).collect::<String>())
                .try_(format!("curl {}/health    # is it ellie?", self.base));
        };
        let code = match problem.status {
            401 | 403 if problem.kind != kind::DISABLED => Code::Unauthorised,
            404 => Code::NotFound,
            408 | 504 => Code::TimedOut,
            _ => Code::Failed,
        };
        let what = problem.detail.clone().unwrap_or_else(|| problem.title.clone());
        let mut error = Error::new(code, what);
        for field in &problem.errors {
            error = error.because(format!("{}: {}", field.field, field.message));
        }
        match code {
            Code::Unauthorised => {
                // The problem says which scope it takes.
                let said = problem.detail.as_deref().unwrap_or_default();
                let scope = ["read", "register"].into_iter().find(|s| said.contains(&format!("`{s}`")));
                error = error.because(match &self.token {
                    Some(_) => format!("the token was taken from {}", self.token_from),
                    None => "no token was sent".to_owned(),
                });
                let scope = scope.unwrap_or("operate");
                error
                    .try_(format!(
                        "ellie token create --name ME --scope {scope}    # on the server's machine"
                    ))
                    .try_("ELLIE_TOKEN=… ellie …, or --token-file FILE")
            }
            // Only a gateway says so.
            _ if problem.kind == "urn:ellie:problem:no-route" => error
                .because(format!("{} is a gateway, not an API", self.base))
                .try_("ellie --server http://127.0.0.1:5000 …    # the API's address is on the ready line"),
            _ => error,
        }
    }
}

/// Why a connection failed, without the library's own words.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            "connection refused: nothing listens there".into()
        }
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::ConnectionFailed => "connection refused: nothing listens there".into(),
        ureq::Error::HostNotFound => "the host name is not known".into(),
        other => other.to_string(),
    }
}

/// A stream of server-sent events.
pub(crate) struct Events {
    lines: BufReader<Box<dyn Read>>,
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<u64>,
    pub(crate) kind: String,
    pub(crate) data: String,
}

/// The longest line of a stream.
const MAX_LINE: u64 = 64 << 20;

impl Events {
    /// The next event, or `None` when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            match (&mut self.lines).take(MAX_LINE).read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                if !event.data.is_empty() {
                    return Some(event);
                }
                event = Event::default();
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => event.id = value.parse().ok(),
                "event" => event.kind = value.into(),
                "data" => {
                    if !event.data.is_empty() {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                }
                // A comment, which keeps the connection alive, or `retry`.
                _ => {}
            }
        }
    }
}

/// A name as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    encode(text, b"-._~:")
}

/// A value of a query.
pub(crate) fn query(text: &str) -> String {
    encode(text, b"-._~")
}

fn encode(text: &str, plain: &[u8]) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &'static str) -> Vec<Event> {
        let mut events = Events { lines: BufReader::new(Box::new(text.as_bytes())) };
        std::iter::from_fn(|| events.next()).collect()
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let all = events(
            ": hello\r\n\r\nid: 7\nevent: change\ndata: {\"a\":\ndata: 1}\n\nretry: 5\ndata:x\n\ndata: torn",
        );
        assert_eq!(
            all,
            [
                Event { id: Some(7), kind: "change".into(), data: "{\"a\":\n1}".into() },
                Event { id: None, kind: String::new(), data: "x".into() },
            ]
        );
    }

    #[test]
    fn names_are_safe_in_paths_and_queries() {
        assert_eq!(segment("a/b c:1"), "a%2Fb%20c:1");
        assert_eq!(query("a&b=ü"), "a%26b%3D%C3%BC");
    }
}
