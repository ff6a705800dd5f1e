//! What reaches the upstream, and what comes back from it.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Connection, Gateway, Signer, Upstream, wait_for};

const POLICY: &str = r#"
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health"]
    scopes:
      - name: data-read
        services: ["GET,POST,HEAD /data/{account}/**"]
  - name: reports
    base_path: /reports
    upstream: backend
    account: { query: accountId }
    account_when_absent: inject
    forward_authorization: false
    scopes:
      - name: reports-read
        services: ["GET /reports/**"]
"#;

fn token() -> String {
    Signer::shared().token(json!({ "scope": "data-read reports-read", "account_id": "acme", "sub": "someone" }))
}

#[test]
fn the_upstream_gets_the_callers_identity_and_no_copy_from_outside() {
    let gateway = Gateway::start(POLICY);
    let bearer = format!("Bearer {}", token());
    let forged = [
        ("Authorization", bearer.as_str()),
        ("X-Auth-Subject", "root"),
        ("x-auth-client", "root"),
        ("X_Auth_Account", "beta"),
        ("X-Auth_Scopes", "everything"),
        ("X.Auth.Scopes", "everything"),
        ("X-Auth-Scopes", "everything"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=10.0.0.1"),
        ("Client-Cert", ":AAAA:"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/data/beta/x"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Accept", "text/plain"),
    ];
    assert_eq!(gateway.ask("GET", "/data/acme/x", &forged).status, 200);
    let seen = gateway.upstream.last();
    for (name, values) in [
        ("X-Auth-Subject", vec!["someone"]),
        ("X-Auth-Client", vec!["app"]),
        ("X-Auth-Account", vec!["acme"]),
        ("X-Auth-Scopes", vec!["data-read reports-read"]),
        ("X_Auth_Account", vec![]),
        ("X-Auth_Scopes", vec![]),
        ("X.Auth.Scopes", vec![]),
        ("X-Forwarded-For", vec!["127.0.0.1"]),
        ("X-Forwarded-Host", vec!["api.example.com"]),
        ("X-Forwarded-Proto", vec!["http"]),
        ("Forwarded", vec![]),
        ("Client-Cert", vec![]),
        ("X-HTTP-Method-Override", vec![]),
        ("X-Original-URL", vec![]),
        ("X-Hop", vec![]),
        ("Keep-Alive", vec![]),
        ("Proxy-Authorization", vec![]),
        ("Accept", vec!["text/plain"]),
        ("Host", vec!["api.example.com"]),
        ("Authorization", vec![bearer.as_str()]),
    ] {
        assert_eq!(seen.all(name), values, "{name}");
    }
}

#[test]
fn a_public_service_strips_identity_too() {
    let gateway = Gateway::start(POLICY);
    assert_eq!(
        gateway.ask("GET", "/data/health", &[("X-Auth-Subject", "root"), ("X_Auth_Subject", "root")]).status,
        200
    );
    let seen = gateway.upstream.last();
    assert!(seen.all("X-Auth-Subject").is_empty() && seen.all("X_Auth_Subject").is_empty(), "{seen:?}");
}

#[test]
fn what_is_forwarded_is_what_was_judged() {
    let gateway = Gateway::start(POLICY);
    for (asked, forwarded) in [
        ("/data/acme/x?a=%2F&b", "/data/acme/x?a=%2F&b"),
        ("/data/%61cme/%78", "/data/acme/x"),
        ("/data/acme/x/", "/data/acme/x/"),
        ("/data/acme/a%20b", "/data/acme/a%20b"),
        ("/reports/x", "/reports/x?accountId=acme"),
        ("/reports/x?y=1", "/reports/x?y=1&accountId=acme"),
        ("/reports/x?accountId=acme", "/reports/x?accountId=acme"),
    ] {
        assert_eq!(gateway.get(asked, &token()).status, 200, "{asked}");
        assert_eq!(gateway.upstream.last().line, format!("GET {forwarded} HTTP/1.1"));
    }
}

#[test]
fn authorization_goes_through_unless_the_api_says_otherwise() {
    let gateway = Gateway::start(POLICY);
    gateway.get("/reports/x", &token());
    assert!(gateway.upstream.last().all("Authorization").is_empty());
}

#[test]
fn every_request_has_an_id_and_a_trace() {
    let gateway = Gateway::start(POLICY);
    let bearer = format!("Bearer {}", token());
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("Authorization", bearer.as_str()), ("X-Request-Id", "mine-1"), ("traceparent", parent)];
    let response = gateway.ask("GET", "/data/acme/x", &headers);
    let seen = gateway.upstream.last();
    assert_eq!((response.header("x-request-id"), seen.all("x-request-id")), (Some("mine-1"), vec!["mine-1"]));
    assert!(seen.all("traceparent")[0].starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{seen:?}");
    let headers =
        [("Authorization", bearer.as_str()), ("X-Request-Id", "not good, \"at all\""), ("traceparent", "rubbish")];
    let response = gateway.ask("GET", "/data/acme/x", &headers);
    let seen = gateway.upstream.last();
    let made = response.header("x-request-id").unwrap();
    assert!(made.len() >= 16 && seen.all("x-request-id") == [made], "{seen:?}");
    assert!(seen.all("traceparent")[0].len() == 55, "{seen:?}");
}

#[test]
fn bodies_stream_both_ways() {
    let upstream = Upstream::answering(|request| {
        let body = &request.body;
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        answer
    });
    let gateway = Gateway::start_with(POLICY, upstream, |_| {});
    let body = vec![b'x'; 3 << 20];
    let head = format!(
        "POST /data/acme/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        token(),
        body.len()
    );
    let mut connection = Connection::open(gateway.address);
    connection.write(head.as_bytes());
    connection.write(&body);
    let response = connection.read_response().unwrap();
    assert_eq!((response.status, response.body.len()), (200, body.len()));
    let chunked = format!(
        "POST /data/acme/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        token()
    );
    connection.write(chunked.as_bytes());
    assert_eq!(connection.read_response().unwrap().body, b"hello");
}

#[test]
fn a_refusal_with_an_unread_body_never_lets_the_rest_be_a_request() {
    let gateway = Gateway::start(POLICY);
    let smuggled = format!("GET /data/acme/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", token());
    let head = format!("POST /data/acme/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let mut connection = Connection::open(gateway.address);
    connection.write(head.as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 401);
    assert!(connection.read_response().is_none_or(|next| next.status == 400), "the body was answered as a request");
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_keep_alive_connection_serves_one_request_after_another() {
    let gateway = Gateway::start(POLICY);
    let mut connection = Connection::open(gateway.address);
    for (target, status) in [("/data/acme/x", 200), ("/data/beta/x", 403), ("/data/acme/y", 200), ("/nowhere", 404)] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", token());
        connection.write(text.as_bytes());
        assert_eq!(connection.read_response().unwrap().status, status, "{target}");
    }
}

#[test]
fn a_failing_upstream_is_a_problem_and_not_a_hang() {
    let policy = |servers: &str| {
        format!(
            "\nupstreams:\n  backend:\n    servers: [{servers}]\n    connect_timeout: 500ms\n    read_timeout: 300ms\n{POLICY}"
        )
    };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = Upstream::answering(|_| {
        std::thread::sleep(Duration::from_secs(3));
        vec![]
    });
    let breaking = Upstream::answering(|_| vec![]);
    let rubbish = Upstream::answering(|_| b"SSH-2.0-OpenSSH\r\n\r\n".to_vec());
    for (what, address, status, reason) in [
        ("closed", closed, 503, "upstream_unavailable"),
        ("silent", silent.local_addr().unwrap(), 504, "upstream_timeout"),
        ("hanging", hanging.address, 504, "upstream_timeout"),
        ("breaking", breaking.address, 502, "upstream_failed"),
        ("rubbish", rubbish.address, 502, "upstream_failed"),
    ] {
        let gateway = Gateway::start(&policy(&format!("\"{address}\"")));
        let response = gateway.get("/data/acme/x", &token());
        assert_eq!((response.status, response.reason().as_str()), (status, reason), "{what}: {response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{what}");
        assert_eq!(gateway.audit(1)[0]["status"], status, "{what}");
    }
}

#[test]
fn servers_take_turns_and_one_that_is_down_is_passed_over() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = format!(r#""{}", "{closed}", "{}""#, first.address, second.address);
    let gateway = Gateway::start(&format!("\nupstreams:\n  backend:\n    servers: [{servers}]\n{POLICY}"));
    for _ in 0..12 {
        assert_eq!(gateway.get("/data/acme/x", &token()).status, 200);
    }
    assert!(first.count() >= 4 && second.count() >= 4, "{} and {}", first.count(), second.count());
}

#[test]
fn hostile_bytes_are_answered_and_the_process_goes_on() {
    let mut gateway = Gateway::start(POLICY);
    let long = "a".repeat(100_000);
    let many = "X-A: b\r\n".repeat(1_000);
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"GET /data/acme/\xff HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /data/acme/x y HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET http://other/data/health HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /data/health#x HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"GET /data/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
        b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"POST /data/health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_vec(),
        b"GET /data/health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n".to_vec(),
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(),
        format!("GET /data/acme/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {long}\r\n\r\n").into_bytes(),
        format!("GET /data/health HTTP/1.1\r\nHost: a\r\n{many}\r\n").into_bytes(),
    ] {
        let mut connection = Connection::open(gateway.address);
        connection.try_write(&bytes);
        // An answer that refuses, or a closed connection: never one of the upstream's.
        if let Some(response) = connection.read_response() {
            assert!((400..600).contains(&response.status), "{}: {response:?}", bytes.escape_ascii());
        }
    }
    assert_eq!(gateway.upstream.count(), 0);
    assert!(gateway.is_running());
    assert_eq!(gateway.get("/data/acme/x", &token()).status, 200);
}

#[test]
fn the_admin_address_says_what_goes_on() {
    let gateway = Gateway::start(POLICY);
    assert_eq!((gateway.admin("/healthz").status, gateway.admin("/readyz").status), (200, 200));
    let policy = gateway.admin("/policy").json();
    assert_eq!((&policy["generation"], &policy["last_error"]), (&json!(1), &json!(null)));
    assert_eq!(policy["sha256"].as_str().map(str::len), Some(64));
    assert!(policy["source"].as_str().unwrap().ends_with("gateway.yaml"), "{policy}");
    let token = token();
    gateway.get("/data/acme/x", &token);
    gateway.get("/data/acme/x", &token);
    let granted = r#"scopegate_decisions_total{api="data",decision="allow",reason="granted"}"#;
    wait_for("both requests to be counted", || gateway.metric(granted).filter(|count| *count >= 2.0));
    assert_eq!(gateway.metric(r#"scopegate_token_cache_total{result="hit"}"#), Some(1.0));
    for path in ["/", "/admin", "/api/v1/apis"] {
        assert_eq!(gateway.admin(path).status, 404, "{path}");
    }
}

#[test]
fn a_terminated_gateway_ends_by_itself() {
    let mut gateway = Gateway::start(POLICY);
    gateway.signal("TERM");
    wait_for("the process to end", || (!gateway.is_running()).then_some(()));
}
