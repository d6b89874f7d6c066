//! A gRPC check: `grpc.health.v1.Health/Check` over HTTP/2, on a connection kept from one probe to the next.
//!
//! The protocol: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>. It is one call with one small
//! message each way, so hyper and two derived messages carry it; a gRPC framework would bring more than it does.

use super::dial;
use super::{Attempt, Bounded, Failure, HEAD_LIMIT, Phase, USER_AGENT, now};
use crate::target::Grpc;
use crate::verdict::{self, Answer, Millis};
use bytes::{BufMut, Bytes, BytesMut};
use ellie_core::Status;
use ellie_tls::client::Alpn;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT as USER_AGENT_HEADER};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message;
use std::fmt;
use std::time::Instant;
use tokio::task::JoinHandle;

#[derive(Clone, PartialEq, Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// A connection between probes. HTTP/2 has pings and settings to answer at any time, so a task runs for it.
pub(crate) struct Client {
    sender: http2::SendRequest<Full<Bytes>>,
    task: JoinHandle<hyper::Result<()>>,
    opened: Instant,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("grpc::Client").field("opened", &self.opened).finish_non_exhaustive()
    }
}

/// What came back, its gRPC status found.
struct Reply {
    http: StatusCode,
    is_grpc: bool,
    code: Option<u16>,
    message: String,
    body: Bounded,
}

struct Lost {
    unanswered: bool,
    failure: Failure,
}

pub(super) async fn check(
    attempt: &mut Attempt<'_>,
    grpc: &Grpc,
    kept: Option<Client>,
) -> Result<(Answer, Option<Client>), Failure> {
    if let Some(mut client) = kept
        && attempt.is_fresh(client.opened)
        && client.sender.is_ready()
    {
        *attempt.phase = Phase::Asked;
        match client.call(grpc, attempt).await {
            Ok(reply) => return Ok((judge(attempt, grpc, &reply), client.reusable(&reply))),
            Err(lost) if lost.unanswered => *attempt.retried = true,
            Err(lost) => return Err(lost.failure),
        }
    }
    let mut client = Client::open(attempt).await?;
    let reply = match client.call(grpc, attempt).await {
        Ok(reply) => reply,
        // Who waits for an answer hears that the connection is gone; why it went is the connection's to say.
        Err(lost) => return Err(client.why().await.unwrap_or(lost.failure)),
    };
    Ok((judge(attempt, grpc, &reply), client.reusable(&reply)))
}

impl Client {
    async fn open(attempt: &mut Attempt<'_>) -> Result<Self, Failure> {
        let io = dial::stream(attempt, Alpn::Http2).await?;
        let opened = now();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535)
            .max_header_list_size(HEAD_LIMIT as u32)
            .handshake(io)
            .await
            .map_err(|error| failure(&error))?;
        // Ends with the connection; its error reaches the call that suffers from it.
        let task = tokio::spawn(connection);
        Ok(Self { sender, task, opened })
    }

    async fn call(&mut self, grpc: &Grpc, attempt: &mut Attempt<'_>) -> Result<Reply, Lost> {
        let lost =
            |unanswered: bool| move |error: hyper::Error| Lost { unanswered, failure: failure(&error) };
        self.sender.ready().await.map_err(lost(true))?;
        let response = self.sender.send_request(request(grpc, attempt)).await.map_err(lost(true))?;
        let (head, mut stream) = response.into_parts();
        *attempt.phase = Phase::Reading(0);
        let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let mut reply = Reply {
            http: head.status,
            is_grpc: content_type.starts_with(b"application/grpc"),
            code: None,
            message: String::new(),
            body: Bounded::default(),
        };
        reply.take_status(&head.headers);
        while let Some(frame) = stream.frame().await {
            let frame = frame.map_err(lost(false))?;
            if let Some(trailers) = frame.trailers_ref() {
                reply.take_status(trailers);
            } else if let Some(piece) = frame.data_ref() {
                let more = reply.body.push(piece);
                *attempt.phase = Phase::Reading(reply.body.bytes.len());
                if !more {
                    break;
                }
            }
        }
        Ok(reply)
    }

    /// Why the connection has ended, if it has.
    async fn why(&mut self) -> Option<Failure> {
        if !self.sender.is_closed() {
            return None;
        }
        match (&mut self.task).await {
            Ok(Err(error)) => Some(failure(&error)),
            _ => None,
        }
    }

    fn reusable(self, reply: &Reply) -> Option<Self> {
        (!reply.body.cut && self.sender.is_ready()).then_some(self)
    }
}

