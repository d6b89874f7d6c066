//! The binary under test as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{Answer, request};

/// The binary: the one cargo built for this test, or the one named by `ELLIE_BIN` (a release build, say).
pub fn binary() -> PathBuf {
    std::env::var_os("ELLIE_BIN").map_or_else(|| env!("CARGO_BIN_EXE_ellie").into(), PathBuf::from)
}

/// How to start a server. Everything a test does not set is a default of the harness: port 0 on loopback
/// for all three listeners, a fresh working directory, its data in `data/` below it, JSON logs.
pub struct Builder {
    verb: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: Option<Arc<TempDir>>,
    config: Option<String>,
    ephemeral: bool,
    launcher: Vec<String>,
}

impl Builder {
    /// Starts it through another program, which gets the binary and its arguments after its own.
    pub fn launcher<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.launcher = words.into_iter().map(str::to_owned).collect();
        self
    }

    /// `ellie up`, or another command that runs a server, in place of `ellie serve`.
    pub fn verb(mut self, verb: &str) -> Self {
        verb.clone_into(&mut self.verb);
        self
    }

    /// More arguments after `ellie serve`.
    pub fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// A variable of the process's environment, which is otherwise empty but for `PATH` and `HOME`.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes `ellie.toml` into the working directory and starts with it.
    pub fn config(mut self, text: &str) -> Self {
        self.config = Some(text.to_owned());
        self
    }

    /// Keeps no state on disk.
    pub fn ephemeral(mut self) -> Self {
        self.ephemeral = true;
        self
    }

    /// Starts in the folder of an earlier process: a restart.
    pub fn folder(mut self, folder: &Arc<TempDir>) -> Self {
        self.folder = Some(Arc::clone(folder));
        self
    }

    /// Starts the process without waiting for it: for starts that are expected to fail.
    pub fn spawn(self) -> Starting {
        let folder = self.folder.unwrap_or_else(|| Arc::new(TempDir::new().expect("a temporary folder")));
        let mut command = match self.launcher.split_first() {
            None => Command::new(binary()),
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(binary());
                command
            }
        };
        command
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            .args([&self.verb, "--log-format", "json"])
            .args(["--api-listen", "127.0.0.1:0", "--dashboard-listen", "127.0.0.1:0"])
            .args(["--gateway-listen", "127.0.0.1:0"]);
        if self.ephemeral {
            command.arg("--ephemeral").env("ELLIE_AUTH__OPERATOR_TOKEN", TOKEN);
        } else {
            command.arg("--data-dir").arg(folder.path().join("data"));
        }
        if let Some(text) = &self.config {
            let path = folder.path().join("ellie.toml");
            std::fs::write(&path, text).expect("ellie.toml is written");
            command.arg("--config").arg(path);
        }
        command.args(&self.arguments).envs(self.environment);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary under test starts");
        let log = Arc::new(Log::default());
        log.follow(child.stdout.take().expect("piped"));
        log.follow(child.stderr.take().expect("piped"));
        Starting { child, log, folder, ephemeral: self.ephemeral }
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    pub fn start(self) -> Ellie {
        self.spawn().ready()
    }
}

/// The operator token of an ephemeral server; one with a data directory makes its own.
const TOKEN: &str = "operator-token-of-the-tests-0123456789";

/// A process that has been started and has said nothing yet.
pub struct Starting {
    child: Child,
    log: Arc<Log>,
    folder: Arc<TempDir>,
    ephemeral: bool,
}

impl Starting {
    /// Waits for the `ready` line and reads the ports from it.
    #[track_caller]
    pub fn ready(mut self) -> Ellie {
        let child = &mut self.child;
        let log = &self.log;
        let (api, gateway, dashboard, tls) = super::wait_for("the ready line", || {
            if let Some(ports) = log.lines().iter().find_map(|line| ready(line)) {
                return Some(ports);
            }
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the server ended with {status} before it was ready:\n{}", log.text());
            }
            None
        });
        let token = if self.ephemeral {
            TOKEN.to_owned()
        } else {
            let path = self.folder.path().join("data/operator.token");
            let token =
                std::fs::read_to_string(&path).expect("operator.token exists once the server is ready");
            token.trim().to_owned()
        };
        Ellie { child: self.child, log: self.log, folder: self.folder, api, gateway, dashboard, tls, token }
    }

    /// Waits for the end of a process that must not become ready.
    #[track_caller]
    pub fn ended(mut self) -> Ran {
        let status = super::wait_for("the end of the process", || self.child.try_wait().expect("waitable"));
        let text = self.log.text_at_end();
        Ran { status, stdout: String::new(), stderr: text }
    }
}

/// The addresses of API, gateway and dashboard, and whether they speak TLS, from a `ready` line in JSON, wherever the formatter put them.
fn ready(line: &str) -> Option<(SocketAddr, SocketAddr, Option<SocketAddr>, bool)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let message = fields.get("message").or_else(|| line.get("message"))?.as_str()?;
    if message != "ready" {
        return None;
    }
    let address = |name: &str| fields.get(name)?.as_str()?.parse().ok();
    let tls = fields.get("tls").and_then(Value::as_bool).unwrap_or_default();
    Some((address("api")?, address("gateway")?, address("dashboard"), tls))
}

