//! JWTs (RFC 7519): parsed strictly, then verified against an issuer's rules and keys.

use crate::policy::{Caller, TokenFault, UnixTime};

use super::{IssuerRules, KeyFingerprint, KeySet};

/// A JWT, parsed strictly and not verified.
#[derive(Debug)]
pub struct Jwt<'t> {
    token: &'t str,
}

/// What verification finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the token says.
    pub caller: Caller,
    /// The key that it is signed with; the verdict stands as long as the issuer's set has it.
    pub key: KeyFingerprint,
}

impl<'t> Jwt<'t> {
    /// Whether a token is a JWT and not an opaque one: three parts with dots between.
    pub fn looks_like(token: &str) -> bool {
        token.split('.').count() == 3
    }

    /// Reads its parts; no key is asked for.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn parse(token: &'t str) -> Result<Self, TokenFault> {
        let _ = Self { token };
        Err(TokenFault::Malformed("tokens are not read yet"))
    }

    /// Its `iss`.
    pub fn issuer(&self) -> &str {
        self.token
    }

    /// Its `kid`.
    pub fn kid(&self) -> Option<&str> {
        None
    }

    /// `alg` and `typ`: what can be said of it before keys are at hand.
    ///
    /// # Errors
    /// [`TokenFault::AlgorithmRejected`] or [`TokenFault::TypeRejected`].
    pub fn check_header(&self, rules: &IssuerRules) -> Result<(), TokenFault> {
        let _ = rules;
        Err(TokenFault::AlgorithmRejected)
    }

    /// Steps 4 and 5 of the decision, in its order.
    ///
    /// # Errors
    /// [`TokenFault::KeyUnknown`] if no key of the set fits `kid`, `alg`, `kty`, `crv` and `use`.
    pub fn verify(&self, rules: &IssuerRules, keys: &KeySet, now: UnixTime) -> Result<Verified, TokenFault> {
        let _ = (keys, now);
        self.check_header(rules)?;
        Err(TokenFault::KeyUnknown)
    }
}
