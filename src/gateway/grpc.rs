//! What a gRPC client is told in the place of a problem: a status of its own, as trailers alone (gRPC over
//! HTTP/2, "Responses").
//!
//! Which answer a request gets is the others'; here one that refuses is said again so that gRPC libraries
//! hand it to their callers. The codes are those of gRPC's "HTTP to gRPC Status Code Mapping", but for
//! what that leaves unknown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use serde::Deserialize;

use super::failure::Failure;
use super::problem::Answer;
use super::trace::REQUEST_ID;
use crate::policy::Reason;

/// gRPC's status codes, as far as the gateway gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Code {
    Cancelled = 1,
    Unknown = 2,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// What a problem's body says.
#[derive(Deserialize)]
struct Said<'a> {
    detail: std::borrow::Cow<'a, str>,
    reason: &'a str,
    request_id: &'a str,
    #[serde(default)]
    required_scopes: Vec<&'a str>,
}

pub(super) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
/// gRPC's retry design (A6): after how many milliseconds a client that retries may do so.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// Whether a request is of gRPC, which there is over HTTP/2 alone; gRPC-Web is not meant, whose clients
/// read HTTP's own status.
pub(super) fn is_grpc(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_2 && has_grpc(&request.headers)
}

fn has_grpc(headers: &HeaderMap) -> bool {
    let Some(media_type) = headers.get(CONTENT_TYPE) else { return false };
    match media_type.as_bytes().split_at_checked(GRPC.len()) {
        Some((start, rest)) => {
            start.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        }
        None => false,
    }
}

/// Says a refusal as gRPC has it; an answer that refuses nothing stays as it is. `reason` is why the
/// request is denied, `failure` what became of one that was allowed.
pub(super) fn say(answer: Answer, reason: Option<Reason>, failure: Option<Failure>) -> Answer {
    if answer.status.is_success() {
        return answer;
    }
    let code = match (failure, reason) {
        (Some(failure), _) => of_failure(failure),
        (None, Some(reason)) => of_reason(reason, answer.status),
        (None, None) => Code::Unknown,
    };
    // What the body says was made of the same parts, a moment ago: it is no text of anybody else.
    let said: Option<Said<'_>> = serde_json::from_slice(&answer.body).ok();
    let message = said.as_ref().map(|said| format!("{}: {}", said.reason, said.detail)).unwrap_or_default();
    let own =
        [(CONTENT_TYPE, GRPC), (STATUS, HeaderValue::from(code as u16)), (MESSAGE, value(&percent_encoded(&message)))];
    let details = said.map(|said| (DETAILS, value(&STANDARD_NO_PAD.encode(status(code, &message, &said)))));
    let waits = answer.headers.iter().find(|(name, _)| *name == RETRY_AFTER);
    let pushback = waits.and_then(|(_, seconds)| seconds.to_str().ok()?.parse::<u64>().ok());
    let pushback = pushback.map(|seconds| (PUSHBACK, HeaderValue::from(seconds.saturating_mul(1000))));
    let rest = answer.headers.iter().filter(|(name, _)| *name != CONTENT_TYPE && *name != CACHE_CONTROL).cloned();
    let headers = own.into_iter().chain(details).chain(pushback).chain(rest).collect();
    Answer { status: StatusCode::OK, headers, body: Bytes::new() }
}

/// What ends a call whose answer has begun, in the place of the answer that says why.
pub(super) fn trailers(answer: Answer, failure: Failure) -> HeaderMap {
    let said = say(answer, None, Some(failure)).headers;
    said.into_iter().filter(|(name, _)| [STATUS, MESSAGE, DETAILS].contains(name)).collect()
}

/// The trailers of a call that was let through, and would not be any more.
pub(super) fn ended(why: Option<Reason>) -> HeaderMap {
    let code = why.map_or(Code::Unknown, |why| of_reason(why, StatusCode::FORBIDDEN));
    let message = format!("{}: what let the call through is no more", why.map_or("", Reason::as_str));
    HeaderMap::from_iter([(STATUS, HeaderValue::from(code as u16)), (MESSAGE, value(&percent_encoded(&message)))])
}

/// The head of an answer that is these trailers alone.
///
/// # Errors
/// If pingora refuses a field, which it does not with these.
pub(super) fn head_of(trailers: &HeaderMap, request_id: &HeaderValue) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(StatusCode::OK, Some(trailers.len() + 2))?;
    head.append_header(CONTENT_TYPE, GRPC)?;
    head.append_header(REQUEST_ID, request_id.clone())?;
    for (name, value) in trailers {
        head.append_header(name, value.clone())?;
    }
    Ok(head)
}

