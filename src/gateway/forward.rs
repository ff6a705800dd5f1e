//! A permit becomes an upstream request: what was judged, cleaned, and told whose it is.
//!
//! Where the request goes is `upstream`'s, what never passes is `hygiene`'s. `Connection`, `Upgrade`
//! and the framing are pingora's, which passes `WebSocket` upgrades on and no others.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use pingora::http::RequestHeader;

use super::hygiene::Hygiene;
use super::inbound::{self, Peer, X_FORWARDED_HOST};
use super::trace::{self, REQUEST_ID, TRACEPARENT, TRACESTATE};
use crate::config::{IdentityHeaders, Settings};
use crate::issuer::IdentityValues;
use crate::policy::{ApiId, Basis, Denial, HeaderFault, Injection, Permit, Policy, Target, UpstreamId};

/// What one policy has written into upstream requests.
#[derive(Debug)]
pub(super) struct Outbound {
    hygiene: Hygiene,
    identity: IdentityNames,
    /// By the api's place.
    forward_authorization: Box<[bool]>,
}

/// What a permit lets through. There is none without a permit, and nothing is sent without it.
#[derive(Debug)]
pub(super) struct Forward {
    api: ApiId,
    upstream: UpstreamId,
    /// Where it is not the one that came.
    target: Option<Vec<u8>>,
    /// The account header that is written in.
    injected: Option<(HeaderName, HeaderValue)>,
    /// The account that the upstream is told.
    account: Option<HeaderValue>,
}

/// What a request is sent with beside its permit.
pub(super) struct Sending<'a> {
    /// Who is calling; nobody on a public service.
    pub(super) identity: Option<&'a IdentityValues>,
    pub(super) peer: Peer,
    pub(super) request_id: &'a HeaderValue,
}

/// Names as they are written, so that none is made a request.
#[derive(Debug)]
struct IdentityNames {
    subject: Option<Bytes>,
    client: Option<Bytes>,
    account: Option<Bytes>,
    scopes: Option<Bytes>,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const DPOP: HeaderName = HeaderName::from_static("dpop");

impl Outbound {
    pub(super) fn new(settings: &Settings, policy: &Policy) -> Self {
        Self {
            hygiene: Hygiene::new(&settings.identity_headers, policy),
            identity: IdentityNames::new(&settings.identity_headers),
            forward_authorization: settings.forward_authorization.clone().into(),
        }
    }

    /// Makes of the request that came the one that the permit lets through.
    pub(super) fn write(
        &self,
        forward: &Forward,
        sending: &Sending<'_>,
        request: &mut RequestHeader,
    ) -> pingora::Result<()> {
        self.hygiene.clean(request, sending.peer.trusted);
        if let Some(target) = &forward.target {
            request.set_raw_path(target)?;
        }
        if !self.forward_authorization.get(forward.api.0 as usize).is_some_and(|forward| *forward) {
            request.remove_header(&AUTHORIZATION);
            request.remove_header(&DPOP);
        }
        if let Some((name, value)) = &forward.injected {
            request.insert_header(name, value.clone())?;
        }
        self.identity.write(sending.identity, forward.account.as_ref(), request)?;
        write_trace(sending.request_id, request)?;
        write_forwarded(sending.peer, request)
    }

    /// Whether the upstream is told the account in a header.
    pub(super) fn tells_account(&self) -> bool {
        self.identity.account.is_some()
    }
}

impl Forward {
    /// # Errors
    /// If the account cannot be written so that the upstream reads it as it was judged.
    pub(super) fn new(
        permit: &Permit<'_>,
        target: &Target<'_>,
        policy: &Policy,
        outbound: &Outbound,
        identity: Option<&IdentityValues>,
    ) -> Result<Self, Denial> {
        let api = permit.api();
        // INVARIANT: a permit's api is one of the policy that made it.
        let upstream = policy.api(api).ok_or(Denial::RouteUnknown)?.upstream;
        let account = account(permit, identity);
        if outbound.tells_account() && account.as_ref().is_some_and(is_trimmed) {
            return Err(HeaderFault::AccountUnreadable.into());
        }
        let (query, injected) = match permit.injection() {
            None => (None, None),
            Some(Injection::Query(name, account)) => (Some((&**name, account.as_str())), None),
            Some(Injection::Header(name, account)) => (None, Some((name.clone(), header_account(account.as_str())?))),
        };
        Ok(Self { api, upstream, target: rewritten(target, query), injected, account })
    }

    /// The account that the request touches, or the caller's single own one.
    pub(super) fn account(&self) -> Option<&HeaderValue> {
        self.account.as_ref()
    }

