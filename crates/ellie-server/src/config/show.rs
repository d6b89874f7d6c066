//! Values as TOML, for `config show` and for telling what a reload changed.

use super::resolved::{AccessLog, Backend, LogFormat, Network, Secret};
use ellie_gateway::route::RetryOn;
use ellie_policy::balance::Strategy;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a value looks like in the file.
pub(super) trait Show {
    fn show(&self) -> String;
}

/// Text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}

/// A duration as it would be typed.
pub(crate) fn duration(d: Duration) -> String {
    humantime::format_duration(d).to_string()
}

macro_rules! shown {
    ($($type:ty: |$value:ident| $text:expr;)*) => {
        $(impl Show for $type {
            fn show(&self) -> String {
                let $value = self;
                $text
            }
        })*
    };
}

shown! {
    bool: |v| v.to_string();
    u8: |v| v.to_string();
    u16: |v| v.to_string();
    u32: |v| v.to_string();
    u64: |v| v.to_string();
    usize: |v| v.to_string();
    i128: |v| v.to_string();
    f64: |v| toml::Value::Float(*v).to_string();
    String: |v| quoted(v);
    PathBuf: |v| quoted(&v.to_string_lossy());
    SocketAddr: |v| quoted(&v.to_string());
    Duration: |v| quoted(&duration(*v));
    Strategy: |v| quoted(v.as_str());
    AccessLog: |v| quoted(v.as_str());
    Backend: |v| quoted(v.as_str());
    LogFormat: |v| quoted(v.as_str());
    Network: |v| quoted(&v.to_string());
    RetryOn: |v| format!("{:?}", v.statuses());
    Secret: |_v| quoted("…");
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(Show::show).collect::<Vec<_>>().join(", "))
    }
}

/// `None` is "never" or "off", which a key can be set to.
impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted("never"), Show::show)
    }
}
