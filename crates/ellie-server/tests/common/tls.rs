//! Certificates for tests: an authority of their own, and what it issues.

use std::path::{Path, PathBuf};

/// A certificate authority that nobody else knows.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    /// Its own certificate as PEM.
    pub pem: String,
}

/// A certificate and its key as PEM.
pub struct Issued {
    /// The certificate, then its authority's.
    pub chain: String,
    /// The private key.
    pub key: String,
    /// The certificate alone, as it is sent.
    pub der: Vec<u8>,
}

impl Authority {
    /// A new one with this name.
    pub fn new(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// A certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(names).expect("names");
        let leaf = params.signed_by(&key, &self.issuer).expect("signed");
        Issued {
            chain: format!("{}{}", leaf.pem(), self.pem),
            key: key.serialize_pem(),
            der: leaf.der().to_vec(),
        }
    }

    /// Its certificate as a file.
    pub fn write(&self, path: &Path) {
        put(path, &self.pem);
    }
}

impl Issued {
    /// Writes it as `cert.pem` and `key.pem` into `folder`, each replaced at once as tools that renew do it.
    pub fn write(&self, folder: &Path) -> [PathBuf; 2] {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.join(name));
        put(&cert, &self.chain);
        put(&key, &self.key);
        [cert, key]
    }
}

fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).expect("written");
    std::fs::rename(&new, path).expect("renamed");
}
