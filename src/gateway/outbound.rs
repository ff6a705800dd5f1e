//! The upstream request: the one that came, cleaned, and told whose it is and where it comes from.
//!
//! What never passes is `hygiene`'s. `Connection`, `Upgrade` and the framing are `onward::head`'s; `Host` goes on as
//! it came.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

use super::forward::Forward;
use super::hygiene::Hygiene;
use super::inbound::{self, Peer, X_FORWARDED_FOR};
use super::trace::{self, TRACESTATE, Traced};
use crate::config::{IdentityHeaders, Settings};
use crate::issuer::IdentityValues;
use crate::policy::Policy;

/// What one policy has written into upstream requests.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) hygiene: Hygiene,
    identity: IdentityNames,
    /// By the api's place.
    forward_authorization: Box<[bool]>,
}

/// What a request is sent with beside its permit.
pub(super) struct Sending<'a> {
    /// Who is calling; nobody on a public service.
    pub(super) identity: Option<&'a IdentityValues>,
    pub(super) peer: Peer,
    pub(super) request_id: &'a HeaderValue,
    /// Where there are spans.
    pub(super) traced: Option<&'a Traced>,
}

/// Names as they are written, so that none is made a request.
#[derive(Debug)]
struct IdentityNames {
    subject: Option<Bytes>,
    client: Option<Bytes>,
    account: Option<Bytes>,
    scopes: Option<Bytes>,
}

/// RFC 9530, and what was there before it.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

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
        if let Some(target) = forward.target() {
            request.set_raw_path(target)?;
        }
        match forward.form() {
            // Its credentials are for the provider.
            Some(form) => write_form(form, request)?,
            None if self.forwards_authorization(forward) => {}
            None => {
                request.remove_header(&AUTHORIZATION);
                request.remove_header(&DPOP);
            }
        }
        if let Some((name, value)) = forward.injected() {
            request.insert_header(name, value.clone())?;
        }
        for (name, value) in self.identity(forward, sending) {
            if let (Some(name), Some(value)) = (name, value) {
                request.insert_header(name.clone(), value.clone())?;
            }
        }
        join_cookies(request)?;
        write_trace(sending, request)?;
        write_forwarded(sending.peer, request)
    }

    /// Whether the upstream gets what the client has shown the gateway.
    pub(super) fn forwards_authorization(&self, forward: &Forward) -> bool {
        self.forward_authorization.get(forward.api().0 as usize).is_some_and(|forward| *forward)
    }

    /// The identity headers of a request, by name as written; a value that there is not is `None`.
    pub(super) fn identity<'a>(
        &'a self,
        forward: &'a Forward,
        sending: &Sending<'a>,
    ) -> [(Option<&'a Bytes>, Option<&'a HeaderValue>); 4] {
        let values = forward.told(sending.identity);
        let IdentityNames { subject, client, scopes, account: name } = &self.identity;
        [
            (subject.as_ref(), values.and_then(|values| values.subject.as_ref())),
            (client.as_ref(), values.and_then(|values| values.client.as_ref())),
            (scopes.as_ref(), values.and_then(|values| values.scopes.as_ref())),
            (name.as_ref(), forward.account()),
        ]
    }
}

/// Has the upstream close its connection after a request with a body whose method gives it no meaning
/// (RFC 9110 section 9.3.1): a server that does not read it would take it for the next request.
pub(super) fn distrust_body(request: &mut RequestHeader, has_body: bool) -> pingora::Result<()> {
    if has_body && matches!(request.method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS) {
        request.insert_header(CONNECTION, HeaderValue::from_static("close"))?;
    }
    Ok(())
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

/// HTTP/2 may send each cookie in a field of its own, and HTTP/1 may not (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> pingora::Result<()> {
    let cookies = request.headers.get_all(COOKIE);
    if cookies.iter().nth(1).is_none() {
        return Ok(());
    }
    let joined = cookies.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    request.insert_header(COOKIE, joined)
}

/// What the head says of the body must be so of the one that is sent.
fn write_form(form: &Bytes, request: &mut RequestHeader) -> pingora::Result<()> {
    for name in [TRANSFER_ENCODING, TRAILER].iter().chain(&DIGESTS) {
        request.remove_header(name);
    }
    request.insert_header("Content-Length", form.len().to_string())
}

fn write_trace(sending: &Sending<'_>, request: &mut RequestHeader) -> pingora::Result<()> {
    let (parent, taken_over) = trace::traceparent(&request.headers, sending.traced);
    if !taken_over {
        request.remove_header(&TRACESTATE);
    }
    request.insert_header("traceparent", trace::value_of(&parent))?;
    request.insert_header("X-Request-Id", sending.request_id.clone())
}

/// Where the request comes from, by the connection or as a trusted proxy has it.
fn write_forwarded(peer: Peer, request: &mut RequestHeader) -> pingora::Result<()> {
    let chain = forwarded_for(peer, &request.headers);
    let scheme = inbound::scheme(&request.headers, peer);
    let host = forwarded_host(peer, &request.headers).cloned();
    request.insert_header("X-Forwarded-For", chain)?;
    request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(scheme))?;
    match host {
        Some(host) => request.insert_header("X-Forwarded-Host", host),
        None => Ok(()),
    }
}

/// The peer's address, after the addresses that a trusted one tells of.
pub(super) fn forwarded_for(peer: Peer, headers: &HeaderMap) -> String {
    let mut chain = String::with_capacity(48);
    // What a stranger tells does not count.
    for earlier in headers.get_all(&X_FORWARDED_FOR).iter().filter(|_| peer.trusted) {
        chain.push_str(earlier.to_str().unwrap_or("unknown"));
        chain.push_str(", ");
    }
    // It cannot fail: it is a string that grows.
    let _ = match peer.address {
        Some(address) => write!(chain, "{address}"),
        None => write!(chain, "unknown"),
    };
    chain
}

/// The host that the client asked.
pub(super) fn forwarded_host(peer: Peer, headers: &HeaderMap) -> Option<&HeaderValue> {
    inbound::told_host(headers, peer).or_else(|| headers.get(HOST))
}
