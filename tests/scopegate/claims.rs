//! Scope claims as the world has them, over HTTP: what the upstream is told that a caller holds.

use serde_json::{Value, json};

use crate::harness::payload;
use crate::harness::{Gateway, Signer};

/// Issuers of every habit, `https://words`, `https://scp` and so on, who share their keys.
const POLICY: &str = r#"
identity_headers: { scopes: X-Auth-Scopes }
issuers:
  - { issuer: "https://words", audiences: [a], keys: { file: jwks.json } }
  - { issuer: "https://scp", audiences: [a], keys: { file: jwks.json }, claims: { scope: scp } }
  - { issuer: "https://nested", audiences: [a], keys: { file: jwks.json }, claims: { scope: realm_access.roles } }
  - { issuer: "https://deep", audiences: [a], keys: { file: jwks.json }, claims: { scope: resource_access.api.roles } }
  - { issuer: "https://dotted", audiences: [a], keys: { file: jwks.json }, claims: { scope: "https://a.example/scopes" } }
  - { issuer: "https://several", audiences: [a], keys: { file: jwks.json }, claims: { scope: [scp, realm_access.roles, scope] } }
  - { issuer: "https://venafi", audiences: [a], keys: { file: jwks.json }, scope_syntax: privileges }
apis:
  - name: api
    upstream: backend
    scopes:
      - name: read
        services: ["GET /x"]
      - name: write
        services: ["GET /x"]
      - name: certificate
        services: ["GET /x"]
        privileges:
          approve: { services: ["POST /x"] }
          delete: { services: ["POST /x"] }
      - name: ssh
        services: ["GET /x"]
"#;

/// `held`: what the upstream is told, or the reason of the refusal.
struct Case {
    issuer: &'static str,
    claims: Value,
    held: Result<&'static str, &'static str>,
}

