//! The dashboard's stream, read as its pages read it.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::Ellie;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// A page that reads the stream.
pub struct Page {
    /// What is still to come.
    pub lines: BufReader<TcpStream>,
    /// By name, with all their instances.
    pub services: BTreeMap<String, Value>,
    /// All processes, or null where there is no service manager.
    pub processes: Value,
    /// All providers, or null where there are none.
    pub providers: Value,
    /// The registry's index.
    pub index: u64,
    /// Of the last event that has one.
    pub id: String,
    /// Snapshots that came.
    pub snapshots: usize,
    /// The last tick.
    pub tick: Value,
}

impl Page {
    /// Begins to read, after the event `last` or with everything.
    #[track_caller]
    pub fn open(ellie: &Ellie, last: Option<&str>) -> Self {
        let to = ellie.dashboard.unwrap();
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(super::HANG)).unwrap();
        let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        write!(
            stream,
            "GET /api/ui/stream HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {}\r\n{last}\r\n",
            ellie.token
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let head = head.to_ascii_lowercase();
        for field in
            ["200 ok", "content-type: text/event-stream", "cache-control: no-store", "x-accel-buffering: no"]
        {
            assert!(head.contains(field), "{head}");
        }
        Self {
            lines,
            services: BTreeMap::new(),
            processes: Value::Null,
            providers: Value::Null,
            index: 0,
            id: String::new(),
            snapshots: 0,
            tick: Value::Null,
        }
    }

    /// Reads one event; its name. Lines of chunked framing have no colon and are passed over.
    pub fn event(&mut self) -> String {
        let (mut name, mut id) = (String::new(), None);
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream goes on");
            if let Some(text) = line.strip_prefix("event: ") {
                text.trim_end().clone_into(&mut name);
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.trim_end().to_owned());
            } else if let Some(text) = line.strip_prefix("data: ") {
                self.take(&name, id, serde_json::from_str(text).unwrap());
                return name;
            }
        }
    }

    fn take(&mut self, name: &str, id: Option<String>, mut data: Value) {
        match name {
            "snapshot" => {
                self.services = serde_json::from_value(data["services"].take()).unwrap();
                (self.processes, self.providers) = (data["processes"].take(), data["providers"].take());
                self.snapshots += 1;
            }
            "delta" => {
                for (own, name) in [(&mut self.processes, "processes"), (&mut self.providers, "providers")] {
                    if !data[name].is_null() {
                        *own = data[name].take();
                    }
                }
                for name in data["removed"].as_array().unwrap_or(&Vec::new()) {
                    self.services.remove(name.as_str().unwrap()).expect("it was there");
                }
                let changed: BTreeMap<String, Value> = match data["services"].take() {
                    Value::Null => BTreeMap::new(),
                    map => serde_json::from_value(map).unwrap(),
                };
                for (name, mut service) in changed {
                    let mut rows =
                        self.services.remove(&name).map_or(json!({}), |mut s| s["instances"].take());
                    for (id, row) in service["instances"].as_object().unwrap() {
                        rows[id] = row.clone();
                    }
                    if let Some(Value::Array(gone)) = service.as_object_mut().unwrap().remove("removed") {
                        for id in gone {
                            rows.as_object_mut().unwrap().remove(id.as_str().unwrap()).expect("it was there");
                        }
                    }
                    service["instances"] = rows;
                    self.services.insert(name, service);
                }
            }
            "tick" => {
                assert_eq!(id, None);
                self.tick = data;
                return;
            }
            other => panic!("an event `{other}`"),
        }
        self.index = data["index"].as_u64().unwrap();
        self.id = id.expect("state has an id");
    }

    /// Reads until the registry's index is reached.
    pub fn until(&mut self, index: u64) {
        while self.index < index {
            self.event();
        }
    }
}
