//! Spans of requests, as a collector of traces gets them.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::authority::{Authority, replace};
use crate::harness::{
    Connection, Gateway, Recorded, Signer, Upstream, check_schema, free_address, scopegate, wait_for,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A policy whose spans go to a collector at this address, with these keys besides.
fn policy(collector: impl std::fmt::Display, more: &str) -> String {
    format!(
        "
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: {{ path: account }}
    scopes:
      - name: data-read
        services: [\"GET,POST /data/{{account}}/**\"]
tracing: {{ otlp: http://{collector}/v1/traces, {more} }}
"
    )
}

/// A collector that takes everything.
fn collector() -> Upstream {
    Upstream::answering(|_| answer(200, &[]))
}

fn answer(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn token() -> String {
    let claims = json!({ "scope": "data-read", "account_id": "acme", "client_id": "acme-app", "sub": "someone" });
    Signer::shared().token(claims)
}

fn exports(collector: &Upstream) -> Vec<ExportTraceServiceRequest> {
    collector.seen().iter().map(|seen| ExportTraceServiceRequest::decode(&*seen.body).expect("an export")).collect()
}

fn spans(collector: &Upstream) -> Vec<Span> {
    let exports = exports(collector).into_iter();
    let scopes = exports.flat_map(|export| export.resource_spans).flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

#[track_caller]
fn wait_for_spans(collector: &Upstream, count: usize) -> Vec<Span> {
    wait_for("spans", || Some(spans(collector)).filter(|spans| spans.len() >= count))
}

fn read(list: &[KeyValue]) -> HashMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("another kind of value: {other:?}"),
    };
    list.iter().map(|pair| (pair.key.clone(), text(pair.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The trace's id, the span's and the flags of a `traceparent`.
fn parts(traceparent: &str) -> (String, String, String) {
    let parts: Vec<_> = traceparent.split('-').collect();
    assert_eq!((parts.len(), parts[0]), (4, "00"), "{traceparent}");
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned())
}

#[test]
fn a_span_has_the_decision_and_stands_between_client_and_upstream() {
    let collector = collector();
    let gateway = Gateway::start(&policy(collector.address, "service_name: edge"));
    let (bearer, traceparent) = (format!("Bearer {}", token()), format!("00-{TRACE}-{PARENT}-01"));
    let headers = [
        ("Authorization", bearer.as_str()),
        ("traceparent", &traceparent),
        ("tracestate", "vendor=1,other=2"),
        ("X-Request-Id", "r-1"),
    ];
    assert_eq!(gateway.ask("GET", "/data/acme/x?secret=1", &headers).status, 200);
    let sent = gateway.upstream.last();
    let span = wait_for_spans(&collector, 1).remove(0);
    let (trace, parent, flags) = parts(sent.all("traceparent")[0]);
    assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
    assert_eq!(sent.all("tracestate"), ["vendor=1,other=2"]);
    assert_eq!((hex(&span.trace_id), hex(&span.span_id), hex(&span.parent_span_id)), (trace, parent, PARENT.into()));
    assert_eq!(span.trace_state, "vendor=1,other=2");
    assert_eq!((span.name.as_str(), span.kind()), ("GET /data/{account}/**", SpanKind::Server));
    assert_eq!(span.status.unwrap().code(), StatusCode::Unset);
    assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano > span.start_time_unix_nano);
    let mut said = read(&span.attributes);
    assert!(said.remove("scopegate.decision_microseconds").unwrap().parse::<u64>().is_ok());
    let expected = [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/data/{account}/**"),
        ("network.peer.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("scopegate.api", "data"),
        ("scopegate.client", "acme-app"),
        ("scopegate.decision", "allow"),
        ("scopegate.generation", "1"),
        ("scopegate.issuer", "https://issuer.example"),
        ("scopegate.reason", "granted"),
        ("scopegate.request_id", "r-1"),
        ("scopegate.scope", "data-read"),
        ("scopegate.service", "GET,POST /data/{account}/**"),
        ("server.address", "api.example.com"),
        ("url.path", "/data/acme/x"),
        ("url.scheme", "http"),
    ];
    assert_eq!(said, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let resource = exports(&collector)[0].resource_spans[0].resource.clone().unwrap();
    let resource = read(&resource.attributes);
    assert_eq!(
        (resource["service.name"].as_str(), resource["service.version"].as_str()),
        ("edge", env!("CARGO_PKG_VERSION"))
    );
    let export = &collector.seen()[0];
    assert_eq!(
        (export.line.as_str(), export.all("content-type")),
        ("POST /v1/traces HTTP/1.1", vec!["application/x-protobuf"])
    );
}

#[test]
fn a_refusal_has_a_span_and_only_what_the_gateway_cannot_do_is_an_error() {
    let collector = collector();
    let gateway = Gateway::start(&policy(collector.address, ""));
    assert_eq!(gateway.ask("BREW", "/data/acme/x", &[]).status, 401);
    let span = wait_for_spans(&collector, 1).remove(0);
    assert_eq!((hex(&span.parent_span_id).as_str(), span.name.as_str()), ("", "_OTHER"));
    let said = read(&span.attributes);
    assert_eq!(said["http.request.method_original"], "BREW");
    assert_eq!((said["scopegate.decision"].as_str(), said["scopegate.reason"].as_str()), ("deny", "token_missing"));
    assert_eq!((said["http.response.status_code"].as_str(), said.get("error.type")), ("401", None));
    assert_eq!(span.status.unwrap().code(), StatusCode::Unset);

    let nobody = free_address();
    let policy = policy(collector.address, "")
        .replace("\napis:", &format!("\nupstreams: {{ backend: {{ servers: [\"{nobody}\"] }} }}\napis:"));
    gateway.rewrite(&policy);
    gateway.wait_for_policy("the second", |policy| policy["generation"] == 2);
    assert_eq!(gateway.get("/data/acme/x", &token()).status, 503);
    let span = wait_for_spans(&collector, 2).remove(1);
    let said = read(&span.attributes);
    assert_eq!((said["scopegate.reason"].as_str(), said["http.response.status_code"].as_str()), ("granted", "503"));
    assert_eq!(
        (said["error.type"].as_str(), said["scopegate.generation"].as_str()),
        (&*said["scopegate.upstream_error"], "2")
    );
    assert_eq!(span.status.unwrap().code(), StatusCode::Error);
}

#[test]
fn nothing_that_a_request_says_in_confidence_reaches_the_collector() {
    let collector = collector();
    let secrets = "Authorization: Bearer of-the-collector\n";
    let gateway =
        Gateway::start_with(&policy(collector.address, "headers_file: headers"), Upstream::start(), |folder| {
            std::fs::write(folder.join("headers"), secrets).unwrap();
        });
    let token = token();
    assert_eq!(gateway.get("/data/acme/x?access_token=in-the-query", &token).status, 200);
    wait_for_spans(&collector, 1);
    let seen = collector.seen().remove(0);
    assert_eq!(seen.all("authorization"), ["Bearer of-the-collector"]);
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    for secret in [token.as_str(), "in-the-query", "someone", "of-the-collector"] {
        assert!(!body.contains(secret), "{secret}");
        assert!(!gateway.log().contains(secret), "{secret}");
    }
}

#[test]
fn a_traceparent_that_is_none_begins_a_trace_and_takes_no_state_along() {
    let collector = collector();
    let gateway = Gateway::start(&policy(collector.address, ""));
    let bearer = format!("Bearer {}", token());
    let long = format!("00-{TRACE}-{PARENT}-01{}", "-0".repeat(2000));
    for (count, hostile) in (1..).zip([
        "00",
        "",
        &format!("ff-{TRACE}-{PARENT}-01"),
        &format!("00-{}-{PARENT}-01", "0".repeat(32)),
        &format!("00-{TRACE}-{}-01", "0".repeat(16)),
        &format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        &format!("00-{TRACE}-{PARENT}-0g"),
        &long,
    ]) {
        let headers = [("Authorization", bearer.as_str()), ("traceparent", hostile), ("tracestate", "vendor=1")];
        assert_eq!(gateway.ask("GET", "/data/acme/x", &headers).status, 200, "{hostile}");
        let span = wait_for_spans(&collector, count).remove(count - 1);
        let sent = gateway.upstream.last();
        let (trace, parent, flags) = parts(sent.all("traceparent")[0]);
        assert_eq!(
            (hex(&span.trace_id), hex(&span.span_id), flags.as_str()),
            (trace.clone(), parent, "01"),
            "{hostile}"
        );
        assert_ne!(trace, TRACE);
        assert_eq!((hex(&span.parent_span_id).as_str(), span.trace_state.as_str()), ("", ""), "{hostile}");
        assert_eq!(sent.all("tracestate"), Vec::<&str>::new(), "{hostile}");
    }
    // A state that cannot be read, or is long, is the upstream's to read.
    let good = format!("00-{TRACE}-{PARENT}-01");
    for (count, state) in (9..).zip(["vendor", &format!("v={}", "x".repeat(600))]) {
        let headers = [("Authorization", bearer.as_str()), ("traceparent", &good), ("tracestate", state)];
        assert_eq!(gateway.ask("GET", "/data/acme/x", &headers).status, 200);
        let span = wait_for_spans(&collector, count).remove(count - 1);
        assert_eq!((hex(&span.trace_id).as_str(), span.trace_state.as_str()), (TRACE, ""), "{state}");
        assert_eq!(gateway.upstream.last().all("tracestate"), [state]);
    }
}

#[test]
fn the_parent_decides_whether_a_request_is_sampled_if_it_is_followed() {
    let (sampled, unsampled) = (format!("00-{TRACE}-{PARENT}-01"), format!("00-{TRACE}-{PARENT}-00"));
    let trusted = "trusted_proxies: [127.0.0.1]";
    for (keys, more, traceparent, goes_on, takes) in [
        ("sample: 0", "", &sampled, "01", true),
        ("sample: 1", "", &unsampled, "00", false),
        ("sample: 0, follow_parents: trusted_proxies", "", &sampled, "00", false),
        ("sample: 0, follow_parents: trusted_proxies", trusted, &sampled, "01", true),
        ("sample: 0, follow_parents: never", trusted, &sampled, "00", false),
        ("sample: 1, follow_parents: never", "", &unsampled, "01", true),
    ] {
        let collector = collector();
        let mut gateway = Gateway::start(&(policy(collector.address, keys) + more));
        let bearer = format!("Bearer {}", token());
        let headers = [("Authorization", bearer.as_str()), ("traceparent", traceparent)];
        assert_eq!(gateway.ask("GET", "/data/acme/x", &headers).status, 200, "{keys}");
        let (trace, parent, flags) = parts(gateway.upstream.last().all("traceparent")[0]);
        assert_eq!((trace.as_str(), flags.as_str()), (TRACE, goes_on), "{keys}");
        assert_ne!(parent, PARENT);
        // What waits is sent before the process ends.
        gateway.signal("TERM");
        wait_for("the end", || (!gateway.is_running()).then_some(()));
        assert_eq!(spans(&collector).len(), usize::from(takes), "{keys} {more}");
    }
}

#[test]
fn a_share_of_the_traces_that_begin_here_is_sampled_and_said_to_the_upstream() {
    const ASKED: usize = 400;
    let collector = collector();
    let gateway = Gateway::start(&policy(collector.address, "sample: 0.25"));
    let token = token();
    let mut connection = Connection::open(gateway.address);
    for _ in 0..ASKED {
        let head = format!("GET /data/acme/x HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n\r\n");
        connection.write(head.as_bytes());
        assert_eq!(connection.read_response().unwrap().status, 200);
    }
    let told = gateway.upstream.seen().into_iter().map(|seen| parts(seen.all("traceparent")[0]));
    let mut sampled: Vec<_> =
        told.filter(|(_, _, flags)| flags == "01").map(|(trace, span, _)| (trace, span)).collect();
    // Six standard deviations.
    assert!((48..=152).contains(&sampled.len()), "{} of {ASKED}", sampled.len());
    let spans = wait_for_spans(&collector, sampled.len());
    let mut collected: Vec<_> = spans.iter().map(|span| (hex(&span.trace_id), hex(&span.span_id))).collect();
    sampled.sort();
    collected.sort();
    assert_eq!(collected, sampled);
    assert_eq!(gateway.metric("scopegate_spans_exported_total "), Some(sampled.len() as f64));
}

/// Requests go on as ever, however a collector behaves.
#[track_caller]
fn check_unharmed(gateway: &Gateway) {
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(gateway.get("/data/acme/x", &token()).status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_collector_that_refuses_loses_spans_that_are_counted_and_harms_nobody() {
    let status = Arc::new(AtomicU16::new(400));
    let says = Arc::clone(&status);
    let collector = Upstream::answering(move |_: &Recorded| answer(says.load(Ordering::Relaxed), b"no"));
    let gateway = Gateway::start(&policy(collector.address, ""));
    check_unharmed(&gateway);
    wait_for("what was lost", || (gateway.metric("scopegate_spans_dropped_total ")? >= 20.0).then_some(()));
    wait_for("a word", || gateway.log().contains("takes no spans").then_some(()));
    assert_eq!(gateway.log().matches("takes no spans").count(), 1, "{}", gateway.log());
    assert!(gateway.log().contains("the answer's status is 400"), "{}", gateway.log());
    status.store(200, Ordering::Relaxed);
    check_unharmed(&gateway);
    wait_for("spans", || (gateway.metric("scopegate_spans_exported_total ")? >= 20.0).then_some(()));
    assert!(gateway.log().contains("takes spans again"));
}

#[test]
fn a_collector_that_comes_back_gets_what_waited() {
    let status = Arc::new(AtomicU16::new(503));
    let says = Arc::clone(&status);
    let collector = Upstream::answering(move |_: &Recorded| answer(says.load(Ordering::Relaxed), b""));
    let gateway = Gateway::start(&policy(collector.address, ""));
    check_unharmed(&gateway);
    wait_for("a try", || (collector.count() > 0).then_some(()));
    status.store(200, Ordering::Relaxed);
    wait_for("spans", || (gateway.metric("scopegate_spans_exported_total ")? >= 20.0).then_some(()));
    assert_eq!(gateway.metric("scopegate_spans_dropped_total "), Some(0.0));
}

#[test]
fn a_collector_that_keeps_silent_or_talks_nonsense_harms_nobody() {
    let rejected = |spans| {
        let partial = ExportTracePartialSuccess { rejected_spans: spans, error_message: "full".to_owned() };
        answer(200, &ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
    };
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_owned() + &"x".repeat(1 << 20);
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let takes: fn(u64) -> u64 = |_| 0;
    let (some, all): (fn(u64) -> u64, fn(u64) -> u64) = (|spans| spans.min(3), |spans| spans);
    // What is answered to each batch, and how many of its spans are lost.
    for (what, said, lost) in [
        ("some are refused", rejected(3), some),
        ("more are refused than there were", rejected(i64::MAX), all),
        ("fewer than none are refused", rejected(-5), takes),
        ("a page", answer(200, b"<html>"), takes),
        ("an endless answer", endless.into_bytes(), takes),
        ("another place", redirect.to_vec(), all),
    ] {
        let collector = Upstream::answering(move |_| said.clone());
        let gateway = Gateway::start(&policy(collector.address, "timeout: 5s"));
        check_unharmed(&gateway);
        let count = |name: &str| gateway.metric(&format!("scopegate_spans_{name}_total ")).unwrap();
        wait_for("the counts", || (count("exported") + count("dropped") >= 20.0).then_some(()));
        let sizes = exports(&collector).into_iter().map(|export| export.resource_spans[0].scope_spans[0].spans.len());
        let dropped: u64 = sizes.map(|size| lost(size as u64)).sum();
        assert_eq!((count("exported"), count("dropped")), (20.0 - dropped as f64, dropped as f64), "{what}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(&policy(silent.local_addr().unwrap(), "timeout: 100ms"));
    check_unharmed(&gateway);
    let began = Instant::now();
    drop(gateway);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn spans_that_find_no_room_are_dropped_and_counted() {
    let collector = Upstream::answering(|_| answer(503, b""));
    let gateway = Gateway::start(&policy(collector.address, ""));
    let token = token();
    let request = format!("GET /data/acme/x HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut connection = Connection::open(gateway.address);
    // More than wait, and than are on their way.
    for _ in 0..50 {
        connection.write(request.repeat(100).as_bytes());
        for _ in 0..100 {
            assert_eq!(connection.read_response().unwrap().status, 200);
        }
    }
    wait_for("what was lost", || (gateway.metric("scopegate_spans_dropped_total ")? > 0.0).then_some(()));
}

#[test]
fn where_spans_go_changes_with_the_file() {
    let (first, second) = (collector(), collector());
    let gateway = Gateway::start(&policy(first.address, ""));
    assert_eq!(gateway.get("/data/acme/1", &token()).status, 200);
    wait_for_spans(&first, 1);
    gateway.rewrite(&policy(second.address, "service_name: other"));
    gateway.wait_for_policy("the second", |policy| policy["generation"] == 2);
    assert_eq!(gateway.get("/data/acme/2", &token()).status, 200);
    assert_eq!(read(&wait_for_spans(&second, 1)[0].attributes)["url.path"], "/data/acme/2");
    let without = policy(second.address, "").split("tracing:").next().unwrap().to_owned();
    gateway.rewrite(&without);
    gateway.wait_for_policy("the third", |policy| policy["generation"] == 3);
    assert_eq!(gateway.get("/data/acme/3", &token()).status, 200);
    assert!(gateway.upstream.last().all("traceparent")[0].ends_with("-00"));
    assert_eq!((spans(&first).len(), spans(&second).len()), (1, 1));
}

/// A TLS server whose certificate comes from this authority: the paths that it was asked for.
fn secure_collector(authority: &Authority) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let issued = authority.issue("localhost", &["localhost"]);
    let configuration = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![issued.certificate.clone()], issued.key())
        .unwrap();
    let configuration = Arc::new(configuration);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&configuration)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(session, stream));
            let (mut line, mut length) = (String::new(), 0);
            // A client that does not trust the authority goes away.
            if reader.read_line(&mut line).is_err() {
                kept.lock().unwrap().push("refused".to_owned());
                continue;
            }
            loop {
                let mut field = String::new();
                reader.read_line(&mut field).unwrap();
                if let Some(value) = field.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if field.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let answered =
                reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            kept.lock().unwrap().push(line);
            answered.unwrap();
        }
    });
    (address, asked)
}

#[test]
fn a_collector_with_tls_must_have_a_certificate_of_the_files_authority() {
    let (good, other) = (Authority::new("Good"), Authority::new("Other"));
    let (address, asked) = secure_collector(&good);
    let text = policy(format_args!("localhost:{}", address.port()), "ca_file: ca.pem").replace("http:", "https:");
    let gateway = Gateway::start_with(&text, Upstream::start(), |folder| {
        std::fs::write(folder.join("ca.pem"), &other.pem).unwrap();
    });
    assert_eq!(gateway.get("/data/acme/x", &token()).status, 200);
    wait_for("a refusal", || asked.lock().unwrap().pop().filter(|line| line == "refused"));
    // What was tried before is tried again with the authority that is there by then.
    replace(&gateway.folder.path().join("ca.pem"), &good.pem);
    wait_for("a span", || (gateway.metric("scopegate_spans_exported_total ")? >= 1.0).then_some(()));
    assert_eq!(asked.lock().unwrap().pop().unwrap().trim_end(), "POST /v1/traces HTTP/1.1");
}

#[test]
fn the_example_of_the_page_is_good() {
    let page = include_str!("../../docs/tracing.md");
    let example = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let policy = format!(
        "version: 1\nlisteners: [{{ address: \"127.0.0.1:8080\" }}]\nupstreams: {{ a: {{ servers: [\"127.0.0.1:9000\"] }} }}\n\
         apis: [{{ name: a, upstream: a, public: [/] }}]\n{example}"
    );
    std::fs::write(folder.path().join("gateway.yaml"), &policy).unwrap();
    let output = scopegate(&["check"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check_schema(&policy);
}
