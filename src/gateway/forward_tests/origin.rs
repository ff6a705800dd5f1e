//! What is believed of where a request comes from, and what it is a part of.

use super::check;
use super::rig::{Asked, peer};
use crate::gateway::inbound::Peer;

const STRANGER: Peer = Peer { address: None, trusted: false, tls: false, local: None };

#[test]
fn a_stranger_is_not_believed_where_it_comes_from() {
    let headers = &[
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/evil"),
        ("Forwarded", "for=10.0.0.1"),
        ("X-Real-IP", "10.0.0.1"),
        ("Client-Cert", ":x:"),
    ];
    check(
        &Asked { headers, ..Asked::default() },
        &[
            ("x-forwarded-for", &["192.0.2.7"]),
            ("x-forwarded-proto", &["http"]),
            ("x-forwarded-host", &["api.example"]),
            ("x-forwarded-prefix", &[]),
            ("forwarded", &[]),
            ("x-real-ip", &[]),
            ("client-cert", &[]),
        ],
    );
    check(&Asked { peer: STRANGER, headers, ..Asked::default() }, &[("x-forwarded-for", &["unknown"])]);
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to() {
    let headers = &[
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.example"),
        ("Forwarded", "for=198.51.100.1"),
        ("X-Real-IP", "198.51.100.1"),
        ("Client-Cert", ":x:"),
        ("X-Forwarded-Client-Cert", "Hash=1"),
    ];
    check(
        &Asked { headers, peer: peer("10.0.0.2", true), ..Asked::default() },
        &[
            ("x-forwarded-for", &["198.51.100.1, 10.0.0.1, 10.0.0.2"]),
            ("x-forwarded-proto", &["https"]),
            ("x-forwarded-host", &["public.example"]),
            ("forwarded", &["for=198.51.100.1"]),
            ("x-real-ip", &["198.51.100.1"]),
            ("client-cert", &[]),
            ("x-forwarded-client-cert", &[]),
        ],
    );
    let headers = &[("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "a/b")];
    check(
        &Asked { headers, peer: peer("10.0.0.2", true), ..Asked::default() },
        &[("x-forwarded-proto", &["http"]), ("x-forwarded-host", &["api.example"])],
    );
}

#[test]
fn the_request_id_is_the_gateways_and_a_trace_state_goes_with_its_trace() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let with = |headers| Asked { headers, ..Asked::default() };
    check(
        &with(&[("X-Request-Id", "theirs"), ("X-Request-Id", "twice"), ("tracestate", "a=b")]),
        &[("x-request-id", &["r-1"]), ("tracestate", &[])],
    );
    let headers = Box::leak(Box::new([("traceparent", trace), ("tracestate", "a=b")]));
    check(&with(headers), &[("tracestate", &["a=b"])]);
}
