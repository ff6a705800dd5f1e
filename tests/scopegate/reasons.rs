//! Every reason of the decision, got over HTTP: its status, challenge and body, and nothing forwarded.

use std::collections::BTreeSet;

use scopegate::policy::Reason;
use serde_json::{Value, json};

use crate::harness::{Gateway, Response, Signer, Upstream, now};
use crate::signer::payload;

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
pub(crate) struct Case {
    pub(crate) reason: Reason,
    pub(crate) request: Request,
    status: u16,
    /// `WWW-Authenticate`, in full; `None`: there is none.
    challenge: Option<&'static str>,
}

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    pub(crate) headers: Vec<(String, String)>,
}

const RESOURCE: &str = r#"resource_metadata="https://api.example.com/.well-known/oauth-protected-resource""#;

#[test]
fn each_reason_has_its_status_challenge_and_body_and_reaches_no_upstream() {
    let gateway = start("");
    let mut seen = BTreeSet::new();
    for case in cases() {
        let response = send(&gateway, &case.request);
        check(&case, &response);
        seen.insert(case.reason);
    }
    assert_eq!(gateway.upstream.count(), 0, "a refused request was forwarded");
    // A form is answered as RFC 6749 section 5.2 has it, which `revoking` shows; `bounds` shows the last but `rate_limited`,
    // which `limiting` does; `fleet` shows `shared_state_unavailable`, `cors` what preflights get, and
    // `authorizer` what becomes of questions.
    let others = [
        Reason::QuestionRejected,
        Reason::Public,
        Reason::Granted,
        Reason::Reported,
        Reason::OriginRejected,
        Reason::Preflight,
        Reason::FormRejected,
        Reason::HeadTooLarge,
        Reason::SharedStateUnavailable,
        Reason::BodyTooLarge,
        Reason::RateLimited,
        Reason::Overloaded,
    ];
    let missing: Vec<_> =
        Reason::ALL.iter().filter(|reason| !seen.contains(reason) && !others.contains(reason)).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

#[test]
fn each_refusal_is_one_audit_line_and_one_count() {
    let gateway = start("");
    let cases = cases();
    // Lines are written as connections end, so they are told apart by the id that the answer has.
    let id = |response: Response| response.header("x-request-id").unwrap().to_owned();
    let ids: Vec<String> = cases.iter().map(|case| id(send(&gateway, &case.request))).collect();
    let lines = gateway.audit(cases.len());
    assert_eq!(lines.len(), cases.len());
    for (case, id) in cases.iter().zip(&ids) {
        let line = lines.iter().find(|line| line["request_id"] == *id).unwrap_or_else(|| panic!("no line has {id}"));
        assert_eq!(line["reason"], case.reason.as_str(), "{line}");
        assert_eq!((&line["decision"], &line["status"]), (&json!("deny"), &json!(case.status)), "{line}");
        assert!(!line.to_string().contains("eyJ"), "a token in the audit line: {line}");
    }
    let text = String::from_utf8(gateway.admin("/metrics").body).unwrap();
    let counted: f64 = text
        .lines()
        .filter(|line| line.starts_with("scopegate_decisions_total{") && line.contains(r#"decision="deny""#))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!((counted - cases.len() as f64).abs() < 0.5, "{counted} of {}", cases.len());
}

#[test]
fn allowed_requests_reach_the_upstream_with_the_callers_identity() {
    let gateway = start("");
    let token = token(json!({ "scope": "data-read", "account_id": "acme" }));
    let response = gateway.get("/data/acme/packets?view=full", &token);
    assert_eq!((response.status, &response.json()["upstream"]), (200, &json!(true)));
    assert_eq!(gateway.upstream.last().line, "GET /data/acme/packets?view=full HTTP/1.1");
    let response = gateway.ask("GET", "/data/health", &[]);
    assert_eq!(response.status, 200);
    let lines = gateway.audit(2);
    let of = |reason: &str| lines.iter().find(|line| line["reason"] == reason).unwrap();
    let granted = of("granted");
    assert_eq!((&granted["account"], &granted["granted_by"]), (&json!("acme"), &json!("data-read")));
    assert_eq!(granted["service"], "GET /data/{account}/**");
    assert_eq!(of("public")["client"], json!(null));
}

/// A gateway whose listener has these keys beside its address.
pub(crate) fn start(listener: &str) -> Gateway {
    start_with(listener, "")
}

/// The same, whose file says more.
pub(crate) fn start_with(listener: &str, more: &str) -> Gateway {
    let policy = format!("{more}{POLICY}");
    Gateway::start_listening(listener, &policy, Upstream::start(), |folder| {
        let revoked = json!({ "jti": "revoked", "iss": "https://issuer.example", "exp": now() + 3600 });
        std::fs::write(folder.join("revoked.jsonl"), format!("{revoked}\n")).unwrap();
        std::fs::write(folder.join("secret"), "hush\n").unwrap();
    })
}

#[track_caller]
pub(crate) fn check(case: &Case, response: &Response) {
    let reason = case.reason.as_str();
    assert_eq!(response.status, case.status, "{reason}: {response:?}");
    assert_eq!(response.header("www-authenticate"), case.challenge, "{reason}");
    assert_eq!(response.header("cache-control"), Some("no-store"), "{reason}");
    let body = response.json();
    if case.reason == Reason::FormRejected {
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
    match case.reason {
        Reason::ScopeInsufficient | Reason::ScopeRequired => assert!(body["required_scopes"].is_array(), "{body}"),
        Reason::MethodNotAllowed => assert_eq!(response.header("allow"), Some("GET, DELETE")),
        Reason::IssuerUnavailable => assert!(response.header("retry-after").is_some()),
        _ => assert_eq!(body.get("required_scopes"), None, "{body}"),
    }
}

pub(crate) fn cases() -> Vec<Case> {
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
        case(Reason::PathAmbiguous, get("/data/acme/../beta/x", token(own())), 400, None),
        case(Reason::HeaderAmbiguous, get("/data/acme/x", token(own())).and("Authorization", "Bearer x"), 400, None),
        case(Reason::FormRejected, plain("POST", "/oauth/token"), 400, None),
        case(Reason::TokenMissing, plain("GET", "/data/acme/x"), 401, Some(format!("Bearer {RESOURCE}").leak())),
        case(Reason::ClientUnknown, get("/data/acme/x", token(over(own(), "client_id", "stranger"))), 403, None),
        case(Reason::CertificateMismatch, get("/data/acme/x", token(over(own(), "client_id", "bound"))), 403, None),
        case(Reason::ScopeUndefined, get("/data/acme/x", token(over(own(), "scope", "data-read other"))), 403, None),
        case(Reason::RouteUnknown, get("/nowhere", token(own())), 404, None),
        case(Reason::MethodNotAllowed, get("/data/acme/x", token(own())).with_method("PUT"), 405, None),
        case(
            Reason::ScopeRequired,
            get("/consent", token(json!({ "scope": "consent-insert-api" }))).with_method("POST"),
            401,
            insufficient("consent-get-api"),
        ),
        case(
            Reason::ScopeInsufficient,
            get("/consent", token(json!({ "scope": "consent-get-api" }))).with_method("POST"),
            401,
            insufficient("consent-get-api consent-insert-api"),
        ),
        case(
            Reason::ScopeInsufficient,
            get("/data/acme/x", token(json!({ "scope": "" }))),
            403,
            insufficient("data-read data-su"),
        ),
        case(
            Reason::ClientTypeRejected,
            get("/data/acme/x", token(json!({ "scope": "data-su" }))).and("Origin", "https://web.example"),
            403,
            None,
        ),
        case(
            Reason::ClientTypeRejected,
            get("/data/acme/x", token(json!({ "scope": "data-su", "client_id": "web" }))),
            403,
            None,
        ),
        case(Reason::AccountMissing, get("/data", token(own())), 403, None),
        case(Reason::AccountAmbiguous, get("/data/acme/x", token(own())).and("X-Account-Id", "beta"), 403, None),
        case(Reason::AccountForbidden, get("/data/beta/x", token(own())), 403, None),
        case(Reason::IssuerUnavailable, get("/data/acme/x", "opaque".to_owned()), 503, None),
    ];
    for (reason, token, description) in bad_tokens() {
        cases.push(case(reason, get("/data/acme/x", token), 401, invalid(description)));
    }
    cases
}

fn bad_tokens() -> Vec<(Reason, String, &'static str)> {
    let signer = Signer::shared();
    let header = |alg: &str, kid: &str, typ: &str| json!({ "alg": alg, "kid": kid, "typ": typ });
    let claims = |name: &str, value: Value| payload(json!({ "scope": "data-read", "account_id": "acme", name: value }));
    let good = claims("jti", json!("1"));
    let signed = |claims: Value| signer.sign(&header("RS256", "rsa-1", "at+jwt"), &claims);
    vec![
        (Reason::TokenMalformed, signed(claims("exp", Value::Null)), "the token is malformed: it has no `exp`"),
        (
            Reason::IssuerUnknown,
            signed(claims("iss", json!("https://other.example"))),
            "the token's issuer is not accepted here",
        ),
        (
            Reason::AlgorithmRejected,
            signer.sign(&header("none", "rsa-1", "at+jwt"), &good),
            "the token's signature algorithm is not accepted here",
        ),
        (
            Reason::KeyUnknown,
            signer.sign(&header("RS256", "rsa-2", "at+jwt"), &good),
            "the token is signed with a key that its issuer does not publish",
        ),
        (
            Reason::TokenTypeRejected,
            signer.sign(&header("RS256", "rsa-1", "JWT"), &good),
            "the token is not an access token",
        ),
        (
            Reason::SignatureInvalid,
            Signer::new().sign(&header("RS256", "rsa-1", "at+jwt"), &good),
            "the token's signature is not valid",
        ),
        (
            Reason::AudienceMismatch,
            signed(claims("aud", json!("https://other.example"))),
            "the token is not meant for this resource",
        ),
        (Reason::TokenExpired, signed(claims("exp", json!(now() - 3600))), "the token has expired"),
        (Reason::TokenNotYetValid, signed(claims("nbf", json!(now() + 3600))), "the token is not valid yet"),
        (Reason::TokenRevoked, signed(claims("jti", json!("revoked"))), "the token is revoked"),
        (
            Reason::BindingMismatch,
            signed(claims("cnf", json!({ "x5t#S256": crate::signer::encode(&[7; 32]) }))),
            "the token is bound to a key that was not shown",
        ),
    ]
}

fn over(mut claims: Value, name: &str, value: &str) -> Value {
    claims[name] = json!(value);
    claims
}

pub(crate) fn token(claims: Value) -> String {
    Signer::shared().token(claims)
}

pub(crate) fn plain(method: &'static str, target: &'static str) -> Request {
    Request { method, target, headers: vec![] }
}

pub(crate) fn get(target: &'static str, token: String) -> Request {
    plain("GET", target).and("Authorization", &format!("Bearer {token}"))
}

impl Request {
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }
}

pub(crate) fn send(gateway: &Gateway, request: &Request) -> Response {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    gateway.ask(request.method, request.target, &headers)
}
