//! TLS for probes: whom to trust, and the one place that says to trust anybody.

use crate::settings::Invalid;
use ellie_policy::config::Fault;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

/// How the servers that are probed over TLS prove who they are. The default: by a certificate for the registered
/// host, from an authority the system trusts.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Accept any certificate. A check then tells whether something answers, not who.
    pub skip_verification: bool,
    /// Authorities trusted beside the system's, such as a private one.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// The name that certificates must be for, in place of each instance's host.
    pub server_name: Option<String>,
}

/// A protocol spoken inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    Http1,
    Http2,
}

#[derive(Debug)]
pub(crate) struct Tls {
    skip_verification: bool,
    extra: RootCertStore,
    server_name: Option<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
    // Reading the system's roots costs some ten milliseconds and a megabyte: not before something needs them.
    connectors: OnceCell<Connectors>,
}

struct Connectors {
    http1: TlsConnector,
    http2: TlsConnector,
}

impl std::fmt::Debug for Connectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connectors")
    }
}

impl Tls {
    pub(crate) fn new(options: Options) -> Result<Self, Invalid> {
        let mut faults = Vec::new();
        let mut extra = RootCertStore::empty();
        for (n, root) in options.extra_roots.into_iter().enumerate() {
            if let Err(error) = extra.add(root) {
                let message = format!("certificate {} can't be used as an authority: {error}", n + 1);
                faults.push(Fault { field: "extra_roots", message });
            }
        }
        let server_name = options.server_name.and_then(|name| {
            ServerName::try_from(name)
                .map_err(|error| faults.push(Fault { field: "server_name", message: error.to_string() }))
                .ok()
        });
        if !faults.is_empty() {
            return Err(Invalid(faults));
        }
        Ok(Self {
            skip_verification: options.skip_verification,
            extra,
            server_name,
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            connectors: OnceCell::new(),
        })
    }

    /// The name the certificate of `host` must be for.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, String> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| format!("`{host}` can't be the name on a certificate")),
        }
    }

    pub(crate) async fn connector(&self, alpn: Alpn) -> Result<&TlsConnector, String> {
        let connectors = self.connectors.get_or_try_init(|| self.build()).await?;
        Ok(match alpn {
            Alpn::Http1 => &connectors.http1,
            Alpn::Http2 => &connectors.http2,
        })
    }

    async fn build(&self) -> Result<Connectors, String> {
        let mut roots = self.extra.clone();
        if !self.skip_verification {
            let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs)
                .await
                .map_err(|error| format!("the system's certificate authorities can't be read: {error}"))?;
            for error in &native.errors {
                tracing::warn!(%error, "some of the system's certificate authorities can't be read");
            }
            roots.add_parsable_certificates(native.certs);
        }
        let config = |alpn: &[u8]| {
            let builder = ClientConfig::builder_with_provider(self.provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?;
            let builder = if self.skip_verification {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(TrustAnybody(self.provider.clone())))
            } else if roots.is_empty() {
                return Err("the system trusts no certificate authority and no other is configured".into());
            } else {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(roots.clone().into(), self.provider.clone())
                        .build()
                        .map_err(|error| error.to_string())?;
                builder.with_webpki_verifier(verifier)
            };
            let mut config = builder.with_no_client_auth();
            config.alpn_protocols = vec![alpn.to_vec()];
            Ok::<_, String>(TlsConnector::from(Arc::new(config)))
        };
        Ok(Connectors { http1: config(b"http/1.1")?, http2: config(b"h2")? })
    }
}

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
