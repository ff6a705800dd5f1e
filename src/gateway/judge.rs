//! One request, judged: the steps of the decision in their order, by one generation.
//!
//! Each step is someone else's: reading the head is `inbound`'s, the route and the decision are
//! `policy`'s, the caller is `issuer`'s. The only wait is for the issuer of a token not seen before.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::HeaderValue;
use pingora::http::RequestHeader;

use super::forward::Forward;
use super::generation::Generation;
use super::head_checks::{self, HeadSize};
use super::inbound::{self, Peer};
use super::rates::Fields;
use super::shadow::{Compared, Met, Shadow};
use crate::config::Limits;
use crate::issuer::{Authenticated, Moment, Presented};
use crate::policy::{
    ApiId, Basis, Certificate, ClientId, Denial, Identity, MethodSet, NamedAccount, Permit, RateLimitId, Reason,
    Reported, Request, ScopeId, ScopeIds, ServiceId, Target, TokenEndpointId, TokenFault,
};
use crate::token::{Credential, credential};

/// A request to judge.
pub(super) struct Asked<'r> {
    pub(super) generation: &'r Generation,
    pub(super) head: &'r RequestHeader,
    /// The head as it was read, where it was read as text.
    pub(super) raw_head: &'r [u8],
    pub(super) peer: Peer,
    /// The certificate that the peer itself has shown.
    pub(super) certificate: Option<&'r Certificate>,
    pub(super) now: Moment,
    /// The candidate that it is judged by besides.
    pub(super) shadow: Option<&'r Shadow>,
    /// Whether it was let through before and goes on: what binds its token was shown then.
    pub(super) is_under_way: bool,
}

/// What was found of a request, for its record.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) api: Option<ApiId>,
    pub(super) caller: Option<Arc<Authenticated>>,
    /// The listed client that a request for a token names.
    pub(super) client: Option<ClientId>,
    /// The account that it asks for.
    pub(super) account: Option<HeaderValue>,
    pub(super) granted_by: Option<ScopeId>,
    /// The scopes for want of which it is refused.
    pub(super) wanted: ScopeIds,
    pub(super) service: Option<ServiceId>,
    /// The rate limit that it goes beyond.
    pub(super) rate_limit: Option<RateLimitId>,
    /// What its answer tells of rate limits.
    pub(super) limits_told: Option<Box<Fields>>,
    /// Whether the account is written in.
    pub(super) injected: bool,
    /// The certificate that a trusted proxy tells of.
    pub(super) told_certificate: Option<Certificate>,
    /// `None` until it is decided.
    pub(super) reason: Option<Reason>,
    /// Why it would be refused, where its api only reports.
    pub(super) reported: Option<Reason>,
    /// How the candidate's answer compares, if there is one.
    pub(super) compared: Compared,
}

/// What a request is that was not refused.
pub(super) enum Judged {
    /// It may pass.
    Permitted(Forward),
    /// A browser asks whether a page may call the api: it is to be told.
    Preflight(ApiId),
    /// It asks for a token: its form is to be judged.
    AsksForToken(TokenEndpointId),
}

/// Judges a request by its head.
///
/// # Errors
/// The first step that refuses.
pub(super) async fn judge(asked: &Asked<'_>, found: &mut Findings) -> Result<Judged, Denial> {
    decide(asked, found).await.inspect_err(|denial| found.refuse(denial))
}

async fn decide(asked: &Asked<'_>, found: &mut Findings) -> Result<Judged, Denial> {
    let Asked { generation, head, peer, .. } = *asked;
    let policy = &generation.policy;
    let limits = &generation.settings.limits;
    head_checks::check_bounds(HeadSize::of(asked.raw_head, head), &head.headers, limits)?;
    head_checks::check_head(asked.raw_head, &head.headers)?;
    let target = Target::parse(head.raw_path())?;
    head_checks::check_headers(&head.method, &head.headers)?;
    let host = inbound::host(&head.headers)?;
    let method = MethodSet::of_request(head.method.as_str());
    let request = Request { method, target: &target, host, headers: &head.headers };
    if let Some(judged) = judge_unrouted(asked, &request, found)? {
        return Ok(judged);
    }
    let route = policy.find(request)?;
    found.api = route.nearest_api();
    let permit = if route.public().is_some() {
        let decision = policy.decide(&route, Identity::Absent);
        found.compared = asked.shadow.map(|shadow| shadow.compare_public(&request, &decision)).unwrap_or_default();
        decision?
    } else {
        let shown_certificate = inbound::certificate(asked.certificate, &head.headers, peer)?;
        let certificate = shown_certificate.as_deref();
        let caller = authenticate(asked, host, &target, certificate).await;
        found.caller = caller.as_ref().ok().and_then(Clone::clone);
        let decision = policy.decide(&route, identity(&caller, certificate));
        let compared = asked.shadow.map(|shadow| shadow.compare(&request, Met::Asked(&caller), certificate, &decision));
        found.compared = compared.unwrap_or_default();
        if let Some(Cow::Owned(certificate)) = shown_certificate {
            found.told_certificate = Some(certificate);
        }
        if decision.as_ref().map_or(true, |permit| permit.reported().is_some()) {
            found.account = route.asked_account().and_then(shown);
        }
        decision?
    };
    let identity = found.caller.as_deref().map(|caller| &caller.headers);
    let forward = Forward::new(&permit, &target, policy, identity)?;
    found.permit(&permit);
    if permit.account().is_some() || permit.injection().is_some() {
        found.account = forward.account().cloned();
    }
    Ok(Judged::Permitted(forward))
}

