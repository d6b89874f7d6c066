//! Where a Docker daemon answers, and a transport to it that can only read.

use crate::Failure;
use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use ellie_core::model::excerpt;
use futures_util::future::BoxFuture;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Until a daemon has answered; it works in memory, so a longer silence is a fault.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest listing that is read, in bytes: some ten thousands of tasks.
const LONGEST: usize = 256 << 20;

/// Where a daemon answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `unix:///var/run/docker.sock`
    Unix(PathBuf),
    /// `tcp://host:2375`
    Tcp(String, u16),
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "wanted is unix:///var/run/docker.sock or tcp://host:port";
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.starts_with('/').then_some(text)) {
            if !path.starts_with('/') {
                return Err(format!("the path of the socket must be absolute; {wanted}"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let rest = ["tcp://", "http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let Some(rest) = rest else { return Err(wanted.to_owned()) };
        let rest = rest.trim_end_matches('/');
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| format!("has no port; {wanted}"))?;
        let port = port.parse().ok().filter(|port| *port > 0);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match port {
            Some(port) if !host.is_empty() => Ok(Self::Tcp(host.to_owned(), port)),
            _ => Err(format!("has no host and port; {wanted}")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "tcp://{host}:{port}"),
        }
    }
}

/// How the two prove who they are to each other over TCP; PEM files, read at each connect so that new ones are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities that the daemon's certificate may come from; the system's where absent.
    pub ca: Option<PathBuf>,
    /// The certificate shown to the daemon, with its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A daemon and how to reach it. It can only be asked: requests other than GET are refused before they are sent.
#[derive(Clone)]
pub(crate) struct Daemon {
    endpoint: Endpoint,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Daemon {
    pub(crate) fn new(endpoint: Endpoint, tls: Option<&Tls>) -> Result<Self, Failure> {
        let tls = tls.map(config).transpose()?.map(Arc::new);
        Ok(Self { endpoint, tls })
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The API's calls, in the version that the daemon speaks.
    pub(crate) async fn docker(&self) -> Result<Docker, Failure> {
        let daemon = self.clone();
        let transport = move |request: BollardRequest| {
            let daemon = daemon.clone();
            async move { daemon.send(request).await.map_err(|err| Error::IOError { err }) }
        };
        let docker = Docker::connect_with_custom_transport(
            transport,
            Some("http://docker"),
            TIMEOUT.as_secs(),
            API_DEFAULT_VERSION,
        )
        .map_err(|e| self.failure(&e))?;
        docker.negotiate_version().await.map_err(|e| self.failure(&e))
    }

    /// A failure that names the daemon and what to look at.
    pub(crate) fn failure(&self, error: &dyn std::error::Error) -> Failure {
        let mut text = error.to_string();
        let mut cause = error.source();
        let mut kind = None;
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            kind = kind.or_else(|| inner.downcast_ref::<io::Error>().map(io::Error::kind));
            cause = inner.source();
        }
        let is_socket = matches!(self.endpoint, Endpoint::Unix(_));
        let hint = if is_socket && text.contains("ermission denied") {
            "; let ellie's user read the socket (its group is usually `docker`)"
        } else if is_socket && text.contains("No such file") {
            "; is the daemon running, and the socket mounted?"
        } else {
            ""
        };
        Failure(format!("{}: {text}{hint}", self.endpoint))
    }

    /// What the daemon answers at `path`, for what its API tells more of than the types of the calls know.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let failed = |e: &dyn fmt::Display| Failure(format!("{}: {path}: {e}", self.endpoint));
        let request = Request::get(path).body(Empty::<Bytes>::new()).map_err(|e| failed(&e))?;
        let asked = async {
            let response = self.send(request).await.map_err(|e| self.failure(&e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|e| failed(&e))?;
            Ok((status, body.to_bytes()))
        };
        let (status, body) =
            tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| failed(&"no answer in time"))??;
        if !status.is_success() {
            return Err(failed(&format!("{status}: {}", excerpt(&String::from_utf8_lossy(&body)))));
        }
        serde_json::from_slice(&body).map_err(|e| failed(&e))
    }

    async fn send<B>(&self, request: Request<B>) -> io::Result<Response<Incoming>>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if request.method() != Method::GET {
            let message = format!("{} is not sent: only reading is allowed", request.method());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        match (&self.endpoint, &self.tls) {
            (Endpoint::Unix(path), _) => exchange(UnixStream::connect(path).await?, "docker", request).await,
            (Endpoint::Tcp(host, port), None) => {
                exchange(TcpStream::connect((host.as_str(), *port)).await?, host, request).await
            }
            (Endpoint::Tcp(host, port), Some(tls)) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let tcp = TcpStream::connect((host.as_str(), *port)).await?;
                let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, tcp).await?;
                exchange(stream, host, request).await
            }
        }
    }
}

/// One connection a request: they are few, and a daemon that restarts leaves no dead ones behind.
fn exchange<'a, S, B>(
    stream: S,
    host: &'a str,
    request: Request<B>,
) -> BoxFuture<'a, io::Result<Response<Incoming>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Box::pin(async move {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends with the answer's body, or when that is dropped.
        tokio::spawn(connection);
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        head.uri = path.parse().map_err(io::Error::other)?;
        let host = HeaderValue::from_str(host).map_err(io::Error::other)?;
        head.headers.insert(HOST, host);
        sender.send_request(Request::from_parts(head, body)).await.map_err(io::Error::other)
    })
}

fn config(tls: &Tls) -> Result<rustls::ClientConfig, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    match &tls.ca {
        Some(path) => {
            for certificate in pem(path)? {
                roots.add(certificate).map_err(|e| Failure(format!("{}: {e}", path.display())))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Failure(format!("TLS: {e}")))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &tls.identity else { return Ok(builder.with_no_client_auth()) };
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|e| Failure(format!("{}: {e}", key.display())))?;
    builder
        .with_client_auth_cert(pem(certificate)?, private)
        .map_err(|e| Failure(format!("{} with {}: {e}", certificate.display(), key.display())))
}

fn pem(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let failed = |e: &dyn fmt::Display| Failure(format!("{}: {e}", path.display()));
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| failed(&e))?.collect();
    let found = found.map_err(|e| failed(&e))?;
    if found.is_empty() { Err(failed(&"holds no certificate")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[test]
    fn endpoints_are_read_and_shown_alike() {
        for text in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2376", "tcp://d:1"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("https://d:2376/".parse(), Ok(Endpoint::Tcp("d".into(), 2376)));
        assert_eq!("/run/docker.sock".parse(), Ok(Endpoint::Unix("/run/docker.sock".into())));
        for bad in
            ["", "unix://docker.sock", "tcp://d", "tcp://:1", "tcp://d:0", "tcp://d:70000", "ssh://d:22"]
        {
            assert!(bad.parse::<Endpoint>().unwrap_err().contains("wanted"), "{bad}");
        }
    }

    #[tokio::test]
    async fn nothing_but_reading_leaves_the_process() {
        let daemon = Daemon::new(Endpoint::Unix("/nowhere/docker.sock".into()), None).unwrap();
        let stop = Request::post("/containers/x/stop").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(daemon.send(stop).await.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let failure = daemon.docker().await.unwrap_err();
        assert!(failure.0.contains("/nowhere/docker.sock") && failure.0.contains("mounted"), "{failure}");
    }
}
