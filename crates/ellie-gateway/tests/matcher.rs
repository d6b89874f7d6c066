//! The index against a naive matcher that tries every route in order of precedence.
#![allow(clippy::unwrap_used, reason = "tests")]

use ellie_gateway::matcher::{Found, Index, RequestView, query};
use ellie_gateway::route::{Draft, Route};
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const SEGMENTS: [&str; 5] = ["a", "b", "ab", "a.b", ""];
const HOSTS: [&str; 6] = ["x.com", "y.x.com", "*.x.com", "*.com", "*.y.x.com", "z.org"];
const METHODS: [&str; 3] = ["GET", "POST", "PUT"];
const FIELDS: [&str; 3] = ["x-a", "x-b", "x-c"];
const VALUES: [&str; 2] = ["1", "2"];

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(select(&SEGMENTS[..]), 1..5).prop_map(|s| format!("/{}", s.join("/")))
}

fn pairs() -> impl Strategy<Value = Vec<(String, Option<String>)>> {
    prop::collection::btree_map(select(&FIELDS[..]), prop::option::of(select(&VALUES[..])), 0..3)
        .prop_map(|m| m.into_iter().map(|(n, v)| (n.to_owned(), v.map(str::to_owned))).collect())
}

fn route() -> impl Strategy<Value = Route> {
    let methods = prop::collection::btree_set(select(&METHODS[..]), 0..3);
    (path(), any::<bool>(), methods, prop::option::of(select(&HOSTS[..])), pairs(), pairs()).prop_map(
        |(path, prefix, methods, host, headers, query)| {
            let path = match (prefix, path.as_str()) {
                (true, "/") => "/*".to_owned(),
                (true, path) => format!("{path}/*"),
                (false, path) => path.to_owned(),
            };
            Draft {
                path: Some(path),
                methods: methods.into_iter().map(str::to_owned).collect(),
                host: host.map(str::to_owned),
                headers,
                query,
                service_name: Some("s".into()),
                ..Draft::default()
            }
            .validate()
            .unwrap()
        },
    )
}

fn naive(routes: &[Arc<Route>], r: &RequestView<'_>) -> Found {
    let host = r.host.to_ascii_lowercase();
    let mut order: Vec<usize> = (0..routes.len()).collect();
    order.sort_by_key(|&i| routes[i].precedence());
    let fits = |route: &Route| {
        route.path.matches(r.path)
            && route.host.as_ref().is_none_or(|h| h.matches(&host))
            && route.headers.iter().all(|m| r.fields.get(&m.name).is_some_and(|v| m.accepts(v)))
            && route.query.iter().all(|m| r.query.is_some_and(|q| query::has(q, m)))
    };
    let fitting: Vec<usize> = order.into_iter().filter(|&i| fits(&routes[i])).collect();
    let method = |i: &&usize| {
        let methods = &routes[**i].methods;
        methods.is_empty() || methods.iter().any(|m| m.as_bytes() == r.method)
    };
    match fitting.iter().find(method) {
        Some(&i) => Found::Route(i),
        None if fitting.is_empty() => Found::NotFound,
        None => Found::MethodNotAllowed,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn finds_what_a_naive_matcher_finds(
        routes in prop::collection::vec(route(), 0..40),
        path in path(),
        slash in any::<bool>(),
        method in select(&METHODS[..]),
        host in select(&["x.com", "X.com", "y.x.com", "a.y.x.com", "z.org", "", "w.com"][..]),
        headers in pairs(),
        params in pairs(),
    ) {
        let routes: Vec<Arc<Route>> = routes
            .into_iter()
            .enumerate()
            .map(|(i, route)| Arc::new(Route { order: i as u64, ..route }))
            .collect();
        let path = if slash { format!("{path}/") } else { path };
        let fields: Vec<(String, String)> =
            headers.into_iter().map(|(n, v)| (n, v.unwrap_or_default())).collect();
        let query = params
            .iter()
            .map(|(n, v)| v.as_ref().map_or_else(|| n.clone(), |v| format!("{n}={v}")))
            .collect::<Vec<_>>()
            .join("&");
        let fields = fields.as_slice();
        let request = RequestView {
            method: method.as_bytes(),
            path: path.as_bytes(),
            query: (!params.is_empty()).then_some(query.as_bytes()),
            host: host.as_bytes(),
            fields: &fields,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let index = Index::new(&routes);
        let found = index.find(request.path, &request);
        prop_assert_eq!(found, naive(&routes, &request));
        let allow = index.allow(request.path, &request);
        prop_assert!(found != Found::MethodNotAllowed || !allow.is_empty());
    }
}

#[test]
fn precedence_is_the_contracts() {
    let make = |order: u64, path: &str, edit: &dyn Fn(&mut Draft)| {
        let mut draft = Draft { path: Some(path.into()), service_name: Some("s".into()), ..Draft::default() };
        edit(&mut draft);
        Arc::new(Route { order, ..draft.validate().unwrap() })
    };
    let some = |n: &str| (n.to_owned(), Some("1".to_owned()));
    // From last to first; each beats all above it, though it is younger.
    let routes = [
        make(0, "/*", &|_| {}),
        make(1, "/api/*", &|d| d.methods = vec!["GET".into()]),
        make(2, "/api/users/*", &|_| {}),
        make(3, "/api/users/*", &|_| {}),
        make(4, "/api/users/*", &|d| d.query = vec![some("a")]),
        make(5, "/api/users/*", &|d| d.query = vec![some("a"), some("b")]),
        make(6, "/api/users/*", &|d| d.headers = vec![some("x-a")]),
        make(7, "/api/users/*", &|d| d.headers = vec![some("x-a"), some("x-b")]),
        make(8, "/api/users/*", &|d| d.methods = vec!["GET".into()]),
        make(9, "/api/users/*", &|d| d.host = Some("*.example.com".into())),
        make(10, "/api/users/*", &|d| d.host = Some("a.example.com".into())),
        make(11, "/api/users", &|_| {}),
    ];
    let fields = [("X-A".to_owned(), "1".to_owned()), ("X-B".to_owned(), "1".to_owned())];
    let fields = fields.as_slice();
    let request = RequestView {
        method: b"GET",
        path: b"/api/users",
        query: Some(b"a=1&b=1"),
        host: b"A.example.com",
        fields: &fields,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    // Of the two that are alike in all but age, 2 is older and so beats 3.
    let order = [11, 10, 9, 8, 7, 6, 5, 4, 2, 3, 1, 0];
    for from in 0..order.len() {
        let left: Vec<Arc<Route>> = order[from..].iter().rev().map(|&i| routes[i].clone()).collect();
        let index = Index::new(&left);
        let Found::Route(i) = index.find(request.path, &request) else { panic!("{from}") };
        assert_eq!(left[i].order, routes[order[from]].order);
    }
    let users2 = RequestView { path: b"/api/users2", method: b"PUT", ..request };
    let index = Index::new(&routes[1..]);
    assert_eq!(index.find(users2.path, &users2), Found::MethodNotAllowed);
    assert_eq!(index.allow(users2.path, &users2), "GET");
    assert_eq!(Index::new(&[]).find(b"/", &request), Found::NotFound);
}