/// 400 is `INTERNAL` there, as a gRPC library wrote the request, and 404 and 405 say that there is no such
/// method. What is too large or too much is `RESOURCE_EXHAUSTED`.
fn of_reason(reason: Reason, status: StatusCode) -> Code {
    match reason {
        Reason::QuestionRejected | Reason::PathAmbiguous | Reason::HeaderAmbiguous | Reason::FormRejected => {
            Code::Internal
        }
        Reason::HeadTooLarge | Reason::BodyTooLarge | Reason::RateLimited => Code::ResourceExhausted,
        Reason::TokenMissing
        | Reason::TokenMalformed
        | Reason::IssuerUnknown
        | Reason::AlgorithmRejected
        | Reason::KeyUnknown
        | Reason::TokenTypeRejected
        | Reason::SignatureInvalid
        | Reason::AudienceMismatch
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::TokenRevoked
        | Reason::BindingMismatch => Code::Unauthenticated,
        // As the api has it.
        Reason::ScopeRequired | Reason::ScopeInsufficient if status == StatusCode::UNAUTHORIZED => {
            Code::Unauthenticated
        }
        Reason::OriginRejected
        | Reason::ClientUnknown
        | Reason::CertificateMismatch
        | Reason::ScopeUndefined
        | Reason::ScopeRequired
        | Reason::ScopeInsufficient
        | Reason::ClientTypeRejected
        | Reason::AccountMissing
        | Reason::AccountAmbiguous
        | Reason::AccountForbidden => Code::PermissionDenied,
        Reason::RouteUnknown | Reason::MethodNotAllowed => Code::Unimplemented,
        Reason::IssuerUnavailable | Reason::SharedStateUnavailable | Reason::Overloaded => Code::Unavailable,
        // These refuse nothing.
        Reason::Preflight | Reason::Public | Reason::Reported | Reason::Granted => Code::Unknown,
    }
}

/// Clients try again after `UNAVAILABLE`, so that a call which the upstream may still be working on is
/// `DEADLINE_EXCEEDED`.
fn of_failure(failure: Failure) -> Code {
    match failure {
        Failure::UpstreamUnavailable | Failure::UpstreamFailed => Code::Unavailable,
        Failure::UpstreamTimeout | Failure::RequestTimeout => Code::DeadlineExceeded,
        // No gRPC call asks for one.
        Failure::UpgradeImpossible => Code::Unimplemented,
        Failure::BodyTooLarge => Code::ResourceExhausted,
        Failure::RequestInvalid | Failure::Internal => Code::Internal,
        Failure::ClientGone => Code::Cancelled,
    }
}

/// `google.rpc.Status` with one `google.rpc.ErrorInfo`, whose reason is in capitals (AIP-193).
fn status(code: Code, message: &str, said: &Said<'_>) -> Vec<u8> {
    let mut info = Vec::new();
    text(1, &said.reason.to_ascii_uppercase(), &mut info);
    text(2, "scopegate", &mut info);
    let scopes = said.required_scopes.join(" ");
    let scopes = (!scopes.is_empty()).then_some(("required_scopes", &*scopes));
    for (key, value) in [("request_id", said.request_id)].into_iter().chain(scopes) {
        let mut entry = Vec::new();
        text(1, key, &mut entry);
        text(2, value, &mut entry);
        field(3, &entry, &mut info);
    }
    let mut any = Vec::new();
    text(1, ERROR_INFO, &mut any);
    field(2, &info, &mut any);
    let mut status = vec![1 << 3, code as u8];
    text(2, message, &mut status);
    field(3, &any, &mut status);
    status
}

fn text(number: u8, text: &str, to: &mut Vec<u8>) {
    field(number, text.as_bytes(), to);
}

/// A length-delimited field of Protocol Buffers; its number is below 16.
fn field(number: u8, bytes: &[u8], to: &mut Vec<u8>) {
    to.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        to.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    to.push(u8::try_from(length).unwrap_or_default());
    to.extend_from_slice(bytes);
}

/// `Percent-Encoded` of gRPC over HTTP/2: visible ASCII and spaces as they are, but for `%`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase();
                encoded.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
    }
    encoded
}

