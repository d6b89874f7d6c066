//! On what a manager of a real swarm said in the middle of an update (`fixtures/`), and on that with a detail changed.

use super::*;
use crate::swarm::api::Node;
use ellie_core::Registration;
use serde_json::{Value, json};

fn recorded() -> Value {
    serde_json::from_str(include_str!("fixtures/swarm.json")).unwrap()
}

fn swarm(from: &Value) -> Swarm {
    let nodes: Vec<Node> = serde_json::from_value(from["nodes"].clone()).unwrap();
    Swarm {
        services: serde_json::from_value(from["services"].clone()).unwrap(),
        tasks: serde_json::from_value(from["tasks"].clone()).unwrap(),
        nodes,
        networks: serde_json::from_value(from["networks"].clone()).unwrap(),
    }
}

fn set_with(from: &Value, settings: &Settings, own: &[&str]) -> (Vec<Offer>, Vec<Note>) {
    let own = own.iter().map(|id| (*id).to_owned()).collect();
    translate(&swarm(from), &BTreeSet::new(), settings, &own).parts()
}

fn set(from: &Value) -> (Vec<Offer>, Vec<Note>) {
    set_with(from, &Settings::default(), &[])
}

fn of<'a>(offers: &'a [Offer], service: &str) -> Vec<(&'a Registration, Option<&'a str>)> {
    let of = offers.iter().filter(|o| o.registration.name.as_str() == service);
    of.map(|o| (&*o.registration, o.withheld.as_deref())).collect()
}

fn said<'a>(notes: &'a [Note], subject: &str) -> Vec<(Severity, &'a str)> {
    notes.iter().filter(|n| n.subject == subject).map(|n| (n.severity, n.message.as_str())).collect()
}

/// The service of that name, of the recording.
fn service<'a>(from: &'a mut Value, name: &str) -> &'a mut Value {
    let all = from["services"].as_array_mut().unwrap();
    all.iter_mut().find(|s| s["Spec"]["Name"] == name).unwrap()
}

/// A task of it that runs.
fn task<'a>(from: &'a mut Value, name: &str) -> &'a mut Value {
    let id = service(from, name)["ID"].clone();
    let all = from["tasks"].as_array_mut().unwrap();
    all.iter_mut().find(|t| t["ServiceID"] == id && t["Status"]["State"] == "running").unwrap()
}

#[test]
fn tasks_that_run_are_instances_and_one_that_is_to_stop_gets_no_more() {
    let (offers, notes) = set(&recorded());
    let mut users = of(&offers, "users");
    users.sort_by_key(|(r, _)| r.metadata["swarm.task"].clone());
    let told: Vec<_> = users.iter().map(|(r, w)| (r.host.as_str(), r.port, *w)).collect();
    let stopped = Some("is being stopped by the swarm");
    assert_eq!(told, [("10.0.1.4", 8080, None), ("10.0.1.3", 8080, stopped)]);
    let r = users[0].0;
    assert_eq!((r.version.as_str(), r.tags.join(",").as_str()), ("1.1.0", "blue"));
    assert_eq!(
        (r.metadata["swarm.task"].as_str(), r.metadata["swarm.service"].as_str()),
        ("users.1", "users")
    );
    assert_eq!((r.metadata["docker.image"].as_str(), r.id.as_str().len()), ("backend:test", SHORT));
    assert_eq!(said(&notes, "users"), []);
    // Nobody asked for it.
    assert!(of(&offers, "plain").is_empty() && said(&notes, "plain").is_empty());
}

#[test]
fn a_task_keeps_the_labels_of_its_container_through_an_update() {
    let mut world = recorded();
    let old = task(&mut world, "users");
    old["Spec"]["ContainerSpec"]["Labels"] = json!({"service.tags": "green", "service.version": "0.9.0"});
    let slot = old["Slot"].clone();
    service(&mut world, "users")["Spec"]["Labels"].as_object_mut().unwrap().remove("service.version");
    let (offers, _) = set(&world);
    let tags: BTreeMap<String, String> = of(&offers, "users")
        .iter()
        .map(|(r, _)| (r.metadata["swarm.task"].clone(), r.tags.join(",")))
        .collect();
    assert_eq!(tags[&format!("users.{slot}")], "green");
    assert_eq!(tags.values().filter(|t| *t == "blue").count(), 1);
}

#[test]
fn networks_are_chosen_as_asked_and_doubts_are_told() {
    let mut world = recorded();
    let (offers, notes) = set(&world);
    assert_eq!(of(&offers, "both")[0].0.host, "10.0.1.7");
    let doubt = "is on the networks app, back; `app` is taken: say which by `ellie.network`";
    assert_eq!(said(&notes, "both"), [(Severity::Warning, doubt)]);
    let asked = Settings { network: Some("back".into()), ..Settings::default() };
    let (offers, notes) = set_with(&world, &asked, &[]);
    assert_eq!(of(&offers, "both")[0].0.host, "10.0.2.3");
    assert_eq!(
        said(&notes, "users.1"),
        [(Severity::Fault, "ellie.network: has no address on the network `back`; it is on app")]
    );
    // One that ellie is on too.
    let networks = world["networks"].as_array().unwrap();
    let back = networks.iter().find(|n| n["Name"] == "back").unwrap()["Id"].as_str().unwrap().to_owned();
    let (offers, notes) = set_with(&world, &Settings::default(), &[&back]);
    assert_eq!(of(&offers, "both")[0].0.host, "10.0.2.3");
    assert_eq!(said(&notes, "both"), []);
    assert!(said(&notes, "users")[0].1.starts_with("shares no network with ellie"));
    // A stack's.
    for attachment in task(&mut world, "both")["NetworksAttachments"].as_array_mut().unwrap() {
        let name = format!("shop_{}", attachment["Network"]["Spec"]["Name"].as_str().unwrap());
        attachment["Network"]["Spec"]["Name"] = json!(name);
    }
    assert_eq!(of(&set_with(&world, &asked, &[]).0, "both")[0].0.host, "10.0.2.3");
    // What Swarm publishes through its mesh is on the mesh's own network too; no task is asked there.
    assert_eq!(of(&set(&world).0, "meshed")[0].0.host, "10.0.1.15");
}

