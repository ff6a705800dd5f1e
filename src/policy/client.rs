//! What is known of clients beside their tokens: their type and their certificate.

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
