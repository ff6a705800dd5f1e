//! What the gateway would make of a permitted request, said to who forwards it instead.
//!
//! What never passes is `hygiene`'s and what is written `outbound`'s, as for the gateway's own requests.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::question::told_in;
use crate::config::{Authorizer, Plane};
use crate::gateway::forward::Forward;
use crate::gateway::hygiene::is_certificate;
use crate::gateway::outbound::{DPOP, Outbound, Sending, forwarded_host};
use crate::gateway::trace::REQUEST_ID;
use crate::policy::{Denial, HeaderFault, PathFault, Policy};

/// The difference between a request that came and the one to forward.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Edits {
    /// Headers to write in the place of all of their names.
    pub(super) set: SmallVec<[(HeaderName, HeaderValue); 8]>,
    /// Headers to take off; none that is also written.
    pub(super) removed: Vec<HeaderName>,
    /// The target, where it is not the one that came.
    pub(super) target: Option<Vec<u8>>,
    /// Headers that stay, for planes that forward under their names what an answer has, and else nothing.
    pub(super) kept: SmallVec<[(HeaderName, HeaderValue); 4]>,
}

const CREDENTIALS: [HeaderName; 2] = [AUTHORIZATION, DPOP];
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What each kind of plane writes to tell of its client, whatever that sent.
const OF_NGINX: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
const OF_CADDY: [&str; 5] =
    ["x-forwarded-for", "x-forwarded-host", "x-forwarded-method", "x-forwarded-proto", "x-forwarded-uri"];
const OF_TRAEFIK: [&str; 8] = [
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-forwarded-uri",
    "x-real-ip",
];
const OF_ENVOY: [&str; 2] = ["x-forwarded-for", "x-forwarded-proto"];

impl Edits {
    /// Those that make of the request with these headers the one that the permit lets through.
    ///
    /// # Errors
    /// If the data plane cannot be told of one that must be.
    pub(in crate::gateway) fn new(
        outbound: &Outbound,
        policy: &Policy,
        forward: &Forward,
        sending: &Sending<'_>,
        headers: &HeaderMap,
        authorizer: &Authorizer,
    ) -> Result<Self, Denial> {
        check_injected(forward, authorizer)?;
        let mut edits = Self { target: forward.target().map(<[u8]>::to_vec), ..Self::default() };
        for (name, value) in outbound.identity(forward, sending) {
            let Some(name) = name.and_then(|name| HeaderName::from_bytes(name).ok()) else { continue };
            match value {
                Some(value) => edits.set.push((name, value.clone())),
                // It may have come, and may not have been shown.
                None => edits.removed.push(name),
            }
        }
        edits.set.extend(forward.injected().map(|(name, value)| (name.clone(), value.clone())));
        edits.set.push((REQUEST_ID, sending.request_id.clone()));
        if authorizer.plane == Plane::EnvoyGrpc {
            let host = forwarded_host(sending.peer, headers);
            edits.set.extend(host.map(|host| (X_FORWARDED_HOST, host.clone())));
        }
        let accounts = if authorizer.applies_account { policy.account_headers() } else { &[] };
        let forwards_credentials = outbound.forwards_authorization(forward);
        for (name, value) in headers {
            let is_credential = CREDENTIALS.contains(name);
            let stays = if is_credential {
                forwards_credentials
            } else {
                outbound.hygiene.passes(name, sending.peer.trusted) || is_written_by(authorizer.plane, name)
            };
            let is_set = edits.set.iter().any(|(set, _)| set == name);
            if !stays {
                check_removable(authorizer, name, sending.peer.trusted)?;
            }
            if !stays && !is_set && !edits.removed.contains(name) {
                edits.removed.push(name.clone());
            }
            if stays && !is_set && (is_credential || accounts.contains(name)) {
                edits.kept.push((name.clone(), value.clone()));
            }
        }
        Ok(edits)
    }
}

/// An account that is written in must be forwarded: without it the request would be for any.
fn check_injected(forward: &Forward, authorizer: &Authorizer) -> Result<(), Denial> {
    if forward.target().is_some() && !authorizer.applies_target {
        return Err(if forward.adds_parameter() {
            Denial::AccountMissing { api: forward.api() }
        } else {
            PathFault::Respelled.into()
        });
    }
    if forward.injected().is_some() && !authorizer.applies_account {
        return Err(Denial::AccountMissing { api: forward.api() });
    }
    Ok(())
}

/// Envoy takes headers off as it is told. Others do so before they ask; what they show all the same, they
/// would forward, but for credentials and what one that is believed writes of its client's certificate.
fn check_removable(authorizer: &Authorizer, name: &HeaderName, trusted: bool) -> Result<(), HeaderFault> {
    let tells = |name: &HeaderName| told_in(authorizer).is_some_and(|told| told == *name);
    match authorizer.plane {
        Plane::EnvoyHttp | Plane::EnvoyGrpc => Ok(()),
        Plane::Nginx | Plane::Traefik | Plane::Caddy if CREDENTIALS.contains(name) => Ok(()),
        Plane::Nginx | Plane::Traefik | Plane::Caddy if trusted && is_certificate(name) || tells(name) => Ok(()),
        Plane::Nginx | Plane::Traefik | Plane::Caddy => Err(HeaderFault::NotForwarded),
    }
}

/// Whether the plane itself writes headers of this name, over those of its clients.
fn is_written_by(plane: Plane, name: &HeaderName) -> bool {
    let name = name.as_str();
    match plane {
        Plane::EnvoyHttp | Plane::EnvoyGrpc => name.starts_with("x-envoy-") || OF_ENVOY.contains(&name),
        Plane::Nginx => OF_NGINX.contains(&name),
        Plane::Caddy => OF_CADDY.contains(&name),
        Plane::Traefik => OF_TRAEFIK.contains(&name),
    }
}
