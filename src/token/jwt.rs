//! JWTs (RFC 7519): parsed strictly, then verified against an issuer's rules and keys.
//!
//! `jsonwebtoken` computes the signatures. What it would say of the rest is not asked, since it
//! leaves duplicate members, `crit`, a missing or wrongly typed `iss` and `aud`, and the members of
//! keys unjudged.

use std::fmt;

use jsonwebtoken::Algorithm;

use crate::policy::{Caller, TokenFault, UnixTime};

use super::claims::{Claims, numeric_date};
use super::json::Json;
use super::jws::Jws;
use super::{IssuerRules, KeyFingerprint, KeySet, TokenType};

/// A JWT, parsed strictly and not verified.
pub struct Jwt<'t> {
    jws: Jws<'t>,
    issuer: Box<str>,
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
    /// Whether a token is to be read as a JWT and not as an opaque one: three parts with dots
    /// between. An encrypted one (five parts) is opaque to all but its issuer.
    pub fn looks_like(token: &str) -> bool {
        token.split('.').count() == 3
    }

    /// Reads its parts; no key is asked for.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`].
    pub fn parse(token: &'t str) -> Result<Self, TokenFault> {
        let jws = Jws::parse(token)?;
        let Some(Json::String(issuer)) = jws.payload.get("iss") else {
            return Err(TokenFault::Malformed("it has no `iss` that is a string"));
        };
        Ok(Self { issuer: issuer.clone(), jws })
    }

    /// Its `iss`, as it claims.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its `kid`, as it claims.
    pub fn kid(&self) -> Option<&str> {
        self.jws.header.kid.as_deref()
    }

    /// Its `exp`, as it claims.
    pub fn claimed_expiry(&self) -> Option<UnixTime> {
        numeric_date(self.jws.payload.get("exp")?, f64::floor)
    }

    /// Its `alg`, as it claims, if it is one that is supported.
    pub fn claimed_algorithm(&self) -> Option<Algorithm> {
        self.jws.header.algorithm
    }

    /// Its `typ`, as it claims: in lower case and without `application/`.
    pub fn claimed_type(&self) -> Option<&str> {
        self.jws.header.typ.as_deref()
    }

    /// `alg` and `typ`: what can be said of it before keys are at hand.
    ///
    /// # Errors
    /// [`TokenFault::AlgorithmRejected`] or [`TokenFault::TypeRejected`].
    pub fn check_header(&self, rules: &IssuerRules) -> Result<(), TokenFault> {
        self.algorithm(rules)?;
        // RFC 9068 section 2.1.
        let accepted = match (rules.token_type, self.jws.header.typ.as_deref()) {
            (TokenType::Off, _) | (TokenType::Prefer, None) => true,
            (TokenType::Require, None) => false,
            (TokenType::Require, Some(typ)) => typ == "at+jwt",
            (TokenType::Prefer, Some(typ)) => matches!(typ, "at+jwt" | "jwt"),
        };
        if accepted { Ok(()) } else { Err(TokenFault::TypeRejected) }
    }

    /// Steps 4 and 5 of the decision, in its order: well formed, issuer, algorithm, type, key;
    /// signature, audience, times. Last, a `cnf` that is not understood.
    ///
    /// # Errors
    /// The first that is not so; [`TokenFault::KeyUnknown`] if no key of the set fits `kid`, `alg`,
    /// `kty`, `crv` and `use`.
    pub fn verify(&self, rules: &IssuerRules, keys: &KeySet, now: UnixTime) -> Result<Verified, TokenFault> {
        let claims = Claims::read_with_audience(&self.jws.payload, rules)?;
        if *self.issuer != *rules.issuer {
            return Err(TokenFault::IssuerUnknown);
        }
        self.check_header(rules)?;
        let key = keys.verify(&self.jws, self.algorithm(rules)?)?;
        let caller = claims.judge(rules, now)?;
        Ok(Verified { caller, key })
    }

    fn algorithm(&self, rules: &IssuerRules) -> Result<Algorithm, TokenFault> {
        let accepted = |algorithm: &Algorithm| rules.algorithms.contains(algorithm);
        self.jws.header.algorithm.filter(accepted).ok_or(TokenFault::AlgorithmRejected)
    }
}

/// Shows nothing of the token but whose it claims to be.
impl fmt::Debug for Jwt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("issuer", &self.issuer).field("kid", &self.kid()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests;
