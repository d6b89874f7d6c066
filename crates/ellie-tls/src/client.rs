//! The client's side: whom to believe, what to show of oneself, and the one place that says to believe anybody.

use crate::{Identity, provider};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;

/// How the servers that are called over TLS prove who they are. The default: by a certificate for the host they are
/// registered with, from an authority the system trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Accept any certificate: the traffic is then hidden from those who only listen, and from nobody else.
    pub skip_verification: bool,
    /// Whether the authorities that the system trusts are believed.
    pub system_roots: bool,
    /// Authorities believed beside those, such as a private one.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// The name that certificates must be for, and that is asked for (SNI), in place of each instance's host.
    pub server_name: Option<String>,
    /// What is shown to servers that ask for a certificate.
    pub identity: Option<Identity>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            skip_verification: false,
            system_roots: true,
            extra_roots: Vec::new(),
            server_name: None,
            identity: None,
        }
    }
}

/// One thing that is wrong with [`Options`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// Everything that is wrong with [`Options`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub Vec<Fault>);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            write!(f, "{}{}: {}", if n == 0 { "" } else { "; " }, fault.field, fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// A protocol spoken inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

/// The client's side of TLS. Clones share it, and with it the sessions that are resumed.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    extra: RootCertStore,
    server_name: Option<ServerName<'static>>,
    // Reading the system's roots costs some ten milliseconds and a megabyte: not before something needs them.
    connectors: OnceLock<Connectors>,
}

#[derive(Clone)]
struct Connectors {
    http1: TlsConnector,
    http2: TlsConnector,
}

impl fmt::Debug for Connectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connectors")
    }
}

impl Default for Client {
    fn default() -> Self {
        Self(Arc::new(Inner {
            options: Options::default(),
            extra: RootCertStore::empty(),
            server_name: None,
            connectors: OnceLock::new(),
        }))
    }
}

impl Client {
    /// Takes the options.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(options: Options) -> Result<Self, Invalid> {
        let mut faults = Vec::new();
        let mut extra = RootCertStore::empty();
        for (n, root) in options.extra_roots.iter().enumerate() {
            if let Err(error) = extra.add(root.clone()) {
                let message = format!("certificate {} can't be used as an authority: {error}", n + 1);
                faults.push(Fault { field: "extra_roots", message });
            }
        }
        let server_name = options.server_name.as_ref().and_then(|name| {
            ServerName::try_from(name.clone())
                .map_err(|error| faults.push(Fault { field: "server_name", message: error.to_string() }))
                .ok()
        });
        if !faults.is_empty() {
            return Err(Invalid(faults));
        }
        Ok(Self(Arc::new(Inner { options, extra, server_name, connectors: OnceLock::new() })))
    }

    /// What it was made of.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Whether both are the same one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The name the certificate of `host` must be for.
    ///
    /// # Errors
    /// `host` is neither a name nor an address.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, String> {
        match &self.0.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| format!("`{host}` can't be the name on a certificate")),
        }
    }

    /// What makes connections. The first call reads the authorities of the system, on a thread for such work.
    ///
    /// # Errors
    /// There is nobody to trust, or the identity can't be used.
    pub async fn connector(&self, alpn: Alpn) -> Result<TlsConnector, String> {
        if let Some(made) = self.0.connectors.get() {
            return Ok(made.of(alpn));
        }
        let this = self.clone();
        let made = tokio::task::spawn_blocking(move || this.0.build())
            .await
            .map_err(|error| format!("the system's certificate authorities can't be read: {error}"))??;
        // Of two that came at once, the first one's is everybody's: it holds the sessions.
        Ok(self.0.connectors.get_or_init(|| made).of(alpn))
    }
}

impl Connectors {
    fn of(&self, alpn: Alpn) -> TlsConnector {
        match alpn {
            Alpn::Http1 => self.http1.clone(),
            Alpn::Http2 => self.http2.clone(),
        }
    }
}

