//! What `ellie up` runs, as its API tells it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Builder, Ellie, wait_for};

/// A service for `command = ["python3", "-uc", '''…''']`: answers `/health` with 200 unless there is a file
/// `NAME.sick`, `/env/X` with a variable of its environment, `/slow` once there is a file `NAME.go`, and everything else
/// with its name; at SIGTERM it finishes what it has begun. Its name is in `NAME`, its port in `PORT`.
pub const SERVICE: &str = r#"
import http.server, os, signal, threading, time

name = os.environ["NAME"]

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, text = 200, name
        if self.path == "/health" and os.path.exists(name + ".sick"):
            status = 503
        elif self.path.startswith("/env/"):
            text = os.environ.get(self.path[5:], "(unset)")
        elif self.path == "/slow":
            open(name + ".asked", "w").close()
            while not os.path.exists(name + ".go"):
                time.sleep(0.01)
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False

server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening", flush=True)
server.serve_forever()
server.server_close()
print("finished", flush=True)
"#;

/// A `[[processes]]` entry of [`SERVICE`] with a port of its own, and with `more` keys.
pub fn service(name: &str, more: &str) -> String {
    format!(
        "[[processes]]\nname = \"{name}\"\ncommand = [\"python3\", \"-uc\", '''{SERVICE}''']\nport = \"auto\"\n\
         environment = {{ NAME = \"{name}\" }}\n{more}\n"
    )
}

/// A `[[processes]]` entry of a shell script, which must not contain `'''`, and with `more` keys.
pub fn script(name: &str, script: &str, more: &str) -> String {
    format!(
        "[[processes]]\nname = \"{name}\"\ncommand = [\"sh\", \"-c\", '''{script}''']\ndrain_timeout = 0\n{more}\n"
    )
}

/// Whether a process is there, and no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.unwrap_or_default().rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal to any process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("kill runs").success(), "kill -{name} {pid} failed");
}

impl Builder {
    /// `ellie up` with these `[[processes]]`.
    pub fn up(self, processes: &[String]) -> Self {
        self.verb("up").config(&processes.concat())
    }
}

impl Ellie {
    /// `ellie up` with these `[[processes]]`.
    #[track_caller]
    pub fn up(processes: &[String]) -> Self {
        Self::builder().up(processes).start()
    }

    /// One process, as it is now.
    #[track_caller]
    pub fn process(&self, name: &str) -> Value {
        self.get(&format!("/processes/{name}")).expect(200).json()["processes"][0].take()
    }

    /// Waits until a process is as `wanted`, and returns how it is then.
    #[track_caller]
    pub fn until(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("{name} to be {what}"), || Some(self.process(name)).filter(&wanted))
    }

    /// Waits until a process is in `state`.
    #[track_caller]
    pub fn until_state(&self, name: &str, state: &str) -> Value {
        self.until(name, state, |process| process["state"] == state)
    }

    /// All lines that a process has written, with what ellie noted of it.
    #[track_caller]
    pub fn lines(&self, name: &str) -> Vec<(u64, String)> {
        let lines = self.get(&format!("/processes/{name}/logs?tail=10000")).expect(200).json();
        let lines = lines["lines"].as_array().expect("a list").iter();
        lines
            .map(|line| {
                (line["id"].as_u64().expect("a number"), line["text"].as_str().unwrap_or_default().into())
            })
            .collect()
    }

    /// Waits for a line of a process that begins with `text`; returns its number, which grows over all processes, and
    /// what follows.
    #[track_caller]
    pub fn until_line(&self, name: &str, text: &str) -> (u64, String) {
        wait_for(&format!("{name} to write `{text}`"), || {
            let found = self.lines(name).into_iter().find(|line| line.1.starts_with(text));
            found.map(|(id, line)| (id, line[text.len()..].to_owned()))
        })
    }

    /// Makes an empty file in the directory in which the processes run.
    pub fn touch(&self, name: &str) {
        std::fs::write(self.path(name), "").expect("a file can be written");
    }
}

/// The process id in what the API tells of a process.
#[track_caller]
pub fn pid(process: &Value) -> u32 {
    process["pid"].as_u64().and_then(|pid| pid.try_into().ok()).unwrap_or_else(|| panic!("no pid: {process}"))
}
