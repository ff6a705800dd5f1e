//! Servers that have TLS or speak HTTP/2: what reaches them, what comes back, and over which connections.

use std::fs;
use std::path::Path;

use http::HeaderMap;
use serde_json::json;

use crate::harness::{Connection, Gateway, Recorded, Signer, Upstream};
use crate::http2_client::{Http2, head, read};
use crate::secured_servers::{Server, tls};
use ::harness::authority::Authority;

const POLICY: &str = r#"
identity_headers: { subject: X-Auth-Subject, account: X-Auth-Account }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { header: X-Account }
    account_when_absent: inject
    scopes: [{ name: read, services: ["* /data/**"] }]
"#;

/// A gateway before that server, whose entry has these keys besides.
pub(crate) fn before(server: &Server, keys: &str, listener: &str, prepare: impl Fn(&Path)) -> Gateway {
    Gateway::start_listening(listener, &policy(server, keys), Upstream::start(), prepare)
}

pub(crate) fn policy(server: &Server, keys: &str) -> String {
    format!("\nupstreams: {{ backend: {{ servers: [\"localhost:{}\"], {keys} }} }}\n{POLICY}", server.address.port())
}

pub(crate) fn bearer() -> String {
    format!("Bearer {}", Signer::shared().token(json!({ "scope": "read", "account_id": "acme", "sub": "someone" })))
}

fn ca(authority: &Authority) -> impl Fn(&Path) {
    move |folder| fs::write(folder.join("ca.pem"), &authority.pem).unwrap()
}

/// All four ways to a server, each with a gateway before it.
fn each(check: impl Fn(&str, &Gateway, &Server)) {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["localhost"]);
    let trusting = "connect_timeout: 5s, tls: { ca_file: ca.pem }";
    for (name, server, keys) in [
        ("TLS", Server::http1(tls(&certificate, None, &["http/1.1"])), trusting.to_owned()),
        ("TLS without ALPN", Server::http1(tls(&certificate, None, &[])), trusting.to_owned()),
        ("HTTP/2 over TLS", Server::http2(Some(tls(&certificate, None, &["h2"]))), format!("{trusting}, http2: true")),
        ("HTTP/2", Server::http2(None), "http2: true".to_owned()),
    ] {
        check(name, &before(&server, &keys, "http2: true", ca(&authority)), &server);
    }
}

