//! Headers given twice, oddly, or under a name that only looks like another.

use serde_json::json;

use super::queries::alike;
use crate::harness::{Gateway, Signer};

const POLICY: &str = r#"
identity_headers: { subject: X-Auth-Subject, client: X-Auth-Client, account: X-Auth-Account, scopes: X-Auth-Scopes }
apis:
  - name: data
    base_path: /data
    hosts: [api.example.com]
    upstream: backend
    account: [{ path: account }, { header: X-Account-Id }]
    public: ["* /data/health"]
    scopes:
      - name: data-read
        services: ["GET,POST /data/{account}/**"]
      - name: data-su
        accounts: any
        confidential_only: true
        services: ["DELETE /data/{account}/**"]
"#;

fn token(scope: &str) -> String {
    Signer::shared().token(json!({ "scope": scope, "account_id": "acme", "sub": "someone" }))
}

#[test]
fn identity_is_the_gateways_word_under_any_name_that_a_server_could_read() {
    let gateway = Gateway::start(POLICY);
    let token = token("data-read");
    let identity = [
        ("X-Auth-Subject", "someone"),
        ("X-Auth-Client", "app"),
        ("X-Auth-Account", "acme"),
        ("X-Auth-Scopes", "data-read"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "api.example.com"),
    ];
    // RFC 9110 section 5.6.2: every character that a name may have beside letters and digits.
    for character in "-_.!#$%&'*+^`|~".chars() {
        let forge = |name: &str| name.replace('-', &character.to_string());
        let mut head = "GET /data/acme/x HTTP/1.1\r\nHost: api.example.com\r\n".to_owned();
        for (name, _) in identity {
            head += &format!("{}: root\r\n{}: root\r\n", forge(name), forge(name).to_ascii_uppercase());
            // One of its dashes only.
            head += &format!("{}: root\r\n", name.replacen('-', &character.to_string(), 1));
        }
        head += &format!("Authorization: Bearer {token}\r\n\r\n");
        assert_eq!(gateway.send(head.as_bytes()).status, 200);
        let seen = gateway.upstream.last();
        for (name, value) in identity {
            assert_eq!(alike(&seen, name), [value], "{name} with {character}: {seen:?}");
        }
        let public = head.replacen("GET /data/acme/x", "GET /data/health", 1);
        assert_eq!(gateway.send(public.as_bytes()).status, 200);
        let seen = gateway.upstream.last();
        for (name, _) in &identity[..4] {
            assert_eq!(alike(&seen, name), [""; 0], "{name} with {character}: {seen:?}");
        }
    }
}

/// The head's lines after `Host`, for a request that would pass without them.
const REFUSED: &[&str] = &[
    // Given twice.
    "Authorization: Bearer {token}",
    "authorization: Bearer {token}",
    "Authorization: Basic YTpi",
    "Authorization:",
    "Host: api.example.com",
    "host: other.example",
    "Host:",
    "X-Account-Id: acme\r\nX-Account-Id: acme",
    "X-Account-Id: acme, acme",
    "DPoP: a\r\nDPoP: a",
    "Content-Length: 0\r\nContent-Length: 0",
    "Content-Length: 0, 0",
    "Content-Length: 0\r\nContent-Length: 5",
    // Names and lines that are not what they seem.
    "X: a\r\n Authorization: Bearer x",
    "X: a\r\n\tb",
    " X: a",
    "\tX: a",
    "X : a",
    "X\t: a",
    "X\0: a",
    "X\r: a",
    "X\x0b: a",
    ": a",
    "X",
    "X\\: a",
    "X(y): a",
    "X\u{ff0d}Auth: a",
    "X: a\rY: b",
    "X: a\0b",
    "X: a\x01b",
    "X: a\x7fb",
    "X: a\nY: b",
    // Lengths that are none, and codings that are not `chunked`.
    "Content-Length: -1",
    "Content-Length: +0",
    "Content-Length: 0x0",
    "Content-Length: 0 0",
    "Content-Length: \"0\"",
    "Content-Length: 0;a",
    "Content-Length:",
    "Content-Length: 18446744073709551616",
    "Content-Length: 99999999999999999999999999",
    "Content-Length : 0",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: chun\u{212a}ed",
    "Transfer-Encoding:",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    // What `Connection` would take off although it is needed.
    "Connection: Authorization",
    "Connection: close, authorization",
    "Connection: keep-alive\r\nConnection: Host",
    "Connection: host",
    "Connection: X-Account-Id",
    "Connection: x-forwarded-for",
    "Connection: X-Forwarded-Proto",
    "Connection: client-cert",
    "Connection: dpop",
    "Connection: Origin",
    "Connection: Sec-Fetch-Mode",
    "Connection: Content-Length",
    "Connection: :authority",
    "Connection: \"Authorization\"",
    "Connection: Authorization;x",
    "Connection: a, b, c, d, e, f, g, h, i, j",
    "Connection: a b",
    // Expectations.
    "Expect: 200-ok",
    "Expect: y 100-continue",
    "Expect: 100-continue, 100-continue",
    "Expect:",
    "Expect: 100-continue\r\nExpect: 100-continue",
];

