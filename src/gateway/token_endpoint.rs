//! Requests for tokens at a guarded endpoint: their form is read whole, within bounds, judged, and goes
//! on as it was judged.
//!
//! What a form says is `token`'s, what a client may ask for `policy`'s, and who it is the provider's.
//! No value of a form goes anywhere but to the provider.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::connection::Security;
use super::forward::Forward;
use super::generation::Generation;
use super::inbound::{self, Peer};
use super::judge::Findings;
use crate::policy::{Denial, FormFault, Target, TokenEndpointId, TokenRequest, TokenRequestFault};
use crate::token::{TokenForm, check_media_type};

/// How long a form may take to arrive.
const FORM_TIME: Duration = Duration::from_secs(10);

/// A request for a token, whose head was judged.
#[derive(Clone, Copy)]
pub(super) struct AskedToken<'r> {
    pub(super) generation: &'r Generation,
    pub(super) endpoint: TokenEndpointId,
    pub(super) peer: Peer,
}

/// Reads a request for a token and judges it.
///
/// # Errors
/// Why it may not go to the provider.
pub(super) async fn judge(
    session: &mut Session,
    asked: &AskedToken<'_>,
    found: &mut Findings,
) -> Result<Forward, Denial> {
    decide(session, asked, found).await.inspect_err(|denial| found.refuse(denial))
}

async fn decide(session: &mut Session, asked: &AskedToken<'_>, found: &mut Findings) -> Result<Forward, Denial> {
    let AskedToken { generation, endpoint, peer } = *asked;
    let policy = &generation.policy;
    // INVARIANT: policy and settings have the endpoints at the same places.
    let api = policy.token_endpoint(endpoint).ok_or(Denial::RouteUnknown)?.api;
    let settings = generation.settings.token_endpoints.get(endpoint.0 as usize).ok_or(Denial::RouteUnknown)?;
    let refused = |fault: TokenRequestFault| Denial::TokenRequest { api, fault };
    let body = read(session, settings.max_form_bytes).await.map_err(|fault| refused(fault.into()))?;
    let head = session.req_header();
    let target = Target::parse(head.raw_path())?;
    let form = TokenForm::parse(&body, target.query()).map_err(|fault| refused(fault.into()))?;
    let client = form.client(head.headers.get(AUTHORIZATION)).map_err(refused)?;
    found.client = policy.listed_client(&client).cloned();
    let certificate = inbound::certificate(Security::certificate(session.digest()), &head.headers, peer);
    let certificate = certificate.map_err(|fault| refused(fault.into()))?;
    let scopes = form.scopes(settings.scope_syntax).map_err(refused)?;
    let request = TokenRequest { client: &client, certificate: certificate.as_deref(), scopes: scopes.as_deref() };
    let admitted = policy.decide_token_request(endpoint, &request)?;
    let form = match &admitted.scopes {
        Some(names) => form.asking_for(names, settings.scope_syntax, |name| policy.is_privilege(name)),
        None => form,
    };
    let forward = Forward::new(&admitted.permit, &target, policy, None)?.carrying(form.encode());
    found.permit(&admitted.permit);
    Ok(forward)
}

/// The form as it came, read to its end.
async fn read(session: &mut Session, most: usize) -> Result<Vec<u8>, FormFault> {
    check_head(session.req_header(), most)?;
    // INVARIANT: pingora sends a body that was read before only from this buffer, which holds 64 KiB:
    // no form may be larger.
    session.enable_retry_buffering();
    if waits_for_leave(session.req_header()) {
        let keepalive = session.get_keepalive();
        session.write_continue_response().await.map_err(|_| FormFault::Broken)?;
        // Pingora takes this for the answer to a request whose body is left unread.
        session.set_keepalive(keepalive);
        // It waits no more, and neither need the provider make it.
        session.req_header_mut().remove_header(&EXPECT);
    }
    let reading = async {
        let mut form = Vec::new();
        while let Some(bytes) = session.read_request_body().await.map_err(|_| FormFault::Broken)? {
            if form.len() + bytes.len() > most {
                return Err(FormFault::TooLarge);
            }
            form.extend_from_slice(&bytes);
        }
        Ok(form)
    };
    tokio::time::timeout(FORM_TIME, reading).await.unwrap_or(Err(FormFault::TooSlow))
}

/// What can be said before the body is read, so that a client that waits need not send it.
fn check_head(head: &RequestHeader, most: usize) -> Result<(), FormFault> {
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else { return Err(FormFault::MediaType) };
    check_media_type(media_type.as_bytes())?;
    let is_plain = |coding: &http::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if !head.headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Err(FormFault::Compressed);
    }
    let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // INVARIANT: a length is made of digits; one that does not fit is larger than all.
    let is_too_large = length.is_some_and(|length| length.parse::<usize>().map_or(true, |length| length > most));
    if is_too_large { Err(FormFault::TooLarge) } else { Ok(()) }
}

/// RFC 9110 section 10.1.1.
fn waits_for_leave(head: &RequestHeader) -> bool {
    head.headers.get_all(EXPECT).iter().any(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
