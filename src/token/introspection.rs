//! RFC 7662: what an introspection endpoint answers of an opaque token.

use crate::policy::{Caller, TokenFault, UnixTime};

use super::IssuerRules;

/// Whether a body is an answer at all: a JSON object with a boolean `active`. One that is not is the
/// provider's failure (503), not the token's.
pub fn is_introspection_answer(body: &[u8]) -> bool {
    let _ = body;
    false
}

/// The caller that an answer tells of.
///
/// # Errors
/// [`TokenFault::Revoked`] if the token is not active, else as for a JWT's claims.
pub fn introspected(body: &[u8], rules: &IssuerRules, now: UnixTime) -> Result<Caller, TokenFault> {
    let _ = (body, rules, now);
    Err(TokenFault::Malformed("introspection is not read yet"))
}
