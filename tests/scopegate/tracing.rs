//! Spans of requests, as a collector of traces gets them.

mod collectors;
mod parents;

use std::collections::HashMap;
use std::fmt::Display;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use prost::Message as _;
use serde_json::json;

use crate::harness::{Gateway, Signer, Upstream, free_address, wait_for};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A policy whose spans go to a collector at this address, with these keys besides.
fn policy(collector: impl Display, more: &str) -> String {
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
