//! `[tls]` and `[upstream_tls]`: files are read with the configuration, so that a bad one is a fault of it, at the
//! start as on a reload.

use super::origin::Origin;
use super::parse;
use super::raw::Table;
use super::read::{Findings, Section};
use super::resolve::under;
use super::resolved::{Tls, UpstreamTls};
use ellie_tls::client::{Client, Options};
use ellie_tls::{Identity, IdentityFault};
use std::io;
use std::path::{Path, PathBuf};

/// How files are found and read.
pub(super) struct Files<'a> {
    pub(super) base: Option<&'a Path>,
    pub(super) read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Whether what they hold is passed over.
    pub(super) peek: bool,
}

impl Files<'_> {
    fn place(&self, s: &Section<'_>, key: &str, path: &str) -> PathBuf {
        under(self.base, s.origin(key).as_ref(), path)
    }

    /// A file's content; a fault where it can't be read.
    fn content(&self, s: &mut Section<'_>, key: &str, path: &Path) -> Option<String> {
        match (self.read)(path) {
            Ok(content) => Some(content),
            Err(error) => {
                // Bytes that are no text are not PEM either, and the error says so.
                blame(s, key, format!("`{}` can't be read: {error}", path.display()));
                None
            }
        }
    }
}

fn blame(s: &mut Section<'_>, key: &str, message: String) {
    let (origin, full) = (s.origin(key).unwrap_or(Origin::Default), s.key(key));
    s.out().fault(&origin, full, message);
}

/// Two files that are set together or not at all.
fn pair(
    s: &mut Section<'_>,
    files: &Files<'_>,
    [cert, key]: [&'static str; 2],
) -> Option<(PathBuf, PathBuf, Option<Identity>)> {
    match (s.opt(cert, parse::some_text), s.opt(key, parse::some_text)) {
        (None, None) => None,
        (Some(c), Some(k)) => {
            let (c, k) = (files.place(s, cert, &c), files.place(s, key, &k));
            let identity = if files.peek { None } else { identity(s, files, [(cert, &c), (key, &k)]) };
            Some((c, k, identity))
        }
        (c, _) => {
            let (set, missing) = if c.is_some() { (cert, key) } else { (key, cert) };
            let missing = s.key(missing);
            blame(s, set, format!("needs {missing} beside it"));
            None
        }
    }
}

fn identity(s: &mut Section<'_>, files: &Files<'_>, [cert, key]: [(&str, &Path); 2]) -> Option<Identity> {
    let (chain, private) = (files.content(s, cert.0, cert.1), files.content(s, key.0, key.1));
    match Identity::from_pem(chain?.as_bytes(), private?.as_bytes()) {
        Ok(identity) => Some(identity),
        Err(faults) => {
            for fault in faults {
                let ((name, path), why) = match fault {
                    IdentityFault::Certificate(why) => (cert, why),
                    IdentityFault::Key(why) => (key, why),
                };
                blame(s, name, format!("`{}` {why}", path.display()));
            }
            None
        }
    }
}

/// `[tls]`
pub(super) fn listeners(layers: &[&Table], out: &mut Findings, files: &Files<'_>) -> Option<Tls> {
    let mut s = Section::of(layers, "tls", out);
    let tls = pair(&mut s, files, ["cert", "key"]);
    s.finish();
    tls.map(|(cert, key, identity)| Tls { cert, key, identity })
}

/// `[upstream_tls]`
pub(super) fn upstream(layers: &[&Table], out: &mut Findings, files: &Files<'_>) -> UpstreamTls {
    let mut s = Section::of(layers, "upstream_tls", out);
    let mut options = Options::default();
    let ca_file = s.opt("ca_file", parse::some_text).map(|path| files.place(&s, "ca_file", &path));
    if let Some(path) = ca_file.as_deref().filter(|_| !files.peek)
        && let Some(content) = files.content(&mut s, "ca_file", path)
    {
        options.system_roots = false;
        match ellie_tls::authorities(content.as_bytes()) {
            Ok(roots) => options.extra_roots = roots,
            Err(why) => blame(&mut s, "ca_file", format!("`{}` {why}", path.display())),
        }
    }
    let (client_cert, client_key) = match pair(&mut s, files, ["client_cert", "client_key"]) {
        None => (None, None),
        Some((cert, key, identity)) => {
            options.identity = identity;
            (Some(cert), Some(key))
        }
    };
    options.server_name = s.opt("server_name", parse::some_text);
    options.skip_verification = s.get("insecure_skip_verify", false, parse::boolean);
    for fault in Client::new(options.clone()).err().map(|invalid| invalid.0).unwrap_or_default() {
        let key = if fault.field == "extra_roots" { "ca_file" } else { fault.field };
        blame(&mut s, key, fault.message);
    }
    s.finish();
    if options.skip_verification {
        out.warnings.push(
            "upstream_tls.insecure_skip_verify is on: the gateway and health checks believe any certificate, so \
             anybody on the way can take an instance's place; set upstream_tls.ca_file instead"
                .into(),
        );
    }
    UpstreamTls { ca_file, client_cert, client_key, options }
}
