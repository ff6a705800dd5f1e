//! Authorizers over gRPC, asked as Envoy asks, and by those who would like more than Envoy gets.

use std::collections::HashMap;
use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::json;

use crate::authorizer::{busy, listener};
use crate::bound::bound_to;
use crate::harness::{Gateway, Response, Upstream, free_address, wait_for};
use crate::http2_client::Http2;
use crate::reasons::{self, Request, get, plain, token};
use ::harness::authority::Authority;

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// A field of protocol buffers that has bytes.
fn field(tag: u64, bytes: &[u8]) -> Vec<u8> {
    [&varint(tag << 3 | 2)[..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 127).unwrap();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 128);
    }
}

/// The fields of a message, those that are numbers as their eight bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn number(message: &mut &[u8]) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = message[0];
            *message = &message[1..];
            number |= u64::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return number;
            }
        }
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let value = number(&mut message);
        if key & 7 == 2 {
            let (bytes, rest) = message.split_at(usize::try_from(value).unwrap());
            found.push((key >> 3, bytes.to_vec()));
            message = rest;
        } else {
            assert_eq!(key & 7, 0);
            found.push((key >> 3, value.to_be_bytes().to_vec()));
        }
    }
    found
}

fn all(message: &[u8], tag: u64) -> Vec<Vec<u8>> {
    fields(message).into_iter().filter(|(own, _)| *own == tag).map(|(_, value)| value).collect()
}

fn one(message: &[u8], tag: u64) -> Vec<u8> {
    all(message, tag).pop().unwrap_or_default()
}

/// How Envoy tells of headers.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    Joined,
    Raw,
}

/// The question about a request.
fn question(request: &Request, told: Told, source: &[u8]) -> Vec<u8> {
    let mut lines: Vec<(String, String)> =
        [(":method", request.method), (":path", request.target), (":authority", "api.example.com")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    lines.extend(request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())));
    let headers = match told {
        Told::Raw => {
            let line = |(name, value): &(String, String)| {
                field(1, &[field(1, name.as_bytes()), field(3, value.as_bytes())].concat())
            };
            field(13, &lines.iter().flat_map(line).collect::<Vec<_>>())
        }
        Told::Joined => {
            let mut joined = HashMap::<&str, String>::new();
            for (name, value) in &lines {
                joined.entry(name).and_modify(|all| *all += &format!(",{value}")).or_insert_with(|| value.clone());
            }
            joined
                .iter()
                .flat_map(|(name, value)| field(3, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat()))
                .collect()
        }
    };
    let http = [
        field(2, request.method.as_bytes()),
        headers,
        field(4, request.target.as_bytes()),
        field(5, b"api.example.com"),
        field(6, b"https"),
    ];
    field(1, &[field(1, source), field(4, &field(2, &http.concat()))].concat())
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// What came of a call: its status, of HTTP and gRPC, and its body.
struct Called {
    http: u16,
    grpc: Option<String>,
    body: Vec<u8>,
}

fn call(client: &Http2, method: &str, path: &str, media_type: &str, body: &[u8]) -> Called {
    let head = http::Request::builder()
        .method(method)
        .uri(format!("http://scopegate{path}"))
        .header("content-type", media_type)
        .header("te", "trailers")
        .body(())
        .unwrap();
    let body = Bytes::copy_from_slice(body);
    client.with(|sender| async move {
        let mut ready = sender.ready().await.unwrap();
        let (response, mut stream) = ready.send_request(head, false).unwrap();
        stream.reserve_capacity(body.len());
        // Who is refused may be so before all of it is sent.
        let _ = stream.send_data(body, true);
        let (head, mut stream) = response.await.unwrap().into_parts();
        let mut body = Vec::new();
        while let Some(Ok(piece)) = stream.data().await {
            stream.flow_control().release_capacity(piece.len()).unwrap();
            body.extend_from_slice(&piece);
        }
        let trailers = stream.trailers().await.unwrap().unwrap_or_default();
        let status = trailers.get("grpc-status").or(head.headers.get("grpc-status"));
        let grpc = status.map(|status| status.to_str().unwrap().to_owned());
        Called { http: head.status.as_u16(), grpc, body }
    })
}

/// The message of a call that went well.
#[track_caller]
fn message(called: &Called) -> Vec<u8> {
    assert_eq!((called.http, called.grpc.as_deref()), (200, Some("0")));
    assert_eq!(called.body, framed(&called.body[5..]));
    called.body[5..].to_vec()
}

/// The answer that a refusal has Envoy give.
#[track_caller]
fn denied(message: &[u8]) -> Response {
    let denied = one(message, 2);
    assert!(!denied.is_empty() && one(message, 3).is_empty(), "it is no refusal");
    let code = one(&one(&denied, 1), 1);
    Response { status: u16::from_be_bytes([code[6], code[7]]), headers: headers(&denied), body: one(&denied, 3) }
}

