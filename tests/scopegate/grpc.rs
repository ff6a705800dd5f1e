//! What gRPC clients are told: statuses of their own, as trailers alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use serde_json::json;

use crate::harness::{Gateway, Response, Signer, Upstream};
use crate::http2_client::{Http2, head, read};
use crate::secured_servers::Server;

const POLICY: &str = r#"
apis:
  - name: orders
    base_path: /orders.v1.Orders
    upstream: backend
    body_bytes: 100
    scopes:
      - { name: orders-read, services: ["POST /orders.v1.Orders/Get"] }
      - { name: orders-write, services: ["POST /orders.v1.Orders/Put"] }
  - name: stern
    base_path: /stern
    upstream: backend
    insufficient_scope_status: 401
    scopes:
      - { name: stern-all, services: ["POST /stern/Get"] }
"#;

fn call(client: &Http2, target: &str, headers: &[(&str, &str)], is_whole: bool) -> (Response, bool) {
    let head =
        head("POST", target, &[&[("content-type", "application/grpc+proto"), ("te", "trailers")], headers].concat());
    client.with(|sender| async move {
        let mut ready = sender.ready().await.unwrap();
        let (response, mut stream) = ready.send_request(head, false).unwrap();
        stream.send_data(Bytes::from_static(b"\0\0\0\0\0"), is_whole).unwrap();
        let response = response.await.unwrap();
        let is_trailers_only = response.body().is_end_stream();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        (Response { status: response.status().as_u16(), headers, body: vec![] }, is_trailers_only)
    })
}

#[test]
fn a_refused_call_gets_trailers_alone_with_status_message_and_reason() {
    let gateway = Gateway::start_listening("http2: true", POLICY, Upstream::start(), |_| {});
    let client = Http2::plain(gateway.address);
    let bearer = format!("Bearer {}", Signer::shared().token(json!({ "scope": "orders-read" })));
    let with: &[(&str, &str)] = &[("authorization", &bearer)];
    let bad: &[(&str, &str)] = &[("authorization", "Bearer x")];
    let large: &[(&str, &str)] = &[("authorization", &bearer), ("content-length", "101")];
    let twice: &[(&str, &str)] = &[("authorization", &bearer), ("authorization", &bearer)];
    for (target, headers, status, reason) in [
        ("/orders.v1.Orders/Get", &[][..], "16", "token_missing"),
        ("/orders.v1.Orders/Get", bad, "16", "token_malformed"),
        ("/orders.v1.Orders/Put", with, "7", "scope_insufficient"),
        ("/stern/Get", with, "16", "scope_insufficient"),
        ("/orders.v1.Orders/Drop", with, "12", "route_unknown"),
        ("/orders.v1.Orders/Get", large, "8", "body_too_large"),
        ("/orders.v1.Orders/%2e%2e", with, "13", "path_ambiguous"),
        ("/orders.v1.Orders/Get", twice, "13", "header_ambiguous"),
    ] {
        // A client that still has messages to send is told, too.
        for is_whole in [true, false] {
            let (response, is_trailers_only) = call(&client, target, headers, is_whole && headers != large);
            assert!(is_trailers_only && response.status == 200, "{target}: {response:?}");
            let header = |name: &str| response.header(name).unwrap_or_default();
            assert_eq!((header("content-type"), header("grpc-status")), ("application/grpc", status), "{target}");
            assert!(header("grpc-message").starts_with(&format!("{reason}: ")), "{response:?}");
            assert_eq!(response.header("content-length"), None);
            assert_eq!(response.header("www-authenticate").is_some(), status == "16" || reason == "scope_insufficient");
            let details = STANDARD_NO_PAD.decode(header("grpc-status-details-bin")).unwrap();
            let has = |part: &str| details.windows(part.len()).any(|window| window == part.as_bytes());
            assert!(has("google.rpc.ErrorInfo") && has(&reason.to_ascii_uppercase()) && has(header("x-request-id")));
            assert_eq!(has("required_scopes"), reason == "scope_insufficient");
        }
    }
    let lines = gateway.audit(16);
    assert!(
        lines.iter().all(|line| (&line["decision"], &line["status"]) == (&json!("deny"), &json!(200))),
        "{lines:?}"
    );
    assert_eq!((lines.len(), gateway.upstream.count()), (16, 0));
}

#[test]
fn a_failing_upstream_is_a_grpc_status_too_and_other_requests_get_http() {
    let gateway = Gateway::start_listening("http2: true", POLICY, Upstream::answering(|_| vec![]), |_| {});
    let mut client = Http2::plain(gateway.address);
    let bearer = format!("Bearer {}", Signer::shared().token(json!({ "scope": "orders-read" })));
    let (response, _) = call(&client, "/orders.v1.Orders/Get", &[("authorization", &bearer)], true);
    assert_eq!((response.header("grpc-status"), response.status), (Some("14"), 200));
    assert!(response.header("grpc-message").unwrap().starts_with("upstream_failed: "), "{response:?}");
    let web = [("content-type", "application/grpc-web+proto")];
    let response = client.ask("POST", "/orders.v1.Orders/Get", &web);
    assert_eq!((response.status, response.reason()), (401, "token_missing".to_owned()));
    let http1 = gateway.ask("POST", "/orders.v1.Orders/Get", &[("Content-Type", "application/grpc")]);
    assert_eq!((http1.status, http1.reason()), (401, "token_missing".to_owned()));
    let line = gateway.audit(3).into_iter().find(|line| line["upstream_error"] == "upstream_failed").unwrap();
    assert_eq!((&line["decision"], &line["status"]), (&json!("allow"), &json!(200)));
}

