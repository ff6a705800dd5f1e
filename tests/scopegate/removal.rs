//! `removal_guard`: a file that drops a scope is refused while a token that was seen carries it.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use crate::harness::{Gateway, Signer, now};

fn policy(guard: bool, scopes: &str) -> String {
    format!(
        "
removal_guard: {guard}
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: {{ file: jwks.json }}
    leeway: 0s
clients: [{{ id: acme }}, {{ id: other }}]
apis:
  - name: data
    base_path: /data
    upstream: backend
    scopes: [{scopes}]
"
    )
}

const BOTH: &str =
    "{ name: kept, services: [/data/**], privileges: { more: { services: [/data/x] } } }, { name: gone }";
const LESS: &str = "{ name: kept, services: [/data/**] }";

/// `gone` is in a scope's place, `kept:more` in a privilege's.
fn token(expires_in: u64) -> String {
    let scopes = "kept kept:more gone";
    Signer::shared().token(json!({ "scope": scopes, "client_id": "acme", "exp": now() + expires_in }))
}

#[test]
fn a_scope_that_a_live_token_carries_stays_until_the_token_expires() {
    let gateway = Gateway::start(&policy(true, BOTH));
    let expires_at = UNIX_EPOCH + Duration::from_secs(now() + 5);
    assert_eq!(gateway.get("/data/x", &token(5)).status, 200);
    gateway.rewrite(&policy(true, LESS));
    let shown = gateway.wait_for_policy("the refusal", |policy| !policy["last_error"].is_null());
    let error = shown["last_error"].as_str().unwrap().to_owned();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    for (line, name) in lines.iter().zip(["kept:more", "gone"]) {
        let start = format!("the scope `{name}` cannot be removed: an unexpired token of `acme` carries it until 20");
        assert!(line.starts_with(&start), "{line}");
        assert!(line.ends_with("Z; write `deprecated: true` for it until then"), "{line}");
        gateway.wait_for_log(line);
    }
    assert_eq!(shown["generation"], 1);
    // Nobody touches the file again: it is in force once the token has expired.
    gateway.wait_for_policy("the end of the guard", |policy| policy["generation"] == 2);
    assert!(std::time::SystemTime::now() >= expires_at);
    assert!(gateway.admin("/policy").json()["last_error"].is_null());
}

#[test]
fn what_no_live_token_carries_or_the_file_does_not_guard_may_go() {
    let gateway = Gateway::start(&policy(true, BOTH));
    gateway.rewrite(&policy(true, LESS));
    gateway.wait_for_policy("a scope that nobody carries to go", |policy| policy["generation"] == 2);
    gateway.rewrite(&policy(true, BOTH));
    gateway.wait_for_policy("its return", |policy| policy["generation"] == 3);
    assert_eq!(gateway.get("/data/x", &token(600)).status, 200);
    gateway.rewrite(&policy(true, &BOTH.replace("name: gone", "name: gone, deprecated: true")));
    gateway.wait_for_policy("a scope that is there still", |policy| policy["generation"] == 4);
    gateway.rewrite(&policy(false, LESS));
    gateway.wait_for_policy("a file without the guard", |policy| policy["generation"] == 5);
}
