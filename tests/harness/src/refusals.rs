//! A policy, and a request for each reason that can be had over HTTP alone, with the answer that it must get.

mod cases;

use std::path::Path;

use serde_json::{Value, json};

pub use self::cases::cases;
use crate::{Gateway, Response, Signer, Upstream, now};

const POLICY: &str = r#"
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: { file: jwks.json }
    token_type: require
    claims: { scope: scope, account: account_id, client: client_id }
    introspection: { url: "http://127.0.0.1:9/introspect", client_id: gateway, client_secret_file: secret }
undefined_scopes: reject
revocations: { file: revoked.jsonl }
resource_metadata: { resource: https://api.example.com }
clients:
  - { id: app }
  - { id: web, type: public }
  - { id: bound, certificate: { san_dns: app.example.com } }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: [{ path: account }, { header: X-Account-Id }]
    public: ["GET /data/health"]
    token_endpoint: { service: POST /oauth/token, upstream: backend }
    scopes:
      - name: data-read
        services: ["GET /data/{account}/**", "GET /data"]
      - name: data-su
        accounts: any
        confidential_only: true
        services: ["GET,DELETE /data/{account}/**"]
      - name: data-hidden
        accounts: any
        show_in_discovery: false
        services: ["DELETE /data/{account}/**"]
  - name: consent
    base_path: /consent
    upstream: backend
    insufficient_scope_status: 401
    scopes:
      - name: consent-get-api
        required: true
      - name: consent-insert-api
        services: ["POST /consent"]
"#;

/// What is sent and what must come back.
pub struct Case {
    /// The code, as answers have it.
    pub reason: &'static str,
    /// What is sent.
    pub request: Request,
    /// The answer's status code.
    pub status: u16,
    /// `WWW-Authenticate`, in full; `None`: there is none.
    challenge: Option<&'static str>,
}

/// A request of a client's.
#[derive(Clone)]
#[must_use]
pub struct Request {
    /// As it is sent.
    pub method: &'static str,
    /// As it is sent.
    pub target: &'static str,
    /// The fields beside `Host`.
    pub headers: Vec<(String, String)>,
}

const RESOURCE: &str = r#"resource_metadata="https://api.example.com/.well-known/oauth-protected-resource""#;

/// A gateway on that policy, whose listener has these keys beside its address, and whose file says more.
pub fn start(listener: &str, more: &str) -> Gateway {
    Gateway::start_listening(listener, &policy(more), Upstream::start(), prepare)
}

/// That policy, whose file says this too.
pub fn policy(more: &str) -> String {
    format!("{more}{POLICY}")
}

/// Puts the files that the policy names into its folder.
pub fn prepare(folder: &Path) {
    let revoked = json!({ "jti": "revoked", "iss": "https://issuer.example", "exp": now() + 3600 });
    std::fs::write(folder.join("revoked.jsonl"), format!("{revoked}\n")).unwrap();
    std::fs::write(folder.join("secret"), "hush\n").unwrap();
}

/// Asserts that an answer is the case's, in all that clients are promised.
#[track_caller]
pub fn check(case: &Case, response: &Response) {
    let reason = case.reason;
    assert_eq!(response.status, case.status, "{reason}: {response:?}");
    assert_eq!(response.header("www-authenticate"), case.challenge, "{reason}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{reason}");
    let body = response.json();
    if reason == "form_rejected" {
        // Who asks for a token is told as RFC 6749 has it.
        assert_eq!(body["error"], "invalid_request");
        return;
    }
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{reason}");
    assert_eq!(body["reason"], reason);
    assert_eq!(body["type"], format!("urn:scopegate:{reason}"));
    assert_eq!(body["status"], case.status);
    for member in ["title", "detail", "request_id"] {
        assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{reason} has no {member}: {body}");
    }
    assert_eq!(body["request_id"].as_str(), response.header("x-request-id"), "{reason}");
    match reason {
        "scope_insufficient" | "scope_required" => assert!(body["required_scopes"].is_array(), "{body}"),
        "method_not_allowed" => assert_eq!(response.header("allow"), Some("GET, DELETE")),
        "issuer_unavailable" => assert!(response.header("retry-after").is_some()),
        _ => assert_eq!(body.get("required_scopes"), None, "{body}"),
    }
}

/// A good token with these claims.
pub fn token(claims: Value) -> String {
    Signer::shared().token(claims)
}

/// A request without a token.
pub fn plain(method: &'static str, target: &'static str) -> Request {
    Request { method, target, headers: vec![] }
}

/// A `GET` with a bearer token.
pub fn get(target: &'static str, token: String) -> Request {
    plain("GET", target).and("Authorization", &format!("Bearer {token}"))
}

impl Request {
    /// The same with one more field.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same by another method.
    pub fn with_method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }
}

/// Sends it to a gateway, on a connection of its own.
pub fn send(gateway: &Gateway, request: &Request) -> Response {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    gateway.ask(request.method, request.target, &headers)
}
