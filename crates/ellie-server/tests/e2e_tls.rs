//! TLS on the listeners of the real binary, with curl, rustls and ellie's own command line as clients.

mod common;

use common::{Answer, Authority, Ellie, Ran, Upstream, peer, wait_for, wait_until};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const CONFIG: &str = "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n";
const HERE: [&str; 2] = ["localhost", "127.0.0.1"];

/// A server with a certificate of `authority` in its folder, beside `ca.pem`.
fn start(authority: &Authority) -> Ellie {
    let folder = Arc::new(tempfile::TempDir::new().expect("a folder"));
    authority.write(&folder.path().join("ca.pem"));
    authority.issue(&HERE).write(folder.path());
    Ellie::builder().folder(&folder).config(CONFIG).start()
}

/// A connection of rustls that trusts `authority` alone.
struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    fn connect(to: SocketAddr, authority: &Authority) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM")).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let tcp = TcpStream::connect_timeout(&to, common::HANG)?;
        tcp.set_read_timeout(Some(common::HANG))?;
        let session = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let mut stream = StreamOwned::new(session, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// What the server showed of itself.
    fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().expect("after the handshake")[0].to_vec()
    }

    /// A request on this connection, which stays open.
    fn get(&mut self, path: &str) -> Answer {
        write!(self.0, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
        let mut raw = Vec::new();
        let mut piece = [0; 4096];
        loop {
            if let Some(answer) =
                raw.windows(4).any(|w| w == b"\r\n\r\n").then(|| Answer::parse(&raw, "GET")).flatten()
            {
                return answer;
            }
            let n = self.0.read(&mut piece).expect("an answer");
            assert!(n > 0, "closed after: {}", raw.escape_ascii());
            raw.extend_from_slice(&piece[..n]);
        }
    }
}

fn shown(to: SocketAddr, authority: &Authority) -> Vec<u8> {
    Tls::connect(to, authority).expect("a connection").certificate()
}

fn curl(program: &Path, arguments: &[&str]) -> Ran {
    let output = Command::new(program).args(["-sS", "--max-time", "90"]).args(arguments).output();
    Ran::from(output.expect("curl runs"))
}

/// Rejections of configurations, as the journal tells them.
fn rejected(ellie: &Ellie) -> Vec<String> {
    let told = ellie.cli(&["events", "-o", "jsonl"]).success().stdout;
    told.lines().filter(|line| line.contains("config-rejected")).map(str::to_owned).collect()
}

#[test]
fn every_listener_speaks_tls_to_those_who_trust_its_authority() {
    let authority = Authority::new("Tests");
    let ellie = start(&authority);
    let instance = Upstream::start();
    let port = instance.address.port().to_string();
    // The command line finds the certificate in the configuration, as it finds the token in the data directory.
    ellie.cli(&["register", "users", "--port", &port, "--health", "/health"]).success();
    ellie.cli(&["routes", "add", "/users/*", "users"]).success();
    wait_until("the instance is routable", || {
        ellie.cli(&["services", "get", "users", "-o", "json"]).success().json()["routable"] == 1
    });
    let answering = std::thread::spawn(move || {
        for n in 0..3 {
            instance.next().answer(200, &format!("answer {n}"));
        }
    });
    let ready = ellie.wait_for_line("ready", |line| line.contains("\"ready\""));
    assert!(ready.contains("\"tls\":true"), "{ready}");

    let mut client = Tls::connect(ellie.gateway, &authority).expect("a connection");
    let first = wait_for("the gateway to know the route", || {
        Some(client.get("/users/1")).filter(|answer| answer.status == 200)
    });
    assert_eq!(first.text(), "answer 0");
    assert_eq!(client.get("/users/2").text(), "answer 1", "on the same connection");
    let mut api = Tls::connect(ellie.api, &authority).expect("a connection");
    assert_eq!((api.get("/health").status, api.get("/services/users").status), (200, 200));
    let mut dashboard = Tls::connect(ellie.dashboard.expect("enabled"), &authority).expect("a connection");
    assert_eq!(dashboard.get("/").status, 307, "to its first page");

    // Who trusts somebody else does not go on.
    let stranger = Tls::connect(ellie.gateway, &Authority::new("Strangers"));
    assert!(stranger.err().expect("refused").to_string().contains("invalid peer certificate"));

    if let Some(program) = peer("curl", "curl") {
        let ca = ellie.path("ca.pem");
        let ca = ca.to_str().expect("UTF-8");
        let gateway = format!("https://{}/users/3", ellie.gateway);
        let health = format!("https://{}/health", ellie.api);
        assert_eq!(curl(&program, &["--cacert", ca, &gateway]).success().stdout, "answer 2");
        let twice = curl(
            &program,
            &[
                "--cacert",
                ca,
                "-o",
                "/dev/null",
                "-w",
                "%{num_connects} ",
                &health,
                "-o",
                "/dev/null",
                &health,
            ],
        );
        assert_eq!(twice.success().stdout, "1 0 ", "the second one on the connection of the first");
        // 60: the certificate is not trusted.
        curl(&program, &[&gateway]).expect(60);
        curl(&program, &[&health]).expect(60);
        for port in [ellie.gateway, ellie.api, ellie.dashboard.expect("enabled")] {
            let clear = curl(&program, &["-w", "%{http_code}", &format!("http://{port}/health")]).success();
            assert!(
                clear.stdout.contains("this port speaks TLS") && clear.stdout.ends_with("400"),
                "{}",
                clear.stdout
            );
        }
        // TLS 1.2 alone, which old clients speak.
        curl(&program, &["--cacert", ca, "--tls-max", "1.2", &health]).success();
    } else {
        client.get("/users/3");
    }
    answering.join().expect("no panic");

    let wrong = Authority::new("Wrong");
    wrong.write(&ellie.path("wrong.pem"));
    let refused = ellie.cli(&["--ca-file", "wrong.pem", "services"]).expect(3);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    ellie.cli(&["--ca-file", "ca.pem", "services"]).success();
    ellie.cli(&["--ca-file", "nowhere.pem", "services"]).expect(2);
}

