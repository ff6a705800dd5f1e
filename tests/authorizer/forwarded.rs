//! What reaches the upstream of requests that may pass: by each plane what the gateway forwards in-line.

use std::collections::BTreeMap;

use harness::refusals::{Request, plain, send, token};
use harness::{Gateway, Recorded, Upstream};
use serde_json::json;

use super::planes::{Kind, Stage};
use super::seen;

const POLICY: &str = r#"
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
apis:
  - name: path
    base_path: /path
    upstream: backend
    account: { path: account }
    public: ["GET /path/health"]
    scopes: [{ name: one, services: ["GET,POST /path/{account}/**"] }]
  - name: header
    base_path: /header
    upstream: backend
    account: { header: X-Account-Id }
    account_when_absent: inject
    scopes: [{ name: two, services: ["GET /header/**"] }]
  - name: query
    base_path: /query
    upstream: backend
    account: { query: account }
    account_when_absent: inject
    forward_authorization: false
    scopes: [{ name: three, services: ["GET /query/**"] }]
  - name: trial
    base_path: /trial
    upstream: backend
    mode: report_only
    scopes: [{ name: four, services: ["GET /trial/**"] }]
"#;

/// What the upstream goes by; the rest is each plane's own.
const COMPARED: [&str; 24] = [
    "x-auth-subject",
    "x-auth-client",
    "x-auth-account",
    "x-auth-scopes",
    "x_auth_subject",
    "x-account-id",
    "x_account_id",
    "authorization",
    "dpop",
    "host",
    "cookie",
    "x-custom",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "remote-user",
    "x-remote-user",
    "client-cert",
    "x-forwarded-client-cert",
    "x-forwarded-user",
];

fn start(listener: &str, more: &str) -> Gateway {
    Gateway::start_listening(listener, &format!("{more}{POLICY}"), Upstream::start(), |_| {})
}

fn own(request: Request) -> Request {
    let token = token(json!({ "scope": "one two three", "account_id": "acme", "sub": "s-1" }));
    request.and("Authorization", &format!("Bearer {token}"))
}

/// The line and the compared headers of a request as it came to the upstream.
fn compared(recorded: &Recorded) -> (String, BTreeMap<&'static str, Vec<String>>) {
    let all = |name: &'static str| {
        let values: Vec<_> = recorded.all(name).into_iter().map(str::to_owned).collect();
        (!values.is_empty()).then_some((name, values))
    };
    (recorded.line.clone(), COMPARED.into_iter().filter_map(all).collect())
}

/// Whether a plane may refuse what the gateway forwards, as it cannot do the same.
fn may_refuse(kind: Kind, request: &Request) -> bool {
    let another_target =
        request.target.starts_with("/query/x") && !request.target.contains("account=") || request.target.contains('%');
    another_target && !kind.takes_targets()
}

fn requests() -> Vec<Request> {
    let mut requests = vec![
        own(plain("GET", "/path/acme/x?view=full")).and("X-Custom", "kept").and("Cookie", "a=b"),
        own(plain("GET", "/path/acme/x/")),
        own(plain("GET", "/path/acme/%78/%7Ey?z=%41")),
        plain("GET", "/path/health"),
        own(plain("GET", "/path/health")),
        own(plain("GET", "/header/x")),
        own(plain("GET", "/header/x")).and("X-Account-Id", "acme"),
        own(plain("GET", "/query/x")),
        own(plain("GET", "/query/x?a=b")),
        own(plain("GET", "/query/x?a=b&account=acme")),
        plain("GET", "/trial/x"),
        own(plain("GET", "/trial/x")),
    ];
    for name in [
        "X-Auth-Subject",
        "X-Auth-Client",
        "X-Auth-Account",
        "X-Auth-Scopes",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Original-URL",
        "X-Original-URI",
        "X-Original-Method",
        "X-Original-Host",
        "X-Rewrite-URL",
        "Remote-User",
        "Client-Cert",
        "X-Forwarded-Client-Cert",
    ] {
        requests.push(plain("GET", "/path/health").and(name, "forged"));
        requests.push(own(plain("GET", "/path/acme/x")).and(name, "forged"));
    }
    requests
}

#[test]
fn what_is_forwarded_is_what_the_gateway_forwards() {
    let stage = Stage::start("", start);
    let upstream = &stage.gateway.upstream;
    for plane in &stage.planes {
        let (mut same, mut refused) = (0, 0);
        for request in requests() {
            let shown =
                format!("{} {} {} {:?}", plane.kind.name(), request.method, request.target, request.headers.last());
            let expected = send(&stage.gateway, &request);
            assert_eq!(expected.status, 200, "{shown}: {expected:?}");
            let (expected, before) = (compared(&upstream.last()), upstream.count());
            let answer = plane.send(&request);
            if answer.status == 200 {
                assert_eq!(upstream.count(), before + 1, "{shown}");
                assert_eq!(compared(&upstream.last()), expected, "{shown}");
                same += 1;
            } else {
                let forged = plane.kind == Kind::Caddy && request.headers.iter().any(|(_, value)| value == "forged");
                assert!(forged || may_refuse(plane.kind, &request), "{shown}: {answer:?}");
                assert!(matches!(seen(&answer), (400 | 403, None)), "{shown}: {answer:?}");
                assert_eq!(upstream.count(), before, "{shown}");
                refused += 1;
            }
        }
        println!("{}: {same} requests forwarded as in-line, {refused} refused", plane.kind.name());
    }
}

