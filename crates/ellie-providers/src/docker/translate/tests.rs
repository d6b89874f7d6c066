//! On what a real daemon said of real containers (`fixtures/`), and on that with a detail changed.

use super::*;
use serde_json::{Value, json};

const FIXTURES: [(&str, &str); 8] = [
    ("users-1", include_str!("fixtures/users-1.json")),
    ("orders-1", include_str!("fixtures/orders-1.json")),
    ("hosted", include_str!("fixtures/hosted.json")),
    ("alone", include_str!("fixtures/alone.json")),
    ("shared", include_str!("fixtures/shared.json")),
    ("asleep", include_str!("fixtures/asleep.json")),
    ("sick", include_str!("fixtures/sick.json")),
    ("plain", include_str!("fixtures/plain.json")),
];

fn json_of(name: &str) -> Value {
    let text = FIXTURES.iter().find(|(n, _)| *n == name).unwrap().1;
    serde_json::from_str(text).unwrap()
}

fn judge_with(container: Value, settings: &Settings, own: &BTreeSet<String>) -> Verdict {
    translate(&serde_json::from_value(container).unwrap(), settings, own)
}

fn judge(container: Value) -> Verdict {
    judge_with(container, &Settings::default(), &BTreeSet::new())
}

fn label(container: &mut Value, key: &str, value: &str) {
    container["Config"]["Labels"][key] = json!(value);
}

#[track_caller]
fn offered(verdict: Verdict) -> (Offer, Vec<String>) {
    match verdict {
        Verdict::Offered(offer, notes) => (offer, notes.into_iter().map(|n| n.message).collect()),
        other => panic!("not offered: {other:?}"),
    }
}

