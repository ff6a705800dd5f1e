//! Requests for tokens at a guarded endpoint: their form is judged, and goes on as it was judged.
//!
//! What a form says is `token`'s, what a client may ask for `policy`'s, and who it is the provider's.
//! No value of a form goes anywhere but to the provider.

use http::header::AUTHORIZATION;
use pingora::proxy::Session;

use super::form;
use super::forward::Forward;
use super::generation::Generation;
use super::inbound::{self, Peer};
use super::judge::Findings;
use super::known::Known;
use crate::policy::{Denial, Target, TokenEndpointId, TokenRequest, TokenRequestFault};
use crate::token::TokenForm;

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
    // INVARIANT: pingora sends a body that was read before only from this buffer, which holds 64 KiB:
    // no form may be larger.
    session.enable_retry_buffering();
    let body = form::read(session, settings.max_form_bytes).await.map_err(|fault| refused(fault.into()))?;
    let head = session.req_header();
    let target = Target::parse(head.raw_path())?;
    let form = TokenForm::parse(&body, target.query()).map_err(|fault| refused(fault.into()))?;
    let client = form.client(head.headers.get(AUTHORIZATION)).map_err(refused)?;
    found.client = policy.listed_client(&client).cloned();
    let certificate = inbound::certificate(Known::certificate(session.digest()), &head.headers, peer);
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