    /// Where it goes.
    pub(super) fn upstream(&self) -> UpstreamId {
        self.upstream
    }
}

/// The account that the request touches, or the caller's single own one where it names none.
fn account(permit: &Permit<'_>, own: Option<&IdentityValues>) -> Option<HeaderValue> {
    let own = own.and_then(|own| own.account.as_ref());
    match (permit.account(), permit.basis()) {
        (Some(named), Basis::Public | Basis::Scope(_)) => {
            let named = named.text();
            match own.filter(|own| own.as_bytes() == named.as_bytes()) {
                Some(own) => Some(own.clone()),
                None => HeaderValue::from_bytes(named.as_bytes()).ok(),
            }
        }
        (None, Basis::Scope(_)) => own.cloned(),
        (None, Basis::Public) => None,
    }
}

/// Whether a header with it would be read without the spaces around it.
fn is_trimmed(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().len() != value.len()
}

/// An account as an account header's value, which has no comma (RFC 9110 section 5.3).
fn header_account(account: &str) -> Result<HeaderValue, HeaderFault> {
    match HeaderValue::from_bytes(account.as_bytes()) {
        Ok(value) if !is_trimmed(&value) && !account.contains(',') => Ok(value),
        Ok(_) | Err(_) => Err(HeaderFault::AccountUnreadable),
    }
}

/// The target with a parameter more, or as judged where that is not what came.
fn rewritten(target: &Target<'_>, parameter: Option<(&str, &str)>) -> Option<Vec<u8>> {
    if parameter.is_none() && !target.is_rewritten() {
        return None;
    }
    let mut text = String::with_capacity(target.path().len() + 128);
    text.push_str(target.path());
    if let Some(query) = target.query() {
        text.push('?');
        text.push_str(query);
    }
    if let Some((name, value)) = parameter {
        text.push(match target.query() {
            None => '?',
            Some(_) => '&',
        });
        encode(name, &mut text);
        text.push('=');
        encode(value, &mut text);
    }
    Some(text.into_bytes())
}

/// RFC 3986 section 2: all but unreserved characters as `%XX`.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            to.push(char::from(byte));
        } else {
            // It cannot fail: it is a string that grows.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

impl IdentityNames {
    fn new(names: &IdentityHeaders) -> Self {
        let title = |name: &Option<HeaderName>| name.as_ref().map(titled);
        Self {
            subject: title(&names.subject),
            client: title(&names.client),
            account: title(&names.account),
            scopes: title(&names.scopes),
        }
    }

    fn write(
        &self,
        values: Option<&IdentityValues>,
        account: Option<&HeaderValue>,
        request: &mut RequestHeader,
    ) -> pingora::Result<()> {
        for (name, value) in [
            (&self.subject, values.and_then(|values| values.subject.as_ref())),
            (&self.client, values.and_then(|values| values.client.as_ref())),
            (&self.scopes, values.and_then(|values| values.scopes.as_ref())),
            (&self.account, account),
        ] {
            if let (Some(name), Some(value)) = (name, value) {
                request.insert_header(name.clone(), value.clone())?;
            }
        }
        Ok(())
    }
}

/// `X-Auth-Subject` for `x-auth-subject`: some servers' code expects it so.
fn titled(name: &HeaderName) -> Bytes {
    let mut upper = true;
    let letter = |byte: u8| {
        let written = if upper { byte.to_ascii_uppercase() } else { byte };
        upper = byte == b'-';
        written
    };
    name.as_str().bytes().map(letter).collect::<Vec<_>>().into()
}

fn write_trace(request_id: &HeaderValue, request: &mut RequestHeader) -> pingora::Result<()> {
    let (parent, taken_over) = trace::traceparent(&request.headers);
    if !taken_over {
        request.remove_header(&TRACESTATE);
    }
    request.insert_header(TRACEPARENT, parent)?;
    request.remove_header(&REQUEST_ID);
    request.insert_header("X-Request-Id", request_id.clone())
}

/// Where the request comes from, by the connection or as a trusted proxy has it.
fn write_forwarded(peer: Peer, request: &mut RequestHeader) -> pingora::Result<()> {
    let mut chain = String::with_capacity(48);
    for earlier in request.headers.get_all(&X_FORWARDED_FOR) {
        // Only a trusted proxy's is still there.
        chain.push_str(earlier.to_str().unwrap_or("unknown"));
        chain.push_str(", ");
    }
    // It cannot fail: it is a string that grows.
    let _ = match peer.address {
        Some(address) => write!(chain, "{address}"),
        None => write!(chain, "unknown"),
    };
    let scheme = inbound::scheme(&request.headers, peer);
    let host = inbound::told_host(&request.headers, peer).or_else(|| request.headers.get(HOST)).cloned();
    request.insert_header("X-Forwarded-For", chain)?;
    request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(scheme))?;
    request.remove_header(&X_FORWARDED_HOST);
    match host {
        Some(host) => request.insert_header("X-Forwarded-Host", host),
        None => Ok(()),
    }
}
