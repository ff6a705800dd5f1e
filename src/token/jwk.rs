//! One JSON Web Key (RFC 7517): a member of a set, or the key in the header of a proof.

use jsonwebtoken::Algorithm;

use super::base64url;
use super::json::{Json, Object};
use super::jws;
use super::keys::KeyFault;
use super::material::{Curve, Material};

/// A key and what it says of its use.
pub(super) struct Jwk {
    pub(super) kid: Option<Box<str>>,
    /// The one algorithm that it is for, if it says so.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) material: Material,
}

/// RFC 7518 sections 6.2.2, 6.3.2 and 6.4: what a public key cannot have.
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Reads a key that signatures are to be verified with. Certificates and links beside its numbers
/// (`x5c`, `x5u`) are not looked at.
pub(super) fn parse(members: &Object) -> Result<Jwk, KeyFault> {
    let kid = kid(members)?;
    if text(members, "use", "its `use` is not a string")?.is_some_and(|usage| usage != "sig") {
        return Err(KeyFault::Use);
    }
    check_operations(members)?;
    let material = material(members)?;
    let algorithm = match text(members, "alg", "its `alg` is not a string")? {
        None => None,
        Some(name) => {
            Some(jws::algorithm(name).filter(|algorithm| material.fits(*algorithm)).ok_or(KeyFault::Algorithm)?)
        }
    };
    Ok(Jwk { kid, algorithm, material })
}

/// Its `kid`.
pub(super) fn kid(members: &Object) -> Result<Option<Box<str>>, KeyFault> {
    text(members, "kid", "its `kid` is not a string").map(|kid| kid.map(Into::into))
}

fn check_operations(members: &Object) -> Result<(), KeyFault> {
    match members.get("key_ops") {
        None => Ok(()),
        Some(Json::Array(operations)) if operations.contains(&Json::String("verify".into())) => Ok(()),
        Some(Json::Array(_)) => Err(KeyFault::Use),
        Some(_) => Err(KeyFault::Malformed("its `key_ops` is not an array")),
    }
}

fn material(members: &Object) -> Result<Material, KeyFault> {
    let kty = text(members, "kty", "its `kty` is not a string")?.ok_or(KeyFault::Malformed("it has no `kty`"))?;
    if kty != "oct" && PRIVATE.iter().any(|name| members.contains_key(*name)) {
        return Err(KeyFault::Private);
    }
    match kty {
        "RSA" => Material::rsa(&number(members, "n")?, &number(members, "e")?),
        "EC" => {
            let curve = Curve::named(crv(members)?).ok_or(KeyFault::Curve)?;
            Material::ec(curve, &number(members, "x")?, &number(members, "y")?)
        }
        "OKP" if crv(members)? == "Ed25519" => Material::ed25519(&number(members, "x")?),
        "OKP" => Err(KeyFault::Curve),
        "oct" => Material::secret(number(members, "k")?),
        _ => Err(KeyFault::Kind),
    }
}

fn crv(members: &Object) -> Result<&str, KeyFault> {
    text(members, "crv", "its `crv` is not a string")?.ok_or(KeyFault::Malformed("it has no `crv`"))
}

fn number(members: &Object, name: &str) -> Result<Vec<u8>, KeyFault> {
    match members.get(name) {
        Some(Json::String(text)) => {
            base64url::decode(text).ok_or(KeyFault::Malformed("a member of it is not base64url without padding"))
        }
        Some(_) => Err(KeyFault::Malformed("a member of it is not a string")),
        None => Err(KeyFault::Malformed("a member that its `kty` asks for is missing")),
    }
}

fn text<'o>(members: &'o Object, name: &str, fault: &'static str) -> Result<Option<&'o str>, KeyFault> {
    match members.get(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyFault::Malformed(fault)),
    }
}
