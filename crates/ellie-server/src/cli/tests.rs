use super::args::{BreakersCommand, Cli, Command, RoutesCommand, ServicesCommand, TokenCommand, Weight};
use crate::auth::Scope;
use crate::config::{DEFAULT_FILE, Setting, Sources};
use crate::say::span;
use clap::{CommandFactory, Parser};
use std::time::Duration;

fn parse(line: &str) -> Command {
    try_parse(line).unwrap_or_else(|error| panic!("`{line}`: {error}")).command
}

fn try_parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_line_of_the_reference_is_understood() {
    for line in [
        "ellie serve --config e.toml --ephemeral --api-listen 127.0.0.1:0 --set gateway.threads=2",
        "ellie demo --duration 20s",
        "ellie register users --port 3001 --host 10.0.0.1 --id a --version 1.2 --tag api --tag v1 --health /h --ttl 30s --meta a=b",
        "ellie register users -p 1 --protocol grpc --weight 3 --zone z --depends db,redis --check grpc --check-interval 5s --wait",
        "ellie deregister users a --force",
        "ellie drain users a --ttl 5m --reason deploy",
        "ellie undrain users a",
        "ellie maintenance users a --ttl 1h",
        "ellie maintenance users a --off",
        "ellie weight users a 0",
        "ellie weight users a default --ttl 10m",
        "ellie services",
        "ellie services ls --tag api --status routable",
        "ellie services get users -o json",
        "ellie instances users --status healthy",
        "ellie resolve users --tag a --tag b --explain",
        "ellie why users",
        "ellie why users a --tag api",
        "ellie breakers",
        "ellie breakers ls",
        "ellie breakers force-open users --ttl 1m --reason test",
        "ellie breakers force-close users",
        "ellie breakers reset users",
        "ellie routes",
        "ellie routes ls",
        "ellie routes add /api/users/* users --target-path /users -X GET --rate-limit 100/60s --request-timeout 10s",
        "ellie routes rm r1",
        "ellie routes test /api/users/7?x=1 -X POST -H a=b",
        "ellie events --follow --service users",
        "ellie watch users -n 1",
        "ellie stats",
        "ellie strategy",
        "ellie strategy round-robin --service users",
        "ellie strategy default --service users",
        "ellie health users",
        "ellie run --name web --port 8000 -- python3 -m http.server 8000",
        "ellie up Procfile --ephemeral --quiet",
        "ellie dev",
        "ellie down --timeout 60s",
        "ellie ps -o json",
        "ellie logs api -f -n 10",
        "ellie start api db",
        "ellie stop --all",
        "ellie restart api",
        "ellie graph --dot",
        "ellie analyze",
        "ellie wait api --for completed --timeout 60s",
        "ellie check-config ellie.toml",
        "ellie config show --origin",
        "ellie doctor",
        "ellie token create --name ci --scope register --ttl 30d",
        "ellie token ls",
        "ellie token revoke ci",
        "ellie completions bash",
        "ellie man",
        "ellie openapi",
        "ellie --api http://h:1 --timeout 500 -o jsonl services",
    ] {
        parse(line);
    }
}

#[test]
fn values_mean_what_they_say() {
    let Command::Register(r) = parse("ellie register users -p 1 --ttl 1500 -t a,b -t c -m k=v=w") else {
        panic!()
    };
    assert_eq!(r.described.ttl, Some(Duration::from_millis(1500)), "a bare integer is milliseconds");
    assert_eq!(r.described.tag, ["a", "b", "c"]);
    assert_eq!(r.described.meta, [("k".to_owned(), "v=w".to_owned())]);
    let body = super::change::registration(&r.name, r.port, &r.described);
    assert_eq!((body.ttl, body.host.as_str(), body.health_check), (Some(1500), "127.0.0.1", None));
    let Command::Weight(w) = parse("ellie weight users a default") else { panic!() };
    assert_eq!(w.weight, Weight(None));
    let Command::Run(run) = parse("ellie run -- sh -c --name") else { panic!() };
    assert_eq!(run.command, ["sh", "-c", "--name"], "what follows is the command's own");
    let Command::Token(t) = parse("ellie token create --name a --scope read") else { panic!() };
    assert!(matches!(t.command, TokenCommand::Create { scope: Scope::Read, .. }));
    let Command::Routes(r) = parse("ellie routes add /a s --rate-limit 5/1s") else { panic!() };
    let Some(RoutesCommand::Add(add)) = r.command else { panic!() };
    assert_eq!(add.rate_limit, Some((5, Duration::from_secs(1))));
    let Command::Services(s) = parse("ellie services get users") else { panic!() };
    assert!(matches!(s.command, Some(ServicesCommand::Get { .. })));
    let Command::Breakers(b) = parse("ellie breakers") else { panic!() };
    assert!(b.command.is_none() || matches!(b.command, Some(BreakersCommand::Ls)));
}

#[test]
fn what_is_not_right_is_a_matter_of_usage() {
    for line in [
        "ellie register users",
        "ellie register users --port 70000",
        "ellie register users --port 1 --protocol ftp",
        "ellie register users --port 1 --meta novalue",
        "ellie register users --port 1 --ttl soon",
        "ellie register users --port 1 --ttl=-5",
        "ellie weight users a heavy",
        "ellie services --status fine",
        "ellie token create --name a --scope root",
        "ellie routes add /a s --rate-limit 5",
        "ellie run",
        "ellie -o xml services",
        "ellie frobnicate",
    ] {
        let error = try_parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn flags_become_settings_that_know_their_name() {
    let cli = try_parse(
        "ellie serve --data-dir d --ephemeral --set gateway.listen=127.0.0.1:1 --gateway-listen 127.0.0.1:2",
    )
    .unwrap();
    let Command::Serve(args) = &cli.command else { panic!() };
    let ctx = super::context::Context::new(cli.common.clone(), std::collections::BTreeMap::new());
    let sources: Sources = ctx.sources(&args.settings);
    assert_eq!(sources.path().to_str(), Some(DEFAULT_FILE));
    let setting = |key: &str, value: &str, flag: &str| Setting {
        key: key.into(),
        value: value.into(),
        flag: flag.into(),
    };
    assert_eq!(
        sources.flags,
        [
            setting("gateway.listen", "127.0.0.1:1", "--set"),
            setting("gateway.listen", "127.0.0.1:2", "--gateway-listen"),
            setting("storage.data_dir", "d", "--data-dir"),
            setting("storage.backend", "ephemeral", "--ephemeral"),
        ]
    );
}

#[test]
fn the_reference_names_every_command() {
    let text = include_str!("../../../../docs/cli.md");
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(text.contains(&format!("`ellie {name}")), "docs/cli.md does not tell of `ellie {name}`");
    }
}

#[test]
fn spans_are_short() {
    for (ms, text) in [
        (0, "0ms"),
        (999, "999ms"),
        (5_000, "5s"),
        (60_000, "1m"),
        (90_500, "1m 30s"),
        (3_700_000, "1h 1m"),
        (90_000_000, "1d 1h"),
    ] {
        assert_eq!(span(Duration::from_millis(ms)), text);
    }
}
