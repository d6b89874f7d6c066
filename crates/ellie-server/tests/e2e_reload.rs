//! A changed file is taken at once, by SIGHUP or by itself; a bad one changes nothing and is told.

mod common;

use common::{Ellie, wait_until};

fn strategy(ellie: &Ellie) -> String {
    let stats = ellie.get("/services/stats").expect(200).json();
    stats["loadBalancer"]["strategy"].as_str().expect("a strategy").to_owned()
}

fn write(ellie: &Ellie, text: &str) {
    std::fs::write(ellie.path("ellie.toml"), text).expect("ellie.toml is written");
}

const ROUND_ROBIN: &str = "[load_balancing]\nstrategy = \"round_robin\"\n";

#[test]
fn a_changed_file_is_taken_without_being_told() {
    let ellie = Ellie::builder().config(ROUND_ROBIN).start();
    assert_eq!(strategy(&ellie), "round_robin");
    write(&ellie, "[load_balancing]\nstrategy = \"random\"\n");
    wait_until("the new strategy is in force", || strategy(&ellie) == "random");
}

#[test]
fn a_file_that_is_replaced_as_editors_do_is_taken_too() {
    let ellie = Ellie::builder().config(ROUND_ROBIN).start();
    let new = ellie.path("ellie.toml.new");
    std::fs::write(&new, "[load_balancing]\nstrategy = \"least_connections\"\n").expect("written");
    std::fs::rename(new, ellie.path("ellie.toml")).expect("renamed");
    wait_until("the new strategy is in force", || strategy(&ellie) == "least_connections");
}

#[test]
fn a_bad_file_keeps_the_running_configuration_and_says_why() {
    let ellie = Ellie::builder().config(ROUND_ROBIN).start();
    write(&ellie, "[load_balancing]\nstrategie = \"random\"\n\n[health]\ninterval = \"soon\"\n");
    ellie.signal("HUP");
    let first = ellie.wait_for_line("the unknown key", |line| line.contains("strategie"));
    assert!(first.contains("ellie.toml:2"), "no file and line: {first}");
    assert!(first.contains("strategy"), "no nearest match: {first}");
    let both = ellie.log();
    assert!(both.contains("ellie.toml:5") && both.contains("soon"), "not every fault is told: {both}");
    assert_eq!(strategy(&ellie), "round_robin");
    ellie.get("/health").expect(200);

    write(&ellie, "[load_balancing]\nstrategy = \"random\"\n");
    ellie.signal("HUP");
    wait_until("the mended file is in force", || strategy(&ellie) == "random");
}

#[test]
fn services_and_routes_of_the_file_come_and_go_with_it() {
    let with = format!(
        "{ROUND_ROBIN}\n[[services]]\nname = \"static\"\nid = \"static-1\"\nhost = \"127.0.0.1\"\nport = 9\n\n\
         [[routes]]\npath = \"/static/*\"\nservice_name = \"static\"\n"
    );
    let ellie = Ellie::builder().config(&with).start();
    ellie.get("/services/static/instances/static-1").expect(200);
    assert_eq!(ellie.get("/routes").json()["count"], 1);
    ellie.delete("/services/static/instances/static-1").expect(409);

    write(&ellie, ROUND_ROBIN);
    ellie.signal("HUP");
    wait_until("the service is gone", || ellie.get("/services/static").status == 404);
    wait_until("the route is gone", || ellie.get("/routes").json()["count"] == 0);
}

#[test]
fn nothing_starts_on_a_bad_file() {
    let ran = Ellie::builder().config("[gatewy]\nlisten = \"127.0.0.1:0\"\n").spawn().ended().expect(78);
    assert!(ran.stderr.contains("ellie.toml:1") && ran.stderr.contains("gateway"), "{}", ran.stderr);
}