fn request(grpc: &Grpc, attempt: &Attempt<'_>) -> Request<Full<Bytes>> {
    let message = HealthCheckRequest { service: grpc.service.clone() };
    let mut body = BytesMut::with_capacity(5 + message.encoded_len());
    body.put_u8(0); // not compressed
    body.put_u32(message.encoded_len() as u32);
    body.put_slice(&message.encode_to_vec());
    let mut request = Request::new(Full::new(body.freeze()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = grpc.uri.clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT_HEADER, HeaderValue::from_static(USER_AGENT));
    // At most eight digits are allowed; the longest timeout is cut to a day.
    let left = attempt.deadline.saturating_duration_since(now()).as_millis().clamp(1, 86_400_000);
    if let Ok(value) = HeaderValue::from_str(&format!("{left}m")) {
        headers.insert("grpc-timeout", value);
    }
    request
}

impl Reply {
    fn take_status(&mut self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        if let Some(code) = text("grpc-status").and_then(|s| s.parse().ok()) {
            self.code = Some(code);
            self.message.clear();
            if let Some(message) = headers.get("grpc-message") {
                verdict::excerpt(message.as_bytes(), &mut self.message);
            }
        }
    }

    /// The one message of the answer.
    fn status(&self) -> Result<ServingStatus, &'static str> {
        let Some((&[compressed, a, b, c, d], rest)) = self.body.bytes.split_first_chunk() else {
            return Err("there is no message");
        };
        if compressed != 0 {
            return Err("the message is compressed, which was not asked for");
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let message = rest.get(..length).ok_or("the message is cut short")?;
        let message =
            HealthCheckResponse::decode(message).map_err(|_| "the message is not a HealthCheckResponse")?;
        ServingStatus::try_from(message.status).map_err(|_| "the status is none of the protocol's")
    }
}

fn judge(attempt: &Attempt<'_>, grpc: &Grpc, reply: &Reply) -> Answer {
    let of = if grpc.service.is_empty() { String::new() } else { format!(" of `{}`", grpc.service) };
    let asked = format!("gRPC health{of} at {} in {}", attempt.target.authority, Millis(attempt.took()));
    let failed = |text: String, code| Answer { verdict: Status::Unhealthy, output: text, code, body: None };
    if reply.code.is_none() && (reply.http != StatusCode::OK || !reply.is_grpc) {
        let code = reply.http.as_u16();
        return failed(format!("HTTP {code} from {asked}: the answer is not gRPC"), Some(code));
    }
    let Some(code) = reply.code else { return failed(format!("no gRPC status from {asked}"), None) };
    if code != 0 {
        let hint = match code {
            5 => ": the server does not know this service",
            12 => ": the server does not offer grpc.health.v1.Health; use a tcp check",
            16 | 7 => ": the health check needs credentials",
            _ => "",
        };
        let said = if reply.message.is_empty() { String::new() } else { format!(" ({})", reply.message) };
        return failed(
            format!("gRPC status {code} {} from {asked}{hint}{said}", code_name(code)),
            Some(code),
        );
    }
    match reply.status() {
        Ok(ServingStatus::Serving) => Answer {
            verdict: Status::Healthy,
            output: format!("SERVING from {asked}"),
            code: Some(0),
            body: None,
        },
        Ok(status) => {
            let status = match status {
                ServingStatus::NotServing => "NOT_SERVING",
                ServingStatus::ServiceUnknown => "SERVICE_UNKNOWN",
                _ => "UNKNOWN",
            };
            failed(format!("{status} from {asked}"), Some(0))
        }
        Err(why) => failed(format!("an unreadable answer from {asked}: {why}"), Some(0)),
    }
}

fn code_name(code: u16) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("(none of the protocol's)")
}

fn failure(error: &hyper::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return dial::lost(io, "a gRPC answer");
        }
    }
    Failure::Remote(format!("no gRPC answer over HTTP/2: {cause}"))
}
