//! RFC 7009: whoever has a token can revoke it, at a path of the gateway's own.
//!
//! The form is read and answered here; whether the token is good, and how it stays revoked, is
//! `issuer`'s.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;

use super::context::raw_head;
use super::form;
use super::generation::Generation;
use super::head_checks::check_own;
use super::inbound::Peer;
use super::judge::Findings;
use super::problem::{Answer, Problem, SOON};
use super::token_error;
use super::trace::REQUEST_ID;
use crate::issuer::{Authenticated, Moment, NotRevoked};
use crate::policy::{FormFault, Reason, TokenRequestFault};
use crate::record::{AuditSink, MeantTokens, RevocationOutcome, RevocationResult, RevokedBy};
use crate::token::{Revocation, form_parameter};

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

/// A request to revoke a token, and by whom it is answered.
#[derive(Clone, Copy)]
pub(super) struct Asked<'r> {
    pub(super) generation: &'r Generation,
    pub(super) audit: &'r AuditSink,
    pub(super) request_id: &'r HeaderValue,
    pub(super) peer: Peer,
    pub(super) now: Moment,
}

/// Revokes the token of the form, and answers.
pub(super) async fn revoke(session: &mut ServerSession, asked: &Asked<'_>, found: &mut Findings) -> Answer {
    let Asked { generation, request_id, now, .. } = *asked;
    let head = session.req_header();
    if let Err(denial) = check_own(&raw_head(session), head, &generation.settings.limits) {
        found.refuse(&denial);
        return generation.refusals.refuse(&denial, &generation.policy, None, request_id);
    }
    if head.method != Method::POST {
        found.reason = Some(Reason::MethodNotAllowed);
        let problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "a token is revoked with POST");
        return problem.with(ALLOW, POST).answer(Reason::MethodNotAllowed.as_str(), request_id);
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
    asked.record(&revoked);
    let Ok(revoked) = revoked else {
        // Section 2.2.1: the client must assume that the token is still good.
        found.reason = Some(Reason::IssuerUnavailable);
        let detail = "the token could not be revoked right now, and may still be good";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Token not revoked", detail);
        return problem.with(RETRY_AFTER, SOON).answer(Reason::IssuerUnavailable.as_str(), request_id);
    };
    found.caller = revoked.map(|(caller, _)| caller);
    found.reason = Some(Reason::Public);
    let headers = [(CACHE_CONTROL, NO_STORE), (REQUEST_ID, request_id.clone())];
    Answer { status: StatusCode::OK, headers: headers.into_iter().collect(), body: Bytes::new() }
}

impl Asked<'_> {
    fn record(&self, revoked: &Result<Option<(Arc<Authenticated>, Revocation)>, NotRevoked>) {
        let (result, found) = match revoked {
            Ok(Some(found)) => (RevocationResult::Revoked, Some(found)),
            Ok(None) => (RevocationResult::NoGoodToken, None),
            Err(_) => (RevocationResult::NotRevoked, None),
        };
        let digest = found.and_then(|(_, entry)| entry.digest());
        let meant = found.map(|(found, entry)| MeantTokens {
            kind: entry.kind(),
            issuer: entry.issuer(),
            subject: found.caller.subject.as_deref(),
            client: found.caller.client.as_deref(),
            digest: digest.as_deref(),
            issued_before: None,
            expires_at: entry.expires_at().map(|time| time.0),
        });
        self.audit.revocation(&RevocationOutcome {
            time: SystemTime::now(),
            request_id: self.request_id.to_str().ok(),
            generation: self.generation.number,
            by: RevokedBy::Holder,
            peer: self.peer.address,
            result,
            meant,
        });
    }
}

async fn token(session: &mut ServerSession) -> Result<String, FormFault> {
    form_parameter(&form::read(session, LONGEST).await?, "token")?.ok_or(FormFault::Missing)
}
