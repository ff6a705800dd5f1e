//! What is known of clients beside their tokens: their type, their certificate, the list of them.
//!
//! What the list makes of a caller is `standing`'s.

use hashbrown::HashMap;

use super::account::Account;
use super::{ClientId, ScopeSet, Unindexable};

/// RFC 6749 section 2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientType {
    /// Keeps a secret: a server.
    #[default]
    Confidential,
    /// Cannot: a browser or an installed application.
    Public,
}

/// A TLS client certificate as it was presented; that the peer holds its key was checked by
/// whoever ended TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the DER.
    pub sha256: [u8; 32],
    /// The subject as RFC 4514 writes it, `CN=acme,O=Acme`.
    pub subject: Box<str>,
    /// The DNS names of the subject alternative name extension.
    pub san_dns: Box<[Box<str>]>,
}

/// What a client's certificate must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateRule {
    /// Exactly this one.
    Sha256([u8; 32]),
    /// One with this subject, as RFC 4514 writes it.
    Subject(Box<str>),
    /// One with this DNS name, whatever the ASCII case.
    SanDns(Box<str>),
}

/// The list of clients, compiled.
#[derive(Debug)]
pub(super) struct Clients {
    list: Vec<Client>,
    places: HashMap<Box<str>, u32>,
}

/// A client of the list.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) account: Option<Account>,
    /// What it may hold; `None`: what its tokens say.
    pub(super) ceiling: Option<ScopeSet>,
    pub(super) kind: ClientType,
    pub(super) certificate: Option<CertificateRule>,
}

/// A client and its place in the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed<'p> {
    pub(super) place: u32,
    pub(super) client: &'p Client,
}

impl Clients {
    pub(super) fn new() -> Self {
        Self { list: vec![], places: HashMap::new() }
    }

    /// Adds one whose id the list does not have yet.
    pub(super) fn add(&mut self, client: Client) -> Result<(), Unindexable> {
        let place = u32::try_from(self.list.len()).map_err(|_| Unindexable::TooMany)?;
        if self.places.insert(client.id.as_str().into(), place).is_some() {
            return Err(Unindexable::Twice(client.id.as_str().into()));
        }
        self.list.push(client);
        Ok(())
    }

    pub(super) fn find(&self, id: Option<&str>) -> Option<Listed<'_>> {
        let place = *self.places.get(id?)?;
        Some(Listed { place, client: self.at(place)? })
    }

    /// In the order of the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &Client> {
        self.list.iter()
    }

    pub(super) fn at(&self, place: u32) -> Option<&Client> {
        self.list.get(place as usize)
    }
}

impl CertificateRule {
    /// Whether `presented` is what the rule asks for; no certificate never is.
    #[must_use]
    pub fn admits(&self, presented: Option<&Certificate>) -> bool {
        let Some(certificate) = presented else { return false };
        match self {
            Self::Sha256(sha256) => certificate.sha256 == *sha256,
            Self::Subject(subject) => certificate.subject == *subject,
            Self::SanDns(name) => certificate.san_dns.iter().any(|dns| dns.eq_ignore_ascii_case(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_admits_its_certificate_only_and_never_none() {
        let certificate =
            Certificate { sha256: [7; 32], subject: "CN=acme".into(), san_dns: ["Acme.example".into()].into() };
        for (rule, admits) in [
            (CertificateRule::Sha256([7; 32]), true),
            (CertificateRule::Sha256([8; 32]), false),
            (CertificateRule::Subject("CN=acme".into()), true),
            (CertificateRule::Subject("cn=acme".into()), false),
            (CertificateRule::SanDns("acme.example".into()), true),
            (CertificateRule::SanDns("example".into()), false),
        ] {
            assert_eq!(rule.admits(Some(&certificate)), admits, "{rule:?}");
            assert!(!rule.admits(None), "{rule:?}");
        }
    }
}
