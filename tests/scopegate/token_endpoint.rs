//! The guarded token endpoint, end to end: what the provider gets.

mod forms;
mod refused;
mod unsaid;

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::{Gateway, Recorded, Response, Upstream};

/// What a test's gateway guards: the endpoint's provider is the one upstream, `backend`.
const POLICY: &str = r#"
identity_headers: { subject: X-Auth-Subject }
trusted_proxies: []
clients:
  - { id: acme, scopes: [data-read, users-read] }
  - { id: "a b+c", scopes: [data-read] }
  - { id: open }
  - { id: bound, certificate: { san_dns: bound.example.com } }
apis:
  - name: login
    upstream: nowhere
    forward_authorization: false
    public: ["/oauth/**"]
    token_endpoint: { service: "POST /oauth/token", upstream: backend, max_form_bytes: 2048 }
    scopes:
      - name: openid
  - name: data
    base_path: /data
    upstream: nowhere
    scopes:
      - name: data-read
        services: ["GET /data/**"]
      - name: data-write
        services: ["POST /data/**"]
      - name: data-hidden
        show_in_discovery: false
  - name: users
    base_path: /users
    upstream: nowhere
    scopes:
      - name: users-always
        required: true
      - name: users-too
        required: true
      - name: users-read
        services: ["GET /users/**"]
"#;

const FORM: &str = "application/x-www-form-urlencoded";
const SECRET: &str = "s3cret-of-the-client";

/// With the two upstreams that the policy names; nothing listens at one of them.
fn start_with(policy: &str, provider: Upstream) -> Gateway {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstreams = format!(
        "\nupstreams:\n  nowhere:\n    servers: [\"{closed}\"]\n  backend:\n    servers: [\"{closed}\", \"{}\"]\n",
        provider.address
    );
    Gateway::start_with(&(upstreams + policy.trim_start_matches('\n')), provider, |_| {})
}

fn start() -> Gateway {
    start_with(POLICY, Upstream::start())
}

fn basic(id: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{SECRET}")))
}

/// A request for a token with this form and these headers beside `Host`, type and length.
fn post(gateway: &Gateway, form: &str, headers: &[(&str, &str)]) -> Response {
    post_to(gateway, "/oauth/token", form, headers)
}

fn post_to(gateway: &Gateway, target: &str, form: &str, headers: &[(&str, &str)]) -> Response {
    let mut head = format!("POST {target} HTTP/1.1\r\nHost: login.example.com\r\nContent-Length: {}\r\n", form.len());
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        head += &format!("Content-Type: {FORM}\r\n");
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        head += &format!("{name}: {value}\r\n");
    }
    gateway.send(format!("{head}\r\n{form}").as_bytes())
}

fn body(recorded: &Recorded) -> String {
    String::from_utf8(recorded.body.clone()).unwrap()
}

