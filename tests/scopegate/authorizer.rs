//! Authorizers, asked as the documents of each data plane have it: the decision is that of the same request
//! in-line, and who may not ask learns nothing.
//!
//! Real nginx, Envoy, Caddy and Traefik are `make test-authorizer`'s.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use scopegate::policy::Reason;
use serde_json::{Value, json};

use crate::attacks_tokens::proofs::{self, Holder};
use crate::harness::{Connection, Gateway, Response, Upstream, free_address, wait_for};
use crate::reasons::{self, Request, get, plain, token};

/// A gateway with a listener of its own and an authorizer, both with the policy of every reason.
struct Asked {
    gateway: Gateway,
    authorizer: SocketAddr,
    plane: &'static str,
}

/// The keys of one listener, after which another is an authorizer.
pub(crate) fn listener(authorizer: SocketAddr, authorize: &str) -> String {
    format!("}}\n  - {{ address: \"{authorizer}\", authorize: {{ {authorize} }}")
}

impl Asked {
    fn start(plane: &'static str, keys: &str, more: &str) -> Self {
        let authorizer = free_address();
        let keys = format!("as: {plane}, peers: [127.0.0.1]{keys}");
        let gateway = reasons::start_with(&listener(authorizer, &keys), more);
        Self { gateway, authorizer, plane }
    }

    fn send(&self, text: &str) -> Response {
        let mut connection = Connection::over(crate::harness::connect(self.authorizer));
        connection.write(text.as_bytes());
        connection.read_response().expect("an answer")
    }

    /// What the plane would ask about a request.
    fn ask(&self, request: &Request) -> Response {
        self.send(&question(self.plane, request, "api.example.com"))
    }
}

/// The question about a request, with the headers that each plane's documents name.
fn question(plane: &str, request: &Request, host: &str) -> String {
    let Request { method, target, headers } = request;
    let (line, told) = match plane {
        "nginx" => (
            "GET /_scopegate HTTP/1.1\r\nHost: scopegate\r\n".to_owned(),
            format!(
                "X-Original-Method: {method}\r\nX-Original-URI: {target}\r\nX-Original-Host: {host}\r\n\
                 X-Original-Proto: http\r\n"
            ),
        ),
        "traefik" | "caddy" => (
            "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n".to_owned(),
            format!(
                "X-Forwarded-Method: {method}\r\nX-Forwarded-Uri: {target}\r\nX-Forwarded-Host: {host}\r\n\
                 X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.7\r\n"
            ),
        ),
        _ => (
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n"),
            "X-Forwarded-Proto: http\r\nContent-Length: 0\r\n".to_owned(),
        ),
    };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line}{headers}{told}\r\n")
}

/// An answer as the plane's client gets it.
fn passed_on(plane: &str, mut response: Response) -> Response {
    if let Some(status) = response.header("x-scopegate-status") {
        response.status = status.parse().unwrap();
    }
    if plane == "nginx" {
        response.body = response.header("x-scopegate-problem").unwrap_or_default().as_bytes().to_vec();
    }
    response
}

#[test]
fn each_reason_is_answered_as_in_line_whoever_asks() {
    for plane in ["nginx", "traefik", "caddy", "envoy_http"] {
        let asked = Asked::start(plane, "", "");
        for case in reasons::cases() {
            let answer = asked.ask(&case.request);
            assert!(answer.status >= 400 && (plane != "envoy_http" || answer.status < 500), "{plane}: {answer:?}");
            reasons::check(&case, &passed_on(plane, answer));
        }
        assert_eq!(asked.gateway.upstream.count(), 0);
    }
}

#[test]
fn a_question_is_one_audit_line_of_the_request_that_it_is_about() {
    let asked = Asked::start("nginx", "", "");
    let good = get("/data/acme/packets?view=full", token(json!({ "scope": "data-read", "account_id": "acme" })));
    assert_eq!(asked.ask(&good).status, 200);
    assert_eq!(asked.ask(&plain("PUT", "/data/acme/x")).status, 401);
    let lines = asked.gateway.audit(2);
    assert_eq!(lines.len(), 2);
    let of = |reason: &str| lines.iter().find(|line| line["reason"] == reason).unwrap_or_else(|| panic!("{lines:?}"));
    let granted = of("granted");
    let members = ["method", "path", "host", "status", "account", "client", "granted_by"];
    let seen: Vec<_> = members.iter().map(|member| &granted[member]).collect();
    let expected = [
        json!("GET"),
        json!("/data/acme/packets"),
        json!("api.example.com"),
        json!(200),
        json!("acme"),
        json!("app"),
        json!("data-read"),
    ];
    assert_eq!(seen, expected.iter().collect::<Vec<_>>());
    let missing = of("token_missing");
    assert_eq!((&missing["method"], &missing["status"]), (&json!("PUT"), &json!(401)));
    for line in &lines {
        assert_eq!(line["asked_by"], json!({ "as": "nginx", "peer": "127.0.0.1" }));
    }
    let series = r#"scopegate_decisions_total{api="data",decision="allow",reason="granted"}"#;
    assert_eq!(asked.gateway.metric(series), Some(1.0));
}

