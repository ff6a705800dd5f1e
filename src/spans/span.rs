//! What a span says of a request: the names of HTTP are OpenTelemetry's (semantic conventions for HTTP
//! server spans, 1.23 and later), those of the decision are `scopegate.`'s.
//!
//! No token, no query and no person is in it: the audit line has the subject and the account, and
//! `scopegate.request_id` leads there.

use std::borrow::Cow;
use std::net::IpAddr;
use std::str::FromStr as _;

use http::Version;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::record::{Outcome, decision};

/// A longer `tracestate` goes on to the upstream, and is left out of the span.
const LONGEST_STATE: usize = 512;

/// Where a request stands in its trace, and how it came.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The trace's id.
    pub trace: [u8; 16],
    /// The span's own.
    pub span: [u8; 8],
    /// That of the client's span, if it has told one.
    pub parent: Option<[u8; 8]>,
    /// What the client's `tracestate` says.
    pub state: Option<&'a str>,
    /// Whom the connection is with.
    pub peer: Option<IpAddr>,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Of the request.
    pub version: Version,
}

pub(super) fn span(outcome: &Outcome<'_>, place: &Place<'_>) -> SpanData {
    let state = place.state.filter(|state| state.len() <= LONGEST_STATE);
    let context = SpanContext::new(
        TraceId::from_bytes(place.trace),
        SpanId::from_bytes(place.span),
        TraceFlags::SAMPLED,
        false,
        state.and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default(),
    );
    let (method, original) = method(outcome.method);
    let route = outcome.service.map(route);
    SpanData {
        span_context: context,
        parent_span_id: place.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: place.parent.is_some(),
        span_kind: SpanKind::Server,
        name: match route {
            Some(route) => Cow::Owned(format!("{method} {route}")),
            None => Cow::Borrowed(method),
        },
        start_time: outcome.time,
        end_time: outcome.time + outcome.request_time,
        attributes: attributes(outcome, place, (method, original), route),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        // What a client did wrong is no error of the server's.
        status: if outcome.status >= 500 { Status::error("") } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("scopegate")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

fn attributes(
    outcome: &Outcome<'_>,
    place: &Place<'_>,
    (method, original): (&'static str, Option<&str>),
    route: Option<&str>,
) -> Vec<KeyValue> {
    let mut list = Vec::with_capacity(24);
    let mut add = |name: &'static str, value: Value| list.push(KeyValue::new(name, value));
    let text = |text: &str| Value::from(text.to_owned());
    let number = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    let (host, port) = outcome.seen.host.map_or((None, None), host_and_port);
    let error = match outcome.upstream_error {
        Some(error) => Some(text(error)),
        None if outcome.status >= 500 => Some(Value::from(outcome.status.to_string())),
        None => None,
    };
    add("http.request.method", method.into());
    add("url.path", text(outcome.path));
    add("url.scheme", place.scheme.into());
    add("network.protocol.version", protocol(place.version).into());
    add("scopegate.decision", decision(outcome.reason).into());
    add("scopegate.reason", outcome.reason.as_str().into());
    add("scopegate.generation", number(outcome.generation));
    add("scopegate.request_id", text(outcome.request_id));
    let microseconds = u64::try_from(outcome.decision_time.as_micros()).unwrap_or(u64::MAX);
    add("scopegate.decision_microseconds", number(microseconds));
    for (name, value) in [
        ("http.request.method_original", original.map(text)),
        ("http.route", route.map(text)),
        ("http.response.status_code", (outcome.status != 0).then(|| number(outcome.status.into()))),
        ("server.address", host.map(text)),
        ("server.port", port.map(number)),
        ("network.peer.address", place.peer.map(|peer| Value::from(peer.to_string()))),
        ("error.type", error),
        ("scopegate.reported", outcome.reported.map(|reason| reason.as_str().into())),
        ("scopegate.api", outcome.seen.api.map(text)),
        ("scopegate.service", outcome.service.map(text)),
        ("scopegate.scope", outcome.granted_by.map(text)),
        ("scopegate.issuer", outcome.issuer.map(text)),
        ("scopegate.client", outcome.client.map(text)),
        ("scopegate.upstream_error", outcome.upstream_error.map(text)),
    ] {
        if let Some(value) = value {
            add(name, value);
        }
    }
    list
}

/// Names are few, as those who read spans rely on; any other method is told as it came besides.
fn method(method: &str) -> (&'static str, Option<&str>) {
    const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"];
    match KNOWN.iter().find(|known| **known == method) {
        Some(known) => (known, None),
        None => ("_OTHER", Some(method)),
    }
}

/// The path of a service, as the file writes it behind its methods.
fn route(service: &str) -> &str {
    service.rsplit(' ').next().unwrap_or(service)
}

fn host_and_port(host: &str) -> (Option<&str>, Option<u64>) {
    match host.rsplit_once(':') {
        // An IPv6 address has its colons in brackets.
        Some((name, port)) if !port.ends_with(']') => (Some(name), port.parse().ok()),
        Some(_) | None => (Some(host), None),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        for (host, name, port) in [
            ("api.example.com", "api.example.com", None),
            ("api.example.com:8443", "api.example.com", Some(8443)),
            ("[::1]", "[::1]", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("api:none", "api", None),
        ] {
            assert_eq!(host_and_port(host), (Some(name), port), "{host}");
        }
    }

    #[test]
    fn a_route_is_the_path_of_its_service() {
        for (service, path) in [("GET,POST /a/{b}/**", "/a/{b}/**"), ("* /a", "/a"), ("/a", "/a")] {
            assert_eq!(route(service), path);
        }
    }
}
