//! Envoy's `envoy.service.auth.v3`: questions and answers as protocol buffers, as far as they are used.
//!
//! Field numbers are those of envoyproxy/envoy's `external_auth.proto`, `attribute_context.proto` and
//! `base.proto`, and google's `status.proto`. What is not listed here is skipped. How messages are framed
//! is `grpc`'s.

use std::collections::HashMap;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use prost::Message;

use super::edits::Edits;
use super::question::{Question, Told, check_joined, is_secure};
use crate::gateway::problem::Answer;
use crate::policy::{Denial, HeaderFault, Policy, QuestionFault};
use crate::token::certificate_from_encoded_pem;

#[derive(Clone, PartialEq, Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "1")]
    attributes: Option<AttributeContext>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeContext {
    #[prost(message, optional, tag = "1")]
    source: Option<Peer>,
    #[prost(message, optional, tag = "4")]
    request: Option<Request>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    /// PEM, percent-encoded.
    #[prost(string, tag = "5")]
    certificate: String,
}

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpRequest>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpRequest {
    #[prost(string, tag = "2")]
    method: String,
    /// Repeated lines joined with commas, bytes that are no UTF-8 replaced by `!`.
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
    /// With `encode_raw_headers`, in the place of `headers`.
    #[prost(message, optional, tag = "13")]
    header_map: Option<HeaderLines>,
}

/// `config.core.v3.HeaderMap`.
#[derive(Clone, PartialEq, Message)]
struct HeaderLines {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<HeaderLine>,
}

/// `config.core.v3.HeaderValue`.
#[derive(Clone, PartialEq, Message)]
struct HeaderLine {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(bytes = "vec", tag = "3")]
    raw_value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct CheckResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    denied: Option<DeniedResponse>,
    #[prost(message, optional, tag = "3")]
    ok: Option<OkResponse>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct DeniedResponse {
    #[prost(message, optional, tag = "1")]
    status: Option<HttpStatus>,
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
    #[prost(string, tag = "3")]
    body: String,
}

