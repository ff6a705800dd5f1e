//! RFC 7009: whoever has a token can revoke it, at a path of the gateway's own.
//!
//! The form is read and answered here; whether the token is good, and how it stays revoked, is
//! `issuer`'s.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::answer::refuse;
use super::form;
use super::generation::Generation;
use super::head_checks::check_headers;
use super::judge::Findings;
use super::problem::{Answer, Problem, SOON};
use super::token_error;
use super::trace::REQUEST_ID;
use crate::policy::{FormFault, Reason, TokenRequestFault, UnixTime};
use crate::token::form_parameter;

/// The longest form that is read, in bytes.
const LONGEST: usize = 32 * 1024;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const POST: HeaderValue = HeaderValue::from_static("POST");

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
            // Section 2.2.1: errors are those of RFC 6749 section 5.2.
            found.reason = Some(Reason::FormRejected);
            return token_error::refuse(&TokenRequestFault::Form(fault), request_id);
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

async fn token(session: &mut Session) -> Result<String, FormFault> {
    form_parameter(&form::read(session, LONGEST).await?, "token")?.ok_or(FormFault::Missing)
}
