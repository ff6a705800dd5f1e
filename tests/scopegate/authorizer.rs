//! Authorizers, asked as the documents of each data plane have it: the decision is that of the same request
//! in-line, and one audit line is about it.
//!
//! Real nginx, Envoy, Caddy and Traefik are `make test-authorizer`'s.

mod applied;
mod bound;
mod refused;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use scopegate::policy::Reason;
use serde_json::json;

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
