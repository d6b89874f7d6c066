//! Probes over real sockets: what servers do that answer, that don't, and that answer something else.
#![allow(clippy::unwrap_used, reason = "a test")]

use ellie_core::journal::Journal;
use ellie_core::model::{Actor, CheckDraft, CheckReport, Draft, InstanceId, ServiceName};
use ellie_core::{Command, Now, Registry, Source, Status, registry};
use ellie_health::{HealthChecker, Refused, Settings};
use ellie_tls::client as tls;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Long enough that a test that needs an answer gets it, however busy the machine is.
const PATIENT: i128 = 60_000;
/// For those who are never answered.
const SHORT: i128 = 300;

struct Checker(Arc<HealthChecker>, Arc<Registry>);

impl Checker {
    fn new(tls: tls::Options) -> Self {
        let registry = Arc::new(Registry::new(registry::Settings::default(), Arc::new(Journal::default())));
        let settings = Settings { interval: Duration::from_secs(3600), ..Settings::default() };
        let checker =
            Arc::new(HealthChecker::new(registry.clone(), settings, tls::Client::new(tls).unwrap()).unwrap());
        let running = checker.clone();
        tokio::spawn(async move { running.run(CancellationToken::new()).await });
        Self(checker, registry)
    }

    /// Registers one instance and waits for a probe of it.
    async fn probe(
        &self,
        host: &str,
        port: u16,
        protocol: &str,
        kind: &str,
        timeout: i128,
    ) -> Arc<CheckReport> {
        self.register(host, port, protocol, kind, timeout);
        self.again().await
    }

    fn register(&self, host: &str, port: u16, protocol: &str, kind: &str, timeout: i128) {
        let draft = Draft {
            name: Some("a".into()),
            id: Some("i".into()),
            host: Some(host.into()),
            port: Some(port.into()),
            protocol: Some(protocol.into()),
            check: Some(CheckDraft {
                kind: Some(kind.into()),
                timeout: Some(timeout),
                ..CheckDraft::default()
            }),
            ttl: (kind == "ttl").then_some(PATIENT),
            ..Draft::default()
        };
        let registration = Arc::new(draft.validate().unwrap());
        let register = Command::Register { registration, source: Source::Config, actor: Actor::new("test") };
        self.1.apply(register, Now::read()).unwrap();
    }

    async fn again(&self) -> Arc<CheckReport> {
        self.try_again().await.unwrap()
    }

    async fn try_again(&self) -> Result<Arc<CheckReport>, Refused> {
        // A task that was just spawned may not run yet.
        loop {
            match self.0.check_now(&ServiceName::new("a").unwrap(), &InstanceId::new("i").unwrap()).await {
                Err(Refused::NotRunning) => tokio::task::yield_now().await,
                other => return other,
            }
        }
    }
}

/// A server that does `with` each connection it accepts; the count is of connections.
async fn server<F, R>(with: F) -> (u16, Arc<AtomicUsize>)
where
    F: Fn(usize, TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let nth = counter.fetch_add(1, SeqCst);
            tokio::spawn(with(nth, stream));
        }
    });
    (port, count)
}

/// Reads one request's head; `None` at the end of the connection.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        head.push(byte);
    }
    String::from_utf8(head).ok()
}

