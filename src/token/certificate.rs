//! TLS client certificates as they come: DER from our own listener, or a header of a proxy's.
//!
//! Nothing here says that a peer holds the certificate's key, or that its chain and dates are good:
//! whoever ended TLS did. Which peers' headers are believed is `gateway`'s.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use thiserror::Error;
use x509_parser::extensions::GeneralName;

use crate::policy::Certificate;

use super::sha256::sha256;
use super::{distinguished_name, forwarded, pem};

/// Why a certificate cannot be read; each is a refusal, never the absence of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidCertificate {
    /// It is not exactly one X.509 certificate in DER.
    #[error("the certificate is not one X.509 certificate in DER")]
    Der,
    /// It is not PEM with a certificate in it.
    #[error("this is not PEM with a certificate in it")]
    Pem,
    /// RFC 9440 section 2.2: not one byte sequence between colons.
    #[error("the Client-Cert header is not one certificate in base64 between colons")]
    ClientCert,
    /// Not the elements that Envoy writes, or they contradict themselves.
    #[error("the X-Forwarded-Client-Cert header cannot be read")]
    ForwardedClientCert,
    /// A `Client-Cert` and an `X-Forwarded-Client-Cert` that are not of one certificate.
    #[error("the Client-Cert and the X-Forwarded-Client-Cert header tell of two certificates")]
    Contradiction,
}

/// The certificate that these bytes are.
///
/// # Errors
/// [`InvalidCertificate::Der`].
pub fn certificate_from_der(der: &[u8]) -> Result<Certificate, InvalidCertificate> {
    let Ok(([], parsed)) = x509_parser::parse_x509_certificate(der) else { return Err(InvalidCertificate::Der) };
    let subject = distinguished_name::text(parsed.subject()).ok_or(InvalidCertificate::Der)?;
    let mut san_dns = Vec::new();
    let alternatives = parsed.subject_alternative_name().map_err(|_| InvalidCertificate::Der)?;
    for name in alternatives.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(dns) => san_dns.push(Box::from(*dns)),
            GeneralName::Invalid(..) => return Err(InvalidCertificate::Der),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::URI(_)
            | GeneralName::IPAddress(_)
            | GeneralName::RegisteredID(_) => {}
        }
    }
    Ok(Certificate { sha256: sha256(&[der]), subject, san_dns: san_dns.into() })
}

/// The first certificate of a PEM text: of a chain, the one that it is about.
///
/// # Errors
/// [`InvalidCertificate::Pem`] if there is none, [`InvalidCertificate::Der`] if it cannot be read.
pub fn certificate_from_pem(text: &str) -> Result<Certificate, InvalidCertificate> {
    let block = pem::blocks(text).find_map(|block| match block {
        Ok(block) => (block.label == "CERTIFICATE").then_some(Ok(block)),
        Err(_) => Some(Err(InvalidCertificate::Pem)),
    });
    certificate_from_der(&block.ok_or(InvalidCertificate::Pem)??.der)
}

/// The first certificate of a percent-encoded PEM text, as Envoy tells of what its own client has shown.
///
/// # Errors
/// [`InvalidCertificate::Pem`] if there is none that can be read.
pub fn certificate_from_encoded_pem(text: &str) -> Result<Certificate, InvalidCertificate> {
    forwarded::first_in_pem(text).ok_or(InvalidCertificate::Pem)
}

/// The certificate that a trusted proxy's headers name: RFC 9440's `Client-Cert`, or Envoy's
/// `X-Forwarded-Client-Cert`; `None` if neither is there.
///
/// # Errors
/// If one is there and cannot be read, or if they tell of two certificates: a proxy writes over the one
/// that it knows, and the other is whatever its client sent.
pub fn certificate_from_header(headers: &HeaderMap) -> Result<Option<Certificate>, InvalidCertificate> {
    match (certificate_from_client_cert(headers)?, certificate_from_forwarded_client_cert(headers)?) {
        (Some(one), Some(other)) if one.sha256 != other.sha256 => Err(InvalidCertificate::Contradiction),
        (Some(told), _) | (None, Some(told)) => Ok(Some(told)),
        (None, None) => Ok(None),
    }
}

