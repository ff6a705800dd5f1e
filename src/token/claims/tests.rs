//! Claims of the wrong type, missing, and at the edges of time.

use serde_json::{Value, json};

use super::*;
use crate::token::jwt::tests::{MALFORMED, check, judge, with_claims, with_payload};
use crate::token::samples::{AUDIENCE, KEYS, NOW, claims, path, rules, token, with};
use crate::token::{Jwt, ScopeSyntax};
use jsonwebtoken::Algorithm;

#[test]
fn a_claim_of_the_wrong_type_is_malformed_and_never_an_absence() {
    let wrong =
        ["null", "true", "1", "1.5", "\"\"", "\"a\\u0000b\"", "[]", "[1]", "[null]", "[[\"a\"]]", "{}", "\"x\""];
    for (claim, right) in [
        ("iss", &["\"\"", "\"x\"", "\"a\\u0000b\""][..]),
        ("aud", &["\"\"", "\"x\"", "[]", "\"a\\u0000b\""]),
        ("exp", &["1", "1.5"]),
        ("nbf", &["1", "1.5"]),
        ("iat", &["1", "1.5"]),
        ("sub", &["\"x\""]),
        ("jti", &["\"x\""]),
        ("client_id", &["\"x\""]),
        ("account_id", &["\"x\"", "[]"]),
        ("scope", &["\"\"", "\"x\"", "[]"]),
        ("cnf", &["{}"]),
    ] {
        for value in wrong {
            let payload = with(claims(), &json!({ claim: null })).to_string();
            let token = with_payload(&payload.replacen('{', &format!("{{\"{claim}\":{value},"), 1));
            let found = judge(&token, &rules(), &KEYS.set());
            let is_malformed = matches!(found, Err(TokenFault::Malformed(_)));
            assert_eq!(is_malformed, !right.contains(&value), "{claim}: {value}: {found:?}");
        }
    }
}

#[test]
fn a_claim_that_must_be_there_is_malformed_if_it_is_not() {
    for claim in ["iss", "aud", "exp"] {
        check(&with_claims(&json!({ claim: null })), Err(MALFORMED));
    }
    for claim in ["sub", "jti", "iat", "scope", "account_id", "client_id"] {
        check(&with_claims(&json!({ claim: null })), Ok(()));
    }
}

#[test]
fn a_name_with_spaces_around_it_is_malformed_since_an_upstream_would_drop_them() {
    for claim in ["sub", "account_id", "client_id"] {
        for name in [" root", "root ", "\u{a0}root"] {
            check(&with_claims(&json!({ claim: name })), Err(MALFORMED));
        }
        check(&with_claims(&json!({ claim: "root user" })), Ok(()));
    }
}

#[test]
fn times_that_no_clock_shows_are_malformed() {
    for claim in ["exp", "nbf", "iat"] {
        for value in
            ["1e400", "-1e400", "9e18", "-1", "-0.5", "9007199254740992", "18446744073709551616", "1e16", "NaN"]
        {
            let payload = with(claims(), &json!({ claim: null })).to_string();
            check(&with_payload(&payload.replacen('{', &format!("{{\"{claim}\":{value},"), 1)), Err(MALFORMED));
        }
    }
    check(&with_claims(&json!({ "exp": 9_007_199_254_740_991_u64 })), Ok(()));
    check(&with_claims(&json!({ "exp": 1.75e9 })), Ok(()));
}

#[test]
fn times_count_to_the_second_with_the_leeway() {
    let now = NOW.0;
    for (members, expected) in [
        (json!({ "exp": now - 29 }), Ok(())),
        (json!({ "exp": now - 30 }), Err(TokenFault::Expired)),
        (json!({ "exp": 0 }), Err(TokenFault::Expired)),
        (json!({ "exp": 1_699_999_970.9 }), Err(TokenFault::Expired)),
        (json!({ "nbf": now + 30 }), Ok(())),
        (json!({ "nbf": now + 31 }), Err(TokenFault::NotYetValid)),
        (json!({ "nbf": 1_700_000_030.1 }), Err(TokenFault::NotYetValid)),
        (json!({ "iat": now + 30 }), Ok(())),
        (json!({ "iat": now + 31 }), Err(TokenFault::NotYetValid)),
        (json!({ "exp": now - 100, "nbf": now + 100 }), Err(TokenFault::Expired)),
    ] {
        check(&with_claims(&members), expected);
    }
}

#[test]
fn a_verdict_runs_out_when_its_token_does() {
    let verified = Jwt::parse(&token(Algorithm::ES256, &claims())).unwrap().verify(&rules(), &KEYS.set(), NOW);
    let caller = verified.unwrap().caller;
    let check = |after| crate::token::check_times(&caller, &rules(), UnixTime(NOW.0 + after));
    assert_eq!((check(0), check(329), check(330)), (Ok(()), Ok(()), Err(TokenFault::Expired)));
}