/// A server that answers whatever comes with these bytes, and closes the connection.
fn dying(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn a_call_whose_upstream_dies_in_the_midst_of_its_answer_is_told_so_by_trailers() {
    for (answer, is_told) in [
        (&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n"[..], true),
        // What has a length and does not keep to it breaks off, whatever would come after it.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\0\0\0\0\0", false),
    ] {
        let upstreams = format!("\nupstreams: {{ backend: {{ servers: [\"{}\"] }} }}", dying(answer));
        let gateway =
            Gateway::start_listening("http2: true", &format!("{upstreams}{POLICY}"), Upstream::start(), |_| {});
        let bearer = format!("Bearer {}", Signer::shared().token(json!({ "scope": "orders-read" })));
        let fields: &[(&str, &str)] = &[("authorization", &bearer), ("content-type", "application/grpc")];
        let trailers = Http2::plain(gateway.address).with(|sender| async move {
            let mut ready = sender.ready().await.unwrap();
            let (response, _) = ready.send_request(head("POST", "/orders.v1.Orders/Get", fields), true).unwrap();
            let mut body = response.await.ok()?.into_body();
            while body.data().await.transpose().ok()?.is_some() {}
            body.trailers().await.ok()?
        });
        let text = |name: &str| trailers.as_ref().map(|trailers| trailers[name].to_str().unwrap());
        assert_eq!(text("grpc-status"), is_told.then_some("14"), "{trailers:?}");
        assert_eq!(text("grpc-message").is_some_and(|text| text.starts_with("upstream_failed: ")), is_told);
        assert_eq!(trailers.as_ref().map(http::HeaderMap::len), is_told.then_some(3));
        assert_eq!(gateway.audit(1)[0]["upstream_error"], "upstream_failed");
    }
}

#[test]
fn a_call_that_is_cancelled_or_sends_rubbish_hurts_nobody_else() {
    let gateway = Gateway::start_listening("http2: true", POLICY, Upstream::start(), |_| {});
    let client = Http2::plain(gateway.address);
    let bearer = format!("Bearer {}", Signer::shared().token(json!({ "scope": "orders-read" })));
    let target = "/orders.v1.Orders/Get";
    let fields: &[(&str, &str)] = &[("authorization", &bearer), ("content-type", "application/grpc")];
    // A length that is a lie, the flag of compression without any, half a prefix, and 4 GiB to come.
    for body in [&b"\x00\x00\x00\x00\xffx"[..], b"\x01\x00\x00\x00\x01\xff", b"\x00\x00", b"\x00\xff\xff\xff\xff"] {
        let answered = client.with(|sender| async move {
            let mut ready = sender.ready().await.unwrap();
            let (response, mut stream) = ready.send_request(head("POST", target, fields), false).unwrap();
            stream.send_data(Bytes::from_static(body), true).unwrap();
            read(response).await.unwrap()
        });
        assert_eq!(answered.status, 200);
        assert_eq!(gateway.upstream.last().body, body);
    }
    client.with(|sender| async move {
        let mut ready = sender.ready().await.unwrap();
        let (response, mut stream) = ready.send_request(head("POST", target, fields), false).unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        assert!(response.await.is_err());
    });
    let (response, _) = call(&client, "/orders.v1.Orders/Put", &[("authorization", &bearer)], true);
    assert_eq!(response.header("grpc-status"), Some("7"));
}

#[test]
fn a_call_that_says_little_goes_on_and_another_request_does_not() {
    let (fast, slow) = (Server::http2(None), Server::http2(None));
    let policy = format!(
        "
limits: {{ body_timeout: 1s }}
upstreams:
  fast: {{ servers: [\"{}\"], http2: true }}
  slow: {{ servers: [\"{}\"], http2: true }}
apis:
  - {{ name: calls, base_path: /calls, upstream: fast, public: [\"POST /calls/**\"] }}
  - {{ name: others, base_path: /others, upstream: slow, public: [\"POST /others/**\"] }}
",
        fast.address, slow.address
    );
    let gateway = Gateway::start_listening("http2: true", &policy, Upstream::start(), |_| {});
    let ask = |head: http::Request<()>| {
        Http2::plain(gateway.address).with(|sender| async move {
            let mut ready = sender.ready().await.unwrap();
            let (answer, mut body) = ready.send_request(head, false).unwrap();
            body.send_data(Bytes::from_static(b"\0\0\0\0\x01x"), false).unwrap();
            // Beyond what any other body may be silent for, and the seconds in which its pace does not count.
            tokio::time::sleep(Duration::from_millis(6_500)).await;
            let _ = body.send_data(Bytes::from_static(b"\0\0\0\0\x01x"), true);
            read(answer).await.unwrap()
        })
    };
    thread::scope(|scope| {
        let call = head("POST", "/calls/x", &[("content-type", "application/grpc"), ("te", "trailers")]);
        let call = scope.spawn(|| ask(call));
        assert_eq!(ask(head("POST", "/others/x", &[])).status, 408);
        assert_eq!(call.join().unwrap().body, b"/calls/x");
    });
    assert_eq!(fast.last().body.len(), 12);
}