#[test]
fn who_may_not_ask_is_refused_counted_and_recorded_as_such() {
    for plane in ["nginx", "traefik", "caddy", "envoy_http", "envoy_grpc"] {
        let authorizer = free_address();
        let keys = format!("as: {plane}, peers: [192.0.2.0/24, \"2001:db8::1\"]");
        let asked = Asked { gateway: reasons::start(&listener(authorizer, &keys)), authorizer, plane };
        let good = get("/data/acme/x", token(json!({ "scope": "data-read", "account_id": "acme" })));
        let answer = passed_on(plane, asked.ask(&good));
        assert_eq!((answer.status, &*answer.reason()), (403, "question_rejected"), "{plane}");
        let line = asked.gateway.audit(1).remove(0);
        assert_eq!((&line["reason"], &line["decision"]), (&json!("question_rejected"), &json!("deny")));
        assert_eq!(line["asked_by"], json!({ "as": plane, "peer": "127.0.0.1" }));
        assert_eq!(line["client"], Value::Null);
        assert_eq!(asked.gateway.metric("scopegate_authorizer_peers_refused_total"), Some(1.0));
    }
}

#[test]
fn a_question_that_is_not_whole_is_refused() {
    let good = get("/data/acme/x", token(json!({ "scope": "data-read", "account_id": "acme" })));
    for (plane, names) in [
        ("nginx", &["X-Original-Method", "X-Original-URI", "X-Original-Host", "X-Original-Proto"][..]),
        ("traefik", &["X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Proto"]),
        ("envoy_http", &["X-Forwarded-Proto"]),
    ] {
        let asked = Asked::start(plane, "", "");
        let whole = question(plane, &good, "api.example.com");
        assert_eq!(asked.send(&whole).status, 200);
        for name in names {
            let line = whole.lines().find(|line| line.starts_with(name)).unwrap();
            let line = format!("{line}\r\n");
            let value = line.split_once(": ").unwrap().1;
            let spoofed = format!("{name}: /data/beta/x\r\n");
            for (what, text) in [
                ("missing", whole.replace(&line, "")),
                ("empty", whole.replace(value, "\r\n")),
                ("twice", whole.replace(&line, &format!("{line}{line}"))),
                ("spoofed", whole.replace(&line, &format!("{spoofed}{line}"))),
            ] {
                // Of a host that another would do as well.
                if what == "empty" && whole.matches(value).count() > 1 {
                    continue;
                }
                let answer = passed_on(plane, asked.send(&text));
                assert_eq!((answer.status, &*answer.reason()), (400, "question_rejected"), "{plane} {name} {what}");
            }
        }
    }
}

#[test]
fn what_the_gateway_would_take_off_must_not_be_forwarded_by_others() {
    let own = || json!({ "scope": "data-read", "account_id": "acme" });
    let more = "identity_headers: { subject: X-Auth-Subject }\n";
    for (plane, refused) in [("nginx", true), ("traefik", true), ("caddy", true), ("envoy_http", false)] {
        let asked = Asked::start(plane, "", more);
        for name in [
            "X-Auth-Subject",
            "X_Auth_Subject",
            "X-HTTP-Method-Override",
            "X-Rewrite-URL",
            "Remote-User",
            "Client-Cert",
        ] {
            let request = get("/data/acme/x", token(own())).and(name, "1");
            let answer = passed_on(plane, asked.ask(&request));
            if refused {
                assert_eq!((answer.status, &*answer.reason()), (400, "header_ambiguous"), "{plane} {name}");
            } else {
                let removed = answer.header("x-envoy-auth-headers-to-remove").unwrap();
                let is_listed = removed.split(',').any(|one| one.eq_ignore_ascii_case(name));
                assert!(answer.status == 200 && (is_listed || answer.header(name).is_some()), "{name}: {removed}");
            }
        }
    }
}