/// The certificate that RFC 9440's `Client-Cert` names; `None` if it is not there.
///
/// # Errors
/// If it cannot be read, or is there twice.
pub fn certificate_from_client_cert(headers: &HeaderMap) -> Result<Option<Certificate>, InvalidCertificate> {
    let mut values = headers.get_all("client-cert").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => from_byte_sequence(value.as_bytes()).map(Some),
        (Some(_), Some(_)) => Err(InvalidCertificate::ClientCert),
    }
}

/// The certificate that the last element of Envoy's `X-Forwarded-Client-Cert` names; `None` if it is not there.
///
/// # Errors
/// If it cannot be read.
pub fn certificate_from_forwarded_client_cert(headers: &HeaderMap) -> Result<Option<Certificate>, InvalidCertificate> {
    let mut elements = headers.get_all("x-forwarded-client-cert").iter().peekable();
    if elements.peek().is_none() {
        return Ok(None);
    }
    let texts = elements.map(http::HeaderValue::to_str).collect::<Result<Vec<_>, _>>();
    let texts = texts.map_err(|_| InvalidCertificate::ForwardedClientCert)?;
    forwarded::certificate(&texts.join(",")).map(Some).ok_or(InvalidCertificate::ForwardedClientCert)
}

/// RFC 8941 section 4.2.7 advises to take base64 without its padding too.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn from_byte_sequence(value: &[u8]) -> Result<Certificate, InvalidCertificate> {
    let text = value.trim_ascii().strip_prefix(b":").and_then(|text| text.strip_suffix(b":"));
    let der = text.and_then(|text| ANY_PADDING.decode(text).ok()).ok_or(InvalidCertificate::ClientCert)?;
    certificate_from_der(&der).map_err(|_| InvalidCertificate::ClientCert)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::hex::hex;
    use crate::token::base64url;
    use crate::token::samples::CERTIFICATE;

    /// Made with openssl, to have in its subject whatever needs an escape.
    const ACME: &str = "\
-----BEGIN CERTIFICATE-----
MIIClDCCAjqgAwIBAgIUA42gA8Y7O8GBUI4C3KjuJu3NO4kwCgYIKoZIzj0EAwIw
gY4xCzAJBgNVBAYTAkRFMRcwFQYKCZImiZPyLGQBGRYHZXhhbXBsZTEmMCQGA1UE
CgwdQWNtZSwgSW5jLiAiV2VzdCIgPGErYj47IFwgIzExDzANBgNVBAsMBiBTw7Zs
IDEtMAwGA1UEAwwFI2FjbWUwHQYJKoZIhvcNAQkBFhBvcHNAYWNtZS5leGFtcGxl
MB4XDTI2MTEyMTE5MjcwN1oXDTM2MTExODE5MjcwN1owgY4xCzAJBgNVBAYTAkRF
MRcwFQYKCZImiZPyLGQBGRYHZXhhbXBsZTEmMCQGA1UECgwdQWNtZSwgSW5jLiAi
V2VzdCIgPGErYj47IFwgIzExDzANBgNVBAsMBiBTw7ZsIDEtMAwGA1UEAwwFI2Fj
bWUwHQYJKoZIhvcNAQkBFhBvcHNAYWNtZS5leGFtcGxlMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEvB6PiYWpIB9P+PwW/KQMyVgkqmgF7GmzsnpNAanIs4uF/FvD
6HjMO+/4rlCav/XD8wSq5Jn22T6x1fDPnxcnLKN0MHIwUQYDVR0RBEowSIIMQWNt
ZS5leGFtcGxlgg4qLmFjbWUuZXhhbXBsZYEQb3BzQGFjbWUuZXhhbXBsZYYQc3Bp
ZmZlOi8vYWNtZS9uc4cEwAACATAdBgNVHQ4EFgQUaPTUahk9/Gmp2J8iEq1TN/nU
0MwwCgYIKoZIzj0EAwIDSAAwRQIgVG7uaZFh7Rkq+n0Xz3oDPnz02ANNK6QGhx3/
ZzlOcgcCIQDJRAwbbni9aGHA0rtfZhytHBsGMxjQ/BGsROjShSH+Yw==
-----END CERTIFICATE-----
";

    /// RFC 9440 appendix A.
    const RFC_9440: &str = concat!(
        ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVk",
        "aWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8Y",
        "nXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNV",
        "HSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYm",
        "RjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5Xa",
        "rmPk0wmuydBVoU4hBVZ1yhk=:",
    );

    fn der(text: &str) -> Vec<u8> {
        pem::blocks(text).next().unwrap().unwrap().der
    }

    fn client_cert_of(text: &str) -> String {
        format!(":{}:", STANDARD.encode(der(text)))
    }

    /// As Envoy encodes it.
    fn percent_encoded(text: &str) -> String {
        let encoded = text.replace('\n', "%0A").replace(' ', "%20").replace('+', "%2B");
        encoded.replace('/', "%2F").replace('=', "%3D")
    }

    fn read(headers: &[(&'static str, &str)]) -> Result<Option<Certificate>, InvalidCertificate> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        certificate_from_header(&map)
    }

    #[test]
    fn a_pem_chain_is_its_first_certificate() {
        let key = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let chain = format!("{key}{ACME}{CERTIFICATE}");
        assert_eq!(certificate_from_pem(&chain).unwrap(), certificate_from_der(&der(ACME)).unwrap());
        for none in ["", key, "-----BEGIN CERTIFICATE-----\n", "no PEM"] {
            assert_eq!(certificate_from_pem(none), Err(InvalidCertificate::Pem), "{none}");
        }
        let cut = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n";
        assert_eq!(certificate_from_pem(cut), Err(InvalidCertificate::Der));
    }

    #[test]
    fn a_subject_is_written_as_rfc_4514_says() {
        let acme = certificate_from_der(&der(ACME)).unwrap();
        let subject = r#"emailAddress=ops@acme.example+CN=\#acme,OU=\ Söl\ ,O=Acme\, Inc. \"West\" \<a\+b\>\; \\ #1,DC=example,C=DE"#;
        assert_eq!(&*acme.subject, subject);
        let other = certificate_from_der(&der(CERTIFICATE)).unwrap();
        assert_eq!(&*other.subject, "CN=other,1.2.3.4=#0C0178,O=Other");
    }

    #[test]
    fn a_certificate_is_its_der_and_its_dns_names() {
        let acme = certificate_from_der(&der(ACME)).unwrap();
        assert_eq!(hex(&acme.sha256), "269fc497da0b6fd7e546e7bb59e4e49ce0c735776d955804ac895770fbb5f01a");
        assert_eq!(&*acme.san_dns, ["Acme.example", "*.acme.example"].map(Box::<str>::from));
        assert_eq!(certificate_from_der(&der(CERTIFICATE)).unwrap().san_dns.len(), 0);
    }

    /// RFC 8705 appendix A.
    #[test]
    fn the_example_of_rfc_8705_has_its_thumbprint() {
        let example = "-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----";
        let certificate = certificate_from_der(&der(example)).unwrap();
        assert_eq!(base64url::encode(&certificate.sha256), "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0");
        assert_eq!(&*certificate.subject, "CN=mtls");
    }

    #[test]
    fn bytes_before_and_after_a_certificate_make_it_none() {
        let good = der(ACME);
        assert!(certificate_from_der(&good).is_ok());
        for bad in [&[][..], &good[1..], &good[..good.len() - 1], &[&good[..], &[0]].concat(), &good.repeat(2)] {
            assert_eq!(certificate_from_der(bad), Err(InvalidCertificate::Der));
        }
    }

    #[test]
    fn a_client_cert_header_is_one_byte_sequence() {
        assert_eq!(read(&[("client-cert", RFC_9440)]).unwrap().unwrap().subject, Box::from("CN=BC"));
        let acme = client_cert_of(ACME);
        assert!(read(&[("client-cert", &acme)]).unwrap().is_some());
        assert!(read(&[("client-cert", &RFC_9440.replace('=', ""))]).unwrap().is_some());
        for bad in [
            "",
            ":",
            "::",
            acme.trim_matches(':'),
            &format!("{acme};a=b"),
            &format!("{acme}, {acme}"),
            &acme.replacen("MI", "%4dI", 1),
            "-----BEGIN CERTIFICATE-----",
        ] {
            assert_eq!(read(&[("client-cert", bad)]), Err(InvalidCertificate::ClientCert), "{bad}");
        }
        assert_eq!(read(&[("client-cert", &acme), ("client-cert", &acme)]), Err(InvalidCertificate::ClientCert));
    }

    #[test]
    fn a_forwarded_certificate_is_that_of_its_pem() {
        let acme = certificate_from_der(&der(ACME)).unwrap();
        let hash = hex(&acme.sha256);
        let (cert, other) = (percent_encoded(ACME), percent_encoded(CERTIFICATE));
        for good in [
            format!("Hash={hash};Cert=\"{cert}\";Subject=\"CN=whatever\";DNS=x"),
            format!("Chain=\"{cert}{other}\""),
            format!("cert={cert};chain={cert}{other}"),
            format!("Cert=\"{other}\",By=x;Cert=\"{cert}\""),
        ] {
            assert_eq!(read(&[("x-forwarded-client-cert", &good)]), Ok(Some(acme.clone())), "{good}");
        }
        for bad in [
            String::new(),
            format!("Hash={};Cert=\"{cert}\"", "00".repeat(32)),
            format!("Cert=\"{cert}\";Chain=\"{other}{cert}\""),
            format!("Cert=\"{cert}\";Cert=\"{cert}\""),
            format!("Cert=\"{}\"", cert.replace("CERTIFICATE", "PUBLIC%20KEY")),
            format!("Cert=\"{}\"", &cert[..cert.len() / 2]),
            "Cert=\"%\"".into(),
            "Cert=\"%zz\"".into(),
            format!("Hash={hash}; {}", "x"),
        ] {
            let found = read(&[("x-forwarded-client-cert", &bad)]);
            assert_eq!(found, Err(InvalidCertificate::ForwardedClientCert), "{bad}");
        }
    }

    #[test]
    fn both_headers_must_tell_of_one_certificate_and_neither_is_none() {
        let told = read(&[("client-cert", RFC_9440)]).unwrap().unwrap();
        let hash = hex(&told.sha256);
        let with = |envoys: &str| read(&[("client-cert", RFC_9440), ("x-forwarded-client-cert", envoys)]);
        assert_eq!(with(&format!("Hash={hash}")), Ok(Some(told)));
        assert_eq!(with(&format!("Hash={}", "00".repeat(32))), Err(InvalidCertificate::Contradiction));
        assert_eq!(with("nonsense"), Err(InvalidCertificate::ForwardedClientCert));
        let unreadable = [("client-cert", "nonsense"), ("x-forwarded-client-cert", &format!("Hash={hash}"))];
        assert_eq!(read(&unreadable), Err(InvalidCertificate::ClientCert));
        assert_eq!(read(&[("x-client-cert", "nonsense")]), Ok(None));
    }

    proptest! {
        #[test]
        fn any_change_of_a_byte_is_answered(place in 0_usize..600, byte: u8) {
            let mut der = der(ACME);
            let place = place % der.len();
            der[place] = byte;
            let _ = certificate_from_der(&der);
        }
    }
}
