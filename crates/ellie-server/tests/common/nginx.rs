//! nginx as an upstream: `/health` in a log of its own, everything else answered with the upstream's name.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Authority, Issued, Peer, free_port, peer, text_of, wait_until};

/// One nginx that can be stopped and started again on the same port.
pub struct Nginx {
    program: PathBuf,
    folder: PathBuf,
    peer: Option<Peer>,
    starts: u32,
    /// What makes its port speak TLS.
    tls: Option<String>,
    /// What it answers with, and the name of its folder.
    pub name: String,
    /// Where it listens, started or not.
    pub port: u16,
}

impl Nginx {
    /// Writes its configuration below `folder` and starts it; `None` where nginx is not installed.
    pub fn start(folder: &Path, name: &str) -> Option<Self> {
        Self::start_with(folder, name, None)
    }

    /// Like [`Nginx::start`], speaking TLS with this certificate; it lets only those in that show one of `clients`,
    /// where given.
    pub fn start_tls(folder: &Path, name: &str, own: &Issued, clients: Option<&Authority>) -> Option<Self> {
        let own_folder = folder.join(name);
        std::fs::create_dir_all(&own_folder).expect("a folder for nginx");
        let [cert, key] = own.write(&own_folder);
        let mut tls = format!("ssl_certificate {}; ssl_certificate_key {};", cert.display(), key.display());
        if let Some(authority) = clients {
            let file = own_folder.join("clients.pem");
            authority.write(&file);
            tls += &format!(" ssl_client_certificate {}; ssl_verify_client on;", file.display());
        }
        Self::start_with(folder, name, Some(tls))
    }

    fn start_with(folder: &Path, name: &str, tls: Option<String>) -> Option<Self> {
        let program = peer("nginx", "nginx-light")?;
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("a folder for nginx");
        let mut nginx =
            Self { program, folder, peer: None, starts: 0, tls, name: name.to_owned(), port: free_port() };
        nginx.start_again();
        Some(nginx)
    }

    /// Starts it, with new logs.
    pub fn start_again(&mut self) {
        assert!(self.peer.is_none(), "{} runs already", self.name);
        self.starts += 1;
        let config = self.folder.join("nginx.conf");
        std::fs::write(&config, self.config()).expect("nginx.conf is written");
        let mut command = Command::new(&self.program);
        command
            .arg("-p")
            .arg(&self.folder)
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(self.folder.join("error.log"));
        let mut peer = Peer::spawn(&self.name, &mut command, &self.folder.join("out.log"));
        let (port, folder) = (self.port, self.folder.clone());
        wait_until("nginx listens", || {
            assert!(peer.is_running(), "nginx ended: {}", text_of(&folder.join("error.log")));
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        self.peer = Some(peer);
    }

    /// Ends it as a crash would: connections are cut, requests in flight are lost.
    pub fn crash(&mut self) {
        self.peer.take().expect("it runs").kill();
    }

    /// The requests since its last start, in order; `/health` marks a check.
    pub fn requests(&self) -> Vec<String> {
        text_of(&self.log()).lines().map(str::to_owned).collect()
    }

    /// The requests since its last start that were not checks.
    pub fn served(&self) -> usize {
        self.requests().iter().filter(|path| *path != "/health").count()
    }

    fn log(&self) -> PathBuf {
        self.folder.join(format!("access-{}.log", self.starts))
    }

    fn config(&self) -> String {
        let folder = self.folder.display();
        format!(
            "daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid;
events {{ worker_connections 512; }}
http {{
  log_format path '$uri';
  access_log {log} path;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port}{ssl};
    {tls}
    location = /health {{ default_type application/json; return 200 '{{\"status\":\"healthy\",\"version\":\"1.0.0\"}}'; }}
    location / {{ default_type text/plain; return 200 '{name}\\n'; }}
  }}
}}
",
            log = self.log().display(),
            port = self.port,
            ssl = if self.tls.is_some() { " ssl" } else { "" },
            tls = self.tls.as_deref().unwrap_or_default(),
            name = self.name,
        )
    }
}
