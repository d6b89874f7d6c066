//! What a command finds out about where it runs: the configuration, the server's address, the token.

use super::args::{Common, Settings};
use super::client::Client;
use super::error::{Code, Error, Result};
use super::output::Output;
use crate::auth::OPERATOR_FILE;
use crate::config::{Faults, Resolved, Secret, Setting, Sources};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use ureq::tls::Certificate;

/// Everything a command is handed.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) common: Common,
    pub(crate) out: Output,
    pub(crate) env: BTreeMap<String, String>,
}

impl Context {
    pub(crate) fn new(common: Common, env: BTreeMap<String, String>) -> Self {
        let out = Output::new(common.output);
        Self { common, out, env }
    }

    /// Where the configuration of a server comes from that would be started like this.
    pub(crate) fn sources(&self, settings: &Settings) -> Sources {
        Sources {
            file: self.common.config.clone(),
            env: self.env.clone(),
            flags: flags(&self.common, settings),
        }
    }

    /// The configuration.
    ///
    /// # Errors
    /// With code 78 and all faults.
    pub(crate) fn resolve(&self, sources: &Sources) -> Result<Resolved> {
        sources.load().map_err(|faults| bad_config(sources, &faults))
    }

    /// The configuration as far as it helps to find the server; a bad one helps nobody and is not this command's
    /// matter.
    pub(crate) fn hint(&self) -> Option<Resolved> {
        self.sources(&Settings::default()).peek().ok()
    }

    /// Whoever names a configuration file means it: a faulty one is not passed over then.
    fn named_config(&self) -> Result<()> {
        if self.common.config.is_some() {
            self.resolve(&self.sources(&Settings::default()))?;
        }
        Ok(())
    }

