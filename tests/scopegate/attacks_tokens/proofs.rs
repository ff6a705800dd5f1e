//! Attacks on tokens that are bound to a key (RFC 9449): proofs for something else, by somebody else,
//! from another time, shown twice or to another server.

use std::cell::Cell;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{claims, header};
use crate::harness::encode;
use crate::harness::{Gateway, Signer, now};

pub(crate) const POLICY: &str = r#"
resource_metadata: { resource: http://api.example.com }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    scopes:
      - name: data-read
        services: ["GET,POST /data/{account}/**"]
"#;

/// Who holds a key and a token that is bound to it.
pub(crate) struct Holder {
    key: Signer,
    pub(crate) token: String,
    proofs: Cell<u32>,
}

impl Holder {
    pub(crate) fn new() -> Self {
        let key = Signer::new();
        let jwk = jwk(&key);
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        let thumbprint = encode(digest(&SHA256, canonical.as_bytes()).as_ref());
        let token = Signer::shared().sign(&header(json!({})), &claims(json!({ "cnf": { "jkt": thumbprint } })));
        Self { key, token, proofs: Cell::new(0) }
    }

    /// A good proof for `GET /data/acme/x`, with these members put over its own; `null` takes one away.
    pub(crate) fn proof(&self, over_header: &Value, over: &Value) -> String {
        self.proofs.set(self.proofs.get() + 1);
        let mut head = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": jwk(&self.key) });
        let mut payload = json!({
            "jti": format!("proof-{}", self.proofs.get()), "htm": "GET", "htu": "http://api.example.com/data/acme/x",
            "iat": now(), "ath": encode(digest(&SHA256, self.token.as_bytes()).as_ref()),
        });
        for (part, over) in [(&mut head, over_header), (&mut payload, over)] {
            for (name, value) in over.as_object().unwrap() {
                part[name] = value.clone();
                if value.is_null() {
                    part.as_object_mut().unwrap().remove(name);
                }
            }
        }
        self.key.sign(&head, &payload)
    }

    fn ask(&self, gateway: &Gateway, proofs: &[&str]) -> (u16, String) {
        let authorization = format!("DPoP {}", self.token);
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend(proofs.iter().map(|proof| ("DPoP", *proof)));
        let response = gateway.ask("GET", "/data/acme/x", &headers);
        (response.status, if response.status == 200 { String::new() } else { response.reason() })
    }
}

fn jwk(key: &Signer) -> Value {
    let mut jwk = key.jwks()["keys"][1].clone();
    jwk.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
    jwk
}

#[test]
fn a_proof_is_good_once_for_one_request_of_one_holder() {
    let gateway = Gateway::start(POLICY);
    let holder = Holder::new();
    let proof = holder.proof(&json!({}), &json!({}));
    assert_eq!(holder.ask(&gateway, &[&proof]), (200, String::new()));
    let refused = |what: &str, proofs: &[&str], expected: (u16, &str)| {
        assert_eq!(holder.ask(&gateway, proofs), (expected.0, expected.1.to_owned()), "{what}");
    };
    let mismatch = (401, "binding_mismatch");
    refused("shown twice", &[&proof], mismatch);
    refused("no proof", &[], mismatch);
    refused("nothing", &[""], mismatch);
    refused("two proofs", &[&holder.proof(&json!({}), &json!({})), &proof], (400, "header_ambiguous"));
    refused("an access token", &[&holder.token], mismatch);
    refused("another's", &[&Holder::new().proof(&json!({}), &json!({}))], mismatch);
    let other = encode(digest(&SHA256, b"another token").as_ref());
    for over in [
        json!({ "htm": "POST" }),
        json!({ "htm": "get" }),
        json!({ "htu": "http://api.example.com/data/beta/x" }),
        json!({ "htu": "http://api.example.com/data/acme/../acme/x" }),
        json!({ "htu": "https://api.example.com/data/acme/x" }),
        json!({ "htu": "http://other.example/data/acme/x" }),
        json!({ "htu": "http://api.example.com@other.example/data/acme/x" }),
        json!({ "htu": "http://api.example.com:8080/data/acme/x" }),
        json!({ "htu": "/data/acme/x" }),
        json!({ "htu": ["http://api.example.com/data/acme/x"] }),
        json!({ "ath": other }),
        json!({ "iat": now() - 3600 }),
        json!({ "iat": now() + 3600 }),
        json!({ "iat": "1" }),
        json!({ "jti": "" }),
        json!({ "jti": 1 }),
        json!({ "jti": "a".repeat(10_000) }),
        json!({ "htm": null }),
        json!({ "htu": null }),
        json!({ "ath": null }),
        json!({ "iat": null }),
        json!({ "jti": null }),
    ] {
        refused(&over.to_string(), &[&holder.proof(&json!({}), &over)], mismatch);
    }
    let private = {
        let mut jwk = jwk(&holder.key);
        jwk["d"] = json!(encode(&[1; 32]));
        jwk
    };
    for over in [
        json!({ "typ": "JWT" }),
        json!({ "typ": "at+jwt" }),
        json!({ "typ": null }),
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS256" }),
        json!({ "jwk": null, "kid": "ec-1" }),
        json!({ "jwk": private }),
        json!({ "jwk": jwk(&Signer::new()) }),
        json!({ "jwk": { "kty": "oct", "k": encode(&[1; 32]) } }),
        json!({ "jwk": "x" }),
        json!({ "jwk": null, "jku": "https://attacker.example/jwks" }),
        json!({ "crit": ["b64"], "b64": false }),
    ] {
        refused(&over.to_string(), &[&holder.proof(&over, &json!({}))], mismatch);
    }
    // Without its scheme a bound token is none.
    let bearer = format!("Bearer {}", holder.token);
    let proof = holder.proof(&json!({}), &json!({}));
    let response = gateway.ask("GET", "/data/acme/x", &[("Authorization", &bearer), ("DPoP", &proof)]);
    assert_eq!(response.reason(), "binding_mismatch");
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn a_proof_that_another_server_was_shown_is_no_proof_here() {
    let gateway = Gateway::start(POLICY);
    let holder = Holder::new();
    // That server sends what it was shown, and says that it is itself that it asks.
    for host in ["other.example", "api.example.com.other.example", "127.0.0.1"] {
        let proof = holder.proof(&json!({}), &json!({ "htu": format!("http://{host}/data/acme/x") }));
        let request = format!(
            "GET /data/acme/x HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: {host}\r\nAuthorization: DPoP {}\r\nDPoP: {proof}\r\n\r\n",
            holder.token
        );
        assert_eq!(gateway.send(request.as_bytes()).reason(), "binding_mismatch", "{host}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    assert_eq!(holder.ask(&gateway, &[&holder.proof(&json!({}), &json!({}))]).0, 200);
}

#[test]
fn a_proof_for_the_very_address_that_the_request_came_to_is_one() {
    let gateway = Gateway::start(POLICY);
    let holder = Holder::new();
    for (host, status) in [
        (gateway.address.to_string(), 200),
        (format!("localhost:{}", gateway.address.port()), 200),
        ("127.0.0.1:1".to_owned(), 401),
    ] {
        let proof = holder.proof(&json!({}), &json!({ "htu": format!("http://{host}/data/acme/x") }));
        let request = format!(
            "GET /data/acme/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: DPoP {}\r\nDPoP: {proof}\r\n\r\n",
            holder.token
        );
        assert_eq!(gateway.send(request.as_bytes()).status, status, "{host}");
    }
}