/// What is judged before any service is looked at: preflights, and requests for tokens.
fn judge_unrouted(asked: &Asked<'_>, request: &Request<'_>, found: &mut Findings) -> Result<Option<Judged>, Denial> {
    let policy = &asked.generation.policy;
    if let Some(cors) = &asked.generation.cors
        && let Some(api) = cors.preflight(&asked.head.method, request, policy)?
    {
        (found.api, found.reason) = (Some(api), Some(Reason::Preflight));
        return Ok(Some(Judged::Preflight(api)));
    }
    let Some(endpoint) = policy.find_token_endpoint(request) else { return Ok(None) };
    found.api = policy.token_endpoint(endpoint).map(|endpoint| endpoint.api);
    policy.check_token_request(endpoint, request)?;
    Ok(Some(Judged::AsksForToken(endpoint)))
}

fn identity<'c>(
    caller: &'c Result<Option<Arc<Authenticated>>, Denial>,
    certificate: Option<&'c Certificate>,
) -> Identity<'c> {
    match caller {
        Err(denial) => Identity::Refused(denial.clone()),
        Ok(None) => Identity::Absent,
        Ok(Some(caller)) => Identity::Known { standing: &caller.standing, certificate },
    }
}

/// Steps 3 to 7; `None`: there is no token.
async fn authenticate(
    asked: &Asked<'_>,
    host: &str,
    target: &Target<'_>,
    certificate: Option<&Certificate>,
) -> Result<Option<Arc<Authenticated>>, Denial> {
    let Asked { generation, head, peer, now, .. } = *asked;
    let Some(credential) = credential(&head.headers)? else { return Ok(None) };
    if asked.is_under_way {
        let known = generation.issuers.know_still(credential.token, &generation.policy, generation.number, now).await;
        return known.map(Some);
    }
    let proof = inbound::proof(&head.headers);
    check_shown(&credential, proof, &generation.settings.limits, || {
        let asked = inbound::asked_host(&head.headers, peer, host);
        generation.is_known_as(asked) || peer.came_to(asked)
    })?;
    let url = proof.map(|_| inbound::url(&head.headers, peer, host, target)).unwrap_or_default();
    let presented = Presented { credential, certificate, proof, method: head.method.as_str(), url: &url };
    generation.issuers.authenticate(&presented, &generation.policy, generation.number, now).await.map(Some)
}

/// What is asked of a credential before its issuer is: `is_known` says whether clients know the gateway by
/// the host that they asked.
///
/// # Errors
/// If it is too long, or shown with a proof for somebody else.
pub(super) fn check_shown(
    credential: &Credential<'_>,
    proof: Option<&str>,
    limits: &Limits,
    is_known: impl FnOnce() -> bool,
) -> Result<(), TokenFault> {
    if credential.token.len() > limits.token_bytes {
        return Err(TokenFault::Malformed("it is longer than any that is accepted"));
    }
    // A proof that another server was shown names its host, and whoever replays it can send that as `Host`.
    if proof.is_some() && !is_known() { Err(TokenFault::BindingMismatch) } else { Ok(()) }
}

impl Findings {
    /// That it may pass.
    pub(super) fn permit(&mut self, permit: &Permit<'_>) {
        self.api = Some(permit.api());
        self.service = permit.service();
        self.granted_by = match permit.basis() {
            Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
            Basis::Scope(scope) => Some(scope),
        };
        self.injected = permit.injection().is_some();
        self.reason = Some(permit.reason());
        if let Some(Reported { denial, .. }) = permit.reported() {
            self.reported = Some(denial.reason());
            self.wanted = denial.wanted_scopes().iter().copied().collect();
        }
    }

    /// That it may not.
    pub(super) fn refuse(&mut self, denial: &Denial) {
        self.api = denial.api().or(self.api);
        self.wanted = denial.wanted_scopes().iter().copied().collect();
        self.reason = Some(denial.reason());
        self.reported = None;
    }
}

fn shown(account: NamedAccount<'_>) -> Option<HeaderValue> {
    HeaderValue::from_bytes(account.text().as_bytes()).ok()
}
