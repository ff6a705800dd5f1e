//! What reaches the upstream of requests that may pass: by each plane what the gateway forwards in-line.

use std::collections::BTreeMap;

use harness::refusals::{Request, plain, send, token};
use harness::{Gateway, Recorded, Upstream};
use serde_json::json;

use super::planes::{Kind, Stage};
use super::seen;

pub(crate) const POLICY: &str = r#"
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
                assert!(may_refuse(plane.kind, &request), "{shown}: {answer:?}");
                assert!(matches!(seen(&answer), (400 | 403, None)), "{shown}: {answer:?}");
                assert_eq!(upstream.count(), before, "{shown}");
                refused += 1;
            }
        }
        println!("{}: {same} requests forwarded as in-line, {refused} refused", plane.kind.name());
    }
}

/// What the gateway takes off a request, by name or by how it begins; and what is read as one of those.
const TAKEN_OFF: [&str; 83] = [
    "path-info",
    "script-name",
    "x-accel-mapping",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-url",
    "x-script-name",
    "x-sendfile-type",
    "client-cert",
    "client-cert-chain",
    "x-forwarded-client-cert",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "remote-user",
    "true-client-ip",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-original-for",
    "x-original-forwarded-for",
    "x-original-proto",
    "x-originating-ip",
    "x-real-ip",
    "x-webauth-user",
    "x-ms-client-principal",
    "proxy",
    "proxy-authorization",
    "proxy-anything",
    "x-ms-client-principal-name",
    "x-amzn-oidc-data",
    "x-auth-request-user",
    "x-goog-authenticated-user-email",
    "x-goog-iap-jwt-assertion",
    "x-remote-user",
    "x-remote-group",
    "x-envoy-original-path",
    "x-envoy-external-address",
    "x-envoy-decorator-operation",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-tls-client-cert",
    "x-forwarded-tls-client-cert-info",
    "x-auth-subject",
    "x-auth-client",
    "x-auth-account",
    "x-auth-scopes",
    "x_auth_subject",
    "x.auth.subject",
    "x~auth~subject",
    "x_account_id",
    "x_http_method_override",
    "x_forwarded_for",
    "x_real_ip",
    "client_cert",
];

/// In-line these are taken off; a plane may write over them or refuse them, and must not let them pass.
#[test]
fn what_the_gateway_takes_off_reaches_no_upstream() {
    let stage = Stage::start("", start);
    let upstream = &stage.gateway.upstream;
    let mut passing = Vec::new();
    let request = |name: &str| own(plain("GET", "/header/x")).and(name, "forged");
    for name in TAKEN_OFF {
        assert_eq!(send(&stage.gateway, &request(name)).status, 200, "{name}");
        assert!(!is_forged(&upstream.last()), "{name} in-line");
    }
    for plane in &stage.planes {
        let mut refused = Vec::new();
        for name in TAKEN_OFF {
            let before = upstream.count();
            let answer = plane.send(&request(name));
            if answer.status == 200 {
                passing.extend(is_forged(&upstream.last()).then(|| format!("{} {name}", plane.kind.name())));
            } else {
                assert_eq!((answer.status, upstream.count()), (400, before), "{} {name}", plane.kind.name());
                refused.push(name);
            }
        }
        println!("{}: of {} names refused {}", plane.kind.name(), TAKEN_OFF.len(), refused.join(" "));
    }
    assert_eq!(passing, Vec::<String>::new());
}

fn is_forged(recorded: &Recorded) -> bool {
    recorded.headers.iter().any(|(_, value)| value.contains("forged"))
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
