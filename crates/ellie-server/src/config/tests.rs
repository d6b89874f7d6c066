//! The whole configuration, as a user writes it: pure, no process, no environment, no file.

use super::resolve::{Input, resolve};
use super::*;
use ellie_policy::balance::Strategy;
use std::path::Path;
use std::time::Duration;

#[derive(Default)]
struct Given {
    file: Option<&'static str>,
    env: Vec<(&'static str, &'static str)>,
    flags: Vec<(&'static str, &'static str)>,
}

impl Given {
    fn file(text: &'static str) -> Self {
        Self { file: Some(text), ..Self::default() }
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    fn flag(mut self, key: &'static str, value: &'static str) -> Self {
        self.flags.push((key, value));
        self
    }

    fn load(&self) -> Result<Resolved, Faults> {
        let env = self.env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let flags: Vec<Setting> = self
            .flags
            .iter()
            .map(|(key, value)| Setting {
                key: (*key).into(),
                value: (*value).into(),
                flag: format!("--{}", key.replace(['.', '_'], "-")),
            })
            .collect();
        resolve(&Input {
            file: self.file.map(|text| (Path::new("ellie.toml"), text.as_bytes())),
            env: &env,
            flags: &flags,
            read: &|path| match path.to_str() {
                Some("/run/token") => Ok("a-token-of-enough-length\n".into()),
                Some("secrets/token") => Ok("a-token-beside-the-file".into()),
                Some("/run/spaced") => Ok("two words".into()),
                Some("tls/cert.pem" | "c") => Ok(identity().0),
                Some("/etc/key.pem" | "k") => Ok(identity().1),
                Some("tls/other.pem") => Ok(made().1),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
            peek: false,
        })
    }

    fn ok(&self) -> Resolved {
        self.load().unwrap_or_else(|faults| panic!("refused:\n{faults}"))
    }

    fn faults(&self) -> String {
        self.load().expect_err("accepted").to_string()
    }
}

/// A certificate and its key as PEM.
fn made() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The same one each time.
fn identity() -> (String, String) {
    static ONE: std::sync::OnceLock<(String, String)> = std::sync::OnceLock::new();
    ONE.get_or_init(made).clone()
}

fn faults(file: &'static str) -> String {
    Given::file(file).faults()
}

fn origin(r: &Resolved, key: &str) -> String {
    r.effective.iter().find(|e| e.key == key).expect(key).origin.short()
}

#[test]
fn nothing_said_gives_the_documented_defaults() {
    let r = Given::default().ok();
    assert_eq!(r.api.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(r.dashboard.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(r.gateway.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(r.health.interval, Duration::from_secs(30));
    assert_eq!((r.health.thresholds.failure, r.health.thresholds.success), (2, 1));
    assert_eq!(r.strategy, Strategy::HealthBased);
    let b = &r.breaker;
    let ms = |d: Duration| d.as_millis();
    assert_eq!(
        (
            b.failure_threshold,
            ms(b.recovery_timeout),
            b.success_threshold,
            ms(b.timeout),
            ms(b.monitoring_period)
        ),
        (5, 60_000, 3, 30_000, 300_000)
    );
    assert!((b.minimum_failure_rate - 0.1).abs() < f64::EPSILON);
    assert_eq!(r.gateway.request_timeout, Duration::from_secs(30));
    assert_eq!(r.discovery.registry.deregister_unhealthy_after, Some(Duration::from_secs(86_400)));
    assert!(r.discovery.enabled && !r.auth.protect_reads && r.own.is_none() && r.tls.is_none());
    assert_eq!((r.storage.backend, r.storage.data_dir.to_str()), (Backend::Embedded, Some("./ellie-data")));
    assert!(r.effective.iter().all(|e| e.origin == Origin::Default));
    assert!(r.warnings.is_empty());
}

#[test]
fn a_full_file_is_read() {
    let r = Given::file(
        r#"
[api]
listen = "127.0.0.1:0"
allowed_hosts = ["ellie.internal"]
max_body = "64KiB"
[gateway]
listen = "[::1]:9000"
threads = 2
access_log = true
trusted_proxies = ["10.0.0.0/8", "::1"]
try_timeout = "400ms"
retries = 0
max_body = "2MiB"
body_timeout = "20s"
rate_limit_ipv6_prefix = 56
[discovery]
deregister_unhealthy_after = "never"
[health]
interval = "500ms"
[load_balancing]
strategy = "least-connections"
[circuit_breaker]
timeout = 1500
minimum_failure_rate = 0
[auth]
operator_token_file = "secrets/token"
[tls]
cert = "tls/cert.pem"
key = "/etc/key.pem"
[storage]
data_dir = "state"
[log]
level = "warn,ellie_gateway=debug"
format = "json"
[[services]]
name = "users"
host = "127.0.0.1"
port = 3001
health_endpoint = "/health"
tags = ["api"]
ttl = "30s"
metadata = { environment = "production" }
health_check = { type = "http", interval = "5s", failure_threshold = 3 }
[[routes]]
path = "/api/users/*"
method = ["GET", "head"]
service_name = "users"
target_path = "/users"
timeout = 10000
try_timeout = "1s"
max_body = "1GiB"
rate_limit = { window = "60s", max = 100 }
headers = { X-Canary = "yes", x-any = true }
"#,
    )
    .ok();
    assert_eq!(r.api.max_body, 65_536);
    assert_eq!(
        (r.gateway.threads, r.gateway.access_log, r.gateway.listen.port()),
        (Some(2), AccessLog::Text, 9000)
    );
    assert_eq!(r.gateway.request_timeout, Duration::from_millis(1500), "follows the breaker's timeout");
    assert_eq!(
        (r.gateway.try_timeout, r.gateway.retries, r.gateway.max_body),
        (Some(Duration::from_millis(400)), 0, Some(2 << 20))
    );
    assert_eq!((r.gateway.body_timeout.as_secs(), r.gateway.rate_limit_ipv6_prefix), (20, 56));
    assert_eq!(
        (r.health.interval, r.health.timeout),
        (Duration::from_millis(500), Duration::from_millis(500))
    );
    assert_eq!(r.discovery.registry.deregister_unhealthy_after, None);
    assert_eq!(r.strategy, Strategy::LeastConnections);
    assert_eq!(r.auth.operator_token.as_ref().map(Secret::expose), Some("a-token-beside-the-file"));
    let tls = r.tls.as_ref().unwrap();
    assert_eq!((tls.cert.to_str(), tls.key.to_str()), (Some("tls/cert.pem"), Some("/etc/key.pem")));
    assert_eq!(tls.identity.as_ref().unwrap().chain().len(), 1);
    assert_eq!((r.log.level.as_str(), r.log.format), ("warn,ellie_gateway=debug", LogFormat::Json));
    let s = &r.services[0];
    assert_eq!((s.ttl, s.check.interval), (Some(Duration::from_secs(30)), Some(Duration::from_secs(5))));
    let route = &r.routes[0];
    assert_eq!(route.id, "get-head-api-users-all");
    assert_eq!((route.methods.join(" "), route.timeout), ("GET HEAD".into(), Some(Duration::from_secs(10))));
    assert_eq!(
        route.rate_limit,
        Some(RateLimit { window: Duration::from_secs(60), max: 100, key: RateKey::Client })
    );
    assert_eq!((route.try_timeout, route.max_body), (Some(Duration::from_secs(1)), Some(1 << 30)));
    assert_eq!(route.headers, [("x-canary".into(), Some("yes".into())), ("x-any".into(), None)]);
    assert_eq!(origin(&r, "gateway.threads"), "file:8");
}

#[test]
fn flags_beat_the_environment_which_beats_the_file_key_by_key() {
    let given = Given::file("[gateway]\nthreads = 2\nidle_timeout = \"5s\"\nlisten = \"127.0.0.1:1\"\n")
        .env("ELLIE_GATEWAY__THREADS", "3")
        .env("ELLIE_GATEWAY__LISTEN", "127.0.0.1:2")
        .flag("gateway.listen", "127.0.0.1:3");
    let r = given.ok();
    assert_eq!(
        (r.gateway.threads, r.gateway.listen.port(), r.gateway.idle_timeout.as_secs()),
        (Some(3), 3, 5)
    );
    assert_eq!(origin(&r, "gateway.listen"), "flag --gateway-listen");
    assert_eq!(origin(&r, "gateway.threads"), "env ELLIE_GATEWAY__THREADS");
    assert_eq!(origin(&r, "gateway.idle_timeout"), "file:3");
    assert_eq!(origin(&r, "gateway.access_log"), "default");
}

#[test]
fn the_specifications_names_are_aliases_which_prefixed_names_beat() {
    let given = Given::file("[health]\ninterval = \"9s\"\n")
        .env("SERVICE_DISCOVERY_ENABLED", "true")
        .env("LOAD_BALANCING_STRATEGY", "Least-Connections")
        .env("HEALTH_CHECK_INTERVAL", "30000")
        .env("CIRCUIT_BREAKER_THRESHOLD", "7");
    let r = given.ok();
    assert_eq!((r.health.interval.as_secs(), r.breaker.failure_threshold), (30, 7));
    assert_eq!(r.strategy, Strategy::LeastConnections);
    assert_eq!(origin(&r, "health.interval"), "env HEALTH_CHECK_INTERVAL");
    let r = given.env("ELLIE_HEALTH__INTERVAL", "2s").env("ELLIE_LOAD_BALANCING__STRATEGY", "RANDOM").ok();
    assert_eq!((r.health.interval.as_secs(), r.strategy), (2, Strategy::Random));
    for name in
        ["round_robin", "ROUND_ROBIN", "Round-Robin", "weighted-round-robin", "health_based", "HEALTH-BASED"]
    {
        assert!(Given::default().env("LOAD_BALANCING_STRATEGY", name).load().is_ok(), "{name}");
    }
}

#[test]
fn its_own_registration_comes_from_the_environment() {
    let r = Given::default()
        .env("SERVICE_NAME", "ellie-backend")
        .env("SERVICE_VERSION", "1.0.0")
        .env("SERVICE_HOST", "localhost")
        .env("SERVICE_PORT", "5000")
        .env("SERVICE_TAGS", "api, backend,critical,")
        .ok();
    let own = r.own.expect("registered").registration("127.0.0.1:7".parse().unwrap()).unwrap();
    assert_eq!((own.name.as_str(), own.version.as_str(), own.port), ("ellie-backend", "1.0.0", 5000));
    assert_eq!((own.host.as_str(), own.tags.join(" ")), ("localhost", "api backend critical".into()));
    assert_eq!(own.check_path(), "/health");
    let r = Given::default().env("SERVICE_NAME", "me").ok();
    let own = r.own.expect("registered").registration("0.0.0.0:7".parse().unwrap()).unwrap();
    assert_eq!(
        (own.host.as_str(), own.port, own.version.as_str()),
        ("127.0.0.1", 7, env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(
        Given::default().env("SERVICE_NAME", "a/b").env("SERVICE_PORT", "70000").faults(),
        "environment SERVICE_NAME: service.name: `a/b` has the character `/`; letters, digits and . _ - are allowed\n\
         environment SERVICE_PORT: service.port: is 70000; 1 to 65535 is allowed"
    );
    let r = Given::default().env("SERVICE_PORT", "80").ok();
    assert!(r.own.is_none());
    assert_eq!(
        r.warnings,
        ["environment SERVICE_PORT is ignored: ellie registers itself only where SERVICE_NAME is set"]
    );
}

#[test]
fn variables_that_are_empty_or_not_ours_are_nothing() {
    let r = Given::default()
        .env("LOAD_BALANCING_STRATEGY", "")
        .env("ELLIE_PORT", "tcp://10.0.0.1:80")
        .env("ELLIE_SERVER", "x")
        .ok();
    assert_eq!(r.strategy, Strategy::HealthBased);
}

#[test]
fn lists_in_variables_have_commas() {
    let r = Given::default()
        .env("ELLIE_API__ALLOWED_HOSTS", "a.example, b.example")
        .env("ELLIE_GATEWAY__TRUSTED_PROXIES", "10.0.0.0/8,::1")
        .ok();
    assert_eq!(r.api.allowed_hosts, ["a.example", "b.example"]);
    assert!(r.gateway.trusted_proxies[0].contains("10.9.9.9".parse().unwrap()));
    assert!(r.gateway.trusted_proxies[0].contains("::ffff:10.9.9.9".parse().unwrap()));
    assert!(!r.gateway.trusted_proxies[0].contains("11.0.0.1".parse().unwrap()));
    assert!(r.gateway.trusted_proxies[1].contains("::1".parse().unwrap()));
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let text = Given::file(
        r#"[api]
listen = ":5000"
lissen = 3
[gatway]
threads = 2
[gateway]
threads = "2"
request_timeout = "10"
header_timeout = -5
access_log = "jsn"
[health]
interval = "30 parsecs"
threads = 4
[load_balancing]
strategy = "round-robbin"
[circuit_breaker]
failure_threshold = 0
minimum_failure_rate = 1.5
"#,
    )
    .env("ELLIE_GATEWAY__TREADS", "4")
    .env("HEALTH_CHECK_INTERVAL", "soon")
    .flag("log.format", "xml")
    .faults();
    assert_eq!(
        text,
        r#"ellie.toml:2:10: api.listen: `:5000` has no address; write "127.0.0.1:5000" for this machine alone or "0.0.0.0:5000" for all
ellie.toml:3:1: api.lissen: unknown key; did you mean `listen`?
ellie.toml:4:2: gatway: unknown section; did you mean `gateway`?
ellie.toml:7:11: gateway.threads: is text; write 2 without quotes
ellie.toml:8:19: gateway.request_timeout: has no unit; write "10ms", or 10 without quotes
ellie.toml:9:18: gateway.header_timeout: is -5 ms; a duration can't be negative
ellie.toml:10:14: gateway.access_log: `jsn` is not off, text or json; did you mean `json`?
ellie.toml:12:12: health.interval: `30 parsecs` is not a duration such as "30s" or "500ms", or an integer in milliseconds
ellie.toml:13:1: health.threads: unknown key here; it belongs to [gateway]
ellie.toml:15:12: load_balancing.strategy: `round-robbin` is not round_robin, least_connections, weighted_round_robin, random or health_based; did you mean `round_robin`?
ellie.toml:17:21: circuit_breaker.failure_threshold: is 0; 1 to 1000000 is allowed
ellie.toml:18:24: circuit_breaker.minimum_failure_rate: is 1.5; 0 to 1 is allowed
environment ELLIE_GATEWAY__TREADS: gateway.treads: unknown key; did you mean ELLIE_GATEWAY__THREADS?
environment HEALTH_CHECK_INTERVAL: health.interval: `soon` is not a duration such as "30s" or "500ms", or an integer in milliseconds
flag --log-format: log.format: `xml` is not text or json"#
    );
}

#[test]
fn what_belongs_to_nobody_is_refused() {
    assert_eq!(
        faults("[api]\nfoo = 1\n"),
        "ellie.toml:2:1: api.foo: unknown key; the keys here are allowed_hosts, listen, max_body, max_connections, request_timeout"
    );
    assert_eq!(faults("[quux]\n"), "ellie.toml:1:2: quux: unknown section");
    assert_eq!(
        faults("api = 3\n"),
        "ellie.toml:1:1: api: is an integer; [api] is a section with keys of its own"
    );
    assert_eq!(faults("listen = 3\n"), "ellie.toml:1:1: listen: unknown section");
    assert_eq!(
        faults("[[process]]\nname = 'a'\n"),
        "ellie.toml:1:3: process: unknown section; did you mean `processes`?"
    );
    assert_eq!(
        faults("[providers.dokcer]\nenabled = true\n"),
        "ellie.toml:1:12: providers.dokcer: unknown key; did you mean `docker`?"
    );
    assert_eq!(
        Given::default().env("ELLIE_ROUTES__0__PATH", "/a").faults(),
        "environment ELLIE_ROUTES__0__PATH: routes: can't be set here; write [[routes]] in the file"
    );
    assert_eq!(
        faults("[services]\nname = 'a'\n"),
        "ellie.toml:1:2: services: is a table; write [[services]] above each"
    );
}

#[test]
fn a_swarm_is_followed_beside_the_containers_that_are_not_its_tasks() {
    let r = Given::file("[providers.docker]\nenabled = true\n[providers.swarm]\naddress = 'vip'\n").ok();
    assert_eq!(r.providers.swarm, None);
    assert!(!r.providers.docker.unwrap().settings.translation.skip_swarm);
    let file = "[providers.docker]\nenabled = true\n[providers.swarm]\nenabled = true\nnetwork = 'app'\n";
    let r = Given::file(file).env("ELLIE_PROVIDERS__SWARM__ADDRESS", "vip").ok();
    let swarm = r.providers.swarm.unwrap().settings;
    assert_eq!((swarm.address.as_str(), swarm.network.as_deref()), ("vip", Some("app")));
    assert_eq!(swarm.refresh, Duration::from_secs(2));
    assert!(r.providers.docker.unwrap().settings.translation.skip_swarm);
    assert_eq!(
        faults("[providers.swarm]\naddress = 'container'\nhost = 'x'\n"),
        "ellie.toml:2:11: providers.swarm.address: `container` is not task or published or vip\n\
         ellie.toml:3:1: providers.swarm.host: unknown key here; it belongs to [service]"
    );
}

#[test]
fn a_provider_is_read_over_all_layers() {
    let file = "[providers.docker]\nenabled = true\naddress = 'published'\nrefresh = '5s'\n";
    let r = Given::file(file)
        .env("ELLIE_PROVIDERS__DOCKER__ENDPOINT", "tcp://10.0.0.1:2376")
        .env("ELLIE_PROVIDERS__DOCKER__REFRESH", "7000")
        .env("ELLIE_PROVIDERS__DOCKER__TLS_CA", "ca.pem")
        .ok();
    let docker = r.providers.docker.unwrap();
    assert_eq!(docker.settings.endpoint.to_string(), "tcp://10.0.0.1:2376");
    assert_eq!((docker.settings.refresh, docker.max_stale), (Duration::from_secs(7), None));
    assert_eq!(docker.settings.tls.unwrap().ca, Some("ca.pem".into()));
    assert_eq!(Given::default().ok().providers, Providers::default());
    let off = Given::file(file).env("ELLIE_PROVIDERS__DOCKER__ENABLED", "false").ok();
    assert_eq!(off.providers.docker, None);
    assert_eq!(
        faults("[providers.docker]\nendpoint = 'ssh://x'\naddress = 'mars'\nrefresh = 0\n"),
        "ellie.toml:2:12: providers.docker.endpoint: `ssh://x` can't be used: wanted is unix:///var/run/docker.sock or \
         tcp://host:port\n\
         ellie.toml:3:11: providers.docker.address: `mars` is not container or published\n\
         ellie.toml:4:11: providers.docker.refresh: is 0 ms; at least 1s is needed"
    );
    assert_eq!(
        faults("[providers.docker]\ntls_ca = 'ca'\ntls_key = 'k'\n"),
        "ellie.toml:2:1: providers.docker.tls_ca: means nothing for a socket; set endpoint to tcp://host:2376\n\
         ellie.toml:3:1: providers.docker.tls_key: needs tls_cert beside it"
    );
    assert_eq!(
        Given::default().env("ELLIE_PROVIDERS__DOCKER__ENABLE", "1").faults(),
        "environment ELLIE_PROVIDERS__DOCKER__ENABLE: providers.docker.enable: unknown key; did you mean \
         ELLIE_PROVIDERS__DOCKER__ENABLED?"
    );
}

#[test]
fn faults_of_syntax_have_their_place() {
    assert_eq!(
        faults("[api]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n[gateway\n"),
        "ellie.toml:3:1: duplicate key\nellie.toml:4:9: unclosed table, expected `]`"
    );
    let input = Input {
        file: Some((Path::new("e.toml"), b"[api]\nlisten = \"\xff\"")),
        env: &BTreeMap::new(),
        flags: &[],
        read: &|_| Ok(String::new()),
        peek: false,
    };
    assert_eq!(
        resolve(&input).unwrap_err().to_string(),
        "e.toml:2:11: is not UTF-8 from here on; save the file as UTF-8"
    );
}

#[test]
fn absurd_numbers_are_refused_not_wrapped() {
    assert_eq!(
        faults(
            "[health]\ninterval = 9223372036854775807\ntimeout = \"99999999999999999999s\"\n\
             success_threshold = 99999999999999999999999999\nconcurrency = 1.5\nfailure_threshold = true\n"
        ),
        "ellie.toml:2:12: health.interval: is 9223372036854775807 ms; at most 366 days are allowed\n\
         ellie.toml:3:11: health.timeout: `99999999999999999999s` is too long\n\
         ellie.toml:4:21: health.success_threshold: is 99999999999999999999999999; 1 to 1000 is allowed\n\
         ellie.toml:5:15: health.concurrency: is a number with a fraction; an integer is wanted\n\
         ellie.toml:6:21: health.failure_threshold: is true or false; an integer is wanted"
    );
    assert_eq!(
        faults("[api]\nmax_body = \"1TB\"\nallowed_hosts = \"a\"\nrequest_timeout = 0\n"),
        "ellie.toml:2:12: api.max_body: `1TB` is not a size such as 65536 or \"64KiB\"\n\
         ellie.toml:3:17: api.allowed_hosts: `a` is not a list such as [\"a\", \"b\"]\n\
         ellie.toml:4:19: api.request_timeout: is 0 ms; at least 10ms is needed"
    );
    assert_eq!(
        faults("[gateway]\nretries = 6\nmax_body = \"-1\"\nrate_limit_ipv6_prefix = 129\n"),
        "ellie.toml:2:11: gateway.retries: is 6; 0 to 5 is allowed\n\
         ellie.toml:3:12: gateway.max_body: `-1` is not a size such as 65536 or \"64KiB\"\n\
         ellie.toml:4:26: gateway.rate_limit_ipv6_prefix: is 129; 1 to 128 is allowed"
    );
    assert_eq!(
        faults(
            "[[routes]]\npath = \"/a\"\nservice_name = \"a\"\ntimeout = 5\ntry_timeout = 6\nmax_body = -1\n"
        ),
        "ellie.toml:5:15: routes[0].try_timeout: is 6 ms, longer than the 5 ms of `timeout`\n\
         ellie.toml:6:12: routes[0].max_body: is -1; 0 to 1125899906842624 bytes are allowed"
    );
}

#[test]
fn addresses_say_what_is_missing() {
    let one = |listen: &'static str| Given::default().flag("gateway.listen", listen).faults();
    let at = "flag --gateway-listen: gateway.listen: ";
    assert_eq!(one("127.0.0.1"), format!("{at}`127.0.0.1` has no port; write \"127.0.0.1:5000\""));
    assert_eq!(one("8000"), format!("{at}`8000` is a port alone; write \"127.0.0.1:8000\""));
    assert_eq!(
        one("example.com:80"),
        format!(
            "{at}`example.com:80` is not an address with a port such as \"127.0.0.1:5000\" or \"[::1]:5000\" (host names are not looked up)"
        )
    );
    assert_eq!(Given::default().flag("gateway.listen", "localhost:0").ok().gateway.listen.port(), 0);
}

#[test]
fn beyond_loopback_authentication_has_to_be_configured() {
    let open = Given::file("[api]\nlisten = \"0.0.0.0:5000\"\n").env("ELLIE_GATEWAY__LISTEN", "[::]:8000");
    assert_eq!(
        open.faults(),
        "ellie.toml:2:10: api.listen: 0.0.0.0:5000 can be reached from other machines and no authentication is \
         configured; set auth.operator_token_file (or ELLIE_AUTH__OPERATOR_TOKEN), or auth.protect_reads = true to \
         rely on the token in the data directory; --insecure starts all the same\n\
         environment ELLIE_GATEWAY__LISTEN: gateway.listen: [::]:8000 can be reached from other machines and no \
         authentication is configured; set auth.operator_token_file (or ELLIE_AUTH__OPERATOR_TOKEN), or \
         auth.protect_reads = true to rely on the token in the data directory; --insecure starts all the same"
    );
    let with = |name, value| {
        Given::file("[api]\nlisten = \"0.0.0.0:5000\"\n[dashboard]\nlisten = \"10.0.0.1:1\"\n")
            .env(name, value)
    };
    for (name, value) in [
        ("ELLIE_AUTH__OPERATOR_TOKEN", "a-secret-of-enough-length"),
        ("ELLIE_AUTH__OPERATOR_TOKEN_FILE", "/run/token"),
        ("ELLIE_AUTH__PROTECT_READS", "true"),
        ("ELLIE_AUTH__INSECURE", "1"),
    ] {
        assert!(with(name, value).load().is_ok(), "{name}");
    }
    for own in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert!(Given::default().flag("api.listen", own).load().is_ok(), "{own}");
    }
    let disabled = "[dashboard]\nenabled = false\nlisten = \"0.0.0.0:8080\"\n";
    assert!(Given::file(disabled).load().is_ok(), "what does not listen needs no protection");
}

#[test]
fn secrets_come_from_files_too_and_are_never_shown() {
    let r = Given::default().env("ELLIE_AUTH__OPERATOR_TOKEN_FILE", "/run/token").ok();
    assert_eq!(r.auth.operator_token.as_ref().map(Secret::expose), Some("a-token-of-enough-length"));
    let r = Given::file("[auth]\noperator_token = \"from-the-file-0123\"\n")
        .env("ELLIE_AUTH__OPERATOR_TOKEN_FILE", "/run/token")
        .ok();
    assert_eq!(r.auth.operator_token.as_ref().map(Secret::expose), Some("a-token-of-enough-length"));
    let r = Given::file("[auth]\noperator_token_file = \"/run/token\"\n")
        .env("ELLIE_AUTH__OPERATOR_TOKEN", "from-the-environment")
        .ok();
    assert_eq!(r.auth.operator_token.as_ref().map(Secret::expose), Some("from-the-environment"));
    assert!(!format!("{r:?}").contains("from-the-environment"), "not in Debug");
    assert_eq!(
        faults("[auth]\noperator_token = \"a-token\"\noperator_token_file = \"/run/token\"\n"),
        "ellie.toml:3:1: auth.operator_token_file: operator_token is set as well; one of the two is enough"
    );
    assert_eq!(
        faults("[auth]\noperator_token_file = \"/run/nothing\"\n"),
        "ellie.toml:2:1: auth.operator_token_file: `/run/nothing` can't be read: entity not found"
    );
    assert_eq!(
        faults("[auth]\noperator_token_file = \"/run/spaced\"\n"),
        "ellie.toml:2:1: auth.operator_token_file: `/run/spaced` has a space or a character that is not ASCII"
    );
    assert_eq!(
        faults("[auth]\noperator_token = \"two words\"\n"),
        "ellie.toml:2:18: auth.operator_token: has a space or a character that is not ASCII"
    );
    let short = Given::file("[auth]\noperator_token = \"short\"\n").ok();
    assert_eq!(short.warnings, ["auth.operator_token is shorter than 16 characters: it can be guessed"]);
}

#[test]
fn certificates_are_read_with_the_configuration() {
    assert_eq!(
        faults("[tls]\ncert = \"tls/cert.pem\"\nkey = \"tls/other.pem\"\n"),
        "ellie.toml:3:1: tls.key: `tls/other.pem` is not the certificate's key"
    );
    assert_eq!(
        faults("[tls]\ncert = \"/run/token\"\nkey = \"nowhere\"\n"),
        "ellie.toml:3:1: tls.key: `nowhere` can't be read: entity not found"
    );
    assert_eq!(
        faults("[tls]\ncert = \"/run/token\"\nkey = \"/etc/key.pem\"\n"),
        "ellie.toml:2:1: tls.cert: `/run/token` holds no `-----BEGIN CERTIFICATE-----`"
    );
    assert_eq!(
        faults(
            "[upstream_tls]\nca_file = \"/etc/key.pem\"\nclient_key = \"k\"\nserver_name = \"two words\"\n"
        ),
        "ellie.toml:2:1: upstream_tls.ca_file: `/etc/key.pem` holds no `-----BEGIN CERTIFICATE-----`\n\
         ellie.toml:3:1: upstream_tls.client_key: needs upstream_tls.client_cert beside it\n\
         ellie.toml:4:1: upstream_tls.server_name: invalid dns name"
    );
    let r =
        Given::file("[upstream_tls]\nca_file = \"tls/cert.pem\"\nclient_cert = \"c\"\nclient_key = \"k\"\n")
            .env("ELLIE_UPSTREAM_TLS__INSECURE_SKIP_VERIFY", "true")
            .ok();
    let options = &r.upstream_tls.options;
    assert!(!options.system_roots && options.identity.is_some() && options.skip_verification);
    assert_eq!(options.extra_roots.len(), 1);
    assert!(r.warnings[0].starts_with("upstream_tls.insecure_skip_verify is on"), "{:?}", r.warnings);
}

#[test]
fn a_renewed_certificate_is_a_change() {
    let old = Given::file("[tls]\ncert='c'\nkey='k'\n[upstream_tls]\nca_file='c'\n").ok();
    let mut new = old.clone();
    let (cert, key) = made();
    let renewed = ellie_tls::Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    new.upstream_tls.options.extra_roots = renewed.chain().to_vec();
    new.tls.as_mut().unwrap().identity = Some(renewed);
    let d = diff(&old, &new);
    let lines: Vec<String> = d.live.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["tls.cert: changed", "upstream_tls.ca_file: changed"]);
    assert_eq!(in_force(&old, new.clone()), new);
}

#[test]
fn services_are_checked_like_registrations() {
    assert_eq!(
        faults(
            r#"[[services]]
name = "a/b"
host = "a b"
port = 70000
protocol = "ftp"
helth_endpoint = "/h"
weight = -1
ttl = -5
tags = ["ok", 3]
metadata = { a = 1 }
health_check = { type = "http", interval = 1, path = "h", retries = 3 }
[[services]]
name = "health"
port = "80"
"#
        ),
        r#"ellie.toml:2:8: services[0].name: `a/b` has the character `/`; letters, digits and . _ - are allowed
ellie.toml:3:8: services[0].host: `a b` has the character ` `; give a host name or an address, without scheme and port
ellie.toml:4:8: services[0].port: is 70000; 1 to 65535 is allowed
ellie.toml:5:12: services[0].protocol: `ftp` is not http, https, grpc or tcp
ellie.toml:6:1: services[0].helth_endpoint: unknown key; did you mean `health_endpoint`?
ellie.toml:7:10: services[0].weight: is -1; 0 to 65535 is allowed
ellie.toml:8:7: services[0].ttl: is -5 ms; a duration can't be negative
ellie.toml:9:8: services[0].tags: item 2: is an integer; text is wanted
ellie.toml:10:18: services[0].metadata.a: is an integer; write it as text in quotes
ellie.toml:11:44: services[0].health_check.interval: is 1 ms; 10 to 31622400000 is allowed
ellie.toml:11:54: services[0].health_check.path: `h` must begin with `/`
ellie.toml:11:59: services[0].health_check.retries: unknown key here; it belongs to [gateway]
ellie.toml:12:1: services[1].host: is required: a host name or an address
ellie.toml:13:8: services[1].name: `health` is reserved: it is a path of the API; choose another name
ellie.toml:14:8: services[1].port: is text; write 80 without quotes"#
    );
}

#[test]
fn services_are_unique_and_without_cycles() {
    let twice = "[[services]]\nname='a'\nid='1'\nhost='h'\nport=1\n[[services]]\nname='a'\nid='1'\nhost='h'\nport=2\n";
    assert_eq!(
        faults(twice),
        "ellie.toml:8:1: services[1].id: service `a` has the instance `1` already, from ellie.toml:1:1"
    );
    let cycle = "[[services]]\nname='a'\nhost='h'\nport=1\ndependencies=['b']\n\
                 [[services]]\nname='b'\nhost='h'\nport=2\ndependencies=['a']\n";
    assert_eq!(
        faults(cycle),
        "ellie.toml:1:1: services.dependencies: the dependencies form a cycle: a → b → a"
    );
}

#[test]
fn routes_are_checked() {
    assert_eq!(
        faults(
            r##"[[routes]]
path = "/api/*/users"
service_name = "stats"
method = "GE T"
target_path = "users"
timeout = 0
rate_limit = { windowMs = 60000, max = 0 }
[[routes]]
path = "/a/../b"
service_name = "a"
host = "a:80"
headers = { "a b" = "x", c = 3 }
rate_limit = { window = "1s", max = 1, key = "cookie" }
[[routes]]
target_path = "/x?y"
"##
        ),
        r"ellie.toml:2:8: routes[0].path: `/api/*/users` has a `*` at character 6; a wildcard may only be the last segment, as in `/users/*`
ellie.toml:3:16: routes[0].service_name: `stats` is reserved: it is a path of the API; choose another name
ellie.toml:4:10: routes[0].method: `GE T` is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE
ellie.toml:5:15: routes[0].target_path: `users` must begin with `/`
ellie.toml:6:11: routes[0].timeout: is 0 ms; 1 to 86400000 is allowed
ellie.toml:7:14: routes[0].rate_limit.window: is required: milliseconds
ellie.toml:7:16: routes[0].rate_limit.windowMs: unknown key; did you mean `window`?
ellie.toml:7:40: routes[0].rate_limit.max: is 0; 1 to 1000000000 is allowed
ellie.toml:9:8: routes[1].path: `/a/../b` has a `.` or `..` segment; requests are matched after these are resolved
ellie.toml:11:8: routes[1].host: `a:80` is not a host: give a name such as `api.example.com` or `*.example.com`, without scheme and port
ellie.toml:12:21: routes[1].headers.a b: `a b` is not a header name: 1 to 128 letters, digits and !#$%&'*+-.^_`|~
ellie.toml:12:30: routes[1].headers.c: is an integer; text, or true for any value, is wanted
ellie.toml:13:46: routes[1].rate_limit.key: `cookie` is not `client`, `header:NAME` or `global`
ellie.toml:14:1: routes[2].path: is required: `/users` or `/users/*`
ellie.toml:14:1: routes[2].service_name: is required: the service that answers
ellie.toml:15:15: routes[2].target_path: `/x?y` has the character `?`, which a path can't have; percent-encode it"
    );
}

#[test]
fn ids_of_routes_are_unique() {
    let r = Given::file(
        "[[routes]]\npath='/a'\nservice_name='s'\n[[routes]]\npath='/a/*'\nservice_name='s'\n\
         [[routes]]\npath='/*'\nservice_name='s'\n[[routes]]\npath='/a'\nservice_name='t'\n",
    )
    .ok();
    let ids: Vec<&str> = r.routes.iter().map(|r| r.id.as_str()).collect();
    assert_eq!(ids, ["a", "a-all", "all", "a-2"]);
    assert_eq!(r.warnings, ["ellie.toml:10:1: routes[3] matches what `a` matches and never gets a request"]);
    assert_eq!(
        faults(
            "[[routes]]\nid='x'\npath='/a'\nservice_name='s'\n[[routes]]\nid='x'\npath='/b'\nservice_name='s'\n"
        ),
        "ellie.toml:6:4: routes[1].id: `x` is the id of another route, from ellie.toml:1:1"
    );
}

#[test]
fn without_discovery_routes_need_services_of_the_file() {
    let file = "[discovery]\nenabled = false\n[[services]]\nname='a'\nhost='h'\nport=1\n\
                [[routes]]\npath='/a'\nservice_name='a'\n[[routes]]\npath='/b'\nservice_name='b'\n";
    assert_eq!(
        faults(file),
        "ellie.toml:2:11: discovery.enabled: is false, so [[services]] are all there is, and none of them is `b`, which route `b` leads to"
    );
    let r = Given::default().env("SERVICE_DISCOVERY_ENABLED", "false").env("SERVICE_NAME", "me").ok();
    assert!(!r.discovery.enabled);
    assert_eq!(r.warnings, ["service.name is ignored: discovery is disabled"]);
}

#[test]
fn sections_are_checked_as_a_whole() {
    assert_eq!(
        faults(
            "[circuit_breaker]\nrecovery_timeout = \"60s\"\nmax_recovery_timeout = \"30s\"\n[tls]\ncert = \"c\"\n"
        ),
        "ellie.toml:3:24: circuit_breaker.max_recovery_timeout: must not be below recovery_timeout\n\
         ellie.toml:5:1: tls.cert: needs tls.key beside it"
    );
    let r = Given::file("[circuit_breaker]\nrecovery_timeout = \"10m\"\n").ok();
    assert_eq!(r.breaker.max_recovery_timeout.as_secs(), 600, "the default follows");
}

#[test]
fn a_reload_tells_what_is_live_and_what_waits_for_a_restart() {
    let old = Given::file(
        "[health]\ninterval='30s'\n[auth]\noperator_token='0123456789abcdef'\n\
         [[services]]\nname='a'\nid='1'\nhost='h'\nport=1\n[[services]]\nname='a'\nid='2'\nhost='h'\nport=2\n\
         [[routes]]\npath='/a'\nservice_name='a'\n[[routes]]\npath='/b'\nservice_name='a'\n",
    )
    .ok();
    let new = Given::file(
        "[api]\nlisten='127.0.0.1:1'\n[storage]\ndata_dir='d'\n[health]\ninterval='10s'\n\
         [auth]\noperator_token='fedcba9876543210'\n[gateway]\nthreads=2\n\
         [[services]]\nname='a'\nid='1'\nhost='h'\nport=9\n[[services]]\nname='a'\nid='3'\nhost='h'\nport=2\n\
         [[routes]]\npath='/a'\nservice_name='b'\n",
    )
    .ok();
    let lines = |changes: &[Change]| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let d = diff(&old, &new);
    assert_eq!(
        lines(&d.restart),
        [
            "api.listen: \"127.0.0.1:5000\" → \"127.0.0.1:1\"",
            "gateway.threads: set to 2",
            "storage.data_dir: \"./ellie-data\" → \"d\"",
        ]
    );
    assert_eq!(
        lines(&d.live),
        [
            "health.interval: \"30s\" → \"10s\"",
            "auth.operator_token: changed",
            "services a/1: changed",
            "services a/3: added",
            "services a/2: removed",
            "routes a: changed",
            "routes b: removed",
        ]
    );
    assert!(diff(&new, &new.clone()).is_empty());
    let turned =
        Given::file("[[routes]]\npath='/b'\nservice_name='a'\n[[routes]]\npath='/a'\nservice_name='a'\n")
            .ok();
    let straight =
        Given::file("[[routes]]\npath='/a'\nservice_name='a'\n[[routes]]\npath='/b'\nservice_name='a'\n")
            .ok();
    assert_eq!(lines(&diff(&straight, &turned).live), ["routes order: changed"]);
}

#[test]
fn what_waits_for_a_restart_is_held_back_whole() {
    let old = Given::file("[health]\ninterval='30s'\n").ok();
    let new = Given::file(
        "[api]\nlisten='127.0.0.1:1'\nmax_connections=7\nrequest_timeout='1s'\n\
         [dashboard]\nenabled=false\nlisten='127.0.0.1:2'\n\
         [gateway]\nlisten='127.0.0.1:3'\nthreads=2\nmax_connections=7\nmax_head=2048\naccess_log='json'\n\
         [discovery]\nenabled=false\n[storage]\nbackend='ephemeral'\ndata_dir='d'\n\
         [tls]\ncert='c'\nkey='k'\n[log]\nformat='json'\nlevel='debug'\n\
         [service]\nname='own'\n[health]\ninterval='10s'\n",
    )
    .ok();
    let keys = |changes: &[Change]| changes.iter().map(|c| c.key.clone()).collect::<Vec<_>>();
    let pending = diff(&old, &new);
    assert_eq!(keys(&pending.live), ["health.interval", "log.level"]);
    assert_eq!(pending.restart.len(), 17, "{:?}", keys(&pending.restart));
    let held = in_force(&old, new.clone());
    // Only what is live differs from what runs, in the values that parts are handed and in those that are shown.
    let mut expected = old.clone();
    expected.health.interval = new.health.interval;
    expected.log.level.clone_from(&new.log.level);
    expected.effective.clone_from(&held.effective);
    expected.warnings.clone_from(&held.warnings);
    expected.health.timeout = held.health.timeout;
    assert_eq!(held, expected);
    assert!(diff(&old, &held).restart.is_empty());
    assert_eq!(keys(&diff(&old, &held).live), ["health.interval", "log.level"]);
    assert_eq!(
        keys(&diff(&held, &new).restart),
        keys(&pending.restart),
        "still told, however often it is read"
    );
}

#[test]
fn the_watcher_sees_renames_and_swapped_links() {
    let dir = tempfile::tempdir().unwrap();
    let (send, changes) = std::sync::mpsc::channel();
    std::fs::create_dir(dir.path().join("v1")).unwrap();
    std::fs::create_dir(dir.path().join("v2")).unwrap();
    std::fs::write(dir.path().join("v1/ellie.toml"), "a").unwrap();
    std::fs::write(dir.path().join("v2/ellie.toml"), "b").unwrap();
    std::os::unix::fs::symlink("v1", dir.path().join("..data")).unwrap();
    let file = dir.path().join("ellie.toml");
    std::os::unix::fs::symlink("..data/ellie.toml", &file).unwrap();
    let _watcher = watch::Watcher::new(std::slice::from_ref(&file), move || {
        let _ = send.send(());
    })
    .unwrap();
    // Nothing is lost between the watch and the change: inotify queues from the moment it is asked to.
    std::os::unix::fs::symlink("v2", dir.path().join("..next")).unwrap();
    std::fs::rename(dir.path().join("..next"), dir.path().join("..data")).unwrap();
    changes.recv_timeout(Duration::from_secs(60)).expect("the swapped link is seen");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "b");
    while changes.try_recv().is_ok() {}
    std::fs::write(dir.path().join(".ellie.toml.tmp"), "c").unwrap();
    std::fs::rename(dir.path().join(".ellie.toml.tmp"), &file).unwrap();
    changes.recv_timeout(Duration::from_secs(60)).expect("an editor's rename is seen");
}

#[test]
fn the_reference_names_every_key() {
    let text = include_str!("../../../../docs/configuration.md");
    for Effective { key, value, .. } in Given::default().ok().effective {
        let (section, name) = key.rsplit_once('.').unwrap();
        let rows =
            text.split(&format!("\n## `[{section}]`")).nth(1).and_then(|rest| rest.split("\n## ").next());
        let rows = rows.unwrap_or_else(|| panic!("docs/configuration.md has no section [{section}]"));
        let row = rows.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/configuration.md does not tell of {key}"));
        if let Some(value) = value {
            assert!(row.contains(&format!("`{value}`")), "the default of {key} is {value}:\n{row}");
        }
    }
    for (alias, _) in env::ALIASES {
        assert!(text.contains(alias), "docs/configuration.md does not tell of {alias}");
    }
}