    /// Where state is kept on this machine.
    ///
    /// # Errors
    /// As [`Context::client`].
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        self.named_config()?;
        Ok(self.found_data_dir())
    }

    fn found_data_dir(&self) -> PathBuf {
        match (&self.common.data_dir, self.hint()) {
            (Some(dir), _) => dir.into(),
            (None, Some(resolved)) => resolved.storage.data_dir,
            (None, None) => "./ellie-data".into(),
        }
    }

    /// The API's client.
    ///
    /// # Errors
    /// A configuration file or a token file that was named and can't be used.
    pub(crate) fn client(&self) -> Result<Client> {
        self.client_within(self.common.timeout)
    }

    /// The same for calls of which each may take as long as `timeout`.
    pub(crate) fn client_within(&self, timeout: std::time::Duration) -> Result<Client> {
        self.named_config()?;
        self.any_client(timeout)
    }

    /// The API's client for who tells of the configuration's faults himself.
    pub(crate) fn client_whatever_the_configuration(&self) -> Result<Client> {
        self.any_client(self.common.timeout)
    }

    fn any_client(&self, timeout: std::time::Duration) -> Result<Client> {
        let hint = self.hint();
        let tls = hint.as_ref().and_then(|r| r.tls.as_ref());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = match &self.common.server {
            Some(server) if server.contains("://") => server.clone(),
            Some(server) => format!("http://{server}"),
            None => format!("{scheme}://{}", local(hint.as_ref().map(|r| r.api.listen))),
        };
        let roots = match (&self.common.ca_file, tls) {
            (Some(path), _) => Some(authorities(path).map_err(|why| {
                Error::new(Code::Usage, format!("the authorities `{}` can't be used", path.display()))
                    .because(why)
            })?),
            // A server on this machine that shows the certificate in its configuration is who it should be.
            (None, Some(tls)) if is_local(&base) => authorities(&tls.cert).ok(),
            (None, _) => None,
        };
        let (token, from) = self.token(hint.as_ref(), &base)?;
        Ok(Client::new(&base, token, from, timeout, roots))
    }

    fn token(&self, hint: Option<&Resolved>, base: &str) -> Result<(Option<Secret>, String)> {
        if let Some(token) = &self.common.token {
            return Ok((Some(Secret::new(token.trim().into())), "--token or ELLIE_TOKEN".into()));
        }
        if let Some(path) = &self.common.token_file {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::new(Code::Usage, format!("the token file `{}` can't be read", path.display()))
                    .because(error)
            })?;
            return Ok((Some(Secret::new(text.trim().into())), path.display().to_string()));
        }
        // What is found on this machine is for a server on this machine: it must not be sent anywhere else.
        if !is_local(base) {
            return Ok((None, String::new()));
        }
        if let Some(token) = hint.and_then(|r| r.auth.operator_token.clone()) {
            return Ok((Some(token), "the configuration (auth.operator_token)".into()));
        }
        let path = self.found_data_dir().join(OPERATOR_FILE);
        let token = std::fs::read_to_string(&path).ok().map(|text| Secret::new(text.trim().into()));
        Ok((token, path.display().to_string()))
    }
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> std::result::Result<Vec<Certificate<'static>>, String> {
    let text = std::fs::read(path).map_err(|e| e.to_string())?;
    let found = ellie_tls::authorities(&text)?;
    Ok(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

/// The fault of a configuration as a command's error.
pub(crate) fn bad_config(sources: &Sources, faults: &Faults) -> Error {
    let n = faults.all().len();
    let what = format!("bad configuration: {n} fault{}", if n == 1 { "" } else { "s" });
    let name = sources.path().display();
    Error::new(Code::Config, what).because(faults).try_(match sources.path().exists() {
        true => format!("ellie check-config {name}    # after mending"),
        false => "ellie config show --origin    # what is in force without it".into(),
    })
}

/// The flags that set keys.
fn flags(common: &Common, settings: &Settings) -> Vec<Setting> {
    let mut flags = Vec::new();
    let mut add = |key: &str, flag: &str, value: Option<String>| {
        flags.extend(value.map(|value| Setting { key: key.into(), value, flag: flag.into() }));
    };
    // General ones first: of two that set the same key the last holds, and a flag of its own is more exact.
    for (key, value) in &settings.set {
        add(key, "--set", Some(value.clone()));
    }
    add("api.listen", "--api-listen", settings.api_listen.clone());
    add("dashboard.listen", "--dashboard-listen", settings.dashboard_listen.clone());
    add("gateway.listen", "--gateway-listen", settings.gateway_listen.clone());
    add("storage.data_dir", "--data-dir", common.data_dir.clone());
    add("storage.backend", "--ephemeral", settings.ephemeral.then(|| "ephemeral".into()));
    add("auth.insecure", "--insecure", settings.insecure.then(|| "true".into()));
    add("log.level", "--log-level", settings.log_level.clone());
    add("log.format", "--log-format", settings.log_format.clone());
    flags
}

/// The address to call for a listener on this machine.
fn local(listen: Option<SocketAddr>) -> SocketAddr {
    let mut address =
        listen.filter(|a| a.port() != 0).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 5000)));
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
        };
        address.set_ip(loopback);
    }
    address
}

/// Whether a URL is of this machine.
fn is_local(base: &str) -> bool {
    let authority =
        base.split_once("://").map_or(base, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    // `user@host` hides the host from the eye; nobody means it.
    !authority.contains('@')
        && (host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_found_on_this_machine_stays_on_it() {
        for local in
            ["http://127.0.0.1:5000", "http://localhost:1", "http://[::1]:5000/", "https://127.9.9.9"]
        {
            assert!(is_local(local), "{local}");
        }
        for elsewhere in [
            "http://10.0.0.1:5000",
            "http://localhost.evil.example",
            "http://127.0.0.1:1@evil.example",
            "http://evil/127.0.0.1",
        ] {
            assert!(!is_local(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_called_on_loopback() {
        assert_eq!(local(Some("0.0.0.0:7".parse().unwrap())).to_string(), "127.0.0.1:7");
        assert_eq!(local(Some("[::]:7".parse().unwrap())).to_string(), "[::1]:7");
        assert_eq!(local(Some("127.0.0.1:0".parse().unwrap())).to_string(), "127.0.0.1:5000");
        assert_eq!(local(None).to_string(), "127.0.0.1:5000");
    }
}
