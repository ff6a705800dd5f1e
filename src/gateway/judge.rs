//! One request, judged: the steps of the decision in their order, by one generation.
//!
//! Each step is someone else's: reading the head is `inbound`'s, the route and the decision are
//! `policy`'s, the caller is `issuer`'s. The only wait is for the issuer of a token not seen before.

use std::sync::Arc;

use http::header::HeaderValue;
use pingora::http::RequestHeader;

use super::forward::Forward;
use super::generation::Generation;
use super::inbound::{self, Peer};
use crate::issuer::{Authenticated, Presented};
use crate::policy::{
    ApiId, Basis, Certificate, Denial, Identity, MethodSet, NamedAccount, Permit, Reason, Request, ScopeId, ServiceId,
    Target, UnixTime,
};
use crate::token::credential;

/// A request to judge.
pub(super) struct Asked<'r> {
    pub(super) generation: &'r Generation,
    pub(super) head: &'r RequestHeader,
    /// The head as it was read, where it was read as text.
    pub(super) raw_head: &'r [u8],
    pub(super) peer: Peer,
    /// The certificate that the peer itself has shown.
    pub(super) certificate: Option<&'r Certificate>,
    pub(super) now: UnixTime,
}

/// What was found of a request, for its record.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) api: Option<ApiId>,
    pub(super) caller: Option<Arc<Authenticated>>,
    /// The account that it asks for.
    pub(super) account: Option<HeaderValue>,
    pub(super) granted_by: Option<ScopeId>,
    pub(super) service: Option<ServiceId>,
    /// `None` until it is decided.
    pub(super) reason: Option<Reason>,
}

/// Judges a request.
///
/// # Errors
/// The first step that refuses.
pub(super) async fn judge(asked: &Asked<'_>, found: &mut Findings) -> Result<Forward, Denial> {
    let judged = decide(asked, found).await;
    if let Err(denial) = &judged {
        found.api = denial.api().or(found.api);
        found.reason = Some(denial.reason());
    }
    judged
}

async fn decide(asked: &Asked<'_>, found: &mut Findings) -> Result<Forward, Denial> {
    let Asked { generation, head, peer, .. } = *asked;
    let policy = &generation.policy;
    inbound::check_request_line(asked.raw_head)?;
    let target = Target::parse(head.raw_path())?;
    inbound::check_headers(&head.headers)?;
    let host = inbound::host(&head.headers)?;
    let method = MethodSet::of_request(head.method.as_str());
    let route = policy.find(Request { method, target: &target, host, headers: &head.headers })?;
    found.api = route.nearest_api();
    let permit = if route.public().is_some() {
        policy.decide(&route, Identity::Absent)?
    } else {
        let told = if asked.certificate.is_none() { inbound::certificate(&head.headers, peer)? } else { None };
        let certificate = asked.certificate.or(told.as_ref());
        let caller = authenticate(asked, host, &target, certificate).await;
        found.caller = caller.as_ref().ok().and_then(Clone::clone);
        let identity = match &caller {
            Err(denial) => Identity::Refused(denial.clone()),
            Ok(None) => Identity::Absent,
            Ok(Some(caller)) => Identity::Known { standing: &caller.standing, certificate },
        };
        policy.decide(&route, identity).inspect_err(|_| found.account = route.asked_account().and_then(shown))?
    };
    found.note(&permit);
    let identity = found.caller.as_deref().map(|caller| &caller.headers);
    let forward = Forward::new(&permit, &target, policy, identity)?;
    if permit.account().is_some() || permit.injection().is_some() {
        found.account = forward.account().cloned();
    }
    found.reason = Some(permit.reason());
    Ok(forward)
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
    let proof = inbound::proof(&head.headers);
    let url = proof.map(|_| inbound::url(&head.headers, peer, host, target)).unwrap_or_default();
    let presented = Presented { credential, certificate, proof, method: head.method.as_str(), url: &url };
    generation.issuers.authenticate(&presented, &generation.policy, generation.number, now).await.map(Some)
}

impl Findings {
    fn note(&mut self, permit: &Permit<'_>) {
        self.api = Some(permit.api());
        self.service = Some(permit.service());
        self.granted_by = match permit.basis() {
            Basis::Public => None,
            Basis::Scope(scope) => Some(scope),
        };
    }
}

fn shown(account: NamedAccount<'_>) -> Option<HeaderValue> {
    HeaderValue::from_bytes(account.text().as_bytes()).ok()
}