#[track_caller]
fn noted(verdict: Verdict, severity: Severity) -> Vec<String> {
    match verdict {
        Verdict::Noted(notes) => {
            notes.into_iter().filter(|n| n.severity == severity).map(|n| n.message).collect()
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_labelled_container_is_an_instance() {
    let (offer, notes) = offered(judge(json_of("users-1")));
    let r = offer.registration;
    assert_eq!((r.name.as_str(), r.version.as_str(), r.port, r.weight), ("users", "1.2.3", 8080, 1));
    assert_eq!((r.tags.join(","), r.dependencies.join(",")), ("api,backend".into(), "db".into()));
    assert_eq!(r.health_endpoint.as_deref(), Some("/health"));
    assert_eq!((r.metadata["team"].as_str(), r.metadata["docker.container"].as_str()), ("blue", "users-1"));
    assert_eq!(r.host, json_of("users-1")["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]);
    assert!(
        json_of("users-1")["Id"].as_str().unwrap().starts_with(r.id.as_str()) && r.id.as_str().len() == SHORT
    );
    assert_eq!((offer.withheld, notes.len()), (None, 0));
}

#[test]
fn what_nobody_asked_for_is_left_alone() {
    assert_eq!(judge(json_of("plain")), Verdict::Ignored);
    let mut off = json_of("users-1");
    label(&mut off, "ellie.enable", "false");
    assert_eq!(judge(off), Verdict::Ignored);
    let mut stopped = json_of("users-1");
    stopped["State"]["Running"] = json!(false);
    assert_eq!(judge(stopped), Verdict::Ignored);
    let mut task = json_of("users-1");
    label(&mut task, SWARM, "abc");
    assert!(matches!(judge(task.clone()), Verdict::Offered(..)));
    let settings = Settings { skip_swarm: true, ..Settings::default() };
    assert_eq!(judge_with(task, &settings, &BTreeSet::new()), Verdict::Ignored);
    assert_eq!(judge(json!({})), Verdict::Ignored);
}

#[test]
fn of_several_networks_the_one_asked_for_then_a_shared_one_then_the_first() {
    let networks = json_of("orders-1")["NetworkSettings"]["Networks"].clone();
    let address = |name: &str| networks[name]["IPAddress"].as_str().unwrap().to_owned();
    let mut orders = json_of("orders-1");
    label(&mut orders, "service.port", "8080");
    let host = |container: &Value, settings: &Settings, own: &BTreeSet<String>| {
        let (offer, notes) = offered(judge_with(container.clone(), settings, own));
        (offer.registration.host.clone(), notes.join("; "))
    };
    let (nobody, plain) = (BTreeSet::new(), Settings::default());
    let (first, doubt) = host(&orders, &plain, &nobody);
    assert_eq!(first, address("front"));
    assert!(doubt.contains("front, shop_back") && doubt.contains("ellie.network"), "{doubt}");
    let own = BTreeSet::from([networks["shop_back"]["NetworkID"].as_str().unwrap().to_owned()]);
    assert_eq!(host(&orders, &plain, &own), (address("shop_back"), String::new()));
    // Compose calls the network `back` of the project `shop` by both names.
    for name in ["shop_back", "back"] {
        let settings = Settings { network: Some(name.into()), ..Settings::default() };
        assert_eq!(host(&orders, &settings, &nobody), (address("shop_back"), String::new()));
    }
    let settings = Settings { network: Some("back".into()), ..Settings::default() };
    label(&mut orders, "ellie.network", "front");
    assert_eq!(host(&orders, &settings, &own), (address("front"), String::new()));
    label(&mut orders, "ellie.network", "moon");
    let faults = noted(judge(orders), Severity::Fault);
    assert!(faults[0].contains("`moon`") && faults[0].contains("front, shop_back"), "{faults:?}");
    let strangers = BTreeSet::from(["0".repeat(64)]);
    let (_, doubt) = host(&json_of("users-1"), &plain, &strangers);
    assert!(doubt.contains("shares no network"), "{doubt}");
}

#[test]
fn the_port_is_the_label_else_the_exposed_one_and_a_guess_is_told() {
    let (offer, notes) = offered(judge(json_of("orders-1")));
    assert_eq!(offer.registration.port, 8080);
    assert!(notes.iter().any(|n| n.contains("8080, 9090")), "UDP does not count: {notes:?}");
    let mut none = json_of("users-1");
    none["Config"]["ExposedPorts"] = Value::Null;
    none["NetworkSettings"]["Ports"] = json!({});
    assert!(noted(judge(none), Severity::Fault)[0].contains("exposes no TCP port"));
}

#[test]
fn published_ports_are_reached_at_the_host() {
    let settings = Settings { address: Address::Published, host: "192.0.2.7".into(), ..Settings::default() };
    let published = |port: &str| {
        let mut orders = json_of("orders-1");
        label(&mut orders, "service.port", port);
        judge_with(orders, &settings, &BTreeSet::new())
    };
    let endpoint = |verdict| offered(verdict).0.registration.authority();
    assert_eq!(endpoint(published("8080")), "127.0.0.1:18080");
    assert_eq!(endpoint(published("9090")), "192.0.2.7:32769");
    let faults = noted(published("7070"), Severity::Fault);
    assert!(faults[0].contains("port 7070") && faults[0].contains("not published"), "{faults:?}");
    let mut users = json_of("users-1");
    label(&mut users, "ellie.address", "published");
    assert!(noted(judge(users), Severity::Fault)[0].contains("not published"));
}

#[test]
fn containers_without_an_address_of_their_own() {
    let (hosted, _) = offered(judge(json_of("hosted")));
    assert_eq!(hosted.registration.authority(), "127.0.0.1:8099");
    assert!(noted(judge(json_of("alone")), Severity::Fault)[0].contains("on no network"));
    let mut shared = json_of("shared");
    label(&mut shared, "service.port", "8081");
    let faults = noted(judge(shared), Severity::Fault);
    assert!(faults[0].contains("network of container"), "{faults:?}");
    let mut v6 = json_of("users-1");
    v6["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] = json!("");
    v6["NetworkSettings"]["Networks"]["bridge"]["GlobalIPv6Address"] = json!("2001:db8::2");
    assert_eq!(offered(judge(v6)).0.registration.authority(), "[2001:db8::2]:8080");
}

#[test]
fn a_paused_one_is_absent_and_its_name_is_that_of_compose() {
    let Verdict::Noted(notes) = judge(json_of("asleep")) else { panic!("offered") };
    assert_eq!((notes[0].severity, notes[0].service.as_deref()), (Severity::Absent, Some("sleeper")));
    assert_eq!((notes[0].subject.as_str(), notes[0].message.as_str()), ("asleep", "the container is paused"));
}

#[test]
fn a_healthcheck_of_the_image_withholds_until_it_passes() {
    let (offer, _) = offered(judge(json_of("sick")));
    assert!(offer.withheld.unwrap().starts_with("its HEALTHCHECK says unhealthy: OCI runtime"));
    let mut starting = json_of("sick");
    starting["State"]["Health"]["Status"] = json!("starting");
    assert!(offered(judge(starting)).0.withheld.unwrap().contains("not passed yet"));
    for status in ["healthy", "none"] {
        let mut fine = json_of("sick");
        fine["State"]["Health"]["Status"] = json!(status);
        assert_eq!(offered(judge(fine)).0.withheld, None);
    }
    let settings = Settings { container_health: false, ..Settings::default() };
    assert_eq!(offered(judge_with(json_of("sick"), &settings, &BTreeSet::new())).0.withheld, None);
}

#[test]
fn every_bad_label_is_told_and_none_ends_anything() {
    let mut bad = json_of("users-1");
    for (key, value) in [
        ("service.port", "70000"),
        ("service.protocol", "smtp"),
        ("service.weight", "-1"),
        ("service.healthEndpoint", "health"),
        ("service.healthCheck.timeout", "later"),
        ("service.metadata.k\u{7}", "v"),
        ("service.prot", "1"),
    ] {
        label(&mut bad, key, value);
    }
    let faults = noted(judge(bad.clone()), Severity::Fault).join("\n");
    for part in ["70000", "smtp", "weight", "healthEndpoint", "healthCheck.timeout", "metadata"] {
        assert!(faults.contains(part), "{part}: {faults}");
    }
    assert!(noted(judge(bad), Severity::Warning)[0].contains("service.prot"));
    for name in ["", "a/b", "health", "é", &"x".repeat(500)] {
        let mut bad = json_of("users-1");
        label(&mut bad, "service.name", name);
        assert!(noted(judge(bad), Severity::Fault)[0].starts_with("name:"), "{name:?}");
    }
    let mut many = json_of("users-1");
    for n in 0..200 {
        label(&mut many, &format!("service.metadata.k{n}"), "v");
    }
    assert!(noted(judge(many), Severity::Fault)[0].contains("metadata"));
}

#[test]
fn an_unknown_label_is_only_a_warning() {
    let mut typo = json_of("users-1");
    label(&mut typo, "service.prot", "8080");
    let (_, notes) = offered(judge(typo));
    assert!(notes[0].contains("`service.prot` means nothing here"), "{notes:?}");
}

#[test]
fn the_images_version_stands_in() {
    let mut oci = json_of("users-1");
    oci["Config"]["Labels"].as_object_mut().unwrap().remove("service.version");
    label(&mut oci, "org.opencontainers.image.version", "9.9");
    assert_eq!(offered(judge(oci)).0.registration.version, "9.9");
}
