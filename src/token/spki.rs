//! Public keys in PEM: `PUBLIC KEY` (RFC 5280's subject public key info), `RSA PUBLIC KEY`
//! (RFC 8017 appendix A.1.1) and those of certificates, whose names and dates do not count here.

use x509_parser::der_parser::asn1_rs::{Any, Class, FromDer, Oid, Tag};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::keys::KeyFault;
use super::material::{Curve, Material};
use super::pem::{self, Block};

/// The key in each block of the text.
pub(super) fn in_pem(text: &str) -> impl Iterator<Item = Result<Material, KeyFault>> {
    pem::blocks(text).map(|block| in_block(&block.map_err(KeyFault::Malformed)?))
}

fn in_block(block: &Block<'_>) -> Result<Material, KeyFault> {
    match block.label {
        "PUBLIC KEY" => in_spki(&whole(SubjectPublicKeyInfo::from_der(&block.der))?),
        "RSA PUBLIC KEY" => in_pkcs1(&block.der),
        "CERTIFICATE" => in_spki(whole(x509_parser::parse_x509_certificate(&block.der))?.public_key()),
        label if label.ends_with("PRIVATE KEY") => Err(KeyFault::Private),
        _ => Err(KeyFault::Kind),
    }
}

fn in_spki(info: &SubjectPublicKeyInfo<'_>) -> Result<Material, KeyFault> {
    let algorithm = &info.algorithm.algorithm;
    let key = &*info.subject_public_key.data;
    if info.subject_public_key.unused_bits != 0 {
        return Err(NOT_DER);
    }
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        in_pkcs1(key)
    } else if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        Material::ec_point(curve(info.algorithm.parameters.as_ref()).ok_or(KeyFault::Curve)?, key)
    } else if *algorithm == OID_SIG_ED25519 {
        Material::ed25519(key)
    } else {
        Err(KeyFault::Kind)
    }
}

/// A curve that is named; one that is spelled out in parameters could be any (CVE-2020-0601).
fn curve(parameters: Option<&Any<'_>>) -> Option<Curve> {
    let named = parameters.filter(|it| it.class() == Class::Universal && it.tag() == Tag::Oid)?;
    let oid = Oid::try_from(named).ok()?;
    if oid == OID_EC_P256 {
        Some(Curve::P256)
    } else if oid == OID_NIST_EC_P384 {
        Some(Curve::P384)
    } else {
        None
    }
}

fn in_pkcs1(der: &[u8]) -> Result<Material, KeyFault> {
    let key = whole(RSAPublicKey::from_der(der))?;
    // DER's integers have a sign; a modulus that starts with it is not a modulus.
    if [key.modulus, key.exponent].iter().any(|number| number.first().is_none_or(|first| *first >= 0x80)) {
        return Err(NOT_DER);
    }
    Material::rsa(key.modulus, key.exponent)
}

const NOT_DER: KeyFault = KeyFault::Malformed("its PEM block does not hold what its label says");

/// What was read, if nothing comes after it.
fn whole<T, E>(read: Result<(&[u8], T), E>) -> Result<T, KeyFault> {
    match read {
        Ok(([], value)) => Ok(value),
        Ok(_) | Err(_) => Err(NOT_DER),
    }
}
