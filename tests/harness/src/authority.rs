//! Certificate authorities, and what they issue.

use std::path::Path;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

const DAY: Duration = Duration::from_hours(24);

/// Whom some trust.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub pem: String,
    /// The same.
    pub certificate: CertificateDer<'static>,
}

/// A certificate and its key.
pub struct Issued {
    /// The certificate.
    pub pem: String,
    /// Its key.
    pub key_pem: String,
    /// The certificate again.
    pub certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    /// One that nobody knows yet.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// One that is valid now, for `CN=name` and these DNS names.
    pub fn issue(&self, name: &str, dns: &[&str]) -> Issued {
        let now = SystemTime::now();
        self.issue_for(name, dns, now - DAY, now + DAY)
    }

    /// One that was valid until yesterday.
    pub fn issue_expired(&self, name: &str, dns: &[&str]) -> Issued {
        let now = SystemTime::now();
        self.issue_for(name, dns, now - 10 * DAY, now - DAY)
    }

    fn issue_for(&self, name: &str, dns: &[&str], from: SystemTime, to: SystemTime) -> Issued {
        let mut params = params(name, dns);
        params.not_before = from.into();
        params.not_after = to.into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        }
    }
}

impl Issued {
    /// Writes both files, each at once as a whole.
    pub fn write(&self, folder: &Path) {
        replace(&folder.join("server.pem"), &self.pem);
        replace(&folder.join("server.key"), &self.key_pem);
    }

    /// Its key.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// The digest of the certificate.
    pub fn sha256(&self) -> [u8; 32] {
        digest(&SHA256, &self.certificate).as_ref().try_into().unwrap()
    }

    /// `x5t#S256` (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> String {
        crate::encode(&self.sha256())
    }
}

/// Puts a new file in the place of an old one.
pub fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn params(name: &str, dns: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(dns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
