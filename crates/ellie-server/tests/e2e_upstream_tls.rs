//! TLS from ellie to instances, with nginx and tonic as real ones: the gateway's and the checks'.

mod common;

use common::{Answer, Authority, Ellie, Issued, Nginx, request, wait_for, wait_until};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Checks often; what follows is under `[upstream_tls]`.
fn config(upstream_tls: &str) -> String {
    format!("[health]\ninterval = \"100ms\"\ntimeout = \"30s\"\n[upstream_tls]\n{upstream_tls}")
}

fn folder() -> Arc<TempDir> {
    Arc::new(TempDir::new().expect("a folder"))
}

/// Registers the service `secure` at this name and port, with a route.
fn register(ellie: &Ellie, host: &str, port: u16) {
    let body = json!({
        "name": "secure", "id": "s1", "host": host, "port": port, "protocol": "https", "healthEndpoint": "/health",
    });
    ellie.post("/services", &body).expect(201);
    ellie.post("/routes", &json!({ "path": "/secure/*", "serviceName": "secure" })).expect(201);
}

fn instance(ellie: &Ellie) -> Value {
    ellie.get("/services/secure/instances/s1").expect(200).json()
}

/// Waits for a check that says so.
fn wait_for_reason(ellie: &Ellie, text: &str) {
    wait_until(text, || instance(ellie).to_string().contains(text));
}

fn wait_until_healthy(ellie: &Ellie) {
    wait_until("a healthy instance", || instance(ellie)["status"] == "healthy");
}

/// The first answer of the gateway that is not about a service it has not heard of yet.
fn through(ellie: &Ellie) -> Answer {
    wait_for("the gateway to follow", || {
        request(ellie.gateway, "GET", "/secure/x", &[], None).ok().filter(|answer| answer.status != 503)
    })
}

fn rewrite(ellie: &Ellie, upstream_tls: &str) {
    std::fs::write(ellie.path("ellie.toml"), config(upstream_tls)).expect("written");
    ellie.signal("HUP");
}

fn nginx(folder: &Path, own: &Issued, clients: Option<&Authority>) -> Option<Nginx> {
    Nginx::start_tls(folder, "secure", own, clients)
}

#[test]
fn an_authority_is_believed_once_it_is_configured_and_until_it_is_another() {
    let (folder, authority) = (folder(), Authority::new("Tests"));
    let Some(nginx) = nginx(folder.path(), &authority.issue(&["localhost"]), None) else { return };
    let ellie = Ellie::builder().folder(&folder).config(&config("")).start();
    register(&ellie, "localhost", nginx.port);
    wait_for_reason(&ellie, "no authority that is trusted has signed the certificate");

    authority.write(&ellie.path("ca.pem"));
    rewrite(&ellie, "ca_file = \"ca.pem\"\n");
    wait_until_healthy(&ellie);
    let answer = through(&ellie).expect(200);
    assert_eq!(answer.text(), "secure\n");

    // The file alone changes: connections of the gateway that are kept were vouched for by nobody who still counts.
    Authority::new("Others").write(&ellie.path("ca.pem"));
    let refused = wait_for("a refusal", || Some(through(&ellie)).filter(|answer| answer.status != 200));
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.text().contains("no authority that is trusted has signed"), "{}", refused.text());
    // A file that can't be used changes nothing and is told.
    std::fs::write(ellie.path("ca.pem"), "nothing").expect("written");
    ellie.wait_for_line("why", |line| line.contains("upstream_tls.ca_file: "));
}

#[test]
fn a_certificate_for_another_name_is_refused_unless_that_name_is_configured() {
    let (folder, authority) = (folder(), Authority::new("Tests"));
    let Some(nginx) = nginx(folder.path(), &authority.issue(&["db.internal"]), None) else { return };
    authority.write(&folder.path().join("ca.pem"));
    let ellie = Ellie::builder().folder(&folder).config(&config("ca_file = \"ca.pem\"\n")).start();
    register(&ellie, "127.0.0.1", nginx.port);
    wait_for_reason(&ellie, "register the instance by a name that is on its certificate, not as `127.0.0.1`");
    rewrite(&ellie, "ca_file = \"ca.pem\"\nserver_name = \"db.internal\"\n");
    wait_until_healthy(&ellie);
    assert_eq!(through(&ellie).expect(200).text(), "secure\n");
}