#[test]
fn odd_heads_are_refused_and_reach_nobody() {
    println!("{} heads", 3 * REFUSED.len());
    let gateway = Gateway::start(POLICY);
    let token = token("data-read");
    for lines in REFUSED {
        let lines = lines.replace("{token}", &token);
        // The odd lines before the good ones, and after them.
        for head in [
            format!("Host: api.example.com\r\n{lines}\r\nAuthorization: Bearer {token}\r\n\r\n"),
            format!("Host: api.example.com\r\nAuthorization: Bearer {token}\r\n{lines}\r\n\r\n"),
        ] {
            let request = format!("POST /data/acme/x HTTP/1.1\r\n{head}0\r\n\r\n");
            assert_eq!(gateway.send(request.as_bytes()).status, 400, "{}", lines.escape_default());
        }
        let public = format!("POST /data/health HTTP/1.1\r\nHost: api.example.com\r\n{lines}\r\n\r\n0\r\n\r\n");
        // One is not given twice there.
        if !lines.starts_with("Authorization") && !lines.starts_with("authorization") {
            assert_eq!(gateway.send(public.as_bytes()).status, 400, "{}", lines.escape_default());
        }
    }
    assert_eq!(gateway.upstream.count(), 0, "{:?}", gateway.upstream.seen());
}

#[test]
fn a_host_that_servers_read_differently_is_refused() {
    let gateway = Gateway::start(POLICY);
    for host in [
        "",
        "api.example.com@other",
        "user@api.example.com",
        "api.example.com:80:80",
        "api.example.com:x",
        "api.example.com/x",
        "api.example.com\\x",
        "api.example.com?x",
        "api.example.com#x",
        "api.example.com, other",
        "api example",
        "api%2eexample.com",
        "[::1",
        "[api.example.com]",
        "api.example.com:123456",
        "\u{ff41}pi.example.com",
        "api.example.com\0",
        "http://api.example.com",
        "api.example.com\tx",
    ] {
        let request = format!("GET /data/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(gateway.send(request.as_bytes()).status, 400, "{host:?}");
    }
    assert_eq!(gateway.send(b"GET /data/health HTTP/1.1\r\n\r\n").status, 400);
    // Hosts of no api.
    for host in ["other.example", "api.example.com.", "127.0.0.1", "xapi.example.com", "api.example.com.other"] {
        let request = format!("GET /data/health HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_ne!(gateway.send(request.as_bytes()).status, 200, "{host:?}");
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_browser_is_one_however_it_hides() {
    let gateway = Gateway::start(POLICY);
    let authorization = format!("Bearer {}", token("data-su"));
    for (name, value) in [("Origin", "null"), ("origin", ""), ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "")] {
        let response = gateway.ask("DELETE", "/data/beta/x", &[("Authorization", &authorization), (name, value)]);
        assert_eq!(response.reason(), "client_type_rejected", "{name}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    assert_eq!(gateway.ask("DELETE", "/data/beta/x", &[("Authorization", &authorization)]).status, 200);
}
