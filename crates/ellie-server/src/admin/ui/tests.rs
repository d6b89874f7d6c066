//! The stream without sockets and without a clock: each second is asked for.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::super::state::{AdminState, Settings};
use super::stream::{self, Reader};
use super::{Shared, Ui};
use crate::app::Addresses;
use crate::auth::Tokens;
use ellie::{CheckDraft, Ellie, ServiceInfo};
use ellie_api::ui::{Delta, Service, Snapshot};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

async fn ui() -> Shared {
    let ellie = Ellie::builder().ephemeral().start().await.unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    let settings = Settings {
        listen: address,
        allowed_hosts: Vec::new(),
        origins: Vec::new(),
        protect_reads: false,
        discovery_enabled: true,
        store: "ephemeral",
        max_body: 1 << 20,
        request_timeout: Duration::from_secs(5),
        panic_threshold: 0.0,
    };
    let (tokens, _) = Tokens::ephemeral(None).unwrap();
    let state = AdminState::new(ellie, Arc::new(tokens), settings);
    Ui::new(state, &Addresses { api: address, dashboard: Some(address), gateway: address, scheme: "http" })
}

async fn register(ui: &Ui, name: &str, id: &str, version: &str) {
    let check = CheckDraft { kind: Some("none".into()), ..CheckDraft::default() };
    let info = ServiceInfo::new(name, "127.0.0.1", 9).id(id).version(version).check(check);
    ui.state.ellie().discovery.register_service(info).await.unwrap();
}

/// Another second, up to its frame.
async fn second(ui: &Shared) {
    let before = stream::position(ui);
    ui.look();
    while stream::position(ui) == before {
        tokio::task::yield_now().await;
    }
}

/// One event as a reader sees it.
#[derive(Debug)]
struct Seen {
    name: String,
    id: Option<String>,
    data: Value,
}

async fn event(reader: &mut Reader) -> Seen {
    loop {
        let chunk = reader.next().await.expect("the stream goes on");
        let text = std::str::from_utf8(&chunk).unwrap();
        assert!(text.ends_with("\n\n"), "{text}");
        let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::to_owned);
        if let Some(name) = field("event: ") {
            let data = serde_json::from_str(&field("data: ").unwrap()).unwrap();
            return Seen { name, id: field("id: "), data };
        }
    }
}

/// What a page makes of the events.
#[derive(Debug, Default)]
struct Page {
    services: BTreeMap<String, Service>,
    index: u64,
    id: Option<String>,
    snapshots: usize,
}

impl Page {
    fn take(&mut self, seen: Seen) {
        match seen.name.as_str() {
            "snapshot" => {
                let all: Snapshot = serde_json::from_value(seen.data).unwrap();
                (self.services, self.index, self.id) = (all.services, all.index, seen.id);
                self.snapshots += 1;
            }
            "delta" => {
                let delta: Delta = serde_json::from_value(seen.data).unwrap();
                (self.index, self.id) = (delta.index, seen.id);
                for name in delta.removed {
                    assert!(self.services.remove(&name).is_some(), "{name} was there");
                }
                for (name, mut service) in delta.services {
                    let before = self.services.remove(&name).map(|s| s.instances).unwrap_or_default();
                    let changed = std::mem::replace(&mut service.instances, before);
                    for id in std::mem::take(&mut service.removed) {
                        assert!(service.instances.remove(&id).is_some(), "{name} {id} was there");
                    }
                    service.instances.extend(changed);
                    self.services.insert(name, service);
                }
            }
            "tick" => assert_eq!(seen.id, None),
            other => panic!("{other}"),
        }
    }
}

async fn now(ui: &Shared) -> Page {
    let mut page = Page::default();
    page.take(event(&mut Reader::open(ui, None).unwrap()).await);
    page
}