#[test]
fn published_and_host_ports_are_the_nodes() {
    let mut world = recorded();
    let (offers, notes) = set(&world);
    let there =
        |offers: &[Offer], name: &str| (of(offers, name)[0].0.host.clone(), of(offers, name)[0].0.port);
    assert_eq!(there(&offers, "pub"), ("127.0.0.1".to_owned(), 18080));
    assert_eq!(there(&offers, "hosted"), ("127.0.0.1".to_owned(), 9090));
    assert!(of(&offers, "nowhere").is_empty());
    assert!(said(&notes, "nowhere.1")[0].1.contains("attach the service to an overlay network"), "{notes:?}");
    service(&mut world, "users")["Spec"]["Labels"]["ellie.address"] = json!("published");
    world["nodes"][0]["Status"]["Addr"] = json!("0.0.0.0");
    let (offers, notes) = set(&world);
    assert!(said(&notes, "users.1")[0].1.contains("publish it with mode=host"), "{notes:?}");
    assert_eq!(there(&offers, "hosted"), ("127.0.0.1".to_owned(), 9090), "by the manager's own address");
    world["nodes"] = json!([]);
    assert!(said(&set(&world).1, "hosted.1")[0].1.contains("no address of the task's node"));
}

#[test]
fn a_virtual_address_is_one_instance() {
    let mut world = recorded();
    let settings = Settings { address: Address::Vip, ..Settings::default() };
    let (offers, _) = set_with(&world, &settings, &[]);
    let users = of(&offers, "users");
    assert_eq!((users.len(), users[0].0.host.as_str(), users[0].1), (1, "10.0.1.2", None));
    assert!(service(&mut world, "users")["ID"].as_str().unwrap().starts_with(users[0].0.id.as_str()));
    assert_eq!(of(&offers, "meshed")[0].0.host, "10.0.1.14", "not the one on the mesh's network");
    // Through an update that has no task of the new kind yet.
    for task in world["tasks"].as_array_mut().unwrap() {
        task["Spec"]["ContainerSpec"]["Labels"] = json!({"service.tags": "old"});
    }
    let (offers, _) = set_with(&world, &settings, &[]);
    let tags: Vec<_> = of(&offers, "users").iter().map(|(r, _)| r.tags.join(",")).collect();
    assert_eq!(tags, ["blue"]);
    // One whose tasks all stop gets no more traffic; one without tasks is none.
    for task in world["tasks"].as_array_mut().unwrap() {
        task["DesiredState"] = json!("shutdown");
    }
    let (offers, notes) = set_with(&world, &settings, &[]);
    assert_eq!(of(&offers, "users")[0].1, Some("all its tasks are being stopped"));
    assert_eq!(said(&notes, "none"), [(Severity::Absent, "no task of the service is running")]);
}

#[test]
fn what_is_wrong_with_labels_is_told_once_and_harms_no_other() {
    let mut world = recorded();
    let (offers, notes) = set(&world);
    assert!(of(&offers, "bad").is_empty());
    assert_eq!(said(&notes, "bad"), [(Severity::Fault, "service.port: `eighty` is not a whole number")]);
    let labels = &mut service(&mut world, "users")["Spec"]["Labels"];
    labels["service.id"] = json!("same");
    labels["service.prot"] = json!("http");
    let (offers, notes) = set(&world);
    assert_eq!(of(&offers, "users").len(), 1);
    assert!(said(&notes, "users")[0].1.starts_with("`service.prot` means nothing here"));
    assert_eq!(said(&notes, "users.2")[0].1, "id: `same` is taken by users.1; leave `service.id` out");
    service(&mut world, "users")["Spec"]["Labels"].as_object_mut().unwrap().remove("service.port");
    let (_, notes) = set(&world);
    assert!(said(&notes, "users").iter().any(|(_, m)| m.contains("publishes no TCP port")), "{notes:?}");
}

#[test]
fn a_container_that_is_known_to_have_ended_counts_before_the_manager_says_so() {
    let mut world = recorded();
    let id = task(&mut world, "hosted")["ID"].as_str().unwrap().to_owned();
    let set = translate(&swarm(&world), &BTreeSet::from([id]), &Settings::default(), &BTreeSet::new());
    assert!(of(&set.parts().0, "hosted").is_empty());
}

#[test]
fn only_what_changes_soon_is_on_its_way() {
    let tasks = swarm(&recorded()).tasks;
    assert_eq!(tasks.iter().filter(|t| is_on_its_way(t)).count(), 2, "one that stops, and its successor");
}