#[test]
fn an_audience_must_be_exactly_ours() {
    for ours in [json!(AUDIENCE), json!([AUDIENCE]), json!(["x", AUDIENCE]), json!("https://other.example.com")] {
        check(&with_claims(&json!({ "aud": ours })), Ok(()));
    }
    for other in [json!("https://api.example.com/"), json!("HTTPS://API.example.com"), json!("*"), json!(["x"])] {
        check(&with_claims(&json!({ "aud": other })), Err(TokenFault::AudienceMismatch));
    }
}

#[test]
fn a_binding_is_read_and_one_that_is_not_understood_is_a_mismatch() {
    let digest = base64url::encode(&[7; 32]);
    let bound = with_claims(&json!({ "cnf": { "x5t#S256": digest, "jkt": digest } }));
    let expected = Binding { certificate: Some([7; 32]), proof_key: Some([7; 32]) };
    assert_eq!(judge(&bound, &rules(), &KEYS.set()).map(|caller| caller.binding), Ok(expected));
    for (cnf, expected) in [
        (json!({ "jwk": KEYS.p256.jwk() }), TokenFault::BindingMismatch),
        (json!({ "jkt": digest, "kid": "x" }), TokenFault::BindingMismatch),
        (json!({ "x5t": digest }), TokenFault::BindingMismatch),
        (json!({ "JKT": digest }), TokenFault::BindingMismatch),
        (json!({}), TokenFault::BindingMismatch),
        (json!({ "jkt": 1 }), MALFORMED),
        (json!({ "jkt": "AAAA" }), MALFORMED),
        (json!({ "jkt": format!("{digest}=") }), MALFORMED),
        (json!({ "x5t#S256": "07".repeat(32) }), MALFORMED),
    ] {
        check(&with_claims(&json!({ "cnf": cnf })), Err(expected));
    }
}

#[test]
fn a_claim_is_found_by_its_path_inside_and_with_dots_in_its_names() {
    let rules = || {
        let mut rules = rules();
        rules.claims.scope = [path("realm_access.roles"), path("scope")].into();
        rules.claims.account = [path("https://example.com/claims.account")].into();
        rules.claims.client = [path("client_id"), path("azp")].into();
        rules
    };
    let read = |members: Value| {
        let caller = judge(&token(Algorithm::ES256, &with(claims(), &members)), &rules(), &KEYS.set())?;
        Ok::<_, TokenFault>((caller.scopes.join(" "), caller.accounts.iter().map(ToString::to_string).collect()))
    };
    let found = |scopes: &str, accounts: &[&str]| {
        Ok((scopes.to_owned(), accounts.iter().map(|account| (*account).to_owned()).collect::<Vec<_>>()))
    };
    assert_eq!(read(json!({})), found("read write", &[]));
    assert_eq!(read(json!({ "realm_access": { "roles": ["a", "b"] } })), found("a b", &[]));
    assert_eq!(read(json!({ "realm_access.roles": "c", "realm_access": 1 })), found("c", &[]));
    assert_eq!(read(json!({ "realm_access": {} })), found("read write", &[]));
    assert_eq!(read(json!({ "https://example.com/claims.account": "x" })), found("read write", &["x"]));
    let inside = json!({ "https://example.com/claims": { "account": ["x", "y", "x"] } });
    assert_eq!(read(inside), found("read write", &["x", "y"]));
    for bad in [json!({ "realm_access": 1 }), json!({ "realm_access": { "roles": [1] } }), json!({ "scope": 1 })] {
        assert!(matches!(read(bad.clone()), Err(TokenFault::Malformed(_))), "{bad}");
    }
}

#[test]
fn the_client_is_the_first_of_its_claims() {
    let client = |members: Value| {
        judge(&with_claims(&members), &rules(), &KEYS.set()).map(|caller| caller.client.map(Into::into))
    };
    assert_eq!(client(json!({ "azp": "other" })), Ok(Some("acme-integration".to_owned())));
    assert_eq!(client(json!({ "client_id": null, "azp": "other" })), Ok(Some("other".to_owned())));
    assert_eq!(client(json!({ "client_id": null })), Ok(None));
}

#[test]
fn scopes_are_read_in_the_issuers_syntax() {
    let rules = IssuerRules { scope_syntax: ScopeSyntax::Privileges, ..rules() };
    let token = with_claims(&json!({ "scope": "certificate:approve,delete;ssh" }));
    let caller = judge(&token, &rules, &KEYS.set()).unwrap();
    assert_eq!(&*caller.scopes.join(" "), "certificate:approve certificate:delete ssh");
}