/// Answers every request on a connection with the same bytes.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: Vec<u8>) {
    while request(&mut stream).await.is_some() {
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// One HTTP probe of a server that answers with `bytes` and keeps the connection open.
async fn of(bytes: impl Into<Vec<u8>>, timeout: i128) -> Arc<CheckReport> {
    let bytes = bytes.into();
    let (port, _) = server(move |_, stream| answer(stream, bytes.clone())).await;
    Checker::new(tls::Options::default()).probe("127.0.0.1", port, "http", "http", timeout).await
}

#[track_caller]
fn assert_failed(report: &CheckReport, part: &str) {
    assert_eq!(report.verdict, Status::Unhealthy, "{}", report.output);
    assert!(report.output.contains(part), "`{part}` is not in `{}`", report.output);
}

#[tokio::test]
async fn one_connection_serves_all_probes_and_says_who_asks() {
    let (port, connections) = server(|_, mut stream| async move {
        while let Some(head) = request(&mut stream).await {
            let lower = head.to_ascii_lowercase();
            let agent = format!("user-agent: ellie/{} (health check)\r\n", env!("CARGO_PKG_VERSION"));
            let good = head.starts_with("GET /health HTTP/1.1\r\n")
                && lower.contains(&agent)
                && lower.contains("\r\nhost: 127.0.0.1:");
            let code = if good { "200 OK" } else { "400 Bad Request" };
            let answer = format!("HTTP/1.1 {code}\r\ncontent-length: 20\r\n\r\n{{\"status\":\"healthy\"}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    let first = checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    assert_eq!((first.verdict, first.code), (Status::Healthy, Some(200)), "{}", first.output);
    assert!(first.output.starts_with(&format!("HTTP 200 from GET http://127.0.0.1:{port}/health in ")));
    for _ in 0..5 {
        assert_eq!(checker.again().await.body.as_ref().unwrap().status, Some(Status::Healthy));
    }
    assert_eq!(connections.load(SeqCst), 1);
    assert_eq!(checker.0.stats().kinds[0].failed, 0);
}

#[tokio::test]
async fn a_connection_closed_between_probes_is_not_a_failure() {
    // Closed after each answer without a word, so that the close and the next request may cross.
    let (port, connections) = server(|_, mut stream| async move {
        if request(&mut stream).await.is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    for _ in 0..20 {
        let report = checker.again().await;
        assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    }
    assert!(connections.load(SeqCst) >= 20);
}

#[tokio::test]
async fn a_close_that_crosses_the_request_is_tried_once_on_a_new_connection() {
    // The first connection is closed only once the second request has come: the close is seen by nobody before.
    let (port, connections) = server(|nth, mut stream| async move {
        let answers = if nth == 0 { 1 } else { usize::MAX };
        for _ in 0..answers {
            if request(&mut stream).await.is_none() {
                return;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
        request(&mut stream).await;
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    // Registering asks for a second probe of an instance whose first one was under way, so both may have been made.
    let report = checker.again().await;
    assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    assert_eq!((connections.load(SeqCst), checker.0.stats().retried_total), (2, 1));
}

#[tokio::test]
async fn a_connection_that_always_closes_is_a_failure() {
    let (port, _) = server(|_, mut stream| async move {
        request(&mut stream).await;
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    assert_failed(
        &*checker.probe("127.0.0.1", port, "http", "http", PATIENT).await,
        "connection closed before a response",
    );
}

#[tokio::test]
async fn answers_of_all_kinds() {
    let degraded =
        of("HTTP/1.1 503 No\r\ncontent-length: 21\r\n\r\n{\"status\":\"degraded\"}", PATIENT).await;
    assert_eq!((degraded.verdict, degraded.code), (Status::Degraded, Some(503)), "{}", degraded.output);
    assert_eq!(of("HTTP/1.1 204 No Content\r\n\r\n", PATIENT).await.verdict, Status::Healthy);
    let chunked = of(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n16\r\n{\"status\":\"unhealthy\"}\r\n0\r\n\r\n",
        PATIENT,
    )
    .await;
    assert_failed(&chunked, "unhealthy");
    let moved =
        of("HTTP/1.1 302 Found\r\nlocation: https://login/\r\ncontent-length: 0\r\n\r\n", PATIENT).await;
    assert_failed(&moved, "redirected to https://login/");
    let continued =
        of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", PATIENT).await;
    assert_eq!(continued.verdict, Status::Healthy);
}

#[tokio::test]
async fn a_408_on_a_kept_connection_is_the_servers_way_to_close_it_and_on_a_new_one_an_answer() {
    // All is well; then the first connection is closed; then all are.
    let mode = Arc::new(AtomicUsize::new(0));
    let (port, connections) = {
        let mode = mode.clone();
        server(move |nth, mut stream| {
            let mode = mode.clone();
            async move {
                while request(&mut stream).await.is_some() {
                    let is_late = match mode.load(SeqCst) {
                        0 => false,
                        1 => nth == 0,
                        _ => true,
                    };
                    let head = if is_late { "408 Request Timeout\r\nconnection: close" } else { "200 OK" };
                    let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if is_late {
                        return;
                    }
                }
            }
        })
        .await
    };
    let checker = Checker::new(tls::Options::default());
    checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    mode.store(1, SeqCst);
    assert_eq!(checker.again().await.verdict, Status::Healthy);
    assert_eq!((connections.load(SeqCst), checker.0.stats().retried_total), (2, 1));
    mode.store(2, SeqCst);
    let report = checker.again().await;
    assert_failed(&report, "HTTP 408 from GET");
    assert_eq!((connections.load(SeqCst), checker.0.stats().retried_total), (3, 2));
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() {
    let (port, connections) = server(|nth, mut stream| async move {
        let mut answers = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
        if nth == 0 {
            answers.extend_from_slice(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
        }
        answer(&mut stream, answers).await;
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    let first = checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    let (second, third) = (checker.again().await, checker.again().await);
    assert_eq!([first.verdict, second.verdict, third.verdict], [Status::Healthy; 3]);
    assert_eq!(connections.load(SeqCst), 2);
}

#[tokio::test]
async fn every_status_of_the_format_decides_and_the_rest_of_it_is_kept() {
    let body = |status: &str| {
        format!(
            "{{\"status\":\"{status}\",\"timestamp\":\"2024-01-15T10:30:00Z\",\"uptime\":3600,\"version\":\"1.0.0\",\
             \"memory\":{{\"used\":128,\"total\":512,\"percentage\":25}},\
             \"dependencies\":{{\"redis\":true,\"database\":false}}}}"
        )
    };
    for (code, said, verdict) in [
        (200, "healthy", Status::Healthy),
        (200, "degraded", Status::Degraded),
        (503, "degraded", Status::Degraded),
        (200, "unhealthy", Status::Unhealthy),
        (500, "healthy", Status::Healthy),
        // No status of the format: the code decides.
        (200, "splendid", Status::Healthy),
        (503, "splendid", Status::Unhealthy),
    ] {
        let body = body(said);
        let bytes = format!("HTTP/1.1 {code} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let report = of(bytes, PATIENT).await;
        assert_eq!((report.verdict, report.code), (verdict, Some(code)), "{}", report.output);
        let body = report.body.as_ref().unwrap();
        assert_eq!((body.uptime, body.version.as_deref()), (Some(3600.0), Some("1.0.0")));
        assert_eq!(body.memory.as_ref().unwrap().percentage, 25.0);
        assert_eq!((body.dependencies["redis"], body.dependencies["database"]), (true, false));
    }
}

#[tokio::test]
async fn bodies_that_are_not_the_format_leave_it_to_the_code() {
    for body in [&b"{\"status\":"[..], b"[]", b"null", b"OK", b"\xff\xfe\x00{", b"{\"status\":7}", b"{}}"] {
        for (code, verdict) in [(200, Status::Healthy), (503, Status::Unhealthy)] {
            let head = format!("HTTP/1.1 {code} X\r\ncontent-length: {}\r\n\r\n", body.len());
            let report = of([head.as_bytes(), body].concat(), PATIENT).await;
            assert_eq!((report.verdict, report.code), (verdict, Some(code)), "{}", report.output);
            assert!(report.body.is_none() && !report.output.contains(char::is_control), "{}", report.output);
        }
    }
}

#[tokio::test]
async fn http_1_0_is_read_to_its_end_and_asked_on_a_new_connection_each_time() {
    let (port, connections) = server(|_, mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{\"status\":\"degraded\"}").await;
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    let report = checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    assert_eq!(report.verdict, Status::Degraded, "{}", report.output);
    let before = connections.load(SeqCst);
    assert_eq!(checker.again().await.verdict, Status::Degraded);
    assert_eq!((connections.load(SeqCst), checker.0.stats().retried_total), (before + 1, 0));
}

#[tokio::test]
async fn ten_megabytes_are_not_read() {
    let (sent, seen) = tokio::sync::watch::channel(0_usize);
    let (port, _) = server(move |_, mut stream| {
        let sent = sent.clone();
        async move {
            request(&mut stream).await;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n{\"status\":\"unhealthy\",\"x\":\"";
            stream.write_all(head.as_bytes()).await.unwrap();
            let piece = [b'x'; 65_536];
            let mut total = 0;
            while total < 10_485_760 && stream.write_all(&piece).await.is_ok() {
                total += piece.len();
            }
            sent.send_replace(total);
        }
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    let report = checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    assert!(
        report.output.ends_with(": the body is over 64 KiB, so the code alone counts"),
        "{}",
        report.output
    );
    let mut seen = seen;
    let total = *seen.wait_for(|total| *total > 0).await.unwrap();
    assert!(total < 10_485_760, "the connection was closed on it");
}

#[tokio::test]
async fn a_tls_server_that_never_shakes_hands_and_an_address_that_never_connects() {
    let (port, _) = server(|_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let checker = Checker::new(tls::Options { skip_verification: true, ..tls::Options::default() });
    let report = checker.probe("127.0.0.1", port, "https", "http", SHORT).await;
    assert_failed(&report, "no answer within 300ms (connected, TLS handshake unfinished) from 127.0.0.1:");
    // A queue of one that is full: Linux drops what else wants in.
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(0).unwrap();
    let address = full.local_addr().unwrap();
    let _queued = TcpStream::connect(address).await.unwrap();
    let report = checker.probe("127.0.0.1", address.port(), "tcp", "tcp", SHORT).await;
    assert_failed(&report, &format!("no answer within 300ms (not connected to {address}) from {address}"));
}

#[tokio::test]
async fn passive_checks_send_nothing_and_say_so() {
    let (port, connections) = server(|_, stream| async move { drop(stream) }).await;
    for kind in ["ttl", "none"] {
        let checker = Checker::new(tls::Options::default());
        checker.register("127.0.0.1", port, "http", kind, PATIENT);
        let refused = checker.try_again().await.unwrap_err().to_string();
        assert_eq!(refused, format!("an instance with a check of type `{kind}` is never probed"));
    }
    assert_eq!(connections.load(SeqCst), 0);
}

#[tokio::test]
async fn answers_that_are_not_http() {
    assert_failed(&*of("SSH-2.0-OpenSSH_9.2\r\n\r\n", PATIENT).await, "the answer is not HTTP");
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    assert_failed(&*of(head, PATIENT).await, "the response's head is over 32 KiB");
    let bad = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    assert_failed(&*of(bad, PATIENT).await, "in the response's body, after 0 bytes");
}

#[tokio::test]
async fn servers_that_never_finish_fail_in_time_and_say_how_far_they_came() {
    // Half open: accepted, never answered.
    let (port, _) = server(|_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    let silent = checker.probe("127.0.0.1", port, "http", "http", SHORT).await;
    assert_failed(&silent, "no answer within 300ms (connected, no response head) from 127.0.0.1:");
    // A byte now and then, for ever.
    let (port, _) = server(|_, mut stream| async move {
        let mut step = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b"H").await.is_ok() {
            step.tick().await;
        }
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    let slow = checker.probe("127.0.0.1", port, "http", "http", SHORT).await;
    assert_eq!(slow.verdict, Status::Unhealthy, "{}", slow.output);
    let endless = of("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello", SHORT).await;
    assert_failed(&endless, "(response head received, body unfinished after 5 bytes)");
}

#[tokio::test]
async fn a_body_without_end_is_read_up_to_a_bound_and_its_code_decides() {
    let (port, connections) = server(|_, mut stream| async move {
        while request(&mut stream).await.is_some() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
        }
    })
    .await;
    let checker = Checker::new(tls::Options::default());
    let report = checker.probe("127.0.0.1", port, "http", "http", PATIENT).await;
    assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    let before = connections.load(SeqCst);
    checker.again().await;
    assert_eq!(connections.load(SeqCst), before + 1, "its connection is not used again");
}

#[tokio::test]
async fn tcp_checks_connect_and_names_try_every_address() {
    let (port, _) = server(|_, stream| async move { drop(stream) }).await;
    let checker = Checker::new(tls::Options::default());
    let report = checker.probe("localhost", port, "tcp", "tcp", PATIENT).await;
    assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    assert!(report.output.starts_with(&format!("connected to 127.0.0.1:{port} in ")), "{}", report.output);
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let report = checker.probe("127.0.0.1", closed, "tcp", "tcp", PATIENT).await;
    assert_failed(&report, &format!("connection refused (127.0.0.1:{closed})"));
    let report = checker.probe("no-such-host.invalid", 80, "http", "http", PATIENT).await;
    assert_failed(&report, "cannot resolve `no-such-host.invalid`");
}

mod over_tls {
    use super::*;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::TlsAcceptor;

    /// A server with a certificate for `name`, and that certificate.
    async fn serve(name: &str) -> (u16, CertificateDer<'static>, Arc<AtomicUsize>) {
        serve_with(rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap()).await
    }

    async fn serve_with(
        params: rcgen::CertificateParams,
    ) -> (u16, CertificateDer<'static>, Arc<AtomicUsize>) {
        let pair = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&pair).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let (port, connections) = serve_as(cert.clone(), key).await;
        (port, cert, connections)
    }

    async fn serve_as(cert: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> (u16, Arc<AtomicUsize>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        server(move |_, stream| {
            let accepting = acceptor.accept(stream);
            async move {
                if let Ok(stream) = accepting.await {
                    answer(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
                }
            }
        })
        .await
    }

    #[tokio::test]
    async fn a_trusted_authority_is_trusted_and_the_connection_kept() {
        let (port, cert, connections) = serve("localhost").await;
        let checker = Checker::new(tls::Options { extra_roots: vec![cert], ..tls::Options::default() });
        let report = checker.probe("localhost", port, "https", "http", PATIENT).await;
        assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
        assert!(report.output.contains("GET https://localhost:"));
        checker.again().await;
        assert_eq!(connections.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_stranger_and_a_name_mismatch_are_refused_with_the_reason() {
        let (port, cert, _) = serve("other.example").await;
        let checker = Checker::new(tls::Options::default());
        let stranger = checker.probe("localhost", port, "https", "http", PATIENT).await;
        assert_failed(
            &stranger,
            "TLS handshake failed: no authority that is trusted has signed the certificate",
        );
        let trusting = tls::Options { extra_roots: vec![cert], ..tls::Options::default() };
        let mismatch =
            Checker::new(trusting.clone()).probe("localhost", port, "https", "http", PATIENT).await;
        assert_failed(
            &mismatch,
            "TLS handshake failed: register the instance by a name that is on its certificate, not as `localhost`",
        );
        assert!(mismatch.output.contains("other.example"), "{}", mismatch.output);
        let named = tls::Options { server_name: Some("other.example".into()), ..trusting };
        let report = Checker::new(named).probe("localhost", port, "https", "http", PATIENT).await;
        assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    }

    #[tokio::test]
    async fn an_expired_certificate_is_told_as_such() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let (port, cert, _) = serve_with(params).await;
        let checker = Checker::new(tls::Options { extra_roots: vec![cert], ..tls::Options::default() });
        let report = checker.probe("localhost", port, "https", "http", PATIENT).await;
        assert_failed(&report, "TLS handshake failed: the certificate has expired");
    }

    #[tokio::test]
    async fn a_private_authority_vouches_for_its_servers() {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&authority).unwrap().der().clone();
        let issuer = rcgen::Issuer::new(params, authority);
        let pair = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&pair, &issuer).unwrap().der().clone();
        let (port, _) = serve_as(leaf, PrivateKeyDer::try_from(pair.serialize_der()).unwrap()).await;
        let checker = Checker::new(tls::Options { extra_roots: vec![root], ..tls::Options::default() });
        let report = checker.probe("localhost", port, "https", "http", PATIENT).await;
        assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    }

    #[tokio::test]
    async fn verification_can_be_skipped() {
        let (port, ..) = serve("other.example").await;
        let checker = Checker::new(tls::Options { skip_verification: true, ..tls::Options::default() });
        let report = checker.probe("127.0.0.1", port, "https", "http", PATIENT).await;
        assert_eq!(report.verdict, Status::Healthy, "{}", report.output);
    }

    #[tokio::test]
    async fn a_server_without_tls_is_named_as_such() {
        let (port, _) = server(|_, mut stream| async move {
            // As nginx does: it does not wait for the end of what it can't read.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            request(&mut stream).await;
        })
        .await;
        let checker = Checker::new(tls::Options { skip_verification: true, ..tls::Options::default() });
        let report = checker.probe("127.0.0.1", port, "https", "http", SHORT).await;
        assert_eq!(report.verdict, Status::Unhealthy, "{}", report.output);
        assert!(report.output.contains("this port does not speak TLS"), "{}", report.output);
    }
}

mod over_grpc {
    use super::*;
    use tonic_health::ServingStatus;
    use tonic_health::server::HealthReporter;

    /// tonic's own health server.
    async fn serve() -> (u16, HealthReporter) {
        let (reporter, service) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        (port, reporter)
    }

    #[tokio::test]
    async fn serving_and_not_serving_are_told_over_one_connection() {
        let (port, reporter) = serve().await;
        let checker = Checker::new(tls::Options::default());
        let report = checker.probe("127.0.0.1", port, "grpc", "grpc", PATIENT).await;
        assert_eq!((report.verdict, report.code), (Status::Healthy, Some(0)), "{}", report.output);
        assert!(report.output.starts_with(&format!("SERVING from gRPC health at 127.0.0.1:{port} in ")));
        for (status, word) in
            [(ServingStatus::NotServing, "NOT_SERVING"), (ServingStatus::Unknown, "UNKNOWN")]
        {
            reporter.set_service_status("", status).await;
            assert_failed(&*checker.again().await, &format!("{word} from gRPC health"));
        }
        reporter.set_service_status("", ServingStatus::Serving).await;
        assert_eq!(checker.again().await.verdict, Status::Healthy);
        assert_eq!(checker.0.stats().kinds[2].checks, checker.0.stats().checks_total);
    }

    #[tokio::test]
    async fn an_unknown_service_and_other_servers_are_told_apart() {
        let (port, mut reporter) = serve().await;
        reporter.clear_service_status("").await;
        let checker = Checker::new(tls::Options::default());
        let unknown = checker.probe("127.0.0.1", port, "grpc", "grpc", PATIENT).await;
        assert_failed(&unknown, "gRPC status 5 NOT_FOUND");
        assert_eq!(unknown.code, Some(5));

        let (port, _) = server(|_, stream| answer(stream, b"HTTP/1.1 400 Bad\r\n\r\n".to_vec())).await;
        let checker = Checker::new(tls::Options::default());
        let report = checker.probe("127.0.0.1", port, "grpc", "grpc", PATIENT).await;
        assert_failed(&report, "gRPC answer");
    }

    #[tokio::test]
    async fn a_server_without_the_health_service_is_told_as_such() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let routes = tonic::service::Routes::default();
        tokio::spawn(tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming));
        let checker = Checker::new(tls::Options::default());
        let report = checker.probe("127.0.0.1", port, "grpc", "grpc", PATIENT).await;
        assert_failed(&report, "gRPC status 12 UNIMPLEMENTED");
        assert!(report.output.contains("use a tcp check"));
    }
}
