//! `listeners[].authorize`: which data plane asks there, and what it can be told to do.

use super::take::{at_least_one, items, optional, parsed, required};
use super::values;
use crate::config::document::authorize::{Applies, Authorize, Plane as Kind, Tells};
use crate::config::entry::{Entry, List};
use crate::config::finding::{At, Finding, Findings};
use crate::config::{Authorizer, Plane};

/// `None` if the listener has none; `bounds_bodies`: whether some api does.
pub(super) fn authorizer(
    entry: Entry<Authorize>,
    bounds_bodies: bool,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<Authorizer> {
    let document = optional(entry, at, findings)?;
    let help = "write who asks: `nginx`, `traefik`, `caddy`, `envoy_http` or `envoy_grpc`";
    let plane = required(document.r#as, at.key("as"), help, findings).map(|kind| match kind {
        Kind::Nginx => Plane::Nginx,
        Kind::Traefik => Plane::Traefik,
        Kind::Caddy => Plane::Caddy,
        Kind::EnvoyHttp => Plane::EnvoyHttp,
        Kind::EnvoyGrpc => Plane::EnvoyGrpc,
    });
    let here = at.key("peers");
    let help = "write the addresses of the data plane, such as `peers: [127.0.0.1]`";
    let peers = at_least_one(document.peers, here, help, findings).into_iter();
    let peers: Vec<_> =
        peers.filter_map(|(place, text)| parsed(Some(text), here.nth(place), findings, values::network)).collect();
    let applied = listed(document.applies, at.key("applies"), |one| cannot_apply(plane?, one), findings);
    if bounds_bodies && !applied.contains(&Applies::BodyBytes) {
        let finding = Finding::new(at, "bodies do not come here, and an api has `body_bytes`");
        let help = "have the data plane bound them and write `applies: [body_bytes]`, or remove `body_bytes`";
        findings.add(finding.help(help));
    }
    let told = listed(document.tells, at.key("tells"), |one| cannot_tell(plane?, one), findings);
    let plane = plane?;
    let always = plane == Plane::EnvoyGrpc;
    Some(Authorizer {
        plane,
        peers,
        applies_account: always || applied.contains(&Applies::Account),
        applies_target: always || applied.contains(&Applies::Target),
        tells_certificate: always || told.contains(&Tells::Certificate),
    })
}

/// What is listed there. `cannot` says what is wrong with one, and what would be right.
fn listed<T: Copy>(
    list: List<T>,
    at: At<'_>,
    cannot: impl Fn(T) -> Option<(&'static str, &'static str)>,
    findings: &mut Findings,
) -> Vec<T> {
    let mut listed = Vec::new();
    for (place, one) in items(list, at, findings) {
        if let Some((message, help)) = cannot(one) {
            findings.add(Finding::new(at.nth(place), message).help(help));
        }
        listed.push(one);
    }
    listed
}

/// Why a data plane cannot do what it would be told.
fn cannot_apply(plane: Plane, what: Applies) -> Option<(&'static str, &'static str)> {
    match (plane, what) {
        (Plane::Traefik | Plane::Caddy | Plane::EnvoyHttp, Applies::Target) => {
            Some(("this data plane forwards the target that came", "remove `target`"))
        }
        (
            Plane::Nginx | Plane::Traefik | Plane::Caddy | Plane::EnvoyHttp | Plane::EnvoyGrpc,
            Applies::Account | Applies::Target | Applies::BodyBytes,
        ) => None,
    }
}

/// Why a data plane cannot say what it would have to.
fn cannot_tell(plane: Plane, what: Tells) -> Option<(&'static str, &'static str)> {
    match (plane, what) {
        (Plane::Traefik, Tells::Certificate) => {
            Some(("this data plane tells nobody whom it asks of certificates", "remove `certificate`"))
        }
        (Plane::Nginx | Plane::Caddy | Plane::EnvoyHttp | Plane::EnvoyGrpc, Tells::Certificate) => None,
    }
}
