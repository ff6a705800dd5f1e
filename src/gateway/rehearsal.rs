//! What the gateway would do with a request, without sockets: for commands that explain and test.
//!
//! The steps are those of `judge`, in its order and by the same functions. Who is calling is told by
//! whoever asks, as there are no issuers here.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

use super::body::BodyMeter;
use super::cors::{Cors, Shared};
use super::form::check_head;
use super::forward::Forward;
use super::generation::{is_known_as, told};
use super::head_checks::{self, HeadSize};
use super::inbound::{self, DPOP, Peer};
use super::judge::check_shown;
use super::metadata::Metadata;
use super::outbound::{Outbound, Sending};
use super::problem::Answer;
use super::refusals::Refusals;
use super::token_endpoint::{Posted, admit};
use super::trace::{REQUEST_ID, request_id};
use crate::config::{Limits, Settings};
use crate::issuer::IdentityValues;
use crate::policy::{
    ApiId, Caller, Certificate, ClientId, Considered, Denial, FormFault, Identity, MethodSet, Permit, Policy, Reason,
    Request, Standing, Target, TokenEndpointId,
};
use crate::token::credential;
use crate::workbench::{Ending, Own, Rehearsed, Said, Sent, Showing};

/// The gateway of a policy and settings, for requests that are not sent.
#[derive(Debug)]
pub struct Rehearsal<'c> {
    policy: &'c Policy,
    settings: &'c Settings,
    metadata: Option<Metadata>,
    cors: Option<Box<Cors>>,
    refusals: Refusals,
    outbound: Outbound,
}

/// A request's head, and the connection that it would come by.
#[derive(Debug, Clone, Copy)]
pub struct Head<'r> {
    /// The method.
    pub method: &'r Method,
    /// `/path?query`, as it would be sent.
    pub target: &'r str,
    /// Every header, `Host` included.
    pub headers: &'r HeaderMap,
    /// The peer's address; a trusted proxy is believed what it says in headers.
    pub peer: Option<IpAddr>,
    /// The certificate that the peer itself shows, which makes the connection one with TLS.
    pub certificate: Option<&'r Certificate>,
    /// The body, where it is a form that the decision depends on.
    pub form: &'r [u8],
}

/// New each time.
const TRACEPARENT: &str = "traceparent";
/// In the place of an id, which is new each time.
const NO_ID: HeaderValue = HeaderValue::from_static("00000000000000000000000000000000");
const HIDDEN: HeaderValue = HeaderValue::from_static("(not shown)");

impl<'c> Rehearsal<'c> {
    /// The gateway that would serve this.
    #[must_use]
    pub fn new(policy: &'c Policy, settings: &'c Settings) -> Self {
        let (metadata, challenges) = told(settings, policy);
        let refusals = Refusals::new(challenges, policy);
        let cors = Cors::new(settings, policy);
        Self { policy, settings, metadata, cors, refusals, outbound: Outbound::new(settings, policy) }
    }

    /// Judges a request. `identify` stands for the issuers: steps 3 to 7 of the decision. It is not
    /// asked where no caller is.
    pub fn judge(
        &self,
        head: &Head<'_>,
        identify: impl FnOnce(&Showing<'_>) -> Result<Option<Caller>, Denial>,
    ) -> Rehearsed<'c> {
        let id = if head.headers.contains_key(&REQUEST_ID) { request_id(head.headers) } else { NO_ID };
        if let Some(ended) = self.own(head, &id) {
            return ended;
        }
        let mut found = Found::default();
        let (reason, ending) = match self.decide(head, &id, identify, &mut found) {
            Ok(Decided::Sent(reason, sent)) => (reason, Ending::Forwarded(sent)),
            Ok(Decided::Preflight(answer)) => {
                let said = self.said(head, found.api, *answer);
                (Reason::Preflight, Ending::Answered(Own::Preflight, Some(said)))
            }
            Err(denial) => {
                found.api = denial.api().or(found.api);
                let answer = self.refusals.refuse(&denial, self.policy, None, &id);
                let said = self.said(head, found.api, answer);
                (denial.reason(), Ending::Refused(denial, said))
            }
        };
        found.ended(reason, ending)
    }

