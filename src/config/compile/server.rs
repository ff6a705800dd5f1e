//! The gateway itself: threads, listeners, the admin address, and which peers are believed.

use std::net::SocketAddr;
use std::path::Path;

use ipnet::IpNet;

use super::issuers::Issuers;
use super::take::{Firsts, Wrong, at_least_one, checked, items, optional, parsed, required};
use super::{access, authorize, tls, values};
use crate::config::document;
use crate::config::entry::{Entry, List};
use crate::config::finding::{At, Findings};
use crate::config::{Admin, Listener, Plane};

/// More than any machine has cores for.
pub(in crate::config) const MOST_THREADS: u64 = 1024;

/// Where the gateway listens.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Option<Admin>,
}

/// What addresses are read by.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// What relative paths are relative to.
    pub(super) directory: &'a Path,
    /// The issuers of the file, as far as they could be read.
    pub(super) issuers: &'a Issuers,
    /// Whether some api bounds bodies.
    pub(super) bounds_bodies: bool,
}

pub(super) fn check_version(entry: Entry<u64>, at: At<'_>, findings: &mut Findings) {
    let version = required(entry, at, "write `version: 1` as the first line", findings);
    checked(version, at, findings, |version| match version {
        1 => Ok(()),
        other => Err(Wrong::new(format!("`{other}` is not a version that is known"), "write `version: 1`")),
    });
}

/// The number of worker threads; that of the cores where the file does not say.
pub(super) fn threads(entry: Entry<u64>, at: At<'_>, findings: &mut Findings) -> usize {
    let threads = checked(optional(entry, at, findings), at, findings, |threads| match usize::try_from(threads) {
        Ok(count) if (1..=MOST_THREADS).contains(&threads) => Ok(count),
        Ok(_) | Err(_) => Err(Wrong::new(
            format!("`{threads}` is not a number of threads"),
            format!("write 1 to {MOST_THREADS}, or remove the key for as many as there are cores"),
        )),
    });
    threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

pub(super) fn addresses(
    listeners: List<document::Listener>,
    admin: Entry<document::Admin>,
    root: At<'_>,
    known: Known<'_>,
    findings: &mut Findings,
) -> Addresses {
    let directory = known.directory;
    let at = root.key("listeners");
    let mut firsts = Firsts::new();
    let mut note = |address: SocketAddr, at: At<'_>, findings: &mut Findings| {
        // Port 0 is a new one each time.
        if address.port() != 0 {
            firsts.note(address, at, &format!("the address `{address}`"), "write another address", findings);
        }
    };
    let mut list = Vec::new();
    for (place, document) in at_least_one(listeners, at, "write `listeners: [{ address: 0.0.0.0:8080 }]`", findings) {
        let here = at.nth(place);
        if let Some(listener) = listener(document, here, known, findings) {
            note(listener.address, here.key("address"), findings);
            list.push(listener);
        }
    }
    let at = root.key("admin");
    let admin = optional(admin, at, findings).and_then(|document| {
        let (address, token) = (at.key("address"), at.key("revocations_token_file"));
        let access = access::access(document.access, at.key("access"), known, findings);
        let file = optional(document.revocations_token_file, token, findings);
        let revocations_token_file = parsed(file, token, findings, |file| values::file(file, directory));
        let text = required(document.address, address, "write `address: 127.0.0.1:9901`", findings);
        let found = parsed(text, address, findings, values::socket_address)?;
        note(found, address, findings);
        Some(Admin { address: found, revocations_token_file, access })
    });
    Addresses { listeners: list, admin }
}

fn listener(document: document::Listener, at: At<'_>, known: Known<'_>, findings: &mut Findings) -> Option<Listener> {
    let here = at.key("address");
    let text = required(document.address, here, "write `address: 0.0.0.0:8080`", findings);
    let address = parsed(text, here, findings, values::socket_address);
    let http2 = optional(document.http2, at.key("http2"), findings).unwrap_or(false);
    let tls = tls::tls(document.tls, at.key("tls"), known.directory, findings);
    let authorizer = authorize::authorizer(document.authorize, known.bounds_bodies, at.key("authorize"), findings);
    // gRPC is spoken over nothing else.
    let http2 = http2 || authorizer.as_ref().is_some_and(|authorizer| authorizer.plane == Plane::EnvoyGrpc);
    Some(Listener { address: address?, http2, tls, authorizer })
}

/// Whether a reload that drops a scope in use is refused.
pub(super) fn removal_guard(entry: Entry<bool>, at: At<'_>, findings: &mut Findings) -> bool {
    optional(entry, at, findings).unwrap_or(false)
}

pub(super) fn trusted_proxies(list: List<String>, at: At<'_>, findings: &mut Findings) -> Vec<IpNet> {
    let entries = items(list, at, findings).into_iter();
    entries.filter_map(|(place, text)| parsed(Some(text), at.nth(place), findings, values::network)).collect()
}
