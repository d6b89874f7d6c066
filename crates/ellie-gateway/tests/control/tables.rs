//! Tables: routes joined with clusters, and how they follow both.

use super::{World, secs};
use ellie_core::{Now, Source, Status};
use ellie_gateway::cluster::Refusal;
use ellie_gateway::compile;
use ellie_gateway::explain::Verdict;
use ellie_gateway::matcher::RequestView;
use ellie_gateway::route::{Draft, RateLimitDraft, Route, Routes};
use ellie_gateway::table::{CompiledRoute, Defaults, Routed, TableHandle};
use ellie_policy::balance::Strategy;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(crate) fn route(path: &str, service: &str, edit: impl FnOnce(&mut Draft)) -> Route {
    let mut draft = Draft { path: Some(path.into()), service_name: Some(service.into()), ..Draft::default() };
    edit(&mut draft);
    draft.validate().unwrap()
}

pub(crate) fn handle(w: &World, list: Vec<Route>) -> Arc<TableHandle> {
    let routes = Arc::new(Routes::new(w.registry.journal().clone()));
    for route in list {
        routes.add(route, false, Source::Api, "test", w.now).unwrap();
    }
    Arc::new(TableHandle::new(w.clusters.clone(), routes, Defaults::default(), w.at()))
}

fn request(path: &str, test: impl FnOnce(&RequestView<'_>)) {
    let fields: &[(String, String)] = &[];
    test(&RequestView {
        method: b"GET",
        path: path.as_bytes(),
        query: None,
        host: b"localhost",
        fields: &fields,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    });
}

pub(crate) fn find(handle: &TableHandle, path: &str) -> Option<Arc<CompiledRoute>> {
    let mut found = None;
    request(path, |r| {
        if let Routed::Route(route) = handle.load().route(r) {
            found = Some(route.clone());
        }
    });
    found
}

#[test]
fn routes_lead_to_clusters_known_or_not() {
    let mut w = World::new(Strategy::RoundRobin);
    w.many("a", 2);
    let handle =
        handle(&w, vec![route("/a/*", "a", |_| {}), route("/b/*", "b", |d| d.timeout = Some(10_000))]);
    let a = find(&handle, "/a/x").unwrap();
    assert_eq!((a.id(), a.service(), a.timeout, a.retries), ("a-all", "a", secs(30), 2));
    let b = find(&handle, "/b").unwrap();
    assert_eq!(b.timeout, secs(10));
    let refusal = b.cluster.admit(w.at(), &mut w.rng, &[]).unwrap_err();
    assert!(matches!(refusal, Refusal::UnknownService { .. }), "{refusal}");
    assert!(find(&handle, "/c").is_none());
    assert!(!handle.refresh(w.at()), "nothing changed");
    w.many("b", 1);
    assert!(handle.refresh(w.at()));
    let now = w.at();
    drop(find(&handle, "/b").unwrap().cluster.admit(now, &mut w.rng, &[]).unwrap());
    w.remove("b", "i0");
    handle.refresh(w.at());
    let refusal = find(&handle, "/b").unwrap().cluster.admit(now, &mut w.rng, &[]).unwrap_err();
    assert!(matches!(refusal, Refusal::UnknownService { .. }));
}

#[test]
fn a_change_of_one_service_touches_its_routes_alone() {
    let w = World::new(Strategy::RoundRobin);
    w.many("a", 2);
    w.many("b", 2);
    let handle =
        handle(&w, vec![route("/a", "a", |_| {}), route("/b", "b", |_| {}), route("/b2", "b", |_| {})]);
    let before: Vec<_> = ["/a", "/b", "/b2"].map(|p| find(&handle, p).unwrap()).into();
    w.status("b", "i0", Status::Unhealthy);
    assert!(handle.refresh(w.at()));
    let same: Vec<bool> = ["/a", "/b", "/b2"]
        .iter()
        .zip(&before)
        .map(|(p, old)| Arc::ptr_eq(&find(&handle, p).unwrap(), old))
        .collect();
    assert_eq!(same, [true, false, false]);
    // Versions were skipped: everything is compared, and still only what changed is touched.
    w.status("a", "i0", Status::Unhealthy);
    w.status("a", "i0", Status::Healthy);
    let b = find(&handle, "/b").unwrap();
    assert!(handle.refresh(w.at()));
    assert!(Arc::ptr_eq(&b, &find(&handle, "/b").unwrap()));
    assert!(!Arc::ptr_eq(&before[0], &find(&handle, "/a").unwrap()));
}

#[test]
fn limits_and_counters_outlive_tables() {
    let w = World::new(Strategy::RoundRobin);
    w.many("a", 1);
    let limited = |max: i128| {
        route("/a", "a", |d| {
            d.id = Some("r".into());
            d.rate_limit = Some(RateLimitDraft { window_ms: Some(60_000), max: Some(max), key: None });
        })
    };
    let handle = handle(&w, vec![limited(1)]);
    let allowed = |handle: &TableHandle| {
        let mut allowed = None;
        request("/a", |r| {
            let verdict = find(handle, "/a").unwrap().check_limit(r, w.at());
            allowed = verdict.map(|v| v.allowed);
        });
        allowed
    };
    assert_eq!((allowed(&handle), allowed(&handle)), (Some(true), Some(false)));
    find(&handle, "/a").unwrap().stats.record(200, Duration::from_millis(1), 0, 0);
    // Another route, another service, the same route again: none of it forgives.
    handle.routes().add(route("/b", "b", |_| {}), false, Source::Api, "t", w.now).unwrap();
    handle.routes().replace(limited(1), Source::Api, "t", w.now).unwrap();
    w.many("a", 2);
    handle.refresh(w.at());
    assert_eq!(allowed(&handle), Some(false));
    assert_eq!(find(&handle, "/a").unwrap().stats.totals().answered(), 1);
    handle.routes().replace(limited(2), Source::Api, "t", w.now).unwrap();
    handle.refresh(w.at());
    assert_eq!(allowed(&handle), Some(true), "another limit starts anew");
    handle.routes().remove("r", &Source::Api, "t", w.now).unwrap();
    handle.refresh(w.at());
    assert!(find(&handle, "/a").is_none());
    assert_eq!(handle.metrics().stats().requests.answered(), 1, "the gateway's count keeps it");
}

#[test]
fn tagged_routes_get_the_tagged_part_and_defaults_change_while_running() {
    let mut w = World::new(Strategy::RoundRobin);
    w.add("s", "v1", |d| d.tags = vec!["v1".into()]);
    w.add("s", "v2", |d| d.tags = vec!["v2".into()]);
    let handle = handle(&w, vec![route("/s/*", "s", |d| d.tags = vec!["v2".into()])]);
    let found = find(&handle, "/s").unwrap();
    assert_eq!(super::names(&w.spread(&found.cluster, 4)), ["v2"]);
    handle.configure(
        Defaults { timeout: secs(3), retries: 0, max_body: Some(10), ..Defaults::default() },
        w.at(),
    );
    let found = find(&handle, "/s").unwrap();
    assert_eq!((found.timeout, found.retries, found.max_body), (secs(3), 0, Some(10)));
    w.clusters.set_strategy(Strategy::Random, None, "ann", w.now).unwrap();
    handle.refresh(w.at());
    assert_eq!(find(&handle, "/s").unwrap().cluster.strategy(), Strategy::Random);
}

#[tokio::test(start_paused = true)]
async fn the_task_follows_registry_routes_and_strategies() {
    let mut w = World::new(Strategy::RoundRobin);
    let handle = handle(&w, vec![]);
    let stop = CancellationToken::new();
    let task = tokio::spawn(compile::run(handle.clone(), stop.clone()));
    w.now = Now::read();
    handle.routes().add(route("/s", "s", |_| {}), false, Source::Api, "t", w.now).unwrap();
    let settle = || tokio::time::sleep(Duration::from_millis(10));
    // Time is paused: sleeping lets the task run until it has nothing more to do.
    settle().await;
    assert!(find(&handle, "/s").is_some());
    w.many("s", 1);
    settle().await;
    assert_eq!(find(&handle, "/s").unwrap().cluster.entries().len(), 1);
    w.clusters.set_strategy(Strategy::Random, Some("s"), "ann", w.now).unwrap();
    settle().await;
    assert_eq!(find(&handle, "/s").unwrap().cluster.strategy(), Strategy::Random);
    stop.cancel();
    task.await.unwrap();
}

#[test]
fn a_route_test_says_why_not() {
    let w = World::new(Strategy::RoundRobin);
    let list = vec![
        route("/api/users/*", "a", |d| {
            d.id = Some("wide".into());
            d.target_path = Some("/users".into());
        }),
        route("/api/users/*", "a", |d| {
            d.id = Some("post".into());
            d.methods = vec!["POST".into()];
        }),
        route("/api/users/*", "a", |d| {
            d.id = Some("host".into());
            d.host = Some("x.com".into());
        }),
        route("/api/users/*", "a", |d| {
            d.id = Some("beta".into());
            d.headers = vec![("x-beta".into(), Some("1".into()))];
        }),
        route("/*", "a", |d| d.id = Some("all".into())),
    ];
    let handle = handle(&w, list);
    let none: &[(String, String)] = &[];
    let test = handle.load().route_test("GET", "localhost", "/api/x/../users/42?q=1", &none);
    assert_eq!((test.path.as_str(), test.target.as_deref()), ("/api/users/42", Some("/users/42?q=1")));
    assert_eq!(test.matched.unwrap().id, "wide");
    let verdicts: Vec<(String, Verdict)> =
        test.considered.into_iter().map(|c| (c.route.id.clone(), c.verdict)).collect();
    assert_eq!(
        verdicts,
        [
            ("host".to_owned(), Verdict::Host),
            ("post".to_owned(), Verdict::Method),
            ("beta".to_owned(), Verdict::Header("x-beta".into())),
            ("wide".to_owned(), Verdict::Matched),
            ("all".to_owned(), Verdict::Shadowed),
        ]
    );
}