#[test]
fn a_server_gets_what_was_judged_and_who_asks() {
    each(|way, gateway, server| {
        let bearer = bearer();
        let forged = [
            ("Authorization", bearer.as_str()),
            ("X-Auth-Subject", "root"),
            ("X_Auth_Account", "other"),
            ("X_Account", "other"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers, gzip"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
            ("Proxy-Authorization", "Basic eDp5"),
            ("Upgrade", "h2c"),
            ("X_Mine", "kept"),
        ];
        let response = gateway.ask("GET", "/data/%61?b=c", &forged);
        assert_eq!((response.status, response.body.as_slice()), (200, &b"/data/a?b=c"[..]), "{way}: {response:?}");
        assert!(response.header("x-request-id").is_some(), "{way}");
        let seen = server.last();
        for (name, values) in [
            ("X-Auth-Subject", vec!["someone"]),
            ("X-Auth-Account", vec!["acme"]),
            ("X-Account", vec!["acme"]),
            ("X_Auth_Account", vec![]),
            ("X_Account", vec![]),
            ("X-Hop", vec![]),
            ("Connection", vec![]),
            ("Keep-Alive", vec![]),
            ("TE", vec![]),
            ("HTTP2-Settings", vec![]),
            ("Proxy-Authorization", vec![]),
            ("Upgrade", vec![]),
            ("X_Mine", vec!["kept"]),
            ("X-Forwarded-For", vec!["127.0.0.1"]),
            ("X-Forwarded-Host", vec!["api.example.com"]),
            ("Authorization", vec![bearer.as_str()]),
        ] {
            assert_eq!(seen.all(name), values, "{way}: {name}");
        }
        assert_eq!(asked(&seen), ("GET", "api.example.com", "/data/a?b=c"), "{way}: {seen:?}");
    });
}

/// Method, host and target of a request over either version.
fn asked(seen: &Recorded) -> (&str, &str, &str) {
    let mut parts = seen.line.split(' ');
    let (method, target) = (parts.next().unwrap(), parts.next().unwrap());
    match target.split_once("://") {
        None => (method, seen.all("Host")[0], target),
        Some((_, rest)) => {
            assert!(seen.all("Host").is_empty(), "{seen:?}");
            let slash = rest.find('/').unwrap();
            (method, &rest[..slash], &rest[slash..])
        }
    }
}

#[test]
fn over_tls_the_scheme_is_https() {
    each(|way, gateway, server| {
        gateway.ask("GET", "/data/x", &[("Authorization", &bearer())]);
        let line = server.last().line;
        match way {
            "HTTP/2" => assert!(line.contains(" http://"), "{line}"),
            "HTTP/2 over TLS" => assert!(line.contains(" https://"), "{line}"),
            _ => assert_eq!(line, "GET /data/x HTTP/1.1"),
        }
    });
}

#[test]
fn a_body_reaches_the_server_whole_however_it_comes() {
    each(|way, gateway, server| {
        let bearer = bearer();
        let long = "x".repeat(300_000);
        for (framing, body, sent) in [
            ("Content-Length: 5", "hello".to_owned(), "hello"),
            ("Content-Length: 300000", long.clone(), &long),
            ("Transfer-Encoding: chunked", format!("5\r\nhello\r\n{:x}\r\n{long}\r\n0\r\n\r\n", long.len()), ""),
            ("Content-Length: 0", String::new(), ""),
        ] {
            let text = format!(
                "POST /data/x HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {bearer}\r\n{framing}\r\n\r\n{body}"
            );
            assert_eq!(gateway.send(text.as_bytes()).status, 200, "{way}: {framing}");
            let seen = server.last();
            if framing.starts_with("Transfer") {
                let length: usize = if seen.body.len() == 5 + long.len() {
                    seen.body.len()
                } else {
                    // As text in chunks, of which the tests' server makes nothing.
                    seen.body.iter().filter(|byte| b"hellox".contains(byte)).count()
                };
                assert_eq!(length, 5 + long.len(), "{way}");
            } else {
                assert_eq!(seen.body.len(), sent.len(), "{way}: {framing}");
            }
        }
    });
}

#[test]
fn connections_are_used_again_and_not_more_often_than_they_may() {
    each(|way, gateway, server| {
        let bearer = bearer();
        let mut client = Connection::open(gateway.address);
        for round in 0..10 {
            let (method, body) = if round % 2 == 0 { ("GET", "") } else { ("POST", "body") };
            let text = format!(
                "{method} /data/x HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {bearer}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write(text.as_bytes());
            assert_eq!(client.read_response().unwrap().status, 200, "{way}");
        }
        assert_eq!(server.connections(), 1, "{way}");
        if !way.starts_with("HTTP/2") {
            for _ in 0..3 {
                assert_eq!(gateway.ask("GET", "/data/last", &[("Authorization", &bearer)]).status, 200, "{way}");
            }
            assert_eq!(server.connections(), 3, "{way}");
        }
    });
}

#[test]
fn an_answer_of_any_length_comes_back_over_both_versions() {
    each(|way, gateway, _| {
        let bearer = bearer();
        let headers = [("Authorization", bearer.as_str())];
        let mut client = Http2::plain(gateway.address);
        let acts: &[(&str, u16, usize)] = match way {
            "HTTP/2" | "HTTP/2 over TLS" => &[("large", 200, 64 * 64 * 1024), ("empty", 204, 0), ("x", 200, 7)],
            _ => &[("chunks", 200, 6), ("x", 200, 7), ("last", 200, 4)],
        };
        for (act, status, length) in acts {
            for response in [
                gateway.ask("GET", &format!("/data/{act}"), &headers),
                client.get(&format!("/data/{act}"), &headers),
                gateway.ask("GET", &format!("/data/{act}"), &headers),
            ] {
                assert_eq!((response.status, response.body.len()), (*status, *length), "{way}: {act}");
                assert!(response.header("te").is_none() && response.header("keep-alive").is_none(), "{way}: {act}");
            }
        }
    });
}

#[test]
fn trailers_reach_clients_of_http2_without_what_counts_in_a_head_only() {
    let server = Server::http2(None);
    let gateway = before(&server, "http2: true", "http2: true", |_| {});
    let bearer = bearer();
    let client = Http2::plain(gateway.address);
    let ask = |act: &'static str, te: &'static str| {
        let headers = [("authorization", bearer.as_str()), ("te", te), ("content-type", "application/grpc")];
        client.with(|sender| async {
            let mut sender = sender.ready().await.unwrap();
            let (answer, _) = sender.send_request(head("POST", act, &headers), true).unwrap();
            let (parts, mut body) = answer.await.unwrap().into_parts();
            let has_ended = body.is_end_stream();
            while let Some(piece) = body.data().await {
                body.flow_control().release_capacity(piece.unwrap().len()).unwrap();
            }
            (parts, has_ended, body.trailers().await.unwrap().unwrap_or_default())
        })
    };
    let (_, _, trailers) = ask("/data/trailers", "trailers");
    let expected: HeaderMap = [("grpc-status", "0"), ("x_mine", "kept")]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    assert_eq!(trailers, expected);
    assert_eq!(server.last().all("te"), ["trailers"]);
    // All in one head, with which the stream ends: what gRPC calls Trailers-Only.
    let (parts, has_ended, _) = ask("/data/trailers-only", "trailers");
    assert!(has_ended && parts.headers["grpc-status"] == "7", "{parts:?}");
    // Clients of HTTP/1.1 get the body.
    let response = gateway.ask("GET", "/data/trailers", &[("Authorization", &bearer)]);
    assert_eq!((response.status, response.body.as_slice()), (200, &b"body"[..]));
    assert!(server.last().all("te").is_empty());
}

#[test]
fn both_directions_of_a_stream_move_at_once() {
    let server = Server::http2(None);
    let gateway = before(&server, "http2: true", "http2: true", |_| {});
    let bearer = bearer();
    let client = Http2::plain(gateway.address);
    client.with(|sender| async move {
        let mut sender = sender.ready().await.unwrap();
        let headers = [("authorization", bearer.as_str())];
        let (answer, mut send) = sender.send_request(head("POST", "/data/echo", &headers), false).unwrap();
        let (_, mut body) = answer.await.unwrap().into_parts();
        for round in 0..20_usize {
            let piece = vec![b'a'; 1 + round * 97];
            send.send_data(piece.clone().into(), false).unwrap();
            let mut echoed = Vec::new();
            while echoed.len() < piece.len() {
                let bytes = body.data().await.unwrap().unwrap();
                body.flow_control().release_capacity(bytes.len()).unwrap();
                echoed.extend_from_slice(&bytes);
            }
            assert_eq!(echoed, piece);
        }
        send.send_data(bytes::Bytes::new(), true).unwrap();
        assert!(body.data().await.is_none_or(|last| last.unwrap().is_empty()));
    });
}

#[test]
fn a_server_that_answers_before_it_has_read_is_told_on() {
    let server = Server::http2(None);
    let gateway = before(&server, "http2: true", "http2: true", |_| {});
    let bearer = bearer();
    let body = "x".repeat(100_000);
    let text = format!(
        "POST /data/early HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {bearer}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(gateway.send(text.as_bytes()).status, 413);
    let mut client = Http2::plain(gateway.address);
    let asked = head("POST", "/data/early", &[("authorization", &bearer)]);
    assert_eq!(client.send(asked, Some(body.as_bytes()), None).unwrap().status, 413);
}

#[test]
fn a_websocket_passes_over_tls_and_not_over_http2() {
    each(|way, gateway, server| {
        let mut client = Connection::open(gateway.address);
        let upgrade = format!(
            "GET /data/ws HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            bearer()
        );
        client.write(upgrade.as_bytes());
        if way.starts_with("HTTP/2") {
            let response = client.read_response().unwrap();
            assert_eq!((response.status, &*response.reason()), (501, "upgrade_impossible"), "{way}");
            assert_eq!(server.count(), 0, "{way}");
            let line = &gateway.audit(1)[0];
            assert_eq!((&line["status"], &line["upstream_error"]), (&501.into(), &"upgrade_impossible".into()));
            return;
        }
        assert_eq!(client.read_head().as_deref(), Some("HTTP/1.1 101 x"), "{way}");
        for piece in ["first", "second"] {
            client.write(piece.as_bytes());
            assert_eq!(client.read_bytes(piece.len()), piece.as_bytes(), "{way}");
        }
    });
}

#[test]
fn an_expectation_is_the_server_s_to_meet() {
    let server = Server::http2(None);
    let gateway = before(&server, "http2: true", "", |_| {});
    let mut client = Connection::open(gateway.address);
    let head = format!(
        "POST /data/x HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        bearer()
    );
    client.write(head.as_bytes());
    // The server does not wait for it, and the client not for ever.
    client.write(b"body");
    assert_eq!(client.read_response().unwrap().status, 200);
    assert_eq!((server.last().all("expect"), server.last().body), (vec!["100-continue"], b"body".to_vec()));
}

#[test]
fn many_requests_share_few_connections() {
    let server = Server::http2(None);
    let gateway = before(&server, "http2: true", "http2: true", |_| {});
    let bearer = bearer();
    let client = Http2::plain(gateway.address);
    client.with(|sender| async move {
        let asked: Vec<_> = (0..60)
            .map(|_| {
                let (mut sender, bearer) = (sender.clone(), bearer.clone());
                tokio::spawn(async move {
                    let headers = [("authorization", bearer.as_str())];
                    let (answer, _) = sender.send_request(head("GET", "/data/x", &headers), true).unwrap();
                    read(answer).await.unwrap().status
                })
            })
            .collect();
        for answer in asked {
            assert_eq!(answer.await.unwrap(), 200);
        }
    });
    assert_eq!((server.count(), server.connections()), (60, 1));
}