impl Inner {
    fn build(&self) -> Result<Connectors, String> {
        let mut roots = self.extra.clone();
        if self.options.system_roots && !self.options.skip_verification {
            let native = rustls_native_certs::load_native_certs();
            for error in &native.errors {
                tracing::warn!(%error, "some of the system's certificate authorities can't be read");
            }
            roots.add_parsable_certificates(native.certs);
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = if self.options.skip_verification {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnybody(provider())))
        } else if roots.is_empty() {
            return Err("the system trusts no certificate authority and no other is configured".into());
        } else {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
                .build()
                .map_err(|error| error.to_string())?;
            builder.with_webpki_verifier(verifier)
        };
        let config = match &self.options.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(identity.chain().to_vec(), identity.key())
                .map_err(|error| format!("the client's certificate can't be used: {error}"))?,
        };
        let with = |alpn: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![alpn.to_vec()];
            // Not shared between the two: a session of one protocol is none of the other.
            config.resumption = rustls::client::Resumption::in_memory_sessions(SESSIONS);
            TlsConnector::from(Arc::new(config))
        };
        Ok(Connectors { http1: with(b"http/1.1"), http2: with(b"h2") })
    }
}

/// Servers whose sessions are kept to be resumed.
const SESSIONS: usize = 1024;

/// Accepts every certificate, but not a handshake that isn't signed by it.
#[derive(Debug)]
struct TrustAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a handshake failed, with what to do about it where that is known: to be put before the error's own words.
/// Empty where the error says all there is.
#[must_use]
pub fn advice(error: &std::io::Error, host: &str) -> String {
    use rustls::{CertificateError as Certificate, Error, InvalidMessage};
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(Certificate::UnknownIssuer)) => {
            "no authority that is trusted has signed the certificate".to_owned()
        }
        Some(Error::InvalidCertificate(Certificate::BadSignature)) => {
            "the authority that is trusted has the right name, and another one signed the certificate"
                .to_owned()
        }
        Some(Error::InvalidCertificate(
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
        )) => format!("register the instance by a name that is on its certificate, not as `{host}`"),
        Some(Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. })) => {
            "the certificate has expired".to_owned()
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "this port does not speak TLS; is the protocol `http`?".to_owned()
        }
        Some(Error::AlertReceived(_)) => after_handshake(error).unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// The same for what a server says once the handshake is over for the client, as TLS 1.3 has it for certificates of
/// clients: what to do about it, where that is known.
#[must_use]
pub fn after_handshake(error: &std::io::Error) -> Option<&'static str> {
    // HTTP/2 hands on an error's text alone.
    let said = error.to_string();
    let alert = said.split("received fatal alert: ").nth(1)?;
    if alert.starts_with("CertificateRequired") {
        return Some("the server asks for a client certificate (upstream_tls.client_cert)");
    }
    ["UnknownCA", "BadCertificate", "CertificateExpired", "CertificateUnknown"]
        .iter()
        .any(|known| alert.starts_with(known))
        .then_some("the server does not accept the client certificate (upstream_tls.client_cert)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_options_name_their_field() {
        let options = Options {
            extra_roots: vec![CertificateDer::from(vec![1, 2, 3])],
            server_name: Some("not a name".into()),
            ..Options::default()
        };
        let invalid = Client::new(options).unwrap_err();
        assert_eq!(invalid.0.iter().map(|f| f.field).collect::<Vec<_>>(), ["extra_roots", "server_name"]);
        assert!(invalid.to_string().starts_with("extra_roots: certificate 1 can't be used"));
    }

    #[test]
    fn alerts_about_the_clients_certificate_say_what_to_set() {
        use rustls::AlertDescription::{CertificateRequired, HandshakeFailure, UnknownCA};
        let advice = |alert| after_handshake(&std::io::Error::other(rustls::Error::AlertReceived(alert)));
        assert!(advice(CertificateRequired).unwrap().contains("asks for a client certificate"));
        assert!(advice(UnknownCA).unwrap().contains("does not accept"));
        assert_eq!(advice(HandshakeFailure), None);
    }

    #[test]
    fn without_anybody_to_trust_nothing_is_connected() {
        let lonely = Client::new(Options { system_roots: false, ..Options::default() }).unwrap();
        let failed = lonely.0.build().unwrap_err();
        assert!(failed.contains("no certificate authority"), "{failed}");
    }
}
