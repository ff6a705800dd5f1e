//! Requests for tokens at a guarded endpoint: their form is judged, and goes on as it was judged.
//!
//! What a form says is `token`'s, what a client may ask for `policy`'s, and who it is the provider's.
//! No value of a form goes anywhere but to the provider.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use pingora::protocols::http::ServerSession;

use super::form;
use super::forward::Forward;
use super::generation::Generation;
use super::inbound::{self, Peer};
use super::judge::Findings;
use super::known::Known;
use crate::config::TokenEndpoint;
use crate::policy::{
    Certificate, ClientId, Denial, Permit, Policy, Target, TokenEndpointId, TokenRequest, TokenRequestFault,
};
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
    session: &mut ServerSession,
    asked: &AskedToken<'_>,
    found: &mut Findings,
) -> Result<Forward, Denial> {
    decide(session, asked, found).await.inspect_err(|denial| found.refuse(denial))
}

async fn decide(session: &mut ServerSession, asked: &AskedToken<'_>, found: &mut Findings) -> Result<Forward, Denial> {
    let AskedToken { generation, endpoint, peer } = *asked;
    let policy = &generation.policy;
    // INVARIANT: policy and settings have the endpoints at the same places.
    let api = policy.token_endpoint(endpoint).ok_or(Denial::RouteUnknown)?.api;
    let settings = generation.settings.token_endpoints.get(endpoint.0 as usize).ok_or(Denial::RouteUnknown)?;
    // INVARIANT: pingora sends a body that was read before only from this buffer, which holds 64 KiB:
    // no form may be larger.
    session.enable_retry_buffering();
    let body = form::read(session, settings.max_form_bytes).await;
    let body = body.map_err(|fault| Denial::TokenRequest { api, fault: fault.into() })?;
    let head = session.req_header();
    let target = Target::parse(head.raw_path())?;
    let certificate = Known::certificate(session.digest());
    let posted = Posted { body: &body, headers: &head.headers, target: &target, certificate, peer };
    let (permit, forward) = admit(policy, settings, endpoint, &posted, &mut found.client)?;
    found.permit(&permit);
    Ok(forward)
}

/// A form, and what it came with.
pub(super) struct Posted<'r> {
    pub(super) body: &'r [u8],
    pub(super) headers: &'r HeaderMap,
    pub(super) target: &'r Target<'r>,
    /// The certificate that the peer itself has shown.
    pub(super) certificate: Option<&'r Certificate>,
    pub(super) peer: Peer,
}

/// Judges a form; `client` becomes the listed one that it names.
///
/// # Errors
/// Why it may not go to the provider.
pub(super) fn admit(
    policy: &Policy,
    settings: &TokenEndpoint,
    endpoint: TokenEndpointId,
    posted: &Posted<'_>,
    client: &mut Option<ClientId>,
) -> Result<(Permit<'static>, Forward), Denial> {
    let api = policy.token_endpoint(endpoint).ok_or(Denial::RouteUnknown)?.api;
    let refused = |fault: TokenRequestFault| Denial::TokenRequest { api, fault };
    let form = TokenForm::parse(posted.body, posted.target.query()).map_err(|fault| refused(fault.into()))?;
    let id = form.client(posted.headers.get(AUTHORIZATION)).map_err(refused)?;
    *client = policy.listed_client(&id).cloned();
    let certificate = inbound::certificate(posted.certificate, posted.headers, posted.peer);
    let certificate = certificate.map_err(|fault| refused(fault.into()))?;
    let scopes = form.scopes(settings.scope_syntax).map_err(refused)?;
    let request = TokenRequest { client: &id, certificate: certificate.as_deref(), scopes: scopes.as_deref() };
    let admitted = policy.decide_token_request(endpoint, &request)?;
    let form = match &admitted.scopes {
        Some(names) => form.asking_for(names, settings.scope_syntax, |name| policy.is_privilege(name)),
        None => form,
    };
    let forward = Forward::new(&admitted.permit, posted.target, policy, None)?.carrying(form.encode());
    Ok((admitted.permit, forward))
}
