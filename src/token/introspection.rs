//! RFC 7662: what an introspection endpoint answers of an opaque token, read as a JWT's claims are.

use crate::policy::{Caller, TokenFault, UnixTime};

use super::IssuerRules;
use super::claims::Claims;
use super::json::{self, Json};

/// In bytes; more is no answer.
const LONGEST: usize = 256 * 1024;

/// Whether a body is an answer at all: a JSON object with a boolean `active`. One that is not is the
/// provider's failure (503), not the token's.
pub fn is_introspection_answer(body: &[u8]) -> bool {
    body.len() <= LONGEST
        && json::object(body).is_ok_and(|answer| matches!(answer.get("active"), Some(Json::Bool(true | false))))
}

/// The caller that an answer tells of. `iss` and `aud` count where they are present, since RFC 7662
/// section 2.2 lets the provider leave them out; `exp` must be there.
///
/// # Errors
/// [`TokenFault::Revoked`] if the token is not active, else as for a JWT's claims.
pub fn introspected(body: &[u8], rules: &IssuerRules, now: UnixTime) -> Result<Caller, TokenFault> {
    if body.len() > LONGEST {
        return Err(TokenFault::Malformed("its introspection is longer than any that is accepted"));
    }
    let answer = json::object(body)?;
    match answer.get("active") {
        Some(Json::Bool(true)) => {}
        Some(Json::Bool(false)) => return Err(TokenFault::Revoked),
        Some(_) | None => return Err(TokenFault::Malformed("its introspection has no `active` that is a boolean")),
    }
    let claims = Claims::read(&answer, rules)?;
    match answer.get("iss") {
        None => {}
        Some(Json::String(issuer)) if **issuer == *rules.issuer => {}
        Some(Json::String(_)) => return Err(TokenFault::IssuerUnknown),
        Some(_) => return Err(TokenFault::Malformed("its `iss` is not a string")),
    }
    let is_proof_bound = match answer.get("token_type") {
        None => false,
        Some(Json::String(kind)) => kind.eq_ignore_ascii_case("DPoP"),
        Some(_) => return Err(TokenFault::Malformed("its `token_type` is not a string")),
    };
    let caller = claims.judge(rules, now)?;
    // RFC 9449 section 6.2: the key that such a token is bound to must be told as well.
    if is_proof_bound && caller.binding.proof_key.is_none() {
        return Err(TokenFault::BindingMismatch);
    }
    Ok(caller)
}