    fn decide(
        &self,
        head: &Head<'_>,
        id: &HeaderValue,
        identify: impl FnOnce(&Showing<'_>) -> Result<Option<Caller>, Denial>,
        found: &mut Found<'c>,
    ) -> Result<Decided, Denial> {
        let policy = self.policy;
        let peer = self.peer(head);
        check_written(head, &self.settings.limits)?;
        let target = Target::parse(head.target.as_bytes())?;
        found.target = Some(shown(&target));
        head_checks::check_headers(head.method, head.headers)?;
        let host = inbound::host(head.headers)?;
        let request = request(head, &target, host);
        if let Some(preflight) = self.preflight(head, &request, id, found)? {
            return Ok(preflight);
        }
        if let Some(endpoint) = policy.find_token_endpoint(&request) {
            found.api = policy.token_endpoint(endpoint).map(|endpoint| endpoint.api);
            policy.check_token_request(endpoint, &request)?;
            return self.ask_for_token(head, endpoint, &Posting { target: &target, peer, id }, found);
        }
        let route = policy.find(request)?;
        found.api = route.nearest_api();
        found.considered = policy.consider(&request, None);
        found.from_browser = request.is_from_browser();
        if route.public().is_some() {
            let permit = policy.decide(&route, Identity::Absent)?;
            return self.send(head, &Allowed { permit, target: &target, identity: None, peer, id }, found);
        }
        let certificate = inbound::certificate(head.certificate, head.headers, peer)?;
        let certificate = certificate.as_deref();
        found.certificate = certificate.cloned();
        let proof = inbound::proof(head.headers);
        let showing = Showing {
            credential: credential(head.headers),
            certificate,
            proof,
            method: head.method.as_str(),
            url: inbound::url(head.headers, peer, host, &target),
        };
        let identified = self.check_shown(head, &showing, peer, host).and_then(|()| identify(&showing));
        let known = identified.and_then(|caller| caller.map(|caller| Known::new(caller, policy)).transpose());
        let asked = match &known {
            Err(denial) => Identity::Refused(denial.clone()),
            Ok(None) => Identity::Absent,
            Ok(Some(known)) => Identity::Known { standing: &known.standing, certificate },
        };
        let decided = policy.decide(&route, asked);
        let mut told = None;
        if let Ok(Some(Known { caller, standing, headers })) = known {
            found.considered = policy.consider(&request, Some((&standing, certificate)));
            found.caller = Some((caller, standing));
            told = Some(headers);
        }
        self.send(head, &Allowed { permit: decided?, target: &target, identity: told.as_ref(), peer, id }, found)
    }

    fn preflight(
        &self,
        head: &Head<'_>,
        request: &Request<'_>,
        id: &HeaderValue,
        found: &mut Found<'c>,
    ) -> Result<Option<Decided>, Denial> {
        let Some(cors) = &self.cors else { return Ok(None) };
        let Some(api) = cors.preflight(head.method, request, self.policy)? else { return Ok(None) };
        found.api = Some(api);
        Ok(Some(Decided::Preflight(Box::new(cors.answer(api, id)))))
    }

    /// Whether what is shown may be looked at.
    fn check_shown(&self, head: &Head<'_>, showing: &Showing<'_>, peer: Peer, host: &str) -> Result<(), Denial> {
        let is_known = || {
            let asked = inbound::asked_host(head.headers, peer, host);
            let to = |local| Peer { local: Some(local), ..peer }.came_to(asked);
            is_known_as(self.metadata.as_ref(), self.policy, asked)
                || self.settings.listeners.iter().any(|listener| to(listener.address))
        };
        match &showing.credential {
            Ok(Some(credential)) => Ok(check_shown(credential, showing.proof, &self.settings.limits, is_known)?),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    fn send(&self, head: &Head<'_>, allowed: &Allowed<'_>, found: &mut Found<'c>) -> Result<Decided, Denial> {
        let Allowed { permit, target, identity, peer, id } = allowed;
        let forward = Forward::new(permit, target, self.policy, *identity)?;
        found.api = Some(permit.api());
        let most = self.settings.body_bytes.get(permit.api().0 as usize).copied().flatten();
        if BodyMeter::new(most, 0).is_exceeded_by(head.headers) {
            return Err(Denial::BodyTooLarge { api: permit.api() });
        }
        let sending = Sending { identity: *identity, peer: *peer, request_id: id, traced: None };
        self.sent(head, permit, &forward, &sending)
    }

    fn ask_for_token(
        &self,
        head: &Head<'_>,
        endpoint: TokenEndpointId,
        posting: &Posting<'_>,
        found: &mut Found<'c>,
    ) -> Result<Decided, Denial> {
        let Self { policy, settings, .. } = *self;
        let Posting { target, peer, id } = *posting;
        // INVARIANT: policy and settings have the endpoints at the same places.
        let settings = settings.token_endpoints.get(endpoint.0 as usize).ok_or(Denial::RouteUnknown)?;
        let api = policy.token_endpoint(endpoint).ok_or(Denial::RouteUnknown)?.api;
        let most = settings.max_form_bytes;
        let readable = check_head(head.headers, most);
        let readable = readable.and(if head.form.len() > most { Err(FormFault::TooLarge) } else { Ok(()) });
        readable.map_err(|fault| Denial::TokenRequest { api, fault: fault.into() })?;
        let posted = Posted { body: head.form, headers: head.headers, target, certificate: head.certificate, peer };
        let (permit, forward) = admit(policy, settings, endpoint, &posted, &mut found.client)?;
        self.sent(head, &permit, &forward, &Sending { identity: None, peer, request_id: id, traced: None })
    }

    fn sent(
        &self,
        head: &Head<'_>,
        permit: &Permit<'_>,
        forward: &Forward,
        sending: &Sending<'_>,
    ) -> Result<Decided, Denial> {
        let written = self.written(head, forward, sending);
        // INVARIANT: method and target were judged, so pingora takes them, as it does what it wrote itself.
        let request = written.map_err(|_| Denial::RouteUnknown)?;
        let sent = Sent {
            service: permit.service(),
            basis: permit.basis(),
            reported: permit.reported().map(|reported| reported.denial.clone()),
            upstream: forward.upstream(),
            target: String::from_utf8_lossy(request.raw_path()).into_owned(),
            headers: headers(&request),
            form: forward.form().map(|form| without_values(&String::from_utf8_lossy(form))),
        };
        Ok(Decided::Sent(permit.reason(), sent))
    }

    /// What the gateway answers itself, whatever the policy.
    fn own(&self, head: &Head<'_>, id: &HeaderValue) -> Option<Rehearsed<'c>> {
        let path = head.target.split('?').next().unwrap_or_default();
        let is_plain = || {
            check_written(head, &self.settings.limits).is_ok()
                && head_checks::check_headers(head.method, head.headers).is_ok()
        };
        if let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.is_at(path.as_bytes()))
            && is_plain()
        {
            let (mut answer, reason) = metadata.answer(path.as_bytes(), head.method, id);
            if self.cors.is_some() {
                Cors::share_public(&mut answer);
            }
            return Some(Found::default().ended(reason, Ending::Answered(Own::Metadata, Some(said(answer)))));
        }
        let revocations = self.settings.revocations.as_ref();
        let is_revocation = revocations.and_then(|list| list.endpoint.as_deref()) == Some(path);
        is_revocation.then(|| Found::default().ended(Reason::Public, Ending::Answered(Own::Revocation, None)))
    }

    fn said(&self, head: &Head<'_>, api: Option<ApiId>, mut answer: Answer) -> Said {
        if let Some(cors) = &self.cors {
            let asked = Shared { method: head.method, target: head.target.as_bytes(), headers: head.headers };
            cors.share_own(api, &asked, self.policy, &mut answer);
        }
        said(answer)
    }

    fn peer(&self, head: &Head<'_>) -> Peer {
        Peer::new(head.peer, head.certificate.is_some(), &self.settings.trusted_proxies)
    }

    fn written(&self, head: &Head<'_>, forward: &Forward, sending: &Sending<'_>) -> pingora::Result<RequestHeader> {
        let mut request = RequestHeader::build(head.method.clone(), head.target.as_bytes(), None)?;
        for (name, value) in head.headers {
            request.append_header(name.clone(), value.clone())?;
        }
        self.outbound.write(forward, sending, &mut request)?;
        Ok(request)
    }
}

/// What becomes of a request that is not refused.
enum Decided {
    Sent(Reason, Sent),
    /// A page may call, and its browser is told so.
    Preflight(Box<Answer>),
}

fn request<'r>(head: &Head<'r>, target: &'r Target<'r>, host: &'r str) -> Request<'r> {
    Request { method: MethodSet::of_request(head.method.as_str()), target, host, headers: head.headers }
}

/// A request that is let through, and what it is sent with.
struct Allowed<'a> {
    permit: Permit<'a>,
    target: &'a Target<'a>,
    identity: Option<&'a IdentityValues>,
    peer: Peer,
    id: &'a HeaderValue,
}

/// A request for a token, as far as its head goes.
struct Posting<'a> {
    target: &'a Target<'a>,
    peer: Peer,
    id: &'a HeaderValue,
}

/// What was found of a request.
#[derive(Default)]
struct Found<'c> {
    target: Option<String>,
    considered: Vec<Considered<'c>>,
    caller: Option<(Caller, Standing)>,
    certificate: Option<Certificate>,
    from_browser: bool,
    api: Option<ApiId>,
    /// The listed client that a request for a token names.
    client: Option<ClientId>,
}

