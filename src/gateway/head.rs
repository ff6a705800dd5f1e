//! The head of an upstream request as text, for requests that have nothing unusual about them.
//!
//! It says what `outbound` and `onward::head` would make of the same request, which a test holds it to; they
//! do it header by header in two maps, at some thousand instructions each. What is unusual (a body, an
//! upgrade, options in `Connection`) is left to them.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{Method, Version};
use pingora::http::RequestHeader;

use super::forward::Forward;
use super::inbound::{self, X_FORWARDED_FOR};
use super::outbound::{DPOP, Outbound, Sending, forwarded_for, forwarded_host};
use super::trace::{self, REQUEST_ID, TRACEPARENT, TRACESTATE};

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What makes a request unusual, beside options in `Connection`.
const UNUSUAL: [HeaderName; 4] = [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT, UPGRADE];

/// What does not go on, beside what `hygiene` stops.
const HOP_BY_HOP: [HeaderName; 5] = [CONNECTION, KEEP_ALIVE, TE, TRAILER, HTTP2_SETTINGS];

/// What the gateway writes itself, beside identity and accounts.
const WRITTEN: [HeaderName; 5] = [REQUEST_ID, TRACEPARENT, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO];

/// Whether there is nothing unusual about a request.
pub(super) fn is_usual(request: &RequestHeader) -> bool {
    let headers = &request.headers;
    let is_usual =
        |option: &[u8]| [&b"keep-alive"[..], b"close"].iter().any(|usual| option.eq_ignore_ascii_case(usual));
    request.method == Method::GET
        && request.version == Version::HTTP_11
        && request.has_case()
        && headers.keys().all(|name| !UNUSUAL.contains(name))
        && headers.get_all(CONNECTION).iter().all(|option| is_usual(option.as_bytes()))
        && headers.get_all(COOKIE).iter().nth(1).is_none()
}

impl Outbound {
    /// The head of the request that the permit lets through; `None` if there is no way to write it.
    pub(super) fn head(&self, forward: &Forward, sending: &Sending<'_>, request: &RequestHeader) -> Option<Vec<u8>> {
        let target = forward.target().unwrap_or_else(|| request.raw_path());
        if forward.form().is_some() || !target.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut head = Vec::with_capacity(2048);
        for part in [request.method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
            head.extend_from_slice(part);
        }
        let (parent, taken_over) = trace::traceparent(&request.headers, sending.traced);
        let goes_on = |name: &HeaderName| {
            !HOP_BY_HOP.contains(name)
                && !WRITTEN.contains(name)
                && (taken_over || *name != TRACESTATE)
                && (self.forwards_authorization(forward) || ![AUTHORIZATION, DPOP].contains(name))
                && forward.injected().is_none_or(|(injected, _)| injected != name)
                && self.hygiene.passes(name, sending.peer.trusted)
        };
        // Both in one order: pingora itself relies on it.
        for ((name, value), (written, _)) in request.headers.iter().zip(request.case_header_iter()) {
            if goes_on(name) {
                line(written.as_slice(), value, &mut head);
            }
        }
        if let Some((name, value)) = forward.injected() {
            line(name.as_str().as_bytes(), value, &mut head);
        }
        for (name, value) in self.identity(forward, sending) {
            if let (Some(name), Some(value)) = (name, value) {
                line(name, value, &mut head);
            }
        }
        text(b"traceparent", &parent, &mut head);
        line(b"X-Request-Id", sending.request_id, &mut head);
        text(b"X-Forwarded-For", forwarded_for(sending.peer, &request.headers).as_bytes(), &mut head);
        text(b"X-Forwarded-Proto", inbound::scheme(&request.headers, sending.peer).as_bytes(), &mut head);
        if let Some(host) = forwarded_host(sending.peer, &request.headers) {
            line(b"X-Forwarded-Host", host, &mut head);
        }
        head.extend_from_slice(b"\r\n");
        Some(head)
    }
}

/// No value has a line's end in it: none that was parsed has.
fn line(name: &[u8], value: &HeaderValue, head: &mut Vec<u8>) {
    text(name, value.as_bytes(), head);
}

fn text(name: &[u8], value: &[u8], head: &mut Vec<u8>) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}