#[test]
fn what_another_plane_writes_itself_is_its_client_s_word_here() {
    let own = || json!({ "scope": "data-read", "account_id": "acme" });
    for (plane, written) in [
        ("nginx", &["X-Forwarded-For"][..]),
        ("traefik", &["X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-IP"]),
        ("caddy", &["X-Forwarded-For"]),
        ("envoy_http", &["X-Forwarded-For", "X-Envoy-External-Address"]),
    ] {
        let asked = Asked::start(plane, "", "");
        for name in [
            "X-Forwarded-For",
            "X-Forwarded-Port",
            "X-Forwarded-Server",
            "X-Forwarded-Prefix",
            "X-Forwarded-Ssl",
            "X-Real-IP",
            "X-Envoy-External-Address",
            "Forwarded",
        ] {
            let answer = asked.ask(&get("/data/acme/x", token(own())).and(name, "192.0.2.1"));
            let removed = answer.header("x-envoy-auth-headers-to-remove").unwrap_or_default();
            let is_removed = removed.split(',').any(|one| one.eq_ignore_ascii_case(name));
            let passes = answer.status == 200 && !is_removed;
            assert_eq!(passes, written.contains(&name), "{plane} {name}: {answer:?}");
        }
    }
}

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

#[test]
fn a_request_for_a_token_is_not_answered_for_others() {
    let asked = Asked::start("nginx", "", "");
    let answer = passed_on("nginx", asked.ask(&plain("POST", "/oauth/token")));
    assert_eq!((answer.status, &answer.json()["error"]), (400, &json!("invalid_request")));
    assert_eq!(asked.gateway.audit(1)[0]["reason"], Reason::FormRejected.as_str());
}

#[test]
fn a_public_service_needs_no_token_and_names_nobody() {
    let more = "identity_headers: { subject: X-Auth-Subject }\n";
    let asked = Asked::start("envoy_http", "", more);
    let answer = asked.ask(&plain("GET", "/data/health"));
    assert_eq!((answer.status, answer.header("x-auth-subject")), (200, None));
    assert_eq!(answer.header("x-envoy-auth-headers-to-remove"), Some("x-auth-subject"));
}

/// A gateway whose upstream has as many requests under way as it may have, with what ends that.
pub(crate) fn busy(listeners: &str) -> (Gateway, [TcpStream; 2]) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("{{ servers: [\"{}\"], max_requests: 1 }}", server.local_addr().unwrap());
    let apis = "[{ name: data, base_path: /data, upstream: backend, public: [\"* /data/**\"] }]";
    let policy = format!("\nupstreams: {{ backend: {upstream} }}\napis: {apis}\n");
    let gateway = Gateway::start_listening(listeners, &policy, Upstream::start(), |_| {});
    let mut client = crate::harness::connect(gateway.address);
    client.write_all(b"GET /data/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n").unwrap();
    let (held, _) = server.accept().unwrap();
    (gateway, [client, held])
}

#[test]
fn a_question_is_shed_as_a_request_is_where_the_upstream_has_as_many_as_it_may() {
    let planes = ["nginx", "traefik", "caddy", "envoy_http"].map(|plane| (plane, free_address()));
    let keys = |plane| format!("as: {plane}, peers: [127.0.0.1]");
    let listeners: String = planes.iter().map(|(plane, address)| listener(*address, &keys(plane))).collect();
    let (gateway, under_way) = busy(&listeners);
    let ask = |plane: &str, address| {
        let mut connection = Connection::over(crate::harness::connect(address));
        let request = plain("GET", "/data/y");
        connection.write(question(plane, &request, "api.example.com").as_bytes());
        passed_on(plane, connection.read_response().expect("an answer"))
    };
    for (plane, address) in planes {
        let answer = ask(plane, address);
        assert_eq!((answer.status, &*answer.reason()), (503, "overloaded"), "{plane}");
        assert_eq!(answer.header("retry-after"), Some("1"), "{plane}");
    }
    let shed = r#"scopegate_upstream_requests_shed_total{upstream="backend"}"#;
    assert_eq!(gateway.metric(shed), Some(4.0));
    let lines = gateway.audit(4);
    assert!(lines.iter().all(|line| line["reason"] == "overloaded" && line["asked_by"] != json!(null)), "{lines:?}");
    drop(under_way);
    for (plane, address) in planes {
        wait_for(plane, || (ask(plane, address).status == 200).then_some(()));
    }
    // None is under way once it is answered.
    let carried = r#"scopegate_upstream_requests{upstream="backend"}"#;
    wait_for("none to be under way", || (gateway.metric(carried) == Some(0.0)).then_some(()));
}

#[test]
fn an_authorizer_forwards_nothing_and_serves_nothing_else() {
    let asked = Asked::start("envoy_http", "", "");
    let own = || json!({ "scope": "data-read", "account_id": "acme" });
    let metadata = asked.ask(&get("/.well-known/oauth-protected-resource", token(own())));
    assert_eq!((metadata.status, &*metadata.reason()), (404, "route_unknown"));
    assert_eq!(asked.gateway.ask("GET", "/.well-known/oauth-protected-resource", &[]).status, 200);
    let answer = asked.ask(&get("/data/acme/x", token(own())));
    assert_eq!((answer.status, answer.body.len(), asked.gateway.upstream.count()), (200, 0, 0));
}

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