impl<'c> Found<'c> {
    fn ended(self, reason: Reason, ending: Ending) -> Rehearsed<'c> {
        let Self { target, considered, caller, certificate, from_browser, api, client } = self;
        Rehearsed { target, considered, caller, certificate, from_browser, api, client, reason, ending }
    }
}

/// The head's checks that want it as it was read: here it is as clients write it.
fn check_written(head: &Head<'_>, limits: &Limits) -> Result<(), Denial> {
    let mut written = format!("{} {} HTTP/1.1\r\n", head.method, head.target).into_bytes();
    let line = written.len() - 2;
    for (name, value) in head.headers {
        written.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    written.extend_from_slice(b"\r\n");
    head_checks::check_bounds(HeadSize { line, whole: written.len() }, head.headers, limits)?;
    head_checks::check_head(&written, head.headers)
}

fn said(answer: Answer) -> Said {
    Said { status: answer.status.as_u16(), headers: answer.headers.into_vec(), body: answer.body }
}

/// A caller, and what one policy makes of it.
struct Known {
    caller: Caller,
    standing: Standing,
    headers: IdentityValues,
}

impl Known {
    fn new(caller: Caller, policy: &Policy) -> Result<Self, Denial> {
        let standing = policy.standing(&caller);
        let headers = IdentityValues::new(&caller, &standing, policy)?;
        Ok(Self { caller, standing, headers })
    }
}

fn shown(target: &Target<'_>) -> String {
    let query = target.query().map(|query| format!("?{query}"));
    [target.path(), query.as_deref().unwrap_or_default()].concat()
}

fn headers(request: &RequestHeader) -> Vec<(HeaderName, HeaderValue)> {
    let shown = request.headers.iter().filter(|(name, _)| *name != TRACEPARENT);
    let mut headers: Vec<_> = shown.map(|(name, value)| (name.clone(), without_secret(name, value))).collect();
    headers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    headers
}

fn without_secret(name: &HeaderName, value: &HeaderValue) -> HeaderValue {
    if *name == AUTHORIZATION || *name == DPOP { HIDDEN } else { value.clone() }
}

/// The form with those values alone that say what is asked for.
fn without_values(form: &str) -> String {
    let told = ["grant_type", "client_id", "scope", "resource", "audience"];
    let shown = form.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if !told.contains(&name) => format!("{name}=(not shown)"),
        Some(_) | None => pair.to_owned(),
    });
    shown.collect::<Vec<_>>().join("&")
}
