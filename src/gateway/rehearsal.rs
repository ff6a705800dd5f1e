//! What the gateway would do with a request, without sockets: for commands that explain and test.
//!
//! The steps are those of `judge`, in its order and by the same functions. Who is calling is told by
//! whoever asks, as there are no issuers here.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

use super::answer::refuse;
use super::challenge::Challenges;
use super::forward::Forward;
use super::generation::told;
use super::inbound::{self, Peer};
use super::metadata::Metadata;
use super::outbound::{Outbound, Sending};
use super::problem::Answer;
use super::trace::{REQUEST_ID, TRACEPARENT, request_id};
use crate::config::Configuration;
use crate::issuer::IdentityValues;
use crate::policy::{
    ApiId, Caller, Certificate, Considered, Denial, Identity, MethodSet, Permit, Policy, Reason, Request, Standing,
    Target,
};
use crate::token::credential;
use crate::workbench::{Ending, Rehearsed, Said, Sent, Showing};

/// The gateway of a configuration, for requests that are not sent.
#[derive(Debug)]
pub struct Rehearsal<'c> {
    configuration: &'c Configuration,
    metadata: Option<Metadata>,
    challenges: Challenges,
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
    /// The TLS client certificate.
    pub certificate: Option<&'r Certificate>,
}

const DPOP: HeaderName = HeaderName::from_static("dpop");
/// In the place of an id, which is new each time.
const NO_ID: HeaderValue = HeaderValue::from_static("00000000000000000000000000000000");
const HIDDEN: HeaderValue = HeaderValue::from_static("(not shown)");

impl<'c> Rehearsal<'c> {
    /// The gateway that would serve this.
    #[must_use]
    pub fn new(configuration: &'c Configuration) -> Self {
        let Configuration { policy, settings, .. } = configuration;
        let (metadata, challenges) = told(settings, policy);
        Self { configuration, metadata, challenges, outbound: Outbound::new(settings, policy) }
    }

    /// Judges a request. `identify` stands for the issuers: steps 3 to 7 of the decision. It is not
    /// asked where no caller is.
    pub fn judge(
        &self,
        head: &Head<'_>,
        identify: impl FnOnce(&Showing<'_>) -> Result<Option<Caller>, Denial>,
    ) -> Rehearsed<'c> {
        let id = if head.headers.contains_key(&REQUEST_ID) { request_id(head.headers) } else { NO_ID };
        let path = head.target.split('?').next().unwrap_or_default().as_bytes();
        if let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.is_at(path)) {
            let (answer, reason) = metadata.answer(head.method, &id);
            return Found::default().ended(reason, Ending::Answered(said(answer)));
        }
        let mut found = Found::default();
        let (reason, ending) = match self.decide(head, &id, identify, &mut found) {
            Ok((reason, sent)) => (reason, Ending::Forwarded(sent)),
            Err(denial) => {
                found.api = denial.api().or(found.api);
                let answer = refuse(&denial, &self.configuration.policy, &self.challenges, None, &id);
                (denial.reason(), Ending::Refused(denial, said(answer)))
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
    ) -> Result<(Reason, Sent), Denial> {
        let Configuration { policy, settings, .. } = self.configuration;
        let peer = Peer::new(head.peer, &settings.trusted_proxies);
        inbound::check_request_line(format!("{} {} HTTP/1.1", head.method, head.target).as_bytes())?;
        let target = Target::parse(head.target.as_bytes())?;
        found.target = Some(shown(&target));
        inbound::check_headers(head.headers)?;
        let host = inbound::host(head.headers)?;
        let method = MethodSet::of_request(head.method.as_str());
        let request = Request { method, target: &target, host, headers: head.headers };
        let route = policy.find(request)?;
        found.api = route.nearest_api();
        found.considered = policy.consider(&request, None);
        found.from_browser = request.is_from_browser();
        if route.public().is_some() {
            let permit = policy.decide(&route, Identity::Absent)?;
            return self.send(head, &Allowed { permit, target: &target, identity: None, peer, id }, found);
        }
        let forwarded = inbound::certificate(head.headers, peer)?;
        let certificate = head.certificate.or(forwarded.as_ref());
        found.certificate = certificate.cloned();
        let proof = inbound::proof(head.headers);
        let showing = Showing {
            credential: credential(head.headers),
            certificate,
            proof,
            method: head.method.as_str(),
            url: inbound::url(head.headers, peer, host, &target),
        };
        let known = identify(&showing).and_then(|caller| caller.map(|caller| Known::new(caller, policy)).transpose());
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

    fn send(&self, head: &Head<'_>, allowed: &Allowed<'_>, found: &mut Found<'c>) -> Result<(Reason, Sent), Denial> {
        let Allowed { permit, target, identity, peer, id } = allowed;
        let forward = Forward::new(permit, target, &self.configuration.policy, *identity)?;
        found.api = Some(permit.api());
        let sending = Sending { identity: *identity, peer: *peer, request_id: id };
        let written = self.written(head, &forward, &sending);
        // INVARIANT: method and target were judged, so pingora takes them, as it does what it wrote itself.
        let request = written.map_err(|_| Denial::RouteUnknown)?;
        let sent = Sent {
            service: permit.service(),
            basis: permit.basis(),
            upstream: forward.upstream(),
            target: String::from_utf8_lossy(request.raw_path()).into_owned(),
            headers: headers(&request),
        };
        Ok((permit.reason(), sent))
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

/// A request that is let through, and what it is sent with.
struct Allowed<'a> {
    permit: Permit<'a>,
    target: &'a Target<'a>,
    identity: Option<&'a IdentityValues>,
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
}

impl<'c> Found<'c> {
    fn ended(self, reason: Reason, ending: Ending) -> Rehearsed<'c> {
        let Self { target, considered, caller, certificate, from_browser, api } = self;
        Rehearsed { target, considered, caller, certificate, from_browser, api, reason, ending }
    }
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
    let shown = request.headers.iter().filter(|(name, _)| **name != TRACEPARENT);
    let mut headers: Vec<_> = shown.map(|(name, value)| (name.clone(), without_secret(name, value))).collect();
    headers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
    headers
}

fn without_secret(name: &HeaderName, value: &HeaderValue) -> HeaderValue {
    if *name == AUTHORIZATION || *name == DPOP { HIDDEN } else { value.clone() }
}
