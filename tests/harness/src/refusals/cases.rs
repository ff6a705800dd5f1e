//! The requests, reason by reason.

use serde_json::{Value, json};

use super::{Case, RESOURCE, get, plain, token};
use crate::{Signer, encode, now, payload};

/// One request or more for each reason that a client can bring about with a single request.
pub fn cases() -> Vec<Case> {
    let invalid = |description: &str| -> Option<&'static str> {
        let text = format!(r#"Bearer error="invalid_token", error_description="{description}", {RESOURCE}"#);
        Some(text.leak())
    };
    let insufficient = |scopes: &str| -> Option<&'static str> {
        let scope = if scopes.is_empty() { String::new() } else { format!(r#", scope="{scopes}""#) };
        let text = format!(r#"Bearer error="insufficient_scope"{scope}, {RESOURCE}"#);
        Some(text.leak())
    };
    let case = |reason, request, status, challenge| Case { reason, request, status, challenge };
    let own = || json!({ "scope": "data-read", "account_id": "acme" });
    let mut cases = vec![
        case("path_ambiguous", get("/data/acme/../beta/x", token(own())), 400, None),
        case("header_ambiguous", get("/data/acme/x", token(own())).and("Authorization", "Bearer x"), 400, None),
        case("form_rejected", plain("POST", "/oauth/token"), 400, None),
        case("token_missing", plain("GET", "/data/acme/x"), 401, Some(format!("Bearer {RESOURCE}").leak())),
        case("client_unknown", get("/data/acme/x", token(over(own(), "client_id", "stranger"))), 403, None),
        case("certificate_mismatch", get("/data/acme/x", token(over(own(), "client_id", "bound"))), 403, None),
        case("scope_undefined", get("/data/acme/x", token(over(own(), "scope", "data-read other"))), 403, None),
        case("route_unknown", get("/nowhere", token(own())), 404, None),
        case("method_not_allowed", get("/data/acme/x", token(own())).with_method("PUT"), 405, None),
        case(
            "scope_required",
            get("/consent", token(json!({ "scope": "consent-insert-api" }))).with_method("POST"),
            401,
            insufficient("consent-get-api"),
        ),
        case(
            "scope_insufficient",
            get("/consent", token(json!({ "scope": "consent-get-api" }))).with_method("POST"),
            401,
            insufficient("consent-get-api consent-insert-api"),
        ),
        case(
            "scope_insufficient",
            get("/data/acme/x", token(json!({ "scope": "" }))),
            403,
            insufficient("data-read data-su"),
        ),
        case(
            "client_type_rejected",
            get("/data/acme/x", token(json!({ "scope": "data-su" }))).and("Origin", "https://web.example"),
            403,
            None,
        ),
        case(
            "client_type_rejected",
            get("/data/acme/x", token(json!({ "scope": "data-su", "client_id": "web" }))),
            403,
            None,
        ),
        case("account_missing", get("/data", token(own())), 403, None),
        case("account_ambiguous", get("/data/acme/x", token(own())).and("X-Account-Id", "beta"), 403, None),
        case("account_forbidden", get("/data/beta/x", token(own())), 403, None),
        case("issuer_unavailable", get("/data/acme/x", "opaque".to_owned()), 503, None),
    ];
    for (reason, token, description) in bad_tokens() {
        cases.push(case(reason, get("/data/acme/x", token), 401, invalid(description)));
    }
    cases
}

fn bad_tokens() -> Vec<(&'static str, String, &'static str)> {
    let signer = Signer::shared();
    let header = |alg: &str, kid: &str, typ: &str| json!({ "alg": alg, "kid": kid, "typ": typ });
    let claims = |name: &str, value: Value| payload(json!({ "scope": "data-read", "account_id": "acme", name: value }));
    let good = claims("jti", json!("1"));
    let signed = |claims: Value| signer.sign(&header("RS256", "rsa-1", "at+jwt"), &claims);
    vec![
        ("token_malformed", signed(claims("exp", Value::Null)), "the token is malformed: it has no `exp`"),
        (
            "issuer_unknown",
            signed(claims("iss", json!("https://other.example"))),
            "the token's issuer is not accepted here",
        ),
        (
            "algorithm_rejected",
            signer.sign(&header("none", "rsa-1", "at+jwt"), &good),
            "the token's signature algorithm is not accepted here",
        ),
        (
            "key_unknown",
            signer.sign(&header("RS256", "rsa-2", "at+jwt"), &good),
            "the token is signed with a key that its issuer does not publish",
        ),
        (
            "token_type_rejected",
            signer.sign(&header("RS256", "rsa-1", "JWT"), &good),
            "the token is not an access token",
        ),
        (
            "signature_invalid",
            Signer::new().sign(&header("RS256", "rsa-1", "at+jwt"), &good),
            "the token's signature is not valid",
        ),
        (
            "audience_mismatch",
            signed(claims("aud", json!("https://other.example"))),
            "the token is not meant for this resource",
        ),
        ("token_expired", signed(claims("exp", json!(now() - 3600))), "the token has expired"),
        ("token_not_yet_valid", signed(claims("nbf", json!(now() + 3600))), "the token is not valid yet"),
        ("token_revoked", signed(claims("jti", json!("revoked"))), "the token is revoked"),
        (
            "binding_mismatch",
            signed(claims("cnf", json!({ "x5t#S256": encode(&[7; 32]) }))),
            "the token is bound to a key that was not shown",
        ),
    ]
}

fn over(mut claims: Value, name: &str, value: &str) -> Value {
    claims[name] = json!(value);
    claims
}