/// A running server, killed when dropped.
pub struct Ellie {
    child: Child,
    log: Arc<Log>,
    folder: Arc<TempDir>,
    /// Where the API answers.
    pub api: SocketAddr,
    /// Where the gateway answers.
    pub gateway: SocketAddr,
    /// Where the dashboard answers, where it is enabled.
    pub dashboard: Option<SocketAddr>,
    /// Whether they speak TLS.
    pub tls: bool,
    /// The operator token.
    pub token: String,
}

impl Ellie {
    /// A server with a data directory and no configuration.
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A server with more than the defaults.
    pub fn builder() -> Builder {
        Builder {
            verb: "serve".to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            config: None,
            ephemeral: false,
            launcher: Vec::new(),
        }
    }

    /// The working directory; keep it to start the next process on the same data.
    pub fn folder(&self) -> Arc<TempDir> {
        Arc::clone(&self.folder)
    }

    /// A path below the working directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `GET` on the API.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }

    /// `POST` on the API, with the operator token.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(body))
    }

    /// `PUT` on the API, with the operator token.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, Some(body))
    }

    /// `DELETE` on the API, with the operator token.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None)
    }

    /// Any call on the API with the operator token.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, path, body).unwrap_or_else(|error| {
            panic!("{method} {path} on {}: {error}\n{}", self.api, self.log.text());
        })
    }

    /// Any call on the API, where the server may die under it.
    pub fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Answer> {
        let authorization = format!("Bearer {}", self.token);
        let body = body.map(Value::to_string);
        let mut fields = vec![("Authorization", authorization.as_str())];
        if body.is_some() {
            fields.push(("Content-Type", "application/json"));
        }
        request(self.api, method, path, &fields, body.as_deref().map(str::as_bytes))
    }

    /// A request at the dashboard's listener, with these fields and nothing else.
    #[track_caller]
    pub fn at_dashboard(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let to = self.dashboard.expect("the dashboard is enabled");
        let mut fields = fields.to_vec();
        if body.is_some() {
            fields.push(("Content-Type", "application/json"));
        }
        let body = body.map(Value::to_string);
        request(to, method, path, &fields, body.as_deref().map(str::as_bytes))
            .unwrap_or_else(|error| panic!("{method} {path} on {to}: {error}\n{}", self.log.text()))
    }

    /// A request through the gateway.
    #[track_caller]
    pub fn through(&self, method: &str, path: &str) -> Answer {
        request(self.gateway, method, path, &[], None)
            .unwrap_or_else(|error| panic!("{method} {path} through {}: {error}", self.gateway))
    }

    /// Runs the binary's command line against this server and waits for its end.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().expect("the command line runs"))
    }

    /// The command line against this server, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("ELLIE_SERVER", format!("{}://{}", if self.tls { "https" } else { "http" }, self.api))
            .env("ELLIE_TOKEN", &self.token)
            .stdin(Stdio::null())
            .args(arguments);
        command
    }

    /// Everything the process has printed so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for a line of the log that `wanted` accepts, and returns it.
    #[track_caller]
    pub fn wait_for_line(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.log.wait_for(what, wanted)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name: `TERM`, `HUP`, `INT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "kill -{name} failed");
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let child = &mut self.child;
        super::wait_for("the end of the server", || child.try_wait().expect("waitable"))
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Ellie {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- log of the server ---\n{}--- end of it ---", self.log.text());
        }
    }
}

/// What a finished process left.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// The exit code; -1 when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// This, if the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// This, if it exited 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.expect(0)
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}):\n{}", self.stdout))
    }
}

/// The lines of a process, kept as they come.
#[derive(Default)]
struct Log {
    state: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    open: usize,
}

impl Log {
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.state.lock().expect("no reader panics").open += 1;
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                log.state.lock().expect("no reader panics").lines.push(line);
                log.grown.notify_all();
            }
            log.state.lock().expect("no reader panics").open -= 1;
            log.grown.notify_all();
        });
    }

    fn lines(&self) -> Vec<String> {
        self.state.lock().expect("no reader panics").lines.clone()
    }

    fn text(&self) -> String {
        self.lines().iter().map(|line| format!("{line}\n")).collect()
    }

    /// The whole text once both streams are closed.
    fn text_at_end(&self) -> String {
        let state = self.state.lock().expect("no reader panics");
        drop(self.grown.wait_timeout_while(state, super::HANG, |state| state.open > 0));
        self.text()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = 0;
        let mut found = None;
        let state = self.state.lock().expect("no reader panics");
        let (state, _) = self
            .grown
            .wait_timeout_while(state, super::HANG, |state| {
                found = state.lines[seen..].iter().find(|line| wanted(line)).cloned();
                seen = state.lines.len();
                found.is_none() && state.open > 0
            })
            .expect("no reader panics");
        found.unwrap_or_else(|| panic!("no line of the log is: {what}\n{}", state.lines.join("\n")))
    }
}
