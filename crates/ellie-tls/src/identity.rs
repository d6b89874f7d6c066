//! A certificate chain with its private key, and bundles of authorities, from PEM.

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;

/// A certificate chain, leaf first, with the private key of its leaf. Two are equal if all of it is.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// Which half of an identity can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityFault {
    /// The certificate or its chain.
    Certificate(String),
    /// The key.
    Key(String),
}

impl Identity {
    /// Reads both from PEM and checks that the key is the certificate's.
    ///
    /// # Errors
    /// [`IdentityFault`]; with both halves bad, both faults.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, Vec<IdentityFault>> {
        let chain = authorities(certificates).map_err(IdentityFault::Certificate);
        let key = private_key(key).map_err(IdentityFault::Key);
        let (chain, key) = match (chain, key) {
            (Ok(chain), Ok(key)) => (chain, key),
            (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
        };
        let identity = Self { chain, key: Arc::new(key) };
        match identity.certified() {
            Ok(_) => Ok(identity),
            Err(fault) => Err(vec![fault]),
        }
    }

    /// The chain, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    fn certified(&self) -> Result<(), IdentityFault> {
        use rustls::{CertificateError, Error};
        match CertifiedKey::from_der(self.chain.clone(), self.key(), &crate::provider()) {
            Ok(_) => Ok(()),
            Err(Error::InconsistentKeys(_)) => Err(IdentityFault::Key("is not the certificate's key".into())),
            Err(Error::InvalidCertificate(CertificateError::BadEncoding)) => {
                Err(IdentityFault::Certificate("holds a certificate that can't be decoded".into()))
            }
            Err(e @ Error::InvalidCertificate(_)) => {
                Err(IdentityFault::Certificate(format!("can't be used: {e}")))
            }
            Err(e) => Err(IdentityFault::Key(format!("can't be used: {e}"))),
        }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.secret_der() == other.key.secret_der()
    }
}

impl Eq for Identity {}

/// The key is never shown.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// The certificates of a PEM bundle; at least one.
///
/// # Errors
/// What is wrong with it, to be put behind the file's name.
pub fn authorities(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(not_pem)?;
    if found.is_empty() {
        return Err("holds no `-----BEGIN CERTIFICATE-----`".into());
    }
    Ok(found)
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text).map_err(|e| match e {
        pem::Error::NoItemsFound if contains(text, b"ENCRYPTED PRIVATE KEY") => {
            "is encrypted with a passphrase; decrypt it (openssl pkey -in KEY -out PLAIN) and protect the file".into()
        }
        pem::Error::NoItemsFound => "holds no private key (`-----BEGIN PRIVATE KEY-----`)".into(),
        e => not_pem(e),
    })
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
fn not_pem(error: pem::Error) -> String {
    format!("is not PEM: {error}")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|w| w == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn faults(cert: &str, key: &str) -> Vec<IdentityFault> {
        Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_pair_is_read_and_compared_by_content() {
        let (cert, key) = made();
        let read = || Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(read(), read());
        assert_eq!(read().chain().len(), 1);
        let (cert, key) = made();
        assert_ne!(read(), Identity::from_pem(cert.as_bytes(), key.as_bytes()).unwrap());
        assert!(!format!("{:?}", read()).contains("PRIVATE"));
    }

    #[test]
    fn each_half_is_blamed_for_its_own() {
        let (cert, key) = made();
        let (_, other) = made();
        assert_eq!(faults(&cert, &other), [IdentityFault::Key("is not the certificate's key".into())]);
        assert_eq!(
            faults("hello", ""),
            [
                IdentityFault::Certificate("holds no `-----BEGIN CERTIFICATE-----`".into()),
                IdentityFault::Key("holds no private key (`-----BEGIN PRIVATE KEY-----`)".into()),
            ]
        );
        let cut = &cert[..cert.len() / 2];
        assert!(
            matches!(&faults(cut, &key)[..], [IdentityFault::Certificate(why)] if why.starts_with("is not PEM"))
        );
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(
            matches!(&faults(&cert, locked)[..], [IdentityFault::Key(why)] if why.contains("passphrase"))
        );
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(&faults(garbage, &key)[..], [IdentityFault::Certificate(_)]));
    }
}
