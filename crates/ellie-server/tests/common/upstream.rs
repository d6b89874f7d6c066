//! An upstream whose every answer the test decides: a request waits until it is answered.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A service of one instance; `/health` is answered by itself, everything else by the test.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Receiver<Asked>,
}

/// A request that has arrived and waits for its answer.
pub struct Asked {
    /// Its method and target.
    pub line: String,
    stream: TcpStream,
}

impl Upstream {
    /// Starts to listen. Its threads end with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let (send, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let send = send.clone();
                std::thread::spawn(move || serve(&stream, &send));
            }
        });
        Self { address, asked }
    }

    /// The next request; waits for it.
    #[track_caller]
    pub fn next(&self) -> Asked {
        self.asked.recv_timeout(super::HANG).expect("a request reaches the upstream")
    }

    /// The registration of this upstream as `name`.
    pub fn registration(&self, name: &str) -> serde_json::Value {
        serde_json::json!({
            "name": name, "id": format!("{name}-1"), "host": "127.0.0.1", "port": self.address.port(),
            "healthEndpoint": "/health",
        })
    }
}

impl Asked {
    /// Answers it with a status and a text.
    pub fn answer(mut self, status: u16, text: &str) {
        let _ =
            write!(self.stream, "HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    }
}

fn serve(stream: &TcpStream, send: &Sender<Asked>) {
    let Ok(mut answers) = stream.try_clone() else { return };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(line) = lines.next() {
        while lines.next().is_some_and(|field| !field.is_empty()) {}
        if line.contains(" /health ") {
            let _ = answers.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            continue;
        }
        let line = line.trim_end_matches(" HTTP/1.1").to_owned();
        let Ok(stream) = stream.try_clone() else { return };
        if send.send(Asked { line, stream }).is_err() {
            return;
        }
    }
}