#[derive(Clone, PartialEq, Message)]
struct OkResponse {
    #[prost(message, repeated, tag = "2")]
    headers: Vec<HeaderOption>,
    #[prost(string, repeated, tag = "5")]
    headers_to_remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct HeaderOption {
    #[prost(message, optional, tag = "1")]
    header: Option<HeaderLine>,
    #[prost(message, optional, tag = "2")]
    append: Option<BoolValue>,
}

/// `google.protobuf.BoolValue`.
#[derive(Clone, PartialEq, Message)]
struct BoolValue {
    #[prost(bool, tag = "1")]
    value: bool,
}

/// `google.rpc.Code`.
const OK: i32 = 0;
const PERMISSION_DENIED: i32 = 7;

const ATTRIBUTES: &str = "what is told of the request";

/// The question that a message is.
///
/// # Errors
/// If it is none, does not say which request it is about, or says it in two ways.
pub(in crate::gateway) fn question(message: &[u8], policy: &Policy) -> Result<Question, Denial> {
    let check = CheckRequest::decode(message).map_err(|_| QuestionFault::Unreadable("the message"))?;
    let attributes = check.attributes.ok_or(QuestionFault::Missing(ATTRIBUTES))?;
    let http = attributes.request.and_then(|request| request.http).ok_or(QuestionFault::Missing(ATTRIBUTES))?;
    for (value, what) in [
        (&http.method, "the method"),
        (&http.path, "the target"),
        (&http.host, "the host"),
        (&http.scheme, "the scheme"),
    ] {
        if value.is_empty() {
            return Err(QuestionFault::Missing(what).into());
        }
    }
    let headers = headers(&http, policy)?;
    let shown = attributes.source.map(|source| source.certificate).filter(|pem| !pem.is_empty());
    let certificate = shown.map(|pem| certificate_from_encoded_pem(&pem)).transpose();
    let certificate = certificate.map_err(|_| QuestionFault::Unreadable("the client's certificate"))?;
    let host = HeaderValue::from_str(&http.host).map_err(|_| HeaderFault::HostUnreadable)?;
    let secure = is_secure(http.scheme.as_bytes())?;
    let told = Told { method: http.method.as_bytes(), target: http.path.as_bytes(), host, secure };
    Question::new(&told, headers.iter(), certificate)
}

/// The headers, without those of HTTP/2 that the other attributes must agree with.
fn headers(http: &HttpRequest, policy: &Policy) -> Result<HeaderMap, Denial> {
    let mut headers = HeaderMap::new();
    let mut take = |key: &str, value: &[u8]| {
        if let Some(pseudo) = key.strip_prefix(':') {
            return check_pseudo(pseudo, value, http);
        }
        let name = HeaderName::from_bytes(key.as_bytes()).map_err(|_| QuestionFault::Unreadable("a header"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| QuestionFault::Unreadable("a header"))?;
        headers.try_append(name, value).map_err(|_| QuestionFault::Unreadable("a header"))?;
        Ok(())
    };
    match &http.header_map {
        Some(_) if !http.headers.is_empty() => return Err(QuestionFault::Repeated("the headers").into()),
        Some(lines) => {
            for HeaderLine { key, value, raw_value } in &lines.headers {
                if !raw_value.is_empty() && !value.is_empty() {
                    return Err(QuestionFault::Repeated("a header's value").into());
                }
                take(key, if raw_value.is_empty() { value.as_bytes() } else { raw_value })?;
            }
        }
        None => {
            for (key, value) in &http.headers {
                take(key, value.as_bytes())?;
            }
            check_repaired(&headers, policy)?;
        }
    }
    check_joined(&headers)?;
    Ok(headers)
}

fn check_pseudo(name: &str, value: &[u8], http: &HttpRequest) -> Result<(), Denial> {
    let agrees = match name {
        "method" => value == http.method.as_bytes(),
        "path" => value == http.path.as_bytes(),
        "authority" => value == http.host.as_bytes(),
        _ => true,
    };
    if agrees { Ok(()) } else { Err(QuestionFault::Unreadable(ATTRIBUTES).into()) }
}

/// Refuses what Envoy may have written in the place of other bytes, where the decision looks.
fn check_repaired(headers: &HeaderMap, policy: &Policy) -> Result<(), HeaderFault> {
    let is_repaired = |name: &HeaderName| headers.get_all(name).iter().any(|value| value.as_bytes().contains(&b'!'));
    if is_repaired(&AUTHORIZATION) {
        return Err(HeaderFault::SeveralAuthorizations);
    }
    if policy.account_headers().iter().any(is_repaired) { Err(HeaderFault::AccountUnreadable) } else { Ok(()) }
}

/// That the request may pass, so edited.
pub(super) fn allowed(edits: &Edits) -> Vec<u8> {
    let target = edits.target.iter().map(|target| option(":path", target, false));
    let set = edits.set.iter().map(|(name, value)| option(name.as_str(), value.as_bytes(), false));
    let ok = OkResponse {
        headers: target.chain(set).collect(),
        headers_to_remove: edits.removed.iter().map(|name| name.as_str().to_owned()).collect(),
    };
    CheckResponse { status: Some(Status { code: OK }), denied: None, ok: Some(ok) }.encode_to_vec()
}

/// That the answer is to be given to the client instead.
pub(super) fn denied(answer: &Answer) -> Vec<u8> {
    let is_repeated = |place: usize, name: &HeaderName| {
        answer.headers.get(..place).unwrap_or_default().iter().any(|(before, _)| before == name)
    };
    let headers = answer.headers.iter().enumerate();
    let headers =
        headers.map(|(place, (name, value))| option(name.as_str(), value.as_bytes(), is_repeated(place, name)));
    let denied = DeniedResponse {
        status: Some(HttpStatus { code: answer.status.as_u16().into() }),
        headers: headers.collect(),
        // INVARIANT: what is written here is UTF-8.
        body: String::from_utf8_lossy(&answer.body).into_owned(),
    };
    CheckResponse { status: Some(Status { code: PERMISSION_DENIED }), denied: Some(denied), ok: None }.encode_to_vec()
}

/// A header, written in the place of those of its name or after them.
fn option(name: &str, value: &[u8], append: bool) -> HeaderOption {
    let line = match std::str::from_utf8(value) {
        Ok(value) => HeaderLine { key: name.to_owned(), value: value.to_owned(), raw_value: Vec::new() },
        Err(_) => HeaderLine { key: name.to_owned(), value: String::new(), raw_value: value.to_vec() },
    };
    HeaderOption { header: Some(line), append: Some(BoolValue { value: append }) }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
