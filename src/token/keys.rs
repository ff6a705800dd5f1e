//! An issuer's keys: JWKS (RFC 7517) or PEM to keys that are ready to verify with.
//!
//! Everything that can be said of a key is said here, once: a token only selects among the keys
//! that are left. Where a set comes from and how long it stands is `issuer`'s.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey};
use thiserror::Error;

use crate::policy::TokenFault;

use super::json::{self, Json, Object};
use super::jwk::{self, Jwk};
use super::jws::{self, Jws};
use super::sha256::sha256;
use super::spki;

/// The keys of one issuer; a parsed one is never empty.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Box<[Key]>,
}

#[derive(Clone)]
struct Key {
    kid: Option<Box<str>>,
    /// Those that its material fits and its `alg`, if it has one, names; never empty.
    algorithms: Box<[Algorithm]>,
    prepared: DecodingKey,
    fingerprint: KeyFingerprint,
}

/// A key by its material, `kid` and `alg`: if any of them changes, a verdict that rests on it is to
/// be given anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyFingerprint([u8; 32]);

/// A set and what was left out of it.
#[derive(Debug, Clone)]
pub struct ParsedKeys {
    /// The keys that can be used.
    pub keys: KeySet,
    /// Those that cannot, and why.
    pub refused: Vec<RefusedKey>,
}

/// A key that cannot be used; shows no key material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedKey {
    /// Which of the set, from 1.
    pub place: usize,
    /// Its `kid`, if it has one that can be read.
    pub kid: Option<Box<str>>,
    /// What is wrong with it.
    pub fault: KeyFault,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// It is not written as it should be; the text says what is wrong.
    #[error("{0}")]
    Malformed(&'static str),
    /// `kty`, or the kind of a PEM block.
    #[error("it is of a kind that is not supported; RSA, EC, Ed25519 and oct are")]
    Kind,
    /// `crv`.
    #[error("its curve is not supported; P-256, P-384 and Ed25519 are")]
    Curve,
    /// `alg`.
    #[error("its `alg` is not one that such a key can sign with here")]
    Algorithm,
    /// `use` and `key_ops`.
    #[error("it is not for signatures: `use` must be `sig` and `key_ops` must have `verify`, where they are present")]
    Use,
    /// What should be kept secret was published.
    #[error("it is a private key, which whoever publishes it has given away")]
    Private,
    /// Too weak, or so long that it only costs time.
    #[error("its RSA modulus has {0} bits, and only 2048 to 8192 are accepted")]
    RsaModulus(usize),
    /// Even, 1, or too long.
    #[error("its RSA exponent is not an odd number from 3 to 4294967295")]
    RsaExponent,
    /// Its coordinates are no point of the curve.
    #[error("its coordinates are not a point of its curve")]
    NotOnCurve,
    /// Signatures by it can be made up.
    #[error("its Ed25519 point is one for which anybody can make signatures up")]
    SmallOrder,
    /// Shorter than the hash (RFC 7518 section 3.2).
    #[error("its secret has {0} bytes, and 32 are the least")]
    ShortSecret(usize),
}

/// Why bytes are no key set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidKeySet {
    /// Nothing is there.
    #[error("the key set is empty; it must be a JWKS (JSON) or PEM")]
    Empty,
    /// So much cannot be meant.
    #[error("the key set is {0} bytes long, and {LONGEST_SET} are the most")]
    TooLong(usize),
    /// An error page, usually, or a login form.
    #[error("the key set is an HTML page; is this the address of the JWKS itself?")]
    Html,
    /// Neither of the two.
    #[error("the key set is neither a JWKS (JSON) nor PEM")]
    Neither,
    /// It starts as JSON does and cannot be read.
    #[error("the key set starts like a JWKS, but {0}; it may be cut off")]
    Json(&'static str),
    /// One key by itself.
    #[error("this is a single key; a JWKS is `{{\"keys\": [ ... ]}}`")]
    SingleKey,
    /// A discovery document.
    #[error("this is a discovery document; the JWKS is at its `jwks_uri`")]
    Discovery,
    /// Some other object.
    #[error("the key set has no member `keys` that is an array")]
    NoKeys,
    /// So many cannot be meant.
    #[error("the key set has {0} keys, and {MOST_KEYS} are the most")]
    TooManyKeys(usize),
    /// There are none, or none can be used.
    #[error("the key set has no key that can be used{}", Listed(.0))]
    NoUsableKey(Vec<RefusedKey>),
}

/// Some editors put it in front of UTF-8 (RFC 8259 section 8.1 lets readers ignore it).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// In bytes.
const LONGEST_SET: usize = 1024 * 1024;
const MOST_KEYS: usize = 256;

/// How many keys of the token's own `kid` are tried, and how many of the rest where the token or
/// the key has none.
const MOST_OF_A_KID: usize = 4;
const MOST_WITHOUT_KID: usize = 8;

