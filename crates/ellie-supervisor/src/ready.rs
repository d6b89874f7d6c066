//! Asking a process whether it is ready, and later whether it still lives.

use crate::definition::{Address, Check, Timing};
use crate::hooks::{Get, Hooks};
use crate::process::{self, Launcher, Spec};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a process has to run to count as ready where nothing says how to ask it: most that can't run at all end
/// sooner.
pub const SETTLE: Duration = Duration::from_millis(100);
/// The first pause between questions for readiness; it grows up to the check's interval.
const FIRST: Duration = Duration::from_millis(20);
/// The most that is kept of what a check's command writes, in bytes.
const OUTPUT: usize = 4096;

/// What asking needs beside the check.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) hooks: Arc<dyn Hooks>,
    pub(crate) launcher: Launcher,
    pub(crate) name: String,
    pub(crate) host: Arc<str>,
    pub(crate) port: Option<u16>,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Asker {
    /// Asks once.
    pub(crate) async fn ask(&self, check: &Check, timeout: Duration) -> Result<(), String> {
        let asked = tokio::time::timeout(timeout, async {
            match check {
                Check::Tcp(address) => self.connect(address).await,
                Check::Http(url) => {
                    let (host, port) = self.place(&url.address)?;
                    let get = Get { tls: url.tls, host: host.into(), port, path: url.path.clone(), timeout };
                    self.hooks.get(get).await
                }
                Check::Exec(words) => self.run(words).await,
                // Seen by whoever reads the log.
                Check::Log(_) => std::future::pending().await,
            }
        });
        asked.await.unwrap_or_else(|_| {
            Err(format!("{check}: no answer within {}", humantime::format_duration(timeout)))
        })
    }

    /// Asks until the answer is yes; tells each no.
    pub(crate) async fn until_ready(&self, check: &Check, timing: Timing, not_yet: impl Fn(String)) {
        let mut pause = FIRST.min(timing.interval);
        while let Err(why) = self.ask(check, timing.timeout).await {
            not_yet(why);
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(timing.interval);
        }
    }

    /// Asks until the answer has been no too often in a row; tells why.
    pub(crate) async fn until_sick(&self, check: &Check, timing: Timing) -> String {
        let mut failures = 0;
        loop {
            tokio::time::sleep(timing.interval).await;
            match self.ask(check, timing.timeout).await {
                Ok(()) => failures = 0,
                Err(why) => {
                    failures += 1;
                    if failures >= timing.failures {
                        return why;
                    }
                }
            }
        }
    }

    fn place<'a>(&'a self, address: &'a Address) -> Result<(&'a str, u16), String> {
        match (address, self.port) {
            (Address::Of(host, port), _) => Ok((host, *port)),
            (Address::Own, Some(port)) => Ok((&self.host, port)),
            (Address::Own, None) => Err("it has no port".into()),
        }
    }

    async fn connect(&self, address: &Address) -> Result<(), String> {
        let (host, port) = self.place(address)?;
        match TcpStream::connect((host, port)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{host}:{port}: {}", plain(&error))),
        }
    }

    async fn run(&self, words: &[String]) -> Result<(), String> {
        let spec = Spec {
            name: format!("{} (check)", self.name),
            command: words.to_vec(),
            directory: self.directory.clone(),
            environment: self.environment.clone(),
            forks: false,
            grace: Duration::ZERO,
        };
        let mut started = process::start(&self.launcher, &spec).await.map_err(|error| error.to_string())?;
        // Held until the end: whoever stops waiting drops it, and that ends the command.
        let _control = started.control;
        let (exit, out, err) =
            tokio::join!(started.watch.ended(), output(&mut started.stdout), output(&mut started.stderr));
        if exit.is_success() {
            return Ok(());
        }
        let last =
            [&err, &out].into_iter().find_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
        let last =
            last.map(|line| format!(": {}", ellie_core::model::excerpt(line.trim()))).unwrap_or_default();
        Err(format!("`{}` {exit}{last}", words[0]))
    }
}

/// What comes out of a pipe, the beginning of it; the rest is read and forgotten.
async fn output(pipe: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0_u8; 4096];
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        let room = OUTPUT - kept.len();
        kept.extend_from_slice(&buffer[..n.min(room)]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// Without the number.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}
