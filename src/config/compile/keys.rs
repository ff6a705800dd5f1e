//! `issuers[].keys` and `issuers[].introspection`: how an issuer's tokens are verified.

use std::path::Path;
use std::time::Duration;

use super::take::{optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings};
use crate::config::{Introspection, KeySource};

pub(super) fn keys(
    entry: Entry<document::Keys>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<KeySource> {
    let document = optional(entry, at, findings)?;
    let discovers = optional(document.discover, at.key("discover"), findings) == Some(true);
    if discovers {
        let finding = Finding::at_key(at.key("discover"), "`discover` is not supported yet");
        findings.add(finding.help("write `url` with the address of the keys"));
    }
    match (document.url.is_there(), document.file.is_there()) {
        (true, true) => {
            let finding = Finding::new(at, "`keys` has both `url` and `file`");
            findings.add(finding.help("keep one of them"));
            None
        }
        (false, false) => {
            if !discovers {
                let finding = Finding::new(at, "`keys` does not say where they are");
                findings.add(finding.help("write `keys: { url: https://… }` or `keys: { file: … }`"));
            }
            None
        }
        (true, false) => {
            let url = optional(document.url, at.key("url"), findings);
            parsed(url, at.key("url"), findings, values::url).map(KeySource::Url)
        }
        (false, true) => {
            let file = optional(document.file, at.key("file"), findings);
            parsed(file, at.key("file"), findings, |file| values::file(file, directory)).map(KeySource::File)
        }
    }
}

pub(super) fn introspection(
    entry: Entry<document::Introspection>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Introspection> {
    let document = optional(entry, at, findings)?;
    let (url, id, secret, cache) =
        (at.key("url"), at.key("client_id"), at.key("client_secret_file"), at.key("cache_for"));
    let text =
        required(document.url, url, "write the endpoint, such as `https://login.example.com/introspect`", findings);
    let endpoint = parsed(text, url, findings, values::url);
    let text = required(document.client_id, id, "write as whom the gateway asks", findings);
    let client_id = parsed(text, id, findings, values::text);
    let text = required(document.client_secret_file, secret, "write the file that holds the client's secret", findings);
    let client_secret_file = parsed(text, secret, findings, |file| values::file(file, directory));
    let text = optional(document.cache_for, cache, findings);
    let cache_for = parsed(text, cache, findings, values::duration).unwrap_or(Duration::from_secs(30));
    Some(Introspection { url: endpoint?, client_id: client_id?, client_secret_file: client_secret_file?, cache_for })
}