impl KeySet {
    /// Reads a JWKS (JSON) or PEM, told apart by the first byte.
    ///
    /// # Errors
    /// If it is neither, or has not one usable key.
    pub fn parse(bytes: &[u8]) -> Result<ParsedKeys, InvalidKeySet> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii();
        if bytes.len() > LONGEST_SET {
            return Err(InvalidKeySet::TooLong(bytes.len()));
        }
        let found = match bytes.first() {
            None => return Err(InvalidKeySet::Empty),
            Some(b'{') => in_jwks(bytes)?,
            Some(b'<') => return Err(InvalidKeySet::Html),
            Some(_) => in_pem(bytes)?,
        };
        if found.len() > MOST_KEYS {
            return Err(InvalidKeySet::TooManyKeys(found.len()));
        }
        let mut keys = Vec::new();
        let mut refused = Vec::new();
        for (place, Found { kid, key }) in (1..).zip(found) {
            match key {
                Ok(jwk) => keys.push(Key::new(jwk)),
                Err(fault) => refused.push(RefusedKey { place, kid, fault }),
            }
        }
        if keys.is_empty() {
            return Err(InvalidKeySet::NoUsableKey(refused));
        }
        Ok(ParsedKeys { keys: Self { keys: keys.into() }, refused })
    }

    /// Whether it has this key.
    pub fn contains(&self, key: KeyFingerprint) -> bool {
        self.keys.iter().any(|it| it.fingerprint == key)
    }

    /// Whether it has none, as before the first were fetched.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many it has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether a key of it has this `kid`.
    pub fn knows_kid(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// Whether a token with this `kid` may be signed with a key of it, as far as can be told by names.
    pub fn may_have(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.keys.iter().any(|key| key.kid.as_deref().is_none_or(|own| own == kid)))
    }

    /// The key that the token is signed with.
    ///
    /// A token's `kid` selects the keys of that `kid` and those that have none, as PEM keys do; a
    /// token without `kid` selects all. Of these, keys that do not fit the algorithm never count.
    ///
    /// # Errors
    /// [`TokenFault::KeyUnknown`] if none can be tried, [`TokenFault::SignatureInvalid`] if none of
    /// those that were tried made the signature.
    pub(super) fn verify(&self, jws: &Jws<'_>, algorithm: Algorithm) -> Result<KeyFingerprint, TokenFault> {
        let kid = jws.header.kid.as_deref();
        let fitting = || self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let of_kid = fitting().filter(|key| kid.is_some() && key.kid.as_deref() == kid).take(MOST_OF_A_KID);
        let others = fitting().filter(|key| kid.is_none() || key.kid.is_none()).take(MOST_WITHOUT_KID);
        let mut candidates = of_kid.chain(others).peekable();
        if candidates.peek().is_none() {
            return Err(TokenFault::KeyUnknown);
        }
        candidates
            .find(|key| jws.is_signed_by(&key.prepared, algorithm))
            .map(|key| key.fingerprint)
            .ok_or(TokenFault::SignatureInvalid)
    }
}

impl Key {
    fn new(jwk: Jwk) -> Self {
        let Jwk { kid, algorithm, material } = jwk;
        let pin = algorithm.map_or(String::new(), |algorithm| format!("{algorithm:?}"));
        // The pin has no zero byte, so that it cannot be taken for a part of the `kid`.
        let has_kid: &[u8] = if kid.is_some() { &[0, 1] } else { &[0, 0] };
        let kid_bytes = kid.as_deref().unwrap_or_default().as_bytes();
        let fingerprint = KeyFingerprint(sha256(&[&material.thumbprint(), pin.as_bytes(), has_kid, kid_bytes]));
        let fits = |it: &Algorithm| material.fits(*it) && algorithm.is_none_or(|pin| pin == *it);
        let algorithms = jws::SUPPORTED.into_iter().filter(fits).collect();
        Self { kid, algorithms, prepared: material.decoding_key(), fingerprint }
    }
}

/// Shows how many keys there are and nothing of them.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for RefusedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.place)?;
        if let Some(kid) = &self.kid {
            // What a provider sends may be long, and may have characters that upset a terminal.
            let shown: String = kid.chars().take(64).collect();
            write!(f, " (`{}`)", shown.escape_debug())?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// The keys left out, after a colon; at most the first few.
struct Listed<'r>(&'r [RefusedKey]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, refused) in self.0.iter().take(4).enumerate() {
            write!(f, "{} {refused}", if place == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// One entry of a set, whatever it is.
struct Found {
    kid: Option<Box<str>>,
    key: Result<Jwk, KeyFault>,
}

fn in_jwks(bytes: &[u8]) -> Result<Vec<Found>, InvalidKeySet> {
    let mut set = json::object(bytes).map_err(|fault| InvalidKeySet::Json(fault.text()))?;
    match set.remove("keys") {
        Some(Json::Array(keys)) => Ok(keys.into_iter().map(in_entry).collect()),
        None if set.contains_key("kty") => Err(InvalidKeySet::SingleKey),
        None if set.contains_key("jwks_uri") => Err(InvalidKeySet::Discovery),
        Some(_) | None => Err(InvalidKeySet::NoKeys),
    }
}

fn in_entry(entry: Json) -> Found {
    let Json::Object(members) = entry else {
        return Found { kid: None, key: Err(KeyFault::Malformed("it is not an object")) };
    };
    Found { kid: readable_kid(&members), key: jwk::parse(&members) }
}

fn readable_kid(members: &Object) -> Option<Box<str>> {
    jwk::kid(members).ok().flatten()
}

fn in_pem(bytes: &[u8]) -> Result<Vec<Found>, InvalidKeySet> {
    let text = std::str::from_utf8(bytes).map_err(|_| InvalidKeySet::Neither)?;
    let found: Vec<_> = spki::in_pem(text)
        .map(|material| Found { kid: None, key: material.map(|material| Jwk { kid: None, algorithm: None, material }) })
        .collect();
    if found.is_empty() { Err(InvalidKeySet::Neither) } else { Ok(found) }
}

#[cfg(test)]
mod tests;