/// Those of a refusal or a permission.
fn headers(message: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let lines = all(message, 2).into_iter().map(|option| one(&option, 1));
    lines.map(|line| (text(one(&line, 1)), text(one(&line, 2)))).collect()
}

fn start(more: &str) -> (Gateway, Http2) {
    let authorizer = free_address();
    let gateway = reasons::start_with(&listener(authorizer, "as: envoy_grpc, peers: [127.0.0.1]"), more);
    (gateway, Http2::plain(authorizer))
}

fn ask(client: &Http2, message: &[u8]) -> Called {
    call(client, "POST", CHECK, "application/grpc", &framed(message))
}

fn own() -> String {
    token(json!({ "scope": "data-read", "account_id": "acme" }))
}

#[test]
fn each_reason_is_answered_over_grpc_as_in_line() {
    for told in [Told::Raw, Told::Joined] {
        let (gateway, client) = start("");
        for case in reasons::cases() {
            let called = ask(&client, &question(&case.request, told, b""));
            reasons::check(&case, &denied(&message(&called)));
        }
        assert_eq!(gateway.upstream.count(), 0);
        let lines = gateway.audit(reasons::cases().len());
        assert!(lines.iter().all(|line| line["asked_by"]["as"] == "envoy_grpc" && line["status"] != 200));
    }
}

