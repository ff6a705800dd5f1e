//! RFC 7662: what an introspection endpoint answers of an opaque token, read as a JWT's claims are,
//! or of a JWT that was verified before.

use crate::policy::{Binding, Caller, TokenFault, UnixTime};

use super::IssuerRules;
use super::claims::{self, Claims};
use super::json::{self, Json, Object};

/// In bytes; more is no answer.
const LONGEST: usize = 256 * 1024;

const CONTRADICTED: TokenFault = TokenFault::Malformed("its issuer says otherwise of it than it does itself");

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
    let answer = active(body, rules)?;
    let caller = Claims::read(&answer, rules)?.judge(rules, now)?;
    // RFC 9449 section 6.2: the key that such a token is bound to must be told as well.
    if is_proof_bound(&answer)? && caller.binding.proof_key.is_none() {
        return Err(TokenFault::BindingMismatch);
    }
    Ok(caller)
}

/// What an answer leaves of the caller of a JWT that was verified. It adds nothing: the scopes and
/// accounts are those that both name, the token ends when the first of both says, and where the
/// answer says nothing, the token counts. Whatever else the answer names must be what the token names.
///
/// # Errors
/// [`TokenFault::Revoked`] if the token is not active, [`TokenFault::Malformed`] if the answer names
/// somebody or something else, else as for a JWT's claims.
pub fn confirmed(body: &[u8], verified: &Caller, rules: &IssuerRules, now: UnixTime) -> Result<Caller, TokenFault> {
    let mut answer = active(body, rules)?;
    answer.entry("exp".into()).or_insert(Json::Whole(verified.expires_at.0.into()));
    let names = |paths| Ok::<_, TokenFault>(claims::first(&answer, paths)?.is_some());
    let said = Claims::read(&answer, rules)?.judge(rules, now)?;
    let Caller { subject, client, token_id, .. } = verified;
    let is_same = |said: &Option<Box<str>>, token: &Option<Box<str>>| said.is_none() || said == token;
    // An id that the token does not have gives nobody anything.
    let same_id = token_id.is_none() || is_same(&said.token_id, token_id);
    if !is_same(&said.subject, subject) || !is_same(&said.client, client) || !same_id {
        return Err(CONTRADICTED);
    }
    let mut caller = verified.clone();
    if names(&rules.claims.account)? {
        caller.accounts = both(&verified.accounts, &said.accounts);
        // Nothing would be left of them, for a client's entry to fill.
        if caller.accounts.is_empty() {
            return Err(CONTRADICTED);
        }
    }
    if names(&rules.claims.scope)? {
        caller.scopes = both(&verified.scopes, &said.scopes);
    }
    caller.expires_at = verified.expires_at.min(said.expires_at);
    check_same_binding(said.binding, verified.binding, is_proof_bound(&answer)?)?;
    Ok(caller)
}

/// Those of the first list that the second has too.
fn both<T: Clone + PartialEq>(one: &[T], other: &[T]) -> Box<[T]> {
    one.iter().filter(|&item| other.contains(item)).cloned().collect()
}

/// What the answer binds the token to is what the token says itself, or less.
fn check_same_binding(said: Binding, token: Binding, is_proof_bound: bool) -> Result<(), TokenFault> {
    let is_same = |said: Option<[u8; 32]>, token| said.is_none() || said == token;
    let same = is_same(said.certificate, token.certificate) && is_same(said.proof_key, token.proof_key);
    if same && (!is_proof_bound || token.proof_key.is_some()) { Ok(()) } else { Err(TokenFault::BindingMismatch) }
}

/// An answer that says that the token is active, and that is this issuer's.
fn active(body: &[u8], rules: &IssuerRules) -> Result<Object, TokenFault> {
    if body.len() > LONGEST {
        return Err(TokenFault::Malformed("its introspection is longer than any that is accepted"));
    }
    let answer = json::object(body)?;
    match answer.get("active") {
        Some(Json::Bool(true)) => {}
        Some(Json::Bool(false)) => return Err(TokenFault::Revoked),
        Some(_) | None => return Err(TokenFault::Malformed("its introspection has no `active` that is a boolean")),
    }
    match answer.get("iss") {
        None => {}
        Some(Json::String(issuer)) if **issuer == *rules.issuer => {}
        Some(Json::String(_)) => return Err(TokenFault::IssuerUnknown),
        Some(_) => return Err(TokenFault::Malformed("its `iss` is not a string")),
    }
    Ok(answer)
}