#[track_caller]
fn check_forwarded(gateway: &Gateway, form: &str, headers: &[(&str, &str)], expected: &str) {
    let before = gateway.upstream.count();
    let response = post(gateway, form, headers);
    assert_eq!((response.status, &*response.body), (200, &br#"{"upstream":true}"#[..]), "{form}: {response:?}");
    assert_eq!(gateway.upstream.count(), before + 1, "{form}");
    let seen = gateway.upstream.last();
    assert_eq!((&*seen.line, &*body(&seen)), ("POST /oauth/token HTTP/1.1", expected), "{form}");
    assert_eq!(seen.all("content-length"), [expected.len().to_string()], "{form}");
    assert!(seen.all("transfer-encoding").is_empty() && seen.all("expect").is_empty(), "{seen:?}");
}

#[track_caller]
fn check_refused(response: &Response, status: u16, error: &str) {
    assert_eq!((response.status, &response.json()["error"]), (status, &json!(error)), "{response:?}");
    assert!(response.json()["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!((response.header("cache-control"), response.header("pragma")), (Some("no-store"), Some("no-cache")));
    let challenge = response.header("www-authenticate");
    assert_eq!(challenge.is_some_and(|value| value.starts_with("Basic realm=")), status == 401, "{response:?}");
}

#[test]
fn the_provider_gets_the_form_that_was_judged_with_the_required_scopes() {
    let gateway = start();
    let own = format!("grant_type=client_credentials&client_id=acme&client_secret={SECRET}");
    for (scope, asked) in [
        ("&scope=data-read", "&scope=data-read"),
        ("&scope=users-read", "&scope=users-read+users-always+users-too"),
        ("&scope=users-read%20%20data-read", "&scope=users-read+data-read+users-always+users-too"),
        ("&scope=users-too+users-read", "&scope=users-too+users-read+users-always"),
        (
            "&%73cope=data-read&resource=https://a/&resource=b",
            "&scope=data-read&resource=https%3A%2F%2Fa%2F&resource=b",
        ),
        // The provider's default, which the required scopes alone would not be.
        ("", ""),
        ("&scope=", "&scope="),
        ("&scope=+", "&scope=+"),
        ("&x=%C3%A9+%2B;&&y", "&x=%C3%A9+%2B%3B&y="),
    ] {
        check_forwarded(&gateway, &format!("{own}{scope}"), &[], &format!("{own}{asked}"));
    }
}

#[test]
fn the_clients_credentials_reach_the_provider_untouched() {
    let gateway = start();
    let authorization = basic("a+b%2Bc");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("DPoP", "proof"),
        ("Accept", "application/json"),
        ("Content-Type", "Application/x-www-form-urlencoded; charset=UTF-8"),
        ("Content-Digest", "sha-256=:AAAA:"),
        ("X-Auth-Subject", "root"),
    ];
    check_forwarded(
        &gateway,
        "scope=data-read&grant_type=client_credentials",
        &headers,
        "scope=data-read&grant_type=client_credentials",
    );
    let seen = gateway.upstream.last();
    assert_eq!(seen.all("authorization"), [authorization.as_str()]);
    assert_eq!((seen.all("dpop"), seen.all("accept")), (vec!["proof"], vec!["application/json"]));
    assert_eq!(seen.all("content-type"), ["Application/x-www-form-urlencoded; charset=UTF-8"]);
    assert_eq!((seen.all("content-digest"), seen.all("x-auth-subject")), (Vec::new(), Vec::new()));
    assert_eq!(seen.all("host"), ["login.example.com"]);
}

#[test]
fn the_providers_answer_comes_back_as_it_is() {
    let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json;charset=UTF-8\r\nCache-Control: no-store\r\n\
        WWW-Authenticate: Basic realm=\"idp\"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"err\r\n1a\r\nor\":\"invalid_client\"}     \r\n0\r\n\r\n";
    let gateway = start_with(POLICY, Upstream::answering(move |_| answer.to_vec()));
    let response = post(&gateway, "client_id=acme", &[]);
    assert_eq!((response.status, response.json()), (401, json!({ "error": "invalid_client" })));
    assert_eq!(response.header("www-authenticate"), Some("Basic realm=\"idp\""));
    assert_eq!(response.header("content-type"), Some("application/json;charset=UTF-8"));
    let line = &gateway.audit(1)[0];
    assert_eq!((&line["reason"], &line["decision"], &line["status"]), (&json!("public"), &json!("allow"), &json!(401)));
    assert_eq!((&line["client"], &line["service"]), (&json!("acme"), &json!("POST /oauth/token")));
}

#[test]
fn privileges_are_asked_for_in_the_issuers_syntax() {
    let policy = r#"
issuers:
  - issuer: https://issuer.example
    audiences: [a]
    keys: { file: jwks.json }
  - issuer: https://venafi.example
    audiences: [a]
    keys: { file: jwks.json }
    scope_syntax: privileges
scope_names: case_insensitive
clients:
  - { id: automation, scopes: ["certificate:approve", "certificate:delete", ssh] }
apis:
  - name: venafi
    upstream: nowhere
    token_endpoint: { service: POST /oauth/token, upstream: backend, issuer: "https://venafi.example" }
    scopes:
      - name: always
        required: true
      - name: certificate
        privileges: { approve: {}, delete: {}, revoke: {} }
      - name: ssh
"#;
    let gateway = start_with(policy, Upstream::start());
    for (asked, sent) in [
        ("certificate:approve,delete;ssh", "certificate%3Aapprove%2Cdelete%3Bssh%3Balways"),
        ("Certificate:Approve; SSH;;", "Certificate%3AApprove%3BSSH%3Balways"),
        (
            "certificate:delete;ALWAYS;certificate:approve;certificate",
            "certificate%3Adelete%2Capprove%3BALWAYS%3Bcertificate",
        ),
    ] {
        check_forwarded(
            &gateway,
            &format!("client_id=automation&scope={asked}"),
            &[],
            &format!("client_id=automation&scope={sent}"),
        );
    }
    // After the three that were sent on.
    for (place, (asked, reason)) in (3..).zip([
        ("certificate:approve,revoke", "scope_insufficient"),
        ("certificate:approve,unheard", "scope_undefined"),
        ("certificate:approve ssh", "form_rejected"),
        ("certificate:approve,", "form_rejected"),
    ]) {
        check_refused(&post(&gateway, &format!("client_id=automation&scope={asked}"), &[]), 400, "invalid_scope");
        let lines = gateway.audit(place + 1);
        assert_eq!(lines[place]["reason"], reason, "{asked}");
    }
}

#[test]
fn a_changed_ceiling_counts_for_the_next_request_for_a_token() {
    let gateway = start();
    let form = "client_id=acme&scope=data-read";
    assert_eq!(post(&gateway, form, &[]).status, 200);
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(&text.replace("scopes: [data-read, users-read]", "scopes: [users-read]"));
    gateway.wait_for_policy("the next generation", |policy| policy["generation"] == 2);
    check_refused(&post(&gateway, form, &[]), 400, "invalid_scope");
}
