//! An issuer's keys: JWKS (RFC 7517) or PEM to keys that are ready to verify with.

use thiserror::Error;

/// The keys of one issuer; never empty when parsed.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Box<[KeyFingerprint]>,
}

/// A key by what it is and for what: two are the same if they accept the same signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyFingerprint([u8; 32]);

/// A set and what was left out of it.
#[derive(Debug, Clone)]
pub struct ParsedKeys {
    /// The keys that can be used.
    pub keys: KeySet,
    /// Those that cannot.
    pub refused: Vec<RefusedKey>,
}

/// A key that cannot be used; has no key material.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("key {place}: {fault}")]
pub struct RefusedKey {
    /// Which of the set, from 1.
    pub place: usize,
    /// Its `kid`, if it has one that can be read.
    pub kid: Option<Box<str>>,
    /// What is wrong with it.
    pub fault: KeyFault,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(&'static str),
}

/// Why bytes are no key set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidKeySet {
    /// Nothing is there.
    #[error("the key set is empty")]
    Empty,
}

impl KeySet {
    /// Reads a JWKS (JSON) or PEM, told apart by the first byte.
    ///
    /// # Errors
    /// If it is neither, or has not one usable key.
    pub fn parse(bytes: &[u8]) -> Result<ParsedKeys, InvalidKeySet> {
        let _ = bytes;
        Err(InvalidKeySet::Empty)
    }

    /// Whether it has this key.
    pub fn contains(&self, key: KeyFingerprint) -> bool {
        self.keys.contains(&key)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many it has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether a key of it has this `kid`.
    pub fn knows_kid(&self, kid: &str) -> bool {
        let _ = kid;
        false
    }
}