/// Whether an answer says that the token needs proofs of a key.
fn is_proof_bound(answer: &Object) -> Result<bool, TokenFault> {
    match answer.get("token_type") {
        None => Ok(false),
        Some(Json::String(kind)) => Ok(kind.eq_ignore_ascii_case("DPoP")),
        Some(_) => Err(TokenFault::Malformed("its `token_type` is not a string")),
    }
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

    /// The caller of a JWT with these claims, without asking anybody.
    fn verified(members: &Value) -> Caller {
        let body = answer(members);
        let claims = json::object(body.as_bytes()).unwrap();
        Claims::read(&claims, &rules()).unwrap().judge(&rules(), NOW).unwrap()
    }

    /// What this answer leaves of a token with these claims.
    fn left(token: &Value, said: &Value) -> Result<Caller, TokenFault> {
        let body = with(json!({ "active": true }), said).to_string();
        confirmed(body.as_bytes(), &verified(token), &rules(), NOW)
    }

    #[test]
    fn a_verified_token_that_is_active_is_what_it_says() {
        for token in [json!({}), json!({ "scope": null, "account_id": null, "client_id": null, "jti": null })] {
            assert_eq!(left(&token, &json!({})), Ok(verified(&token)));
            assert_eq!(left(&token, &with(claims(), &token)), Ok(verified(&token)));
        }
        let inactive = confirmed(br#"{"active":false}"#, &verified(&json!({})), &rules(), NOW);
        assert_eq!(inactive, Err(TokenFault::Revoked));
    }

    #[test]
    fn an_answer_takes_away_from_a_verified_token_and_adds_nothing() {
        let scopes =
            |token, said| left(&json!({ "scope": token }), &json!({ "scope": said })).unwrap().scopes.join(" ");
        assert_eq!(scopes(json!("read write"), json!("write admin")), "write");
        assert_eq!(scopes(json!("read"), json!("")), "");
        assert_eq!(scopes(json!(null), json!("read")), "");
        let accounts = |token, said| {
            let left = left(&json!({ "account_id": token }), &json!({ "account_id": said }));
            left.map(|caller| caller.accounts.iter().map(|account| account.as_str().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(accounts(json!(["acme", "globex"]), json!(["globex", "initech"])), Ok(vec!["globex".to_owned()]));
        for (token, said) in
            [(json!("acme"), json!("globex")), (json!("acme"), json!([])), (json!(null), json!("acme"))]
        {
            assert_eq!(accounts(token, said), Err(CONTRADICTED));
        }
        let ends = |token, said| {
            let ends = left(&json!({ "exp": NOW.0 + token }), &json!({ "exp": NOW.0 + said }));
            ends.map(|caller| caller.expires_at.0 - NOW.0)
        };
        assert_eq!((ends(300, 100), ends(100, 300)), (Ok(100), Ok(100)));
    }

    #[test]
    fn an_answer_that_contradicts_a_verified_token_is_a_refusal() {
        let key = |byte| base64url::encode(&[byte; 32]);
        let (none, bound) = (json!({}), json!({ "cnf": { "jkt": key(1) } }));
        let unnamed = json!({ "sub": null, "client_id": null, "jti": null });
        for (token, said, expected) in [
            (&none, json!({ "sub": "bob" }), Err(CONTRADICTED)),
            (&none, json!({ "client_id": "other" }), Err(CONTRADICTED)),
            (&none, json!({ "jti": "another" }), Err(CONTRADICTED)),
            (&unnamed, json!({ "sub": "alice" }), Err(CONTRADICTED)),
            (&unnamed, json!({ "client_id": "acme-integration" }), Err(CONTRADICTED)),
            (&unnamed, json!({ "jti": "an id of the provider's own" }), Ok(())),
            (&none, json!({ "iss": "https://evil.example" }), Err(TokenFault::IssuerUnknown)),
            (&none, json!({ "aud": "https://elsewhere.example.com" }), Err(TokenFault::AudienceMismatch)),
            (&none, json!({ "exp": NOW.0 - 30 }), Err(TokenFault::Expired)),
            (&none, json!({ "nbf": NOW.0 + 31 }), Err(TokenFault::NotYetValid)),
            (&none, json!({ "sub": 1 }), Err(MALFORMED)),
            (&none, json!({ "scope": ["a", 1] }), Err(MALFORMED)),
            (&none, json!({ "token_type": 1 }), Err(MALFORMED)),
            (&none, json!({ "token_type": "DPoP" }), Err(TokenFault::BindingMismatch)),
            (&none, json!({ "cnf": { "jkt": key(1) } }), Err(TokenFault::BindingMismatch)),
            (&none, json!({ "cnf": { "x5t#S256": key(1) } }), Err(TokenFault::BindingMismatch)),
            (&bound, json!({ "cnf": { "jkt": key(2) } }), Err(TokenFault::BindingMismatch)),
            (&bound, json!({ "cnf": { "unknown": 1 } }), Err(TokenFault::BindingMismatch)),
            (&bound, json!({ "cnf": { "jkt": key(1) }, "token_type": "DPoP" }), Ok(())),
            (&bound, json!({ "token_type": "DPoP" }), Ok(())),
        ] {
            let found = left(token, &said);
            if let Ok(caller) = &found {
                assert_eq!(caller.binding, verified(token).binding, "{said}");
            }
            let is_text = |fault: &TokenFault| matches!(fault, TokenFault::Malformed(_)) && *fault != CONTRADICTED;
            let found = found.map(drop).map_err(|fault| if is_text(&fault) { MALFORMED } else { fault });
            assert_eq!(found, expected, "{token} {said}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(introspected(&body, &rules(), NOW).is_err());
            let confirmed = confirmed(&body, &verified(&json!({})), &rules(), NOW);
            prop_assert!(confirmed.is_err());
        }
    }
}
