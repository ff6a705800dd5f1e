//! The certificates of the provider and of its clients, made anew for each provider.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::encode;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

/// A certificate and its key.
pub(crate) struct Certified {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

/// Whose signature makes a certificate one of the provider's own or of its clients'.
pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = named("Test authority", &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for this name and these hosts.
    pub(crate) fn certify(&self, name: &str, hosts: &[&str]) -> Certified {
        let key = KeyPair::generate().unwrap();
        Certified { certificate: named(name, hosts).signed_by(&key, &self.issuer).unwrap(), key }
    }
}

impl Certified {
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { certificate: named(name, &[]).self_signed(&key).unwrap(), key }
    }

    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// As a proxy that ended TLS tells of it (RFC 9440).
    pub(crate) fn header(&self) -> String {
        format!(":{}:", self.base64())
    }

    /// As a client registers it (RFC 8705 section 2.2.2).
    pub(crate) fn jwk(&self) -> Value {
        let point = self.key.public_key_raw();
        json!({ "kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..]), "x5c": [self.base64()] })
    }

    fn base64(&self) -> String {
        STANDARD.encode(self.certificate.der())
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut parameters = CertificateParams::new(hosts).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
