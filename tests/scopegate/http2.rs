//! HTTP/2: what is judged and forwarded of it is what would be of HTTP/1, and no more.

mod streams;

use std::thread;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::harness::{Connection, Gateway, PATIENCE, Signer, Upstream};
use crate::http2_client::{HEADERS, Http2, RST_STREAM, head, send_fields};
use crate::reasons;
use ::harness::authority::Authority;

const POLICY: &str = r#"
identity_headers: { subject: X-Auth-Subject }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET,POST,HEAD /data/open/**"]
    scopes:
      - name: data-read
        services: ["GET /data/{account}/**"]
"#;

fn start() -> Gateway {
    start_with(Upstream::start())
}

fn start_with(upstream: Upstream) -> Gateway {
    Gateway::start_listening("http2: true", POLICY, upstream, |_| {})
}

#[test]
fn every_reason_is_got_over_http2_as_over_http1() {
    let gateway = reasons::start("http2: true");
    let mut http2 = Http2::plain(gateway.address);
    for case in reasons::cases() {
        let request = &case.request;
        let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        reasons::check(&case, &http2.ask(request.method, request.target, &headers));
    }
    assert_eq!(gateway.upstream.count(), 0, "a refused request was forwarded");
}

#[test]
fn a_client_of_either_version_is_served_where_http2_is_spoken() {
    let root = Authority::new("root");
    let tls = "http2: true, tls: { certificate: server.pem, key: server.key }";
    let gateway = Gateway::start_listening(tls, POLICY, Upstream::start(), |folder| {
        root.issue("server", &["api.example.com"]).write(folder);
    });
    let plain = start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let certificate = reqwest::Certificate::from_pem(root.pem.as_bytes()).unwrap();
    let builder = || reqwest::Client::builder().timeout(PATIENCE).tls_certs_only([certificate.clone()]);
    for (client, scheme, address, version) in [
        (builder(), "https", gateway.address, http::Version::HTTP_2),
        (builder().http1_only(), "https", gateway.address, http::Version::HTTP_11),
        (builder().http2_prior_knowledge(), "http", plain.address, http::Version::HTTP_2),
        (builder(), "http", plain.address, http::Version::HTTP_11),
    ] {
        let client = client.resolve("api.example.com", address).no_proxy().build().unwrap();
        let url = format!("{scheme}://api.example.com:{}/data/open/x", address.port());
        runtime.block_on(async {
            let response = client.get(url).send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, version), "{scheme}");
            assert_eq!(response.text().await.unwrap(), r#"{"upstream":true}"#);
        });
    }
    assert_eq!(gateway.upstream.last().all("X-Forwarded-Proto"), ["https"]);
    assert_eq!(plain.upstream.last().all("X-Forwarded-Proto"), ["http"]);
}

#[test]
fn short_and_slow_requests_of_http1_are_told_from_http2() {
    let gateway = start();
    let mut connection = Connection::open(gateway.address);
    // Shorter than what HTTP/2 begins with.
    connection.write(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(connection.read_response().unwrap().status, 400);
    let mut connection = Connection::open(gateway.address);
    for piece in ["P", "OST /data/open/x HTTP", "/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"] {
        connection.write(piece.as_bytes());
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(connection.read_response().unwrap().status, 200);
    assert_eq!(gateway.upstream.last().body, b"hi");
    let without = Gateway::start(POLICY);
    let types = send_fields(without.address, &fields("GET", "/data/open/x", &[(":authority", "a")]));
    assert!(!types.contains(&HEADERS), "{types:?}");
    assert_eq!(without.upstream.count(), 0);
}

#[test]
fn what_reaches_the_upstream_is_what_http1_would_have_sent() {
    let gateway = start();
    let mut http2 = Http2::plain(gateway.address);
    let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme", "sub": "someone" }));
    let authorization = format!("Bearer {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-auth-subject", "root"),
        ("x_auth_subject", "root"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("client-cert", ":AAAA:"),
        ("cookie", "a=1"),
        ("cookie", "b=2; c=3"),
        ("cookie", "d=4"),
        ("te", "trailers"),
        ("accept", "text/plain"),
    ];
    let response = http2.get("/data/%61cme/x?a=%2F&b", &headers);
    assert_eq!(response.status, 200, "{response:?}");
    let seen = gateway.upstream.last();
    assert_eq!(seen.line, "GET /data/acme/x?a=%2F&b HTTP/1.1");
    for (name, values) in [
        ("Host", vec!["api.example.com"]),
        ("Authorization", vec![authorization.as_str()]),
        ("X-Auth-Subject", vec!["someone"]),
        ("X_Auth_Subject", vec![]),
        ("X-Forwarded-For", vec!["127.0.0.1"]),
        ("X-Forwarded-Proto", vec!["http"]),
        ("X-Forwarded-Host", vec!["api.example.com"]),
        ("Client-Cert", vec![]),
        ("Cookie", vec!["a=1; b=2; c=3; d=4"]),
        ("TE", vec![]),
        ("Accept", vec!["text/plain"]),
        ("Transfer-Encoding", vec![]),
        ("Content-Length", vec![]),
    ] {
        assert_eq!(seen.all(name), values, "{name}");
    }
    assert!(seen.headers.iter().all(|(name, _)| !name.starts_with(':')), "{seen:?}");
}

#[test]
fn trailers_are_no_headers_and_do_not_pass() {
    let gateway = start();
    let mut http2 = Http2::plain(gateway.address);
    let mut trailers = HeaderMap::new();
    for name in ["x-auth-subject", "authorization", "host", "content-length"] {
        trailers.insert(name, HeaderValue::from_static("1"));
    }
    let response = http2.send(head("POST", "/data/open/x", &[]), Some(b"hello"), Some(trailers)).unwrap();
    assert_eq!(response.status, 200);
    let seen = gateway.upstream.last();
    assert_eq!((seen.body.as_slice(), seen.all("Transfer-Encoding")), (&b"hello"[..], vec!["chunked"]));
    assert!(seen.all("X-Auth-Subject").is_empty() && seen.all("Authorization").is_empty(), "{seen:?}");
    assert_eq!(seen.all("Host"), ["api.example.com"]);
}

#[test]
fn an_answer_has_nothing_of_http1_in_it() {
    let upstream = Upstream::answering(|_| {
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
          Keep-Alive: timeout=5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            .to_vec()
    });
    let gateway = start_with(upstream);
    let mut http2 = Http2::plain(gateway.address);
    let response = http2.get("/data/open/x", &[]);
    assert_eq!((response.status, response.body.as_slice()), (200, &b"hello"[..]));
    for name in ["transfer-encoding", "connection", "keep-alive", "x-hop"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    assert!(response.header("x-request-id").is_some());
    let response = http2.ask("HEAD", "/data/open/x", &[]);
    assert_eq!((response.status, response.body.len()), (200, 0));
}

#[test]
fn bodies_stream_both_ways() {
    let gateway = start_with(Upstream::answering(|request| {
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()).into_bytes();
        answer.extend_from_slice(&request.body);
        answer
    }));
    let mut http2 = Http2::plain(gateway.address);
    let body: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
    for headers in [&[][..], &[("content-length", "3145728")]] {
        let response = http2.send(head("POST", "/data/open/x", headers), Some(&body), None).unwrap();
        assert_eq!(response.status, 200);
        assert!(response.body == body, "{} bytes came back", response.body.len());
    }
    let refused = http2.send(head("POST", "/nowhere", &[]), Some(&body[..100_000]), None).unwrap();
    assert_eq!((refused.status, refused.reason().as_str()), (401, "token_missing"));
}

#[test]
fn the_host_is_the_authority_and_there_is_one() {
    let gateway = start();
    for (names, answered) in [
        (&[(":authority", "a.example")][..], true),
        (&[("host", "a.example")], true),
        (&[(":authority", "a.example"), ("host", "a.example")], true),
        (&[(":authority", "a.example"), ("host", "b.example")], false),
        (&[("host", "a.example"), ("host", "a.example")], false),
        (&[(":authority", "root@a.example")], false),
        (&[(":authority", "a.example"), (":authority", "b.example")], false),
        (&[], false),
    ] {
        let before = gateway.upstream.count();
        let types = send_fields(gateway.address, &fields("GET", "/data/open/x", names));
        assert_eq!(gateway.upstream.count() - before, usize::from(answered), "{names:?}: {types:?}");
        if answered {
            assert_eq!(gateway.upstream.last().all("Host"), ["a.example"], "{names:?}");
            assert_eq!(gateway.upstream.last().all("X-Forwarded-Host"), ["a.example"], "{names:?}");
        } else {
            assert!(types.contains(&HEADERS) || types.contains(&RST_STREAM), "{names:?}: {types:?}");
        }
    }
    let mut http2 = Http2::plain(gateway.address);
    let mut other = head("GET", "/data/open/x", &[]);
    other.headers_mut().insert("host", HeaderValue::from_static("other.example"));
    assert_eq!(http2.send(other, None, None).unwrap().status, 400);
    assert_eq!(http2.get("/data/open/x", &[]).status, 200, "the connection goes on");
}

#[test]
fn a_path_that_could_mean_two_things_is_refused() {
    let gateway = start();
    let mut http2 = Http2::plain(gateway.address);
    for target in [
        "/data/open/../x",
        "/data/open/%2e%2e/x",
        "/data//open/x",
        "/data/open/a%2Fb",
        "/data/open/a%252Fb",
        "/data/open/a;b",
        "/data/open/%00",
        "/data/open/%5C",
        "/data/open/%zz",
    ] {
        let response = http2.get(target, &[]);
        assert_eq!((response.status, response.reason().as_str()), (400, "path_ambiguous"), "{target}");
    }
    for target in ["/data/open/\\x", "/data/open/ x", "/data/open/\u{1}", "/data/open/\u{e9}", "//data/open/x", "*", ""]
    {
        send_fields(gateway.address, &fields("GET", target, &[(":authority", "a")]));
    }
    for target in ["http://a/data/open/x", "data/open/x", "/data/open/x\r\nX: y", "/data/open/x HTTP/1.1\r\n\r\n"] {
        send_fields(gateway.address, &fields("GET", target, &[(":authority", "a")]));
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn fields_that_http2_does_not_have_are_never_forwarded() {
    let mut gateway = start();
    let authority = (":authority", "a.example");
    for extra in [
        ("connection", "x-auth-subject"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("content-length", "5"),
        ("content-length", "x"),
        ("Accept", "upper case"),
        ("a b", "x"),
        ("x", "a\r\nHost: b"),
        (":path", "/data/open/y"),
        (":status", "200"),
        (":method", "POST"),
    ] {
        let types = send_fields(gateway.address, &fields("GET", "/data/open/x", &[authority, extra]));
        assert_eq!(gateway.upstream.count(), 0, "{extra:?}: {types:?}");
    }
    let connect = [(":method", "CONNECT"), (":authority", "a:80")];
    send_fields(gateway.address, &connect);
    let mut websocket = fields("CONNECT", "/data/open/x", &[authority]);
    websocket.push((":protocol", "websocket"));
    send_fields(gateway.address, &websocket);
    assert_eq!(gateway.upstream.count(), 0);
    assert!(gateway.is_running());
}

fn fields<'a>(method: &'a str, path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![(":method", method), (":scheme", "http"), (":path", path)];
    // Pseudo-headers come first.
    fields.extend(more.iter().filter(|(name, _)| name.starts_with(':')));
    fields.extend(more.iter().filter(|(name, _)| !name.starts_with(':')));
    fields
}