/// Of visible ASCII and spaces.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::problem::Problem;

    fn header<'a>(answer: &'a Answer, name: &HeaderName) -> Option<&'a str> {
        answer.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.to_str().unwrap())
    }

    fn problem(status: u16, detail: &str) -> Answer {
        let problem = Problem::new(StatusCode::from_u16(status).unwrap(), "A title", detail);
        let problem = Problem { scopes: Some(["a", "b"].into_iter().collect()), ..problem };
        let problem = problem.with(RETRY_AFTER, HeaderValue::from_static("2"));
        problem.answer("scope_insufficient", &HeaderValue::from_static("r-1"))
    }

    #[test]
    fn a_denial_is_trailers_alone_with_its_message_and_reason() {
        let said = say(problem(403, "100% of \"é\"\n"), Some(Reason::ScopeInsufficient), None);
        assert_eq!((said.status, said.body.len()), (StatusCode::OK, 0));
        assert_eq!(header(&said, &CONTENT_TYPE), Some("application/grpc"));
        assert_eq!(header(&said, &STATUS), Some("7"));
        assert_eq!(header(&said, &MESSAGE), Some("scope_insufficient: 100%25 of \"%C3%A9\"%0A"));
        assert_eq!((header(&said, &PUSHBACK), header(&said, &RETRY_AFTER)), (Some("2000"), Some("2")));
        let details = STANDARD_NO_PAD.decode(header(&said, &DETAILS).unwrap()).unwrap();
        let mut expected = b"\x08\x07\x12\x21scope_insufficient: 100% of \"\xc3\xa9\"\n\x1a".to_vec();
        let info = b"\x0a\x12SCOPE_INSUFFICIENT\x12\x09scopegate\
                     \x1a\x11\x0a\x0arequest_id\x12\x03r-1\x1a\x16\x0a\x0frequired_scopes\x12\x03a b";
        let any = [&b"\x0a\x28type.googleapis.com/google.rpc.ErrorInfo\x12\x4a"[..], info].concat();
        expected.push(u8::try_from(any.len()).unwrap());
        expected.extend_from_slice(&any);
        assert_eq!(details.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn each_status_has_the_code_that_libraries_expect() {
        for (status, reason, code) in [
            (400, Reason::PathAmbiguous, "13"),
            (401, Reason::TokenExpired, "16"),
            (403, Reason::ScopeInsufficient, "7"),
            (401, Reason::ScopeInsufficient, "16"),
            (401, Reason::ScopeRequired, "16"),
            (404, Reason::RouteUnknown, "12"),
            (405, Reason::MethodNotAllowed, "12"),
            (413, Reason::BodyTooLarge, "8"),
            (429, Reason::RateLimited, "8"),
            (503, Reason::IssuerUnavailable, "14"),
            (503, Reason::Overloaded, "14"),
        ] {
            assert_eq!(header(&say(problem(status, "d"), Some(reason), None), &STATUS), Some(code), "{reason}");
        }
        for (failure, code) in [
            (Failure::UpstreamUnavailable, "14"),
            (Failure::UpstreamFailed, "14"),
            (Failure::UpstreamTimeout, "4"),
            (Failure::RequestTimeout, "4"),
            (Failure::Internal, "13"),
        ] {
            let said = say(problem(502, "d"), Some(Reason::Granted), Some(failure));
            assert_eq!(header(&said, &STATUS), Some(code), "{failure:?}");
        }
    }

    #[test]
    fn long_fields_say_their_length_in_several_bytes() {
        for (length, head) in [(127, &b"\x0a\x7f"[..]), (128, b"\x0a\x80\x01"), (16_384, b"\x0a\x80\x80\x01")] {
            let mut to = Vec::new();
            field(1, &vec![b'x'; length], &mut to);
            assert_eq!((&to[..head.len()], to.len()), (head, head.len() + length));
        }
    }

    #[test]
    fn what_refuses_nothing_stays_as_it_is() {
        let answer =
            Answer { body: Bytes::from_static(b"{}"), status: StatusCode::OK, headers: [].into_iter().collect() };
        assert_eq!(say(answer, Some(Reason::Public), None).body, "{}");
    }

    #[test]
    fn only_grpc_over_http2_is_grpc() {
        for (media_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/GRPC; x=y", true),
            ("application/grpc-web", false),
            ("application/grpc-web-text", false),
            ("application/json", false),
            ("application/grp", false),
        ] {
            let mut request = RequestHeader::build("POST", b"/", None).unwrap();
            request.insert_header(CONTENT_TYPE, media_type).unwrap();
            assert!(!is_grpc(&request), "{media_type} over HTTP/1.1");
            request.set_version(Version::HTTP_2);
            assert_eq!(is_grpc(&request), expected, "{media_type}");
        }
    }
}
