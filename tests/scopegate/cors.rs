//! CORS: what pages of other origins are told, and what they are not.

use serde_json::json;

use crate::harness::{Gateway, Response, Signer, Upstream};
use crate::http2_client::Http2;

const POLICY: &str = r#"
resource_metadata: { resource: https://api.example.com }
revocations: { file: revoked.jsonl }
apis:
  - name: shop
    base_path: /shop
    upstream: backend
    account: [{ path: account }, { header: X-Shop }]
    public: ["GET /shop/health"]
    token_endpoint: { service: POST /shop/token, upstream: backend }
    cors:
      origins: [https://app.example.com, "http://localhost:3000", capacitor://localhost]
      headers: [X-Trace]
      expose: [X-Total]
      credentials: true
      max_age: 5m
    scopes:
      - name: shop-read
        services: ["GET,PUT /shop/{account}/**"]
      - name: shop-server
        confidential_only: true
        services: ["DELETE /shop/{account}/**"]
  - name: own
    base_path: /own
    upstream: backend
    scopes:
      - { name: own-all, services: ["OPTIONS,GET /own/**"] }
  - name: inner
    base_path: /own/shared
    upstream: backend
    cors: { origins: ["*"], methods: [GET], max_age: 0s }
    scopes:
      - { name: inner-all, services: ["OPTIONS,GET /own/shared/**"] }
  - name: hosted
    base_path: /hosted
    hosts: [hosted.example.com]
    upstream: backend
    cors: { origins: [https://app.example.com] }
    scopes:
      - { name: hosted-all, services: ["* /hosted/**"] }
"#;

const ORIGIN: &str = "https://app.example.com";
const EXPOSED: &str = "www-authenticate, retry-after, x-request-id, allow, dpop-nonce, ratelimit, ratelimit-policy";
const THREE: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";

fn bearer() -> String {
    let scope = "shop-read shop-server own-all inner-all hosted-all";
    format!("Bearer {}", Signer::shared().token(json!({ "scope": scope, "account_id": "acme" })))
}

/// What an answer says of CORS, in one line.
fn said(response: &Response) -> String {
    let of_cors = |name: &str| name.starts_with("access-control-") || name == "vary";
    let mut said: Vec<_> = response
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| of_cors(name))
        .map(|(name, value)| format!("{}: {value}", name.replace("access-control-", "")))
        .collect();
    said.sort();
    said.join("; ")
}

fn preflight(gateway: &Gateway, target: &str, origin: &str, more: &[(&str, &str)]) -> Response {
    let asked = [("Origin", origin), ("Access-Control-Request-Method", "PUT")];
    gateway.ask("OPTIONS", target, &[&asked, more].concat())
}

#[test]
fn a_preflight_is_answered_by_policy_without_a_token_and_goes_no_further() {
    let gateway = Gateway::start(POLICY);
    let expected = format!(
        "allow-credentials: true; allow-headers: authorization, content-type, dpop, x-request-id, x-shop, x-trace; \
         allow-methods: GET, POST, PUT, DELETE; allow-origin: {ORIGIN}; expose-headers: {EXPOSED}, x-total; \
         max-age: 300; vary: {THREE}"
    );
    for target in ["/shop/acme/x", "/shop/globex/x?y=z", "/shop/health", "/shop/token", "/shop/nowhere", "/shop"] {
        let response = preflight(&gateway, target, ORIGIN, &[("Access-Control-Request-Headers", "authorization")]);
        assert_eq!((response.status, said(&response)), (204, expected.clone()), "{target}");
        assert!(response.body.is_empty() && response.header("content-length").is_none(), "{response:?}");
    }
    for origin in ["http://localhost:3000", "capacitor://localhost"] {
        let response = preflight(&gateway, "/shop/acme/x", origin, &[]);
        assert_eq!((response.status, response.header("access-control-allow-origin")), (204, Some(origin)));
    }
    let response = preflight(&gateway, "/own/shared/x", "https://anyone.example", &[]);
    let expected = format!(
        "allow-headers: authorization, content-type, dpop, x-request-id; allow-methods: GET; allow-origin: *; \
         expose-headers: {EXPOSED}; max-age: 0; vary: {THREE}"
    );
    assert_eq!((response.status, said(&response)), (204, expected));
    assert_eq!(gateway.upstream.count(), 0, "a preflight was forwarded");
    let lines = gateway.audit(9);
    let shown = |line: &serde_json::Value| (line["decision"].clone(), line["reason"].clone(), line["status"].clone());
    assert!(lines.iter().all(|line| shown(line) == (json!("allow"), json!("preflight"), json!(204))), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line["api"] == "shop").count(), 8);
    let counted = gateway.metric(r#"scopegate_decisions_total{api="shop",decision="allow",reason="preflight"}"#);
    assert_eq!(counted, Some(8.0));
}

#[test]
fn a_preflight_of_an_origin_that_is_not_listed_is_refused_and_says_nothing_of_cors() {
    let gateway = Gateway::start(POLICY);
    for origin in [
        "https://evil.example",
        "null",
        "",
        "https://app.example.com:443",
        "https://app.example.com/",
        "HTTPS://APP.EXAMPLE.COM",
        "https://app.example.com.evil.example",
        "https://app.example.com, https://evil.example",
        "http://app.example.com",
        "*",
    ] {
        let response = preflight(&gateway, "/shop/acme/x", origin, &[]);
        assert_eq!((response.status, response.reason()), (403, "origin_rejected".to_owned()), "{origin}");
        assert_eq!(said(&response), format!("vary: {THREE}"), "{origin}");
    }
    let twice = preflight(&gateway, "/shop/acme/x", ORIGIN, &[("Origin", ORIGIN)]);
    assert_eq!((twice.status, twice.reason()), (403, "origin_rejected".to_owned()));
    let lines = gateway.audit(11);
    assert!(lines.iter().all(|line| (&line["decision"], &line["api"]) == (&json!("deny"), &json!("shop"))));
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn what_is_no_preflight_of_an_api_with_cors_is_a_request_like_any_other() {
    let gateway = Gateway::start(POLICY);
    let method = ("Access-Control-Request-Method", "GET");
    for (target, headers, reason) in [
        ("/shop/acme/x", vec![("Origin", ORIGIN)], "token_missing"),
        ("/shop/acme/x", vec![method], "token_missing"),
        ("/own/x", vec![("Origin", ORIGIN), method], "token_missing"),
        ("/elsewhere", vec![("Origin", ORIGIN), method], "token_missing"),
        ("/hosted/x", vec![("Origin", ORIGIN), method], "token_missing"),
        // Ambiguity comes first.
        ("/shop/../own", vec![("Origin", ORIGIN), method], "path_ambiguous"),
        ("/shop/acme/x", vec![("Origin", ORIGIN), method, ("Expect", "x")], "header_ambiguous"),
        ("/shop/acme/x", vec![("Origin", ORIGIN), method, ("Connection", "origin")], "header_ambiguous"),
        ("/shop/acme/x", vec![("Origin", ORIGIN), method, ("X-Shop", "a"), ("X-Shop", "b")], "header_ambiguous"),
    ] {
        let response = gateway.ask("OPTIONS", target, &headers);
        assert_eq!(response.reason(), reason, "{target} {headers:?}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    // An api's own `OPTIONS` service.
    let headers = [("Origin", ORIGIN), method, ("Authorization", &bearer())];
    let response = gateway.ask("OPTIONS", "/own/x", &headers);
    assert_eq!((response.status, said(&response)), (200, String::new()));
    assert_eq!(gateway.upstream.last().line, "OPTIONS /own/x HTTP/1.1");
    // Where there is `cors` besides, what is no preflight.
    let response = gateway.ask("OPTIONS", "/own/shared/x", &[("Authorization", &bearer())]);
    let said_of_options = format!("allow-origin: *; expose-headers: {EXPOSED}; vary: {THREE}");
    assert_eq!((response.status, said(&response)), (200, said_of_options));
}

#[test]
fn every_answer_says_who_may_read_it() {
    let gateway = Gateway::start(POLICY);
    let (token, shared) = (bearer(), format!("allow-origin: *; expose-headers: {EXPOSED}"));
    let listed =
        format!("allow-credentials: true; allow-origin: {ORIGIN}; expose-headers: {EXPOSED}, x-total; vary: Origin");
    let unlisted = "vary: Origin";
    for (method, target, token, status, expected) in [
        ("GET", "/shop/acme/x", Some(&token), 200, &*listed),
        ("GET", "/shop/health", None, 200, &listed),
        ("GET", "/shop/acme/x", None, 401, &listed),
        ("GET", "/shop/globex/x", Some(&token), 403, &listed),
        ("POST", "/shop/acme/x", Some(&token), 405, &listed),
        ("GET", "/shop", Some(&token), 404, &listed),
        // A scope for confidential clients is none for pages, whatever `cors` says, and the page is told.
        ("DELETE", "/shop/acme/x", Some(&token), 403, &listed),
        ("POST", "/shop/token", None, 400, &listed),
        // Nobody knows whose it is.
        ("GET", "/shop/%2e%2e/x", Some(&token), 400, &listed),
        ("GET", "/own/shared/x", Some(&token), 200, &shared),
        ("GET", "/own/shared/x", None, 401, &shared),
        ("GET", "/own/x", None, 401, ""),
        ("GET", "/own/x", Some(&token), 200, ""),
        ("GET", "/nowhere", Some(&token), 404, ""),
        ("GET", "/.well-known/oauth-protected-resource", None, 200, "allow-origin: *"),
    ] {
        let authorization = token.map(|token| ("Authorization", token.as_str()));
        let with = |origin: Option<&'static str>| {
            let headers: Vec<_> = authorization.into_iter().chain(origin.map(|origin| ("Origin", origin))).collect();
            gateway.ask(method, target, &headers)
        };
        let response = with(Some(ORIGIN));
        assert_eq!((response.status, &*said(&response)), (status, expected), "{method} {target}");
        if expected == listed && status != 400 {
            let (other, none) = (with(Some("https://evil.example")), with(None));
            assert_eq!((said(&other), said(&none)), (unlisted.to_owned(), unlisted.to_owned()), "{method} {target}");
            // CORS is no access control: the page may ask, and may not read.
            assert_eq!(other.status, status, "{method} {target}");
        }
    }
}

#[test]
fn what_an_upstream_says_of_cors_is_replaced_and_its_vary_kept() {
    let upstream = Upstream::answering(|request| {
        let vary = if request.line.contains("star") { "*" } else { "Accept-Encoding, origin" };
        let body = if request.line.contains("chunked") {
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        } else {
            "Content-Length: 0\r\n\r\n"
        };
        format!(
            "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\naccess-control-allow-origin: https://evil.example\r\n\
             Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-Secret\r\n\
             Access-Control-Allow-Methods: BREW\r\nAccess-Control-Allow-Headers: x\r\nAccess-Control-Max-Age: 9\r\n\
             Vary: {vary}\r\n{body}"
        )
        .into_bytes()
    });
    let gateway = Gateway::start_listening("http2: true", POLICY, upstream, |_| {});
    let token = bearer();
    let credentials = "allow-credentials: true; ";
    for (target, vary, own) in [
        ("/shop/acme/x", "Accept-Encoding, origin", true),
        ("/shop/acme/chunked", "Accept-Encoding, origin", true),
        ("/shop/acme/star", "*", true),
        ("/own/shared/x", "Accept-Encoding, origin", false),
    ] {
        let expected = if own {
            format!("{credentials}allow-origin: {ORIGIN}; expose-headers: {EXPOSED}, x-total; vary: {vary}")
        } else {
            format!("allow-origin: *; expose-headers: {EXPOSED}; vary: {vary}")
        };
        let headers = [("authorization", token.as_str()), ("origin", ORIGIN)];
        assert_eq!(said(&gateway.ask("GET", target, &headers)), expected, "{target}");
        assert_eq!(said(&Http2::plain(gateway.address).get(target, &headers)), expected, "{target}");
    }
    // Of an api without `cors`, the upstream's word is its own.
    let untouched = said(&gateway.get("/own/x", token.trim_start_matches("Bearer ")));
    assert!(untouched.contains("allow-methods: BREW"), "{untouched}");
}

#[test]
fn a_preflight_over_http2_and_for_one_of_the_apis_hosts_is_answered_too() {
    let gateway = Gateway::start_listening("http2: true", POLICY, Upstream::start(), |_| {});
    let asked = [("origin", ORIGIN), ("access-control-request-method", "PATCH")];
    let response = Http2::plain(gateway.address).ask("OPTIONS", "/shop/acme/x", &asked);
    assert_eq!((response.status, response.header("access-control-allow-origin")), (204, Some(ORIGIN)));
    let of_host = |host: &str| {
        let text = format!(
            "OPTIONS /hosted/x HTTP/1.1\r\nHost: {host}\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: BREW\r\n\r\n"
        );
        gateway.send(text.as_bytes()).status
    };
    assert_eq!((of_host("hosted.example.com"), of_host("api.example.com")), (204, 401));
}

#[test]
fn a_failing_upstream_is_told_to_pages_too_and_a_change_of_the_file_counts_at_once() {
    let gateway = Gateway::start_with(POLICY, Upstream::answering(|_| vec![]), |_| {});
    let token = bearer();
    let headers = [("Authorization", token.as_str()), ("Origin", ORIGIN)];
    let response = gateway.ask("GET", "/shop/acme/x", &headers);
    assert_eq!((response.status, response.header("access-control-allow-origin")), (502, Some(ORIGIN)));
    gateway.rewrite(&POLICY.replace("https://app.example.com, \"http:", "https://new.example.com, \"http:"));
    gateway.wait_for_policy("the change", |policy| policy["generation"] == 2);
    assert_eq!(preflight(&gateway, "/shop/acme/x", ORIGIN, &[]).status, 403);
    assert_eq!(preflight(&gateway, "/shop/acme/x", "https://new.example.com", &[]).status, 204);
}

#[test]
fn the_example_of_the_documentation_is_a_policy() {
    let text = include_str!("../../docs/protocols.md");
    let example = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let gateway = Gateway::start(&example.replace("upstream: orders", "upstream: backend"));
    let response = preflight(&gateway, "/orders/x", ORIGIN, &[]);
    assert_eq!((response.status, response.header("access-control-allow-methods")), (204, Some("GET, POST")));
}
