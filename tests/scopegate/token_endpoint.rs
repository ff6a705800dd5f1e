//! The guarded token endpoint, end to end: what the provider gets, what is refused, and what is told to nobody.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Connection, Gateway, Recorded, Response, Upstream, wait_for};

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
fn each_refusal_is_an_rfc_6749_error_an_audit_line_and_reaches_no_provider() {
    let gateway = start();
    let (acme, broken) = (basic("acme"), "Basic not-base64".to_owned());
    let large = format!("client_id=acme&x={}", "x".repeat(2048));
    let cases: Vec<(&str, Vec<(&str, &str)>, u16, &str, &str, Value)> = vec![
        ("client_id=acme&scope=nothing", vec![], 400, "invalid_scope", "scope_undefined", json!("acme")),
        ("client_id=acme&scope=data-write", vec![], 400, "invalid_scope", "scope_insufficient", json!("acme")),
        ("client_id=acme&scope=data-hidden", vec![], 400, "invalid_scope", "scope_insufficient", json!("acme")),
        ("client_id=acme&scope=Data-Read", vec![], 400, "invalid_scope", "scope_undefined", json!("acme")),
        ("client_id=acme&scope=a%09b", vec![], 400, "invalid_scope", "form_rejected", json!("acme")),
        ("client_id=stranger&scope=data-read", vec![], 401, "invalid_client", "client_unknown", json!(null)),
        ("scope=data-read", vec![], 401, "invalid_client", "client_unknown", json!(null)),
        ("scope=data-read", vec![("Authorization", &broken)], 401, "invalid_client", "client_unknown", json!(null)),
        ("client_id=bound", vec![], 401, "invalid_client", "certificate_mismatch", json!("bound")),
        (
            "client_id=bound",
            vec![("Client-Cert", ":AAAA:")],
            401,
            "invalid_client",
            "certificate_mismatch",
            json!("bound"),
        ),
        ("client_id=open", vec![("Authorization", &acme)], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "client_id=acme",
            vec![("Authorization", &acme), ("Authorization", &acme)],
            400,
            "invalid_request",
            "header_ambiguous",
            json!(null),
        ),
        ("client_id=acme&client_id=acme", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "client_id=acme&scope=data-read&scope=data-write",
            vec![],
            400,
            "invalid_request",
            "form_rejected",
            json!(null),
        ),
        ("client_id=acme&Scope=data-write", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        ("client_id=acme&scope[]=data-write", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        ("client_id=acme&x=%ff", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        ("client_id=acme&x=%", vec![], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "{\"client_id\":\"acme\"}",
            vec![("Content-Type", "application/json")],
            400,
            "invalid_request",
            "form_rejected",
            json!(null),
        ),
        ("client_id=acme", vec![("Content-Type", "")], 400, "invalid_request", "form_rejected", json!(null)),
        (
            "client_id=acme",
            vec![("Content-Type", FORM), ("Content-Type", FORM)],
            400,
            "invalid_request",
            "form_rejected",
            json!(null),
        ),
        ("client_id=acme", vec![("Content-Encoding", "gzip")], 400, "invalid_request", "form_rejected", json!(null)),
        (&large, vec![], 413, "invalid_request", "form_rejected", json!(null)),
    ];
    for (count, (form, headers, status, error, reason, client)) in cases.iter().enumerate() {
        let response = post(&gateway, form, headers);
        check_refused(&response, *status, error);
        let id = response.header("x-request-id").unwrap().to_owned();
        let lines = gateway.audit(count + 1);
        let line = lines.iter().find(|line| line["request_id"] == id).unwrap_or_else(|| panic!("no line for {form}"));
        assert_eq!((&line["reason"], &line["decision"]), (&json!(reason), &json!("deny")), "{form}");
        assert_eq!((&line["client"], &line["status"]), (client, &json!(status)), "{form}: {line}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    let counted = r#"scopegate_decisions_total{api="login",decision="deny",reason="form_rejected"}"#;
    let expected = cases.iter().filter(|case| case.4 == "form_rejected").count() as f64;
    wait_for("the count", || gateway.metric(counted).filter(|count| (count - expected).abs() < 0.5));
    let response = post(&gateway, "client_id=acme&scope=data-read+data-hidden+nothing", &[]);
    assert_eq!(response.json()["error_description"], "the client may not ask for data-hidden nothing");
}

#[test]
fn no_parameter_that_counts_comes_by_the_url() {
    let gateway = start();
    for query in ["scope=data-write", "client_id=open", "client_secret=x", "grant_type=x", "a;scope=b", "SCOPE=x"] {
        let response = post_to(&gateway, &format!("/oauth/token?{query}"), "client_id=acme&grant_type=x", &[]);
        check_refused(&response, 400, "invalid_request");
    }
    assert_eq!(gateway.upstream.count(), 0);
    assert_eq!(post_to(&gateway, "/oauth/token?tenant=1", "client_id=acme", &[]).status, 200);
    assert_eq!(gateway.upstream.last().line, "POST /oauth/token?tenant=1 HTTP/1.1");
}

#[test]
fn the_endpoint_owns_its_path_whatever_services_there_are() {
    let gateway = start();
    for method in ["GET", "PUT", "OPTIONS", "post"] {
        let response = gateway.ask(method, "/oauth/token?client_id=acme&scope=data-write", &[]);
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{method}: {response:?}");
        assert_eq!(response.reason(), "method_not_allowed");
    }
    for target in ["/oauth/token/", "/oauth/%74oken", "/OAUTH/TOKEN"] {
        check_refused(&post_to(&gateway, target, "client_id=stranger", &[]), 401, "invalid_client");
    }
    assert_eq!(post_to(&gateway, "/oauth/../oauth/token", "client_id=acme", &[]).reason(), "path_ambiguous");
    // Another path is the public service's, whose upstream is not there.
    assert_eq!(post_to(&gateway, "/oauth/tokens", "client_id=acme", &[]).status, 503);
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_form_in_chunks_is_read_to_its_end_and_sent_with_its_length() {
    let gateway = start();
    let head =
        format!("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut connection = Connection::open(gateway.address);
    connection.write(head.as_bytes());
    for part in ["client_id=ac", "me&scope=us", "ers-read"] {
        connection.write(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes());
    }
    connection.write(b"0\r\n\r\n");
    assert_eq!(connection.read_response().unwrap().status, 200);
    let seen = gateway.upstream.last();
    assert_eq!(body(&seen), "client_id=acme&scope=users-read+users-always+users-too");
    assert_eq!((seen.all("content-length").len(), seen.all("transfer-encoding").len()), (1, 0));
    // The connection goes on with the next request.
    connection.write(format!("{head}e\r\nclient_id=acme\r\n0\r\n\r\n").as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    assert_eq!(body(&gateway.upstream.last()), "client_id=acme");
    // One that grows beyond what is accepted, and no request behind it.
    connection.write(head.as_bytes());
    for _ in 0..5 {
        connection.try_write(format!("200\r\n{}\r\n", "x".repeat(512)).as_bytes());
    }
    let response = connection.read_response().unwrap();
    check_refused(&response, 413, "invalid_request");
    assert_eq!(response.header("connection"), Some("close"));
    assert!(connection.read_response().is_none());
    for broken in ["zz\r\n", "e\r\nclient_id=acmeXX"] {
        let mut connection = Connection::open(gateway.address);
        connection.write(format!("{head}{broken}").as_bytes());
        check_refused(&connection.read_response().unwrap(), 400, "invalid_request");
    }
    assert_eq!(gateway.upstream.count(), 2);
}

#[test]
fn a_form_may_have_exactly_as_many_bytes_as_the_file_says() {
    let gateway = start();
    let form = |length: usize| format!("client_id=acme&x={}", "x".repeat(length - "client_id=acme&x=".len()));
    check_forwarded(&gateway, &form(2048), &[], &form(2048));
    check_refused(&post(&gateway, &form(2049), &[]), 413, "invalid_request");
    let gateway = start_with(&POLICY.replace(", max_form_bytes: 2048", ""), Upstream::start());
    check_forwarded(&gateway, &form(32 * 1024), &[], &form(32 * 1024));
    check_refused(&post(&gateway, &form(32 * 1024 + 1), &[]), 413, "invalid_request");
    let gateway = start_with(&POLICY.replace("max_form_bytes: 2048", "max_form_bytes: 65536"), Upstream::start());
    check_forwarded(&gateway, &form(64 * 1024), &[], &form(64 * 1024));
}

#[test]
fn an_empty_form_is_a_form() {
    let gateway = start();
    let authorization = basic("acme");
    check_forwarded(&gateway, "", &[("Authorization", &authorization)], "");
    let chunked = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nAuthorization: {authorization}\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    assert_eq!(gateway.send(chunked.as_bytes()).status, 200);
    assert_eq!(body(&gateway.upstream.last()), "");
    let neither = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nAuthorization: {authorization}\r\n\r\n"
    );
    assert_eq!(gateway.send(neither.as_bytes()).status, 200);
    assert_eq!(gateway.upstream.count(), 3);
}

#[test]
fn a_client_that_waits_is_told_to_go_on_or_why_not() {
    let gateway = start();
    let head = |length: usize, media_type: &str| {
        format!(
            "POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        )
    };
    let mut connection = Connection::open(gateway.address);
    let form = "client_id=acme&scope=users-read";
    connection.write(head(form.len(), FORM).as_bytes());
    assert_eq!(connection.read_head().unwrap(), "HTTP/1.1 100 Continue");
    connection.write(form.as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    let seen = gateway.upstream.last();
    assert_eq!(body(&seen), "client_id=acme&scope=users-read+users-always+users-too");
    assert!(seen.all("expect").is_empty(), "{seen:?}");
    // Refused after all of it came: the connection stays.
    let form = "client_id=acme&scope=data-write";
    connection.write(head(form.len(), FORM).as_bytes());
    assert_eq!(connection.read_head().unwrap(), "HTTP/1.1 100 Continue");
    connection.write(form.as_bytes());
    check_refused(&connection.read_response().unwrap(), 400, "invalid_scope");
    // Refused before all of it came: the rest is no request.
    let mut growing = Connection::open(gateway.address);
    let head_of_chunks = head(0, FORM).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    growing.write(head_of_chunks.as_bytes());
    assert_eq!(growing.read_head().unwrap(), "HTTP/1.1 100 Continue");
    growing.write(format!("801\r\n{}\r\n", "x".repeat(2049)).as_bytes());
    check_refused(&growing.read_response().unwrap(), 413, "invalid_request");
    assert!(growing.read_response().is_none());
    // Refused by the head: nothing was asked for.
    for (head, status) in [(head(2049, FORM), 413), (head(10, "text/plain"), 400)] {
        let mut connection = Connection::open(gateway.address);
        connection.write(head.as_bytes());
        check_refused(&connection.read_response().unwrap(), status, "invalid_request");
        assert!(connection.read_response().is_none());
    }
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn a_form_that_breaks_off_reaches_no_provider() {
    let gateway = start();
    let mut connection = Connection::open(gateway.address);
    let head = format!("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\n");
    connection.write(format!("{head}client_id=acme&scope=data-read").as_bytes());
    drop(connection);
    let line = &gateway.audit(1)[0];
    assert_eq!((&line["reason"], &line["decision"]), (&json!("form_rejected"), &json!("deny")), "{line}");
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_form_that_does_not_come_is_waited_for_no_longer_than_ten_seconds() {
    let gateway = start();
    let mut connection = Connection::open(gateway.address);
    let head = format!("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\n");
    connection.write(format!("{head}client_id=acme").as_bytes());
    check_refused(&connection.read_response().unwrap(), 408, "invalid_request");
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn no_secret_is_logged_audited_or_counted() {
    let gateway = start();
    let asserted = |claims: Value| crate::harness::encode(claims.to_string().as_bytes());
    let assertion = format!("e30.{}.{SECRET}", asserted(json!({ "sub": "acme", "jti": SECRET })));
    let (known, stranger) = (basic("acme"), basic("stranger"));
    let chars = "x".repeat(2048);
    let forms = [
        format!("client_id=acme&client_secret={SECRET}&scope=data-read"),
        format!("client_id=acme&client_secret={SECRET}&scope=data-write"),
        format!("client_id=stranger&client_secret={SECRET}"),
        format!("client_id={SECRET}"),
        format!("client_id=acme&scope={SECRET}"),
        format!("client_id=acme&password={SECRET}&code={SECRET}&refresh_token={SECRET}&subject_token={SECRET}"),
        format!("client_id=acme&client_secret={SECRET}&client_secret={SECRET}"),
        format!("client_id=acme&client_secret={SECRET}%"),
        format!("{SECRET}=acme"),
        format!("client_secret={SECRET}&x={chars}"),
        format!("client_assertion={assertion}"),
        format!("client_assertion={assertion}&client_id=open"),
    ];
    let mut count = 0;
    for form in &forms {
        post(&gateway, form, &[]);
        count += 1;
    }
    for authorization in [&known, &stranger] {
        post(&gateway, "scope=data-read", &[("Authorization", authorization)]);
        post(&gateway, &format!("client_secret={SECRET}&client_id=open"), &[("Authorization", authorization)]);
        post_to(&gateway, &format!("/oauth/token?client_secret={SECRET}"), "a=b", &[("Authorization", authorization)]);
        count += 3;
    }
    // A provider that is not there, and one whose answer breaks off.
    for provider in [None, Some(Upstream::answering(|_| format!("HTTP/1.1 200 OK\r\nX: {SECRET}\r\n").into_bytes()))] {
        let provider = provider.unwrap_or_else(Upstream::start);
        let policy = POLICY.replace("upstream: backend", "upstream: nowhere");
        let gateway = start_with(&policy, provider);
        post(&gateway, &forms[0], &[("Authorization", &known)]);
        check_silent(&gateway, 1, &[&known]);
    }
    check_silent(&gateway, count, &[&known, &stranger, &assertion]);
    assert!(gateway.upstream.count() > 0);
}

/// Nothing that the process wrote has a secret: standard output and error, audit lines, metrics.
#[track_caller]
fn check_silent(gateway: &Gateway, lines: usize, others: &[&str]) {
    gateway.audit(lines);
    let audit = std::fs::read_to_string(gateway.folder.path().join("audit.jsonl")).unwrap();
    let metrics = String::from_utf8(gateway.admin("/metrics").body).unwrap();
    let encoded = others.iter().map(|other| other.rsplit([' ', '.']).next().unwrap());
    for secret in encoded.chain([SECRET]) {
        for (place, text) in [("log", &gateway.log()), ("audit", &audit), ("metrics", &metrics)] {
            assert!(!text.contains(secret), "{secret} in the {place}:\n{text}");
        }
    }
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
    for (asked, reason) in [
        ("certificate:approve,revoke", "scope_insufficient"),
        ("certificate:approve,unheard", "scope_undefined"),
        ("certificate:approve ssh", "form_rejected"),
        ("certificate:approve,", "form_rejected"),
    ] {
        let before = gateway.audit(0).len();
        check_refused(&post(&gateway, &format!("client_id=automation&scope={asked}"), &[]), 400, "invalid_scope");
        let lines = gateway.audit(before + 1);
        assert!(lines.iter().any(|line| line["reason"] == reason), "{asked}: {lines:?}");
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