#[test]
fn a_question_over_grpc_is_shed_as_a_request_is() {
    let authorizer = free_address();
    let (gateway, under_way) = busy(&listener(authorizer, "as: envoy_grpc, peers: [127.0.0.1]"));
    let plane = Http2::plain(authorizer);
    let ask = || message(&ask(&plane, &question(&plain("GET", "/data/y"), Told::Raw, b"")));
    let answer = denied(&ask());
    assert_eq!((answer.status, &*answer.reason()), (503, "overloaded"));
    assert_eq!(gateway.metric(r#"scopegate_upstream_requests_shed_total{upstream="backend"}"#), Some(1.0));
    drop(under_way);
    wait_for("a permission", || (!one(&ask(), 3).is_empty()).then_some(()));
}

#[test]
fn a_permission_is_what_the_gateway_would_have_forwarded() {
    let more = "identity_headers: { subject: X-Auth-Subject, account: X-Auth-Account, scopes: X-Auth-Scopes }\n";
    let (gateway, client) = start(more);
    let request = get("/data/%61cme/x?a=b", own())
        .and("x-auth-subject", "admin")
        .and("x-auth-client", "kept")
        .and("x_auth_scopes", "all")
        .and("x-http-method-override", "DELETE")
        .and("x-forwarded-for", "192.0.2.1")
        .and("x-envoy-internal", "true");
    for told in [Told::Raw, Told::Joined] {
        let allowed = message(&ask(&client, &question(&request, told, b"")));
        assert!(one(&allowed, 2).is_empty());
        let ok = one(&allowed, 3);
        let written: HashMap<_, _> = headers(&ok).into_iter().collect();
        let value = |name: &str| written.get(name).map(String::as_str);
        assert_eq!((value(":path"), value("x-auth-account")), (Some("/data/acme/x?a=b"), Some("acme")));
        assert_eq!((value("x-auth-scopes"), value("x-forwarded-host")), (Some("data-read"), Some("api.example.com")));
        let mut removed: Vec<_> = all(&ok, 5).into_iter().map(|name| String::from_utf8(name).unwrap()).collect();
        removed.sort_unstable();
        let mut expected = vec!["x-http-method-override", "x_auth_scopes"];
        if value("x-auth-subject").is_none() {
            expected.insert(0, "x-auth-subject");
        }
        assert_eq!(removed, expected);
        assert_ne!(value("x-auth-subject"), Some("admin"));
    }
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn repeated_lines_are_seen_however_they_are_told() {
    let (_gateway, client) = start("");
    for (name, first, second, reason) in [
        ("authorization", own(), "Bearer x".to_owned(), "header_ambiguous"),
        ("x-account-id", "acme".to_owned(), "beta".to_owned(), "header_ambiguous"),
        ("dpop", "a".to_owned(), "b".to_owned(), "header_ambiguous"),
    ] {
        let first = if name == "authorization" { format!("Bearer {first}") } else { first };
        let mut request = plain("GET", "/data/acme/x").and(name, &first).and(name, &second);
        if name != "authorization" {
            request = request.and("authorization", &format!("Bearer {}", own()));
        }
        for told in [Told::Raw, Told::Joined] {
            let answer = denied(&message(&ask(&client, &question(&request, told, b""))));
            assert_eq!((answer.status, &*answer.reason()), (400, reason), "{name}");
        }
    }
}

#[test]
fn a_certificate_is_the_one_that_envoy_has_seen_and_no_other() {
    let clients = Authority::new("clients");
    let (acme, other) = (clients.issue("acme", &[]), clients.issue("other", &[]));
    let bound = bound_to(&acme, json!({ "scope": "data-read", "account_id": "acme" }));
    let encoded = |pem: &str| {
        pem.bytes().fold(String::new(), |mut text, byte| {
            write!(text, "%{byte:02X}").unwrap();
            text
        })
    };
    let (_gateway, client) = start("");
    let request = get("/data/acme/x", bound);
    let shown = |pem: &str| field(5, encoded(pem).as_bytes());
    let allowed = message(&ask(&client, &question(&request, Told::Raw, &shown(&acme.pem))));
    assert!(one(&allowed, 2).is_empty());
    for source in [shown(&other.pem), vec![]] {
        let answer = denied(&message(&ask(&client, &question(&request, Told::Raw, &source))));
        assert_eq!((answer.status, &*answer.reason()), (401, "binding_mismatch"));
    }
    // A header that anybody can send is not believed.
    let hash: String = acme.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    let claimed = request.and("x-forwarded-client-cert", &format!("Hash={hash}"));
    let answer = denied(&message(&ask(&client, &question(&claimed, Told::Raw, b""))));
    assert_eq!((answer.status, &*answer.reason()), (401, "binding_mismatch"));
}

#[test]
fn what_is_no_question_is_a_refusal_and_never_an_error_that_could_pass() {
    let (gateway, client) = start("");
    let good = question(&get("/data/acme/x", own()), Told::Raw, b"");
    assert!(one(&message(&ask(&client, &good)), 2).is_empty());
    let mut compressed = framed(&good);
    compressed[0] = 1;
    let mut long = framed(&good);
    long[4] = long[4].wrapping_add(1);
    let mut endless = framed(&good);
    endless[1..5].fill(0xff);
    let truncated = framed(&good[..good.len() - 1]);
    let deep = framed(&[0x0b].repeat(50_000));
    let wide = framed(&vec![0; 400_000]);
    let bad = [
        vec![],
        b"\0\0".to_vec(),
        framed(b""),
        framed(b"\xff\xff\xff"),
        compressed,
        long,
        endless,
        truncated,
        deep,
        wide,
        [framed(&good), framed(&good)].concat(),
        [framed(&good), b"x".to_vec()].concat(),
    ];
    for (place, body) in bad.iter().enumerate() {
        let answer = denied(&message(&call(&client, "POST", CHECK, "application/grpc", body)));
        assert_eq!((answer.status, &*answer.reason()), (400, "question_rejected"), "{place}");
    }
    for (method, path) in [
        ("POST", "/envoy.service.auth.v2.Authorization/Check"),
        ("GET", CHECK),
        ("POST", "/data/acme/x"),
        ("POST", "/"),
    ] {
        let called = call(&client, method, path, "application/grpc+proto", &framed(&good));
        assert_eq!((called.http, called.grpc.as_deref(), called.body.len()), (200, Some("12"), 0), "{method} {path}");
    }
    for media_type in ["application/json", "application/grpc-web", "application/grpc+json", "text/plain"] {
        assert_eq!(call(&client, "POST", CHECK, media_type, &framed(&good)).http, 400, "{media_type}");
    }
    assert_eq!(gateway.upstream.count(), 0);
    assert!(one(&message(&ask(&client, &good)), 2).is_empty(), "it goes on being served");
}

#[test]
fn a_stranger_s_call_is_refused_before_it_is_read() {
    let authorizer = free_address();
    let gateway = reasons::start(&listener(authorizer, "as: envoy_grpc, peers: [192.0.2.1]"));
    let client = Http2::plain(authorizer);
    let good = question(&get("/data/acme/x", own()), Told::Raw, b"");
    let answer = denied(&message(&ask(&client, &good)));
    assert_eq!((answer.status, &*answer.reason()), (403, "question_rejected"));
    assert_eq!(gateway.metric("scopegate_authorizer_peers_refused_total"), Some(1.0));
}

#[test]
fn an_account_is_written_into_the_path() {
    let policy = "apis:\n  - name: query\n    base_path: /query\n    upstream: backend\n    account: { query: account }\n    \
                  account_when_absent: inject\n    forward_authorization: false\n    \
                  scopes: [{ name: one, services: [\"GET /query/**\"] }]\n";
    let authorizer = free_address();
    let keys = listener(authorizer, "as: envoy_grpc, peers: [127.0.0.1]");
    let _gateway = Gateway::start_listening(&keys, policy, Upstream::start(), |_| {});
    let client = Http2::plain(authorizer);
    let request = get("/query/x?a=b", token(json!({ "scope": "one", "account_id": "acme" })));
    let ok = one(&message(&ask(&client, &question(&request, Told::Raw, b""))), 3);
    assert!(headers(&ok).contains(&(":path".to_owned(), "/query/x?a=b&account=acme".to_owned())));
    assert_eq!(all(&ok, 5), [b"authorization"]);
}
