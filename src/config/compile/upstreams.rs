//! `upstreams`: the unchanged servers behind.

use std::path::Path;

use hashbrown::HashMap;

use super::balancing;
use super::limits::{MOST_AT_ONCE, number};
use super::take::required;
use super::transport::{Said, transport};
use crate::config::Upstream;
use crate::config::document;
use crate::config::entry::{Entry, Named};
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::limits::USUAL_REQUESTS;
use crate::policy::{ApiName, UpstreamId};

/// The upstreams, and what apis call them.
#[derive(Debug)]
pub(super) struct Upstreams {
    pub(super) list: Vec<Upstream>,
    /// Those too that have something wrong, so that no api is blamed for it.
    pub(super) ids: HashMap<Box<str>, UpstreamId>,
    /// Whether every name could be read.
    pub(super) complete: bool,
}

pub(super) fn upstreams(
    entry: Entry<Named<document::Upstream>>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Upstreams {
    let help = "write `upstreams: { name: { servers: [\"127.0.0.1:9000\"] } }`";
    let mut upstreams = Upstreams { list: Vec::new(), ids: HashMap::new(), complete: true };
    let Some(Named(entries)) = required(entry, at, help, findings) else {
        return Upstreams { complete: false, ..upstreams };
    };
    if entries.is_empty() {
        findings.add(Finding::new(at, "`upstreams` has no entry").help(help));
    }
    for ((name, entry), id) in entries.into_iter().zip((0..).map(UpstreamId)) {
        let here = at.key(&name);
        if let Err(invalid) = ApiName::parse(&name) {
            let finding = Finding::at_key(here, format!("{} is not an upstream's name: {invalid}", Quoted(&name)));
            findings.add(finding.help("letters, digits, `-`, `_` and `.` make a name"));
        }
        // INVARIANT: an upstream that is left out has been reported, so no id outlives the file's run.
        if let Some(upstream) = upstream(&name, entry, here, directory, findings) {
            upstreams.list.push(upstream);
        }
        upstreams.ids.insert(name, id);
    }
    upstreams
}

fn upstream(
    name: &str,
    entry: Entry<document::Upstream>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Upstream> {
    let document = required(entry, at, "write `servers: [\"127.0.0.1:9000\"]`", findings)?;
    let servers = balancing::servers(document.servers, at.key("servers"), findings);
    let requests = at.key("max_requests");
    let max_requests = number(document.max_requests, requests, 1..=MOST_AT_ONCE, USUAL_REQUESTS, findings);
    let said = Said {
        connect_timeout: document.connect_timeout,
        first_byte_timeout: document.first_byte_timeout,
        read_timeout: document.read_timeout,
        write_timeout: document.write_timeout,
        total_timeout: document.total_timeout,
        idle_timeout: document.idle_timeout,
        idle_connections: document.idle_connections,
        http2: document.http2,
        tls: document.tls,
    };
    Some(Upstream {
        name: name.into(),
        servers,
        balance: balancing::balance(document.balance, at.key("balance"), findings),
        transport: transport(said, at, directory, findings),
        health: balancing::health(document.health, at.key("health"), findings),
        ejection: balancing::ejection(document.ejection, at.key("ejection"), findings),
        retries: balancing::retries(document.retries, at.key("retries"), findings),
        max_requests,
    })
}
