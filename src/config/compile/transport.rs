//! How the servers of an upstream are spoken to: times, the version of HTTP, TLS.
//!
//! Nothing is opened here; what is in the files is `gateway`'s.

use std::path::Path;

use rustls::pki_types::ServerName;

use super::limits::{MOST_AT_ONCE, number};
use super::take::{Wrong, optional, parsed, required};
use super::values;
use crate::config::document::{self, DurationText};
use crate::config::entry::Entry;
use crate::config::finding::{At, Findings, Quoted};
use crate::config::{ClientIdentity, Transport, UpstreamTls};

/// What of an upstream's entry is about it.
pub(super) struct Said {
    pub(super) connect_timeout: Entry<DurationText>,
    pub(super) first_byte_timeout: Entry<DurationText>,
    pub(super) read_timeout: Entry<DurationText>,
    pub(super) write_timeout: Entry<DurationText>,
    pub(super) total_timeout: Entry<DurationText>,
    pub(super) idle_timeout: Entry<DurationText>,
    pub(super) idle_connections: Entry<u64>,
    pub(super) http2: Entry<bool>,
    pub(super) tls: Entry<document::UpstreamTls>,
}

/// `at` is the upstream's.
pub(super) fn transport(said: Said, at: At<'_>, directory: &Path, findings: &mut Findings) -> Transport {
    let usual = Transport::default();
    let mut time = |entry, key| {
        let at = at.key(key);
        let text: Option<DurationText> = optional(entry, at, findings);
        parsed(text, at, findings, values::timeout)
    };
    let read_timeout = time(said.read_timeout, "read_timeout").unwrap_or(usual.read_timeout);
    Transport {
        connect_timeout: time(said.connect_timeout, "connect_timeout").unwrap_or(usual.connect_timeout),
        first_byte_timeout: time(said.first_byte_timeout, "first_byte_timeout").unwrap_or(read_timeout),
        read_timeout,
        write_timeout: time(said.write_timeout, "write_timeout").unwrap_or(usual.write_timeout),
        total_timeout: time(said.total_timeout, "total_timeout"),
        idle_timeout: time(said.idle_timeout, "idle_timeout").unwrap_or(usual.idle_timeout),
        idle_connections: number(
            said.idle_connections,
            at.key("idle_connections"),
            0..=MOST_AT_ONCE,
            usual.idle_connections,
            findings,
        ),
        http2: optional(said.http2, at.key("http2"), findings).unwrap_or(usual.http2),
        tls: tls(said.tls, at.key("tls"), directory, findings),
    }
}

fn tls(
    entry: Entry<document::UpstreamTls>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<UpstreamTls> {
    let document = optional(entry, at, findings)?;
    let here = at.key("ca_file");
    let ca_file: Option<String> = optional(document.ca_file, here, findings);
    let ca_file = parsed(ca_file, here, findings, |text| values::file(text, directory));
    let here = at.key("server_name");
    let server_name: Option<String> = optional(document.server_name, here, findings);
    let server_name = parsed(server_name, here, findings, name);
    Some(UpstreamTls {
        ca_file,
        server_name,
        identity: identity(document.certificate, document.key, at, directory, findings),
    })
}

fn identity(
    certificate: Entry<String>,
    key: Entry<String>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<ClientIdentity> {
    if matches!((&certificate, &key), (Entry::Absent, Entry::Absent)) {
        return None;
    }
    let file = |entry, key, help, findings: &mut Findings| {
        let here = at.key(key);
        let text: Option<String> = required(entry, here, help, findings);
        parsed(text, here, findings, |text| values::file(text, directory))
    };
    let help = "write the PEM file of the certificate that the gateway shows, or leave `key` out too";
    let certificate = file(certificate, "certificate", help, findings);
    let help = "write the PEM file of the certificate's private key, or leave `certificate` out too";
    let key = file(key, "key", help, findings);
    Some(ClientIdentity { certificate: certificate?, key: key? })
}

/// A DNS name or an address, as a certificate has it.
fn name(text: &str) -> Result<ServerName<'static>, Wrong> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        let help = "write a name such as `orders.internal`, or an address such as `10.0.0.7`, without a port";
        Wrong::new(format!("{} is not the name of a server", Quoted(text)), help)
    })
}
