//! What a plane applies of an answer, and what is refused where it says that it does not.

use super::{Asked, listener, passed_on};
use crate::harness::{Gateway, Upstream, free_address};
use crate::reasons::{get, plain, token};
use serde_json::json;

const INJECTING: &str = r#"
identity_headers: { subject: X-Auth-Subject, account: X-Auth-Account }
apis:
  - name: header
    base_path: /header
    upstream: backend
    account: { header: X-Account-Id }
    account_when_absent: inject
    scopes: [{ name: one, services: ["GET /header/**"] }]
  - name: query
    base_path: /query
    upstream: backend
    account: { query: account }
    account_when_absent: inject
    forward_authorization: false
    scopes: [{ name: two, services: ["GET /query/**"] }]
"#;

#[test]
fn an_account_is_written_in_by_who_is_said_to_do_so_and_else_the_request_is_refused() {
    let token = token(json!({ "scope": "one two", "account_id": "acme" }));
    for (plane, applies, header, query, respelled) in [
        ("nginx", "", 403, 403, 400),
        ("nginx", ", applies: [account]", 200, 403, 400),
        ("nginx", ", applies: [account, target]", 200, 200, 200),
        ("traefik", "", 403, 403, 400),
        ("traefik", ", applies: [account]", 200, 403, 400),
        ("caddy", ", applies: [account]", 200, 403, 400),
        ("envoy_http", ", applies: [account]", 200, 403, 400),
    ] {
        let authorizer = free_address();
        let keys = format!("as: {plane}, peers: [127.0.0.1]{applies}");
        let gateway = Gateway::start_listening(&listener(authorizer, &keys), INJECTING, Upstream::start(), |_| {});
        let asked = Asked { gateway, authorizer, plane };
        let answer = asked.ask(&get("/header/x", token.clone()));
        assert_eq!(answer.status, header, "{plane} {applies}: {answer:?}");
        assert_eq!(answer.header("x-account-id"), (header == 200).then_some("acme"));
        if header == 403 {
            assert_eq!(passed_on(plane, answer).reason(), "account_missing");
        }
        let named = asked.ask(&get("/header/x", token.clone()).and("X-Account-Id", "acme"));
        assert_eq!(named.status, 200, "{plane} {applies}");
        let answer = passed_on(plane, asked.ask(&get("/query/x?a=b", token.clone())));
        assert_eq!(answer.status, query, "{plane} {applies}: {answer:?}");
        if query == 200 {
            assert_eq!(answer.header("x-scopegate-target"), Some("/query/x?a=b&account=acme"));
        }
        // The token stays where its api says so.
        assert_eq!(answer.header("authorization"), None);
        let answer = passed_on(plane, asked.ask(&get("/query/%78?account=acme", token.clone())));
        assert_eq!(answer.status, respelled, "{plane} {applies}: {answer:?}");
        if respelled == 200 {
            assert_eq!(answer.header("x-scopegate-target"), Some("/query/x?account=acme"));
        }
    }
}

#[test]
fn a_body_that_its_head_says_is_too_large_is_refused_by_who_tells_of_it() {
    let policy = "apis:\n  - name: data\n    base_path: /data\n    upstream: backend\n    body_bytes: 10\n    \
                  public: [\"POST /data/**\"]\n    scopes: [{ name: one, services: [\"GET /data\"] }]\n";
    let authorizer = free_address();
    let keys = "as: nginx, peers: [127.0.0.1], applies: [body_bytes]";
    let gateway = Gateway::start_listening(&listener(authorizer, keys), policy, Upstream::start(), |_| {});
    let asked = Asked { gateway, authorizer, plane: "nginx" };
    for (length, status) in [("10", 200), ("11", 413), ("99999999999999999999999", 413), ("x", 400)] {
        let request = plain("POST", "/data/x").and("X-Original-Content-Length", length);
        assert_eq!(passed_on("nginx", asked.ask(&request)).status, status, "{length}");
    }
}

#[test]
fn no_refusal_is_a_success_to_who_asks() {
    let policy = format!("{INJECTING}    cors: {{ origins: [https://app.example.com] }}\n");
    for plane in ["nginx", "traefik", "caddy", "envoy_http"] {
        let authorizer = free_address();
        let keys = listener(authorizer, &format!("as: {plane}, peers: [127.0.0.1]"));
        let gateway = Gateway::start_listening(&keys, &policy, Upstream::start(), |_| {});
        let asked = Asked { gateway, authorizer, plane };
        let preflight = plain("OPTIONS", "/query/x")
            .and("Origin", "https://app.example.com")
            .and("Access-Control-Request-Method", "GET");
        let call = plain("POST", "/header/x").and("Content-Type", "application/grpc");
        for (request, status) in [(preflight, 204), (call, 401)] {
            let answer = asked.ask(&request);
            assert!((400..500).contains(&answer.status), "{plane}: {answer:?}");
            assert_eq!(passed_on(plane, answer).status, status, "{plane}");
        }
        let line = asked.gateway.audit(2).into_iter().find(|line| line["reason"] == "preflight").unwrap();
        assert_eq!(line["asked_by"]["as"], plane);
    }
}