fn cases() -> Vec<Case> {
    let case = |issuer, claims, held| Case { issuer, claims, held };
    let malformed = || Err("token_malformed");
    let nothing = || Err("scope_insufficient");
    vec![
        // RFC 6749 section 3.3, and RFC 9068 section 2.2.3.
        case("https://words", json!({ "scope": "write read" }), Ok("read write")),
        case("https://words", json!({ "scope": "  read   read other " }), Ok("read")),
        case("https://words", json!({ "scope": ["write", "read"] }), Ok("read write")),
        case("https://words", json!({ "scope": "certificate:approve" }), Ok("certificate certificate:approve")),
        case("https://words", json!({ "scope": "certificate:approve,delete;ssh" }), nothing()),
        case("https://words", json!({ "scope": "READ" }), nothing()),
        case("https://words", json!({ "scope": "" }), nothing()),
        case("https://words", json!({ "scope": [] }), nothing()),
        case("https://words", json!({}), nothing()),
        case("https://words", json!({ "scp": "read" }), nothing()),
        case("https://words", json!({ "scope": "read\twrite" }), malformed()),
        case("https://words", json!({ "scope": ["read write"] }), malformed()),
        case("https://words", json!({ "scope": ["read", 1] }), malformed()),
        case("https://words", json!({ "scope": ["read", null] }), malformed()),
        case("https://words", json!({ "scope": ["read", ["write"]] }), malformed()),
        case("https://words", json!({ "scope": 1 }), malformed()),
        case("https://words", json!({ "scope": true }), malformed()),
        case("https://words", json!({ "scope": { "read": true } }), malformed()),
        // Entra ID has a string, Okta an array.
        case("https://scp", json!({ "scp": "read write" }), Ok("read write")),
        case("https://scp", json!({ "scp": ["read", "write"] }), Ok("read write")),
        case("https://scp", json!({ "scp": ["read", {}] }), malformed()),
        case("https://scp", json!({ "scope": "read" }), nothing()),
        // Keycloak.
        case("https://nested", json!({ "realm_access": { "roles": ["read", "offline_access"] } }), Ok("read")),
        case("https://nested", json!({ "realm_access": { "roles": "read write" } }), Ok("read write")),
        case("https://nested", json!({ "realm_access.roles": ["write"] }), Ok("write")),
        case("https://nested", json!({ "realm_access": { "roles": ["read", 7] } }), malformed()),
        case("https://nested", json!({ "realm_access": ["read"] }), malformed()),
        case("https://nested", json!({ "realm_access": "read" }), malformed()),
        case("https://nested", json!({ "realm_access": {} }), nothing()),
        case("https://deep", json!({ "resource_access": { "api": { "roles": ["read"] } } }), Ok("read")),
        case("https://deep", json!({ "resource_access": { "other": { "roles": ["read"] } } }), nothing()),
        case("https://deep", json!({ "resource_access": { "api": ["read"] } }), malformed()),
        case("https://dotted", json!({ "https://a.example/scopes": "read" }), Ok("read")),
        // The first claim that is there counts, and it alone.
        case("https://several", json!({ "scope": "read" }), Ok("read")),
        case("https://several", json!({ "scope": "read", "realm_access": { "roles": ["write"] } }), Ok("write")),
        case(
            "https://several",
            json!({ "scope": "read", "realm_access": { "roles": ["write"] }, "scp": ["ssh"] }),
            Ok("ssh"),
        ),
        case("https://several", json!({ "scope": "read", "scp": [] }), nothing()),
        case("https://several", json!({ "scope": "read", "scp": [1] }), malformed()),
        case("https://several", json!({ "scope": "read", "scp": null }), malformed()),
        // Venafi: the bare scope is read access, privileges follow it.
        case(
            "https://venafi",
            json!({ "scope": "certificate:approve,delete;ssh" }),
            Ok("certificate certificate:approve certificate:delete ssh"),
        ),
        case("https://venafi", json!({ "scope": "ssh;certificate" }), Ok("certificate ssh")),
        case(
            "https://venafi",
            json!({ "scope": "ssh; certificate:delete ;" }),
            Ok("certificate certificate:delete ssh"),
        ),
        case(
            "https://venafi",
            json!({ "scope": ["certificate:approve", "ssh"] }),
            Ok("certificate certificate:approve ssh"),
        ),
        case("https://venafi", json!({ "scope": "certificate:other;ssh" }), Ok("ssh")),
        case("https://venafi", json!({ "scope": "certificate ssh" }), malformed()),
        case("https://venafi", json!({ "scope": "certificate:" }), malformed()),
        case("https://venafi", json!({ "scope": "certificate:approve,,delete" }), malformed()),
        case("https://venafi", json!({ "scope": "approve,delete" }), malformed()),
        case("https://venafi", json!({ "scope": ["ssh", 1] }), malformed()),
    ]
}

#[test]
fn a_scope_claim_is_read_as_its_issuer_writes_it() {
    let gateway = Gateway::start(POLICY);
    for Case { issuer, claims, held } in cases() {
        let token = token(issuer, &claims);
        let before = gateway.upstream.count();
        let response = gateway.get("/x", &token);
        match held {
            Ok(held) => {
                assert_eq!(response.status, 200, "{issuer}: {claims}: {response:?}");
                assert_eq!(gateway.upstream.last().all("x-auth-scopes"), [held], "{issuer}: {claims}");
            }
            Err(reason) => {
                assert_eq!(response.reason(), reason, "{issuer}: {claims}: {response:?}");
                assert_eq!(gateway.upstream.count(), before, "{issuer}: {claims}");
            }
        }
    }
}

/// A good token of this issuer with these claims, those that are `null` too.
fn token(issuer: &str, claims: &Value) -> String {
    let mut payload = payload(json!({ "iss": issuer, "aud": "a" }));
    for (name, value) in claims.as_object().unwrap() {
        payload[name] = value.clone();
    }
    Signer::shared().sign(&json!({ "alg": "ES256", "typ": "at+jwt", "kid": "ec-1" }), &payload)
}