/// In-line these are taken off; a plane may refuse them, and must not let them pass.
#[test]
fn spellings_of_headers_that_only_the_gateway_writes_reach_no_upstream() {
    let stage = Stage::start("", start);
    let upstream = &stage.gateway.upstream;
    for plane in &stage.planes {
        for name in [
            "X_Auth_Subject",
            "X.Auth.Subject",
            "X~Auth~Subject",
            "X_Account_Id",
            "X_HTTP_Method_Override",
            "X-Remote-User",
            "X-Forwarded-User",
        ] {
            let answer = plane.send(&own(plain("GET", "/header/x")).and(name, "forged"));
            assert!(matches!(answer.status, 200 | 400), "{} {name}: {answer:?}", plane.kind.name());
            if answer.status == 200 {
                let last = upstream.last();
                let forged = last.headers.iter().find(|(_, value)| value == "forged");
                assert_eq!(forged, None, "{} {name}", plane.kind.name());
            }
        }
    }
}

/// A client may have its own plane take off what `Connection` names (RFC 9110 section 7.6.1), and must not have it take
/// off what is written for the upstream.
#[test]
fn no_connection_option_takes_off_what_was_written() {
    let stage = Stage::start("", start);
    let upstream = &stage.gateway.upstream;
    for plane in &stage.planes {
        for named in ["X-Account-Id", "close, X-Auth-Subject", "X-Auth-Account", "Authorization"] {
            let token = token(json!({ "scope": "two", "account_id": "acme", "sub": "s-1" }));
            let text = format!(
                "GET /header/x HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\nConnection: {named}\r\n\r\n"
            );
            let before = upstream.count();
            let mut connection = harness::Connection::over(harness::connect(plane.address));
            connection.write(text.as_bytes());
            let status = connection.read_response().unwrap().status;
            let shown = format!("{} {named}: {status}", plane.kind.name());
            assert!(matches!(status, 200 | 400 | 401 | 403), "{shown}");
            if status == 200 {
                let last = upstream.last();
                assert_eq!(last.all("x-account-id"), ["acme"], "{shown}");
                assert_eq!(last.all("x-auth-account"), ["acme"], "{shown}");
                assert_eq!(last.all("x-auth-subject"), ["s-1"], "{shown}");
            } else {
                assert_eq!(upstream.count(), before, "{shown}");
            }
        }
    }
}

#[test]
fn a_preflight_is_answered_by_policy_behind_every_plane() {
    let stage = Stage::start("", |listener, _| {
        let policy = POLICY.replace(
            "    base_path: /path\n",
            "    base_path: /path\n    cors: { origins: [https://app.example.com], methods: [GET], headers: [X-Custom] }\n",
        );
        Gateway::start_listening(listener, &policy, Upstream::start(), |_| {})
    });
    let names = ["access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers", "vary"];
    for (origin, status) in [("https://app.example.com", 204), ("https://evil.example", 403)] {
        let request =
            plain("OPTIONS", "/path/acme/x").and("Origin", origin).and("Access-Control-Request-Method", "GET");
        let expected = send(&stage.gateway, &request);
        assert_eq!(expected.status, status, "{expected:?}");
        for plane in &stage.planes {
            let answer = plane.send(&request);
            assert_eq!(answer.status, status, "{}: {answer:?}", plane.kind.name());
            for name in names {
                assert_eq!(answer.header(name), expected.header(name), "{} {name}", plane.kind.name());
            }
        }
    }
    assert_eq!(stage.gateway.upstream.count(), 0);
}

/// Its refusals are 200 to a client of gRPC, which no plane may take for a permission.
#[test]
fn a_call_of_grpc_that_is_refused_reaches_no_upstream() {
    let stage = Stage::start("", start);
    for plane in &stage.planes {
        let request = plain("POST", "/path/acme/x").and("Content-Type", "application/grpc").and("TE", "trailers");
        let answer = plane.send(&request);
        let is_refused = answer.status >= 400 || answer.header("grpc-status").is_some_and(|status| status != "0");
        assert!(is_refused, "{}: {answer:?}", plane.kind.name());
    }
    assert_eq!(stage.gateway.upstream.count(), 0);
}

#[test]
fn the_metadata_is_the_gateways_own() {
    let stage = Stage::start("resource_metadata: { resource: https://api.example.com }\n", start);
    let request = plain("GET", "/.well-known/oauth-protected-resource");
    let expected = send(&stage.gateway, &request).json();
    for plane in &stage.planes {
        let answer = plane.send(&request);
        assert_eq!((answer.status, answer.json()), (200, expected.clone()), "{}", plane.kind.name());
    }
}