#[test]
fn a_renewed_certificate_is_for_new_connections_and_drops_none() {
    let authority = Authority::new("Tests");
    let ellie = start(&authority);
    let before = shown(ellie.gateway, &authority);
    let mut kept = Tls::connect(ellie.gateway, &authority).expect("a connection");
    let mut kept_api = Tls::connect(ellie.api, &authority).expect("a connection");
    assert_eq!(kept.get("/nothing").status, 404);
    // By itself.
    let second = authority.issue(&HERE);
    second.write(ellie.folder().path());
    for listener in [ellie.gateway, ellie.api, ellie.dashboard.expect("enabled")] {
        wait_until("the second certificate", || shown(listener, &authority) == second.der);
    }
    // Asked to.
    let third = authority.issue(&HERE);
    third.write(ellie.folder().path());
    ellie.signal("HUP");
    wait_until("the third certificate", || shown(ellie.gateway, &authority) == third.der);
    assert_eq!(kept.get("/nothing").status, 404, "the connection of the first certificate goes on");
    assert_eq!(kept_api.get("/health").status, 200);
    assert_eq!(kept.certificate(), before);
    ellie.wait_for_line("the reload", |line| line.contains("tls.cert: changed"));
}

#[test]
fn a_broken_certificate_keeps_the_old_one_and_is_told() {
    let authority = Authority::new("Tests");
    let ellie = start(&authority);
    let before = shown(ellie.gateway, &authority);
    std::fs::write(ellie.path("cert.pem"), "no certificate").expect("written");
    let line = ellie.wait_for_line("why", |line| line.contains("holds no `-----BEGIN CERTIFICATE-----`"));
    assert!(line.contains("tls.cert") && line.contains("ellie.toml:2:1"), "{line}");
    // Half of a pair: the certificate is new, the key is not.
    let other = authority.issue(&HERE);
    std::fs::write(ellie.path("cert.pem"), &other.chain).expect("written");
    ellie.wait_for_line("why", |line| {
        line.contains("tls.key") && line.contains("is not the certificate's key")
    });
    wait_until("the journal tells both", || {
        let told = rejected(&ellie);
        told.iter().any(|t| t.contains("tls.cert: ")) && told.iter().any(|t| t.contains("tls.key: "))
    });
    assert_eq!(shown(ellie.gateway, &authority), before);
    assert_eq!(shown(ellie.api, &authority), before);
    let doctor = ellie.cli(&["doctor", "--ca-file", "ca.pem"]).expect(1);
    assert!(doctor.stdout.contains("is not the certificate's key"), "{}", doctor.stdout);
    // The other half arrives, and all is well.
    std::fs::write(ellie.path("key.pem"), &other.key).expect("written");
    wait_until("the new certificate", || shown(ellie.gateway, &authority) == other.der);
}

#[test]
fn nothing_starts_on_a_bad_certificate_and_each_fault_names_its_field() {
    let authority = Authority::new("Tests");
    let folder = Arc::new(tempfile::TempDir::new().expect("a folder"));
    let ended = || Ellie::builder().folder(&folder).config(CONFIG).spawn().ended().expect(78).stderr;
    let none = ended();
    assert!(none.contains("ellie.toml:2:1: tls.cert: `") && none.contains("tls.key: `"), "{none}");
    authority.issue(&HERE).write(folder.path());
    std::fs::write(folder.path().join("key.pem"), authority.issue(&HERE).key).expect("written");
    let mixed = ended();
    assert!(
        mixed.contains("ellie.toml:3:1: tls.key: `") && mixed.contains("is not the certificate's key"),
        "{mixed}"
    );
    let alone =
        Ellie::builder().folder(&folder).config("[tls]\ncert = \"cert.pem\"\n").spawn().ended().expect(78);
    assert!(alone.stderr.contains("tls.cert: needs tls.key beside it"), "{}", alone.stderr);
}

#[test]
fn tls_comes_and_goes_with_a_restart_alone() {
    let authority = Authority::new("Tests");
    let ellie = Ellie::builder().config("").start();
    authority.issue(&HERE).write(ellie.folder().path());
    std::fs::write(ellie.path("ellie.toml"), CONFIG).expect("written");
    ellie.wait_for_line("what waits", |line| line.contains("takes effect at the next start only: tls.cert"));
    ellie.get("/health").expect(200);
    let folder = ellie.folder();
    drop(ellie);
    let ellie = Ellie::builder().folder(&folder).config(CONFIG).start();
    assert_eq!(Tls::connect(ellie.api, &authority).expect("a connection").get("/health").status, 200);
}
