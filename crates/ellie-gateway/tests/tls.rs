//! TLS on either side of the gateway.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, GET, Instance, OK};
use ellie_tls::client::{Client, Options};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

fn identity() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".into(), "127.0.0.1".into()]).unwrap();
    (made.cert.der().clone(), PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap())
}

fn server(identity: (CertificateDer<'static>, PrivateKeyDer<'static>)) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![identity.0], identity.1).unwrap())
}

fn client(trusted: Option<CertificateDer<'static>>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if let Some(root) = trusted {
        roots.add(root).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Reads one head from `stream`.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// An instance that speaks TLS and answers each request with a body of `size`.
fn encrypted(config: Arc<ServerConfig>, size: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let config = config.clone();
            std::thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream.unwrap());
                while head(&mut tls).is_some() {
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size));
                    if tls.write_all(answer.as_bytes()).and_then(|()| tls.flush()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn instances_that_speak_https_are_verified() {
    let identity = identity();
    let root = identity.0.clone();
    let instance = encrypted(server(identity), 300_000);
    let believing =
        |extra_roots| Client::new(Options { system_roots: false, extra_roots, ..Options::default() });
    let trusting = believing(vec![root]).unwrap();
    let f = Fixture::speaking("https", &[instance], |c| c.live.upstream_tls = trusting, |_| {}, |_| {});
    let mut c = f.client();
    for _ in 0..3 {
        let r = c.ask(GET);
        assert_eq!((r.status(), r.body.len()), (200, 300_000));
    }
    let suspicious = believing(vec![self::identity().0]).unwrap();
    let f = Fixture::speaking("https", &[instance], |c| c.live.upstream_tls = suspicious, |_| {}, |_| {});
    let r = f.client().ask(GET);
    assert_eq!(r.status(), 502);
    assert!(r.text().contains("another one signed the certificate"), "{}", r.text());
    // The system's roots don't know it either.
    let r = Fixture::speaking("https", &[instance], |_| {}, |_| {}, |_| {}).client().ask(GET);
    assert_eq!(r.status(), 502);
}

#[test]
fn clients_that_speak_https_are_served_and_told_apart() {
    let identity = identity();
    let root = identity.0.clone();
    let i = Instance::answering(OK);
    let f = Fixture::with(&[i.address], |c| c.live.tls = Some(server(identity)), |_| {}, |_| {});
    let tcp = TcpStream::connect(f.gateway.local_addr()).unwrap();
    tcp.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(client(Some(root)), name).unwrap(), tcp);
    for _ in 0..2 {
        tls.write_all(GET.as_bytes()).unwrap();
        assert!(head(&mut tls).unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
        let mut body = [0; 2];
        tls.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"ok");
    }
    assert!(i.heads().iter().all(|h| h.contains("\r\nX-Forwarded-Proto: https\r\n")));
    // Words in the clear are no handshake, and are answered in the clear.
    let mut plain = f.client();
    plain.try_send(GET.as_bytes());
    let (rest, _) = plain.rest();
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.starts_with("HTTP/1.1 400 ") && rest.contains("this port speaks TLS"), "{rest}");
}
