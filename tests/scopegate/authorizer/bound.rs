//! Tokens that are bound to a key: their proofs are about the request that the plane tells of.

use serde_json::{Value, json};

use super::{Asked, listener, passed_on, question};
use crate::attacks_tokens::proofs::{self, Holder};
use crate::harness::{Gateway, Upstream, free_address};
use crate::reasons::{get, plain, token};

#[test]
fn a_proof_is_for_the_url_that_the_plane_tells_of() {
    for plane in ["nginx", "traefik", "caddy", "envoy_http"] {
        let authorizer = free_address();
        let keys = listener(authorizer, &format!("as: {plane}, peers: [127.0.0.1]"));
        let gateway = Gateway::start_listening(&keys, proofs::POLICY, Upstream::start(), |_| {});
        let asked = Asked { gateway, authorizer, plane };
        let holder = Holder::new();
        let ask = |over: Value, host: &str| {
            let request = plain("GET", "/data/acme/x").and("Authorization", &format!("DPoP {}", holder.token));
            let request = request.and("DPoP", &holder.proof(&json!({}), &over));
            let answer = passed_on(plane, asked.send(&question(plane, &request, host)));
            (answer.status, if answer.status == 200 { String::new() } else { answer.reason() })
        };
        let mismatch = (401, "binding_mismatch".to_owned());
        assert_eq!(ask(json!({}), "api.example.com"), (200, String::new()), "{plane}");
        assert_eq!(ask(json!({ "htu": "http://api.example.com/data/acme/y" }), "api.example.com"), mismatch, "{plane}");
        assert_eq!(
            ask(json!({ "htu": "https://api.example.com/data/acme/x" }), "api.example.com"),
            mismatch,
            "{plane}"
        );
        assert_eq!(ask(json!({ "htm": "POST" }), "api.example.com"), mismatch, "{plane}");
        // One that another server was shown.
        assert_eq!(ask(json!({ "htu": "http://other.example/data/acme/x" }), "other.example"), mismatch, "{plane}");
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_stays_so() {
    let bound =
        json!({ "scope": "data-read", "account_id": "acme", "cnf": { "jkt": crate::harness::encode(&[7; 32]) } });
    for plane in ["nginx", "traefik", "envoy_http"] {
        let asked = Asked::start(plane, "", "");
        let answer = passed_on(plane, asked.ask(&get("/data/acme/x", token(bound.clone()))));
        assert_eq!((answer.status, &*answer.reason()), (401, "binding_mismatch"), "{plane}");
    }
}