#[tokio::test]
async fn deltas_lead_where_a_new_snapshot_is() {
    let ui = ui().await;
    register(&ui, "a", "1", "1").await;
    register(&ui, "b", "1", "1").await;
    let mut reader = Reader::open(&ui, None).unwrap();
    let mut page = Page::default();
    page.take(event(&mut reader).await);
    let discovery = ui.state.ellie().discovery.clone();
    for n in 0..30_u32 {
        // New, replaced, withdrawn, back and gone instances and services; others whose standing follows.
        register(&ui, "a", &format!("{}", n % 7), &format!("{n}")).await;
        register(&ui, &format!("c{}", n % 3), "1", "1").await;
        let operation = match n % 3 {
            0 => ellie::Operation::Drain,
            1 => ellie::Operation::Undrain,
            _ => ellie::Operation::Weight(Some(n % 2)),
        };
        discovery.operate("a", "1", operation, None, None).await.unwrap();
        if n % 5 == 4 {
            discovery.deregister_service("a", &format!("{}", n % 7)).await.unwrap();
            register(&ui, "a", "1", "x").await;
            discovery.deregister_service(&format!("c{}", n % 3), "1").await.unwrap();
        }
        if n == 20 {
            let random = ellie::LoadBalancingStrategy::Random;
            ui.state.ellie().balancer.set_strategy(random, Some("b")).unwrap();
        }
        second(&ui).await;
        loop {
            let seen = event(&mut reader).await;
            let tick = seen.name == "tick";
            page.take(seen);
            if tick {
                break;
            }
        }
        let fresh = now(&ui).await;
        assert_eq!((&page.services, page.index), (&fresh.services, fresh.index), "after {n}");
    }
    assert_eq!(page.snapshots, 1);
    assert_eq!((page.services["b"].strategy.as_str(), page.services["b"].own_strategy), ("random", true));
}

#[tokio::test]
async fn a_quiet_second_is_a_tick_alone() {
    let ui = ui().await;
    let mut reader = Reader::open(&ui, None).unwrap();
    assert_eq!(event(&mut reader).await.name, "snapshot");
    second(&ui).await;
    let seen = event(&mut reader).await;
    assert_eq!((seen.name.as_str(), seen.id), ("tick", None));
    register(&ui, "a", "1", "1").await;
    second(&ui).await;
    let seen = event(&mut reader).await;
    assert_eq!((seen.name.as_str(), seen.data["events"][0]["kind"].as_str()), ("delta", Some("registered")));
}

#[tokio::test]
async fn a_reader_that_comes_back_goes_on_where_it_was() {
    let ui = ui().await;
    register(&ui, "a", "1", "1").await;
    let mut reader = Reader::open(&ui, None).unwrap();
    let mut page = Page::default();
    page.take(event(&mut reader).await);
    drop(reader);
    for n in 2..6 {
        register(&ui, "a", &n.to_string(), "1").await;
        second(&ui).await;
    }
    let mut again = Reader::open(&ui, page.id.as_deref()).unwrap();
    for _ in 2..6 {
        page.take(event(&mut again).await);
    }
    let fresh = now(&ui).await;
    assert_eq!((page.snapshots, &page.services, &page.id), (1, &fresh.services, &fresh.id));
    // What nobody could have seen, or what another life of the stream said, begins anew.
    for id in ["", "nonsense", "1-1", "x-99999", &format!("{}9", page.id.as_ref().unwrap())] {
        let mut other = Reader::open(&ui, Some(id)).unwrap();
        assert_eq!(event(&mut other).await.name, "snapshot", "{id}");
    }
}

#[tokio::test]
async fn a_slow_reader_is_given_everything_anew_and_nothing_piles_up() {
    let ui = ui().await;
    register(&ui, "a", "1", "1").await;
    let mut slow = Reader::open(&ui, None).unwrap();
    let mut page = Page::default();
    page.take(event(&mut slow).await);
    for n in 0..50 {
        register(&ui, "a", "1", &n.to_string()).await;
        second(&ui).await;
        assert!(slow.behind() <= stream::BEHIND, "{}", slow.behind());
    }
    page.take(event(&mut slow).await);
    let fresh = now(&ui).await;
    assert_eq!((page.snapshots, page.services), (2, fresh.services));
    // And goes on from there.
    register(&ui, "a", "2", "1").await;
    second(&ui).await;
    page.services = BTreeMap::new();
    assert_eq!(event(&mut slow).await.name, "delta");
}

#[tokio::test]
async fn nothing_is_made_while_nobody_reads() {
    let ui = ui().await;
    ui.look();
    assert_eq!(stream::position(&ui), None);
    drop(Reader::open(&ui, None).unwrap());
    assert!(stream::position(&ui).is_some());
    // It lingers for those who come back, and then it is gone.
    let mut seconds = 0;
    while stream::position(&ui).is_some() {
        second(&ui).await;
        seconds += 1;
    }
    assert_eq!(seconds, stream::LINGER + 1);
}

#[tokio::test]
async fn all_readers_share_what_is_encoded() {
    let ui = ui().await;
    register(&ui, "a", "1", "1").await;
    let (mut one, mut two) = (Reader::open(&ui, None).unwrap(), Reader::open(&ui, None).unwrap());
    let first = [one.next().await.unwrap(), one.next().await.unwrap()];
    let second = [two.next().await.unwrap(), two.next().await.unwrap()];
    assert_eq!(first[1].as_ptr(), second[1].as_ptr(), "the snapshot is written once");
}
