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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::Binding;
    use crate::token::samples::{NOW, claims, rules, with};
    use crate::token::{ScopeSyntax, base64url};

    fn answer(members: &Value) -> String {
        with(with(claims(), &json!({ "active": true })), members).to_string()
    }

    #[track_caller]
    fn check(members: &Value, expected: Result<(), TokenFault>) {
        let found = introspected(answer(members).as_bytes(), &rules(), NOW).map(drop);
        let found = found.map_err(|fault| if let TokenFault::Malformed(_) = fault { MALFORMED } else { fault });
        assert_eq!(found, expected, "{members}");
    }

    const MALFORMED: TokenFault = TokenFault::Malformed("");

    #[test]
    fn an_active_token_is_the_caller_that_a_jwt_would_be() {
        let caller = introspected(answer(&json!({})).as_bytes(), &rules(), NOW).unwrap();
        assert_eq!((&*caller.issuer, caller.subject.as_deref()), ("https://login.example.com", Some("alice")));
        assert_eq!((caller.client.as_deref(), &*caller.scopes.join(" ")), (Some("acme-integration"), "read write"));
        assert_eq!((caller.accounts[0].as_str(), caller.expires_at.0), ("acme", NOW.0 + 300));
    }

    #[test]
    fn an_inactive_token_is_revoked_whatever_else_is_said() {
        check(&json!({ "active": false }), Err(TokenFault::Revoked));
        let bare = introspected(br#"{"active":false}"#, &rules(), NOW);
        assert_eq!(bare, Err(TokenFault::Revoked));
    }

    #[test]
    fn only_a_boolean_says_that_it_is_active() {
        for active in [json!(null), json!("true"), json!(1), json!([true]), json!({})] {
            check(&json!({ "active": active }), Err(MALFORMED));
            assert!(!is_introspection_answer(answer(&json!({ "active": active })).as_bytes()));
        }
        for active in [true, false] {
            assert!(is_introspection_answer(json!({ "active": active }).to_string().as_bytes()));
        }
        for body in ["", "[]", "<html>", "{\"active\":true,\"active\":false}", "{\"active\":true}x", "{\"active\":tru"]
        {
            assert!(!is_introspection_answer(body.as_bytes()), "{body}");
            assert!(introspected(body.as_bytes(), &rules(), NOW).is_err(), "{body}");
        }
    }

    #[test]
    fn issuer_and_audience_count_where_they_are_said() {
        for absent in ["iss", "aud", "sub", "jti", "iat"] {
            check(&json!({ absent: null }), Ok(()));
        }
        check(&json!({ "exp": null }), Err(MALFORMED));
        check(&json!({ "iss": "https://evil.example" }), Err(TokenFault::IssuerUnknown));
        check(&json!({ "iss": 1 }), Err(MALFORMED));
        check(&json!({ "aud": "https://other" }), Err(TokenFault::AudienceMismatch));
        check(&json!({ "aud": [1] }), Err(MALFORMED));
        check(&json!({ "exp": NOW.0 - 30 }), Err(TokenFault::Expired));
        check(&json!({ "nbf": NOW.0 + 31 }), Err(TokenFault::NotYetValid));
        check(&json!({ "scope": ["a", 1] }), Err(MALFORMED));
    }

    #[test]
    fn a_binding_is_told_and_kept() {
        let digest = base64url::encode(&[7; 32]);
        let body = answer(&json!({ "token_type": "DPoP", "cnf": { "jkt": digest } }));
        let caller = introspected(body.as_bytes(), &rules(), NOW).unwrap();
        assert_eq!(caller.binding, Binding { certificate: None, proof_key: Some([7; 32]) });
        check(&json!({ "token_type": "Bearer" }), Ok(()));
        check(&json!({ "token_type": "dpop" }), Err(TokenFault::BindingMismatch));
        check(&json!({ "token_type": 1 }), Err(MALFORMED));
        check(&json!({ "cnf": { "unknown": 1 } }), Err(TokenFault::BindingMismatch));
    }

    #[test]
    fn privileges_are_read_from_an_answer_too() {
        let rules = IssuerRules { scope_syntax: ScopeSyntax::Privileges, ..rules() };
        let body = answer(&json!({ "scope": "ssh;certificate:discover,manage" }));
        let caller = introspected(body.as_bytes(), &rules, NOW).unwrap();
        assert_eq!(caller.scopes.join(" "), "ssh certificate:discover certificate:manage");
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(introspected(&body, &rules(), NOW).is_err());
        }
    }
}
