//! Real peers from the distribution: nginx, wrk, Prometheus, jq, curl.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The path of a program that a test drives, or `None` with a line that says it was skipped and why.
///
/// # Panics
/// With `CI` set, where a missing peer would silently be a test that tested nothing.
pub fn peer(program: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        let message = format!("`{program}` is not installed; try: apt-get install {package}");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("SKIPPED: {message}");
    }
    found
}

/// A peer's process, killed when dropped.
pub struct Peer {
    child: Child,
    /// What it is, for messages.
    pub name: String,
}

impl Peer {
    /// Starts it, its output into the file `log`.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a log file for the peer");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} did not start: {error}"));
        Self { child, name: name.to_owned() }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nothing listened on a moment ago, for peers that can't be told to choose one themselves.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("bound").port()
}

/// A whole file as text; empty when it is not there yet.
pub fn text_of(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        let _ = file.read_to_string(&mut text);
    }
    text
}
