use super::*;
use crate::definition::{Address, Check, Dependency, Port, Timing};
use crate::restart::{Policy, When};

fn process(name: &str) -> Definition {
    Definition::new(name, ["true"])
}

fn faults(definitions: Vec<Definition>) -> Vec<String> {
    Plan::new(definitions).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn independent_ones_start_together_and_dependents_after_them() {
    let plan = Plan::new(vec![
        process("web").dependencies(["api", "cache"]),
        process("api").dependencies(["db"]),
        process("cache"),
        process("db"),
    ])
    .unwrap();
    assert_eq!(plan.waves(), [vec!["cache", "db"], vec!["api"], vec!["web"]]);
}

#[test]
fn cycles_of_one_two_and_twelve_are_refused_with_their_whole_path() {
    for n in [1, 2, 12] {
        let mut all: Vec<_> =
            (0..n).map(|i| process(&format!("p{i}")).dependencies([format!("p{}", (i + 1) % n)])).collect();
        all.push(process("outside").dependencies(["p0"]));
        let found = faults(all);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].matches('→').count(), n, "{found:?}");
        assert!(found[0].starts_with("process `p0`, dependencies: form a cycle"), "{found:?}");
    }
}

#[test]
fn an_unknown_dependency_is_told_with_the_nearest_name() {
    let found = faults(vec![process("database"), process("web").dependencies(["databse", "mars"])]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("`databse` is not defined; did you mean `database`?"), "{found:?}");
    assert!(found[1].contains("`mars` is not defined; if somebody else runs it"), "{found:?}");
}

#[test]
fn every_fault_of_every_definition_is_told_at_once() {
    let found = faults(vec![
        process("a b"),
        Definition::new("none", Vec::<String>::new()),
        Definition { external: Some(Check::Tcp("db:1".parse().unwrap())), ..process("both") },
        process("twice"),
        process("twice"),
        Definition { replicas: 2, ..process("many") }.port(Port::Fixed(80)),
        process("many.1"),
        process("blind").ready(Check::Tcp(Address::Own)),
        process("bad=env").env("A=B", ""),
        Definition { live: Some((Check::Log("x".into()), Timing::liveness())), ..process("logged") },
    ]);
    let text = found.join("\n");
    for part in [
        "process `a b`, name:",
        "process `none`, command: is missing",
        "process `both`, external: stands beside a command",
        "process `twice`, name: is taken: it is that of the 4th process as well",
        "process `many`, port: can't be the same for all replicas",
        "process `many.1`, name: `many.1` would be that of a replica of `many`",
        "process `blind`, ready: asks its own port, and it has none",
        "environment.A=B: is no name of a variable",
        "process `logged`, live: can't be told from a log line",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn conditions_have_to_be_possible() {
    let forever = process("forever").restart(Policy::new(When::Always));
    let redis = Definition::external("redis", Check::Tcp("localhost:6379".parse().unwrap()));
    let found = faults(vec![
        forever,
        redis,
        process("a").after("forever", Condition::Completed),
        process("b").after("redis", Condition::Completed).after("redis", Condition::Log("x".into())),
        Definition {
            dependencies: vec![
                Dependency::new("a", Condition::Started),
                Dependency::new("a", Condition::Started),
            ],
            ..process("c")
        },
    ]);
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn replicas_have_names_of_their_own_and_are_found_by_both() {
    let plan = Plan::new(vec![process("one"), Definition { replicas: 3, ..process("many") }]).unwrap();
    let units: Vec<_> = plan.slots().iter().map(|slot| slot.unit.as_str()).collect();
    assert_eq!(units, ["one", "many.1", "many.2", "many.3"]);
    assert_eq!(plan.places("many"), [1, 2, 3]);
    assert_eq!(plan.places("many.2"), [2]);
    assert!(plan.places("none").is_empty());
}

#[test]
fn a_thousand_in_one_chain_are_ordered() {
    let mut chain: Vec<_> = (1..MAX_DEFINITIONS)
        .map(|i| process(&format!("p{i}")).dependencies([format!("p{}", i - 1)]))
        .collect();
    chain.push(process("p0"));
    let plan = Plan::new(chain.clone()).unwrap();
    assert_eq!(plan.waves().len(), MAX_DEFINITIONS);
    chain.push(process("one-more"));
    assert!(faults(chain)[0].contains("at most 1000"));
}

#[test]
fn pictures_show_each_dependency_once() {
    let edge = |name: &str| Edge { name: name.into(), condition: "healthy".into() };
    let node = |name: &str, needs: &[&str]| Node {
        name: name.into(),
        note: "ready".into(),
        external: name == "db",
        needs: needs.iter().map(|n| edge(n)).collect(),
    };
    let nodes = [node("web", &["api", "db"]), node("api", &["db"]), node("db", &[])];
    let lines = tree(&nodes);
    let drawn: Vec<String> = lines.iter().map(|twig| format!("{}{}", twig.branch, twig.name)).collect();
    assert_eq!(drawn, ["web", "├─ api", "│  └─ db", "└─ db"]);
    assert_eq!((lines[0].condition.as_deref(), lines[1].condition.as_deref()), (None, Some("healthy")));
    let dot = dot(&nodes);
    assert!(dot.contains("\"api\" -> \"db\" [label=\"healthy\"];"), "{dot}");
    assert!(dot.contains("\"db\" [label=\"db\\nready\", shape=ellipse, style=dashed];"), "{dot}");
}
