//! The service manager: processes and what they write.

use serde::{Deserialize, Serialize};

/// `GET /processes`, `GET /processes/{name}`, and the answer to every order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Processes {
    /// Processes listed.
    pub count: usize,
    /// In the order of their definitions; a replica each.
    pub processes: Vec<Process>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Its name: that of its definition, with the number of the replica where there are several.
    pub name: String,
    /// The name of its definition.
    pub process: String,
    /// Whether somebody else runs it and it is only waited for.
    pub external: bool,
    /// `stopped`, `waiting`, `starting`, `ready`, `draining`, `stopping`, `backoff`, `crash_loop`, `completed`, `failed`.
    pub state: String,
    /// Why, in a sentence; empty where there is nothing to add.
    pub reason: String,
    /// Since when.
    pub since: String,
    /// The process' id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The port that it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// How many times it was started again.
    pub restarts: u64,
    /// Failures in a row.
    pub failures: u32,
    /// How the last run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<Exit>,
    /// Milliseconds until it starts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_in: Option<u64>,
    /// When its present start got how far.
    pub times: Times,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exit {
    /// The exit code, where it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The number of the signal, where one ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How many processes it left behind, which were ended too.
    pub left: u32,
}

/// When a start got how far; absent what has not happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// It was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// What it depends on was so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unblocked: Option<String>,
    /// The process whose progress unblocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocker: Option<String>,
    /// It ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// It was ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// It had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// On whom.
    pub name: String,
    /// What is awaited: ``healthy``, ``started``, ``completed`` or ``log `text` ``.
    pub condition: String,
    /// Whether it holds now.
    pub met: bool,
}

/// `GET /processes/{name}/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// Lines listed.
    pub count: usize,
    /// Oldest first.
    pub lines: Vec<LogLine>,
}

/// One line; in a stream, a `line` event whose id is the line's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// Grows from line to line over all processes.
    pub id: u64,
    /// When it was read.
    pub at: String,
    /// Of which process.
    pub process: String,
    /// `out`, `err`, or what ellie says of the process: `note`, and `alarm` where something went wrong.
    pub stream: String,
    /// Without its end.
    pub text: String,
}