#[test]
fn a_client_certificate_is_shown_to_those_who_ask() {
    let (folder, authority, clients) = (folder(), Authority::new("Tests"), Authority::new("Clients"));
    let own = authority.issue(&["127.0.0.1"]);
    let Some(nginx) = nginx(folder.path(), &own, Some(&clients)) else { return };
    authority.write(&folder.path().join("ca.pem"));
    clients.issue(&["ellie.internal"]).write(folder.path());
    let ellie = Ellie::builder().folder(&folder).config(&config("ca_file = \"ca.pem\"\n")).start();
    register(&ellie, "127.0.0.1", nginx.port);
    // nginx says it in HTTP, not by an alert.
    wait_for_reason(&ellie, "400");
    rewrite(&ellie, "ca_file = \"ca.pem\"\nclient_cert = \"cert.pem\"\nclient_key = \"key.pem\"\n");
    wait_until_healthy(&ellie);
    assert_eq!(through(&ellie).expect(200).text(), "secure\n");
}

#[test]
fn verification_is_switched_off_only_loudly() {
    let folder = folder();
    let Some(nginx) = nginx(folder.path(), &Authority::new("Nobody").issue(&["elsewhere"]), None) else {
        return;
    };
    let ellie = Ellie::builder().folder(&folder).config(&config("insecure_skip_verify = true\n")).start();
    ellie.wait_for_line("the warning", |line| {
        line.contains("WARN") && line.contains("insecure_skip_verify is on")
    });
    register(&ellie, "127.0.0.1", nginx.port);
    wait_until_healthy(&ellie);
    assert_eq!(through(&ellie).expect(200).text(), "secure\n");
    let doctor = ellie.cli(&["doctor"]);
    assert!(doctor.stdout.contains("insecure_skip_verify is on"), "{}", doctor.stdout);
}

/// tonic's own health server over TLS, on a port of its own; its service `db` is what `serving` says.
fn tonic(own: &Issued, clients: &Authority) -> u16 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let tls = tonic::transport::ServerTlsConfig::new()
        .identity(tonic::transport::Identity::from_pem(&own.chain, &own.key))
        .client_ca_root(tonic::transport::Certificate::from_pem(&clients.pem));
    let incoming = runtime
        .block_on(async { tonic::transport::server::TcpIncoming::bind(([127, 0, 0, 1], 0).into()) })
        .expect("a port");
    let port = incoming.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let (reporter, service) = tonic_health::server::health_reporter();
            reporter.set_service_status("db", tonic_health::ServingStatus::Serving).await;
            let mut server = tonic::transport::Server::builder().tls_config(tls).expect("TLS");
            server.add_service(service).serve_with_incoming(incoming).await
        })
    });
    port
}

#[test]
fn grpc_health_is_asked_over_tls_with_the_same_trust() {
    let (folder, authority, clients) = (folder(), Authority::new("Tests"), Authority::new("Clients"));
    let port = tonic(&authority.issue(&["localhost"]), &clients);
    authority.write(&folder.path().join("ca.pem"));
    clients.issue(&["ellie.internal"]).write(folder.path());
    let ellie = Ellie::builder().folder(&folder).config(&config("ca_file = \"ca.pem\"\n")).start();
    let body = json!({
        "name": "secure", "id": "s1", "host": "localhost", "port": port, "protocol": "https",
        "healthCheck": { "type": "grpc", "path": "db" },
    });
    ellie.post("/services", &body).expect(201);
    // tonic ends the handshake with an alert.
    wait_for_reason(&ellie, "the server asks for a client certificate (upstream_tls.client_cert)");
    rewrite(&ellie, "ca_file = \"ca.pem\"\nclient_cert = \"cert.pem\"\nclient_key = \"key.pem\"\n");
    wait_until_healthy(&ellie);
    let told = instance(&ellie).to_string();
    assert!(told.contains("SERVING"), "{told}");
}
