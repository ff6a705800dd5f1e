//! `issuers[].keys`: where an issuer's keys are.

use std::path::Path;

use super::take::{optional, parsed};
use super::values;
use crate::config::KeySource;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Quoted};

/// `issuer`: its name, if it is known.
pub(super) fn keys(
    entry: Entry<document::Keys>,
    issuer: Option<&str>,
    at: At<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<KeySource> {
    let document = optional(entry, at, findings)?;
    let discovers = optional(document.discover, at.key("discover"), findings) == Some(true);
    let places = [("url", document.url.is_there()), ("file", document.file.is_there()), ("discover", discovers)];
    let mut there = places.into_iter().filter(|(_, is_there)| *is_there).map(|(key, _)| key);
    match (there.next(), there.next()) {
        (Some(one), Some(other)) => {
            let finding = Finding::new(at, format!("`keys` has both `{one}` and `{other}`"));
            findings.add(finding.help("keep one of them"));
            None
        }
        (None, _) => {
            let finding = Finding::new(at, "`keys` does not say where they are");
            findings.add(finding.help(
                "write `keys: { url: https://… }`, `keys: { file: … }`, or `keys: { discover: true }` where the issuer \
                 publishes its metadata",
            ));
            None
        }
        (Some("url"), None) => {
            let url = optional(document.url, at.key("url"), findings);
            parsed(url, at.key("url"), findings, values::url).map(KeySource::Url)
        }
        (Some("file"), None) => {
            let file = optional(document.file, at.key("file"), findings);
            parsed(file, at.key("file"), findings, |file| values::file(file, directory)).map(KeySource::File)
        }
        (Some(_), None) => {
            if let Some(issuer) = issuer {
                check_discoverable(issuer, at.key("discover"), findings);
            }
            Some(KeySource::Discover)
        }
    }
}

/// RFC 8414 section 2: an issuer with metadata is a URL without query and fragment.
fn check_discoverable(issuer: &str, at: At<'_>, findings: &mut Findings) {
    if values::url(issuer).is_err() || issuer.contains('?') {
        let message = format!("the issuer {} is not a URL at which metadata could be", Quoted(issuer));
        findings.add(Finding::at_key(at, message).help("write `url` or `file` with the place of its keys"));
    }
}
