//! RFC 7009: whoever has a token can revoke it, at a path of the gateway's own.
//!
//! The form is read and answered here; whether the token is good, and how it stays revoked, is
//! `issuer`'s.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::answer::refuse;
use super::generation::Generation;
use super::inbound::check_headers;
use super::judge::Findings;
use super::problem::{Answer, Problem, SOON};
use super::trace::REQUEST_ID;
use crate::policy::{Reason, UnixTime};
use crate::token::{form_parameter, is_form};

/// The longest form that is read, in bytes, and how long it may take to come.
const LONGEST: usize = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const POST: HeaderValue = HeaderValue::from_static("POST");

/// Why a form names no token.
enum Fault {
    /// Its text says what would be right.
    Invalid(String),
    TooLong,
    Late,
    /// The client has gone, or its framing is broken.
    Broken,
}

/// Whether a request asks to revoke a token, by the path that the file names for that.
pub(super) fn is_revocation(generation: &Generation, head: &RequestHeader) -> bool {
    let list = generation.settings.revocations.as_ref();
    let endpoint = list.and_then(|list| list.endpoint.as_deref()).map(str::as_bytes);
    endpoint.is_some() && head.raw_path().split(|byte| *byte == b'?').next() == endpoint
}

/// Revokes the token of the form, and answers.
pub(super) async fn revoke(
    session: &mut Session,
    generation: &Generation,
    request_id: &HeaderValue,
    now: UnixTime,
    found: &mut Findings,
) -> Answer {
    let head = session.req_header();
    if head.method != Method::POST {
        found.reason = Some(Reason::MethodNotAllowed);
        let problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "a token is revoked with POST");
        return problem.with(ALLOW, POST).answer(Reason::MethodNotAllowed.as_str(), request_id);
    }
    if let Err(fault) = check_headers(&head.method, &head.headers) {
        let denial = fault.into();
        found.reason = Some(Reason::HeaderAmbiguous);
        return refuse(&denial, &generation.policy, &generation.challenges, None, request_id);
    }
    let token = match token(session).await {
        Ok(token) => token,
        Err(fault) => {
            found.reason = Some(Reason::FormRejected);
            return fault.answer(request_id);
        }
    };
    let revoked = generation.issuers.revoke(&token, &generation.policy, generation.number, now).await;
    let Ok(caller) = revoked else {
        // Section 2.2.1: the client must assume that the token is still good.
        found.reason = Some(Reason::IssuerUnavailable);
        let detail = "the token could not be revoked right now, and may still be good";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Token not revoked", detail);
        return problem.with(RETRY_AFTER, SOON).answer(Reason::IssuerUnavailable.as_str(), request_id);
    };
    found.caller = caller;
    found.reason = Some(Reason::Public);
    let headers = [(CACHE_CONTROL, NO_STORE), (REQUEST_ID, request_id.clone())];
    Answer { status: StatusCode::OK, headers: headers.into_iter().collect(), body: Bytes::new() }
}

async fn token(session: &mut Session) -> Result<String, Fault> {
    let kind = session.req_header().headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(is_form) {
        let help = "send the token in a form, of type `application/x-www-form-urlencoded`";
        return Err(Fault::Invalid(help.to_owned()));
    }
    let form = match tokio::time::timeout(PATIENCE, body(session)).await {
        Ok(body) => body?,
        Err(_) => return Err(Fault::Late),
    };
    match form_parameter(&form, "token") {
        Ok(Some(token)) => Ok(token),
        Ok(None) => Err(Fault::Invalid("the form has no `token`".to_owned())),
        Err(fault) => Err(Fault::Invalid(fault.to_string())),
    }
}

async fn body(session: &mut Session) -> Result<BytesMut, Fault> {
    let headers = &session.req_header().headers;
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > LONGEST) {
        return Err(Fault::TooLong);
    }
    if headers.contains_key(EXPECT) {
        session.write_continue_response().await.map_err(|_| Fault::Broken)?;
    }
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await.map_err(|_| Fault::Broken)? {
        if body.len() + piece.len() > LONGEST {
            return Err(Fault::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

impl Fault {
    /// RFC 7009 section 2.2.1: errors are written as RFC 6749 section 5.2 has them.
    fn answer(self, request_id: &HeaderValue) -> Answer {
        let (status, detail) = match self {
            Self::Invalid(detail) => (StatusCode::BAD_REQUEST, detail),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, format!("the form is longer than {LONGEST} bytes")),
            Self::Late => (StatusCode::REQUEST_TIMEOUT, "the form did not come in time".to_owned()),
            Self::Broken => (StatusCode::BAD_REQUEST, "the form did not come as a whole".to_owned()),
        };
        let body = serde_json::json!({ "error": "invalid_request", "error_description": detail });
        let headers = [(CONTENT_TYPE, JSON), (CACHE_CONTROL, NO_STORE), (REQUEST_ID, request_id.clone())];
        Answer { status, headers: headers.into_iter().collect(), body: body.to_string().into() }
    }
}
