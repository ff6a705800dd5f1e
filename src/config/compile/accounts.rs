//! `apis[].account`: where requests name the account that they touch.

use http::header::HeaderName;

use super::headers;
use super::take::{Wrong, one_or_many, optional, parsed};
use crate::config::document;
use crate::config::entry::{Entry, OneOrMany};
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::policy::{AccountSource, AccountWhenAbsent};

/// Where the api's requests name their account; `None` where that could not be read.
pub(super) fn sources(
    entry: Entry<OneOrMany<document::AccountSource>>,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<Vec<AccountSource>> {
    if matches!(entry, Entry::Absent) {
        return Some(Vec::new());
    }
    let entries = one_or_many(optional(entry, at, findings)?, at, findings);
    let count = entries.len();
    let mut sources: Vec<AccountSource> = Vec::with_capacity(count);
    for (place, document) in entries {
        let source = match place {
            Some(place) => source(document, at.nth(place), findings),
            None => source(document, at, findings),
        };
        match (source, place) {
            (Some(source), Some(place)) if sources.contains(&source) => {
                let finding = Finding::new(at.nth(place), "this account source is there twice");
                findings.add(finding.help("remove one of them"));
            }
            (source, _) => sources.extend(source),
        }
    }
    (sources.len() == count && count > 0).then_some(sources)
}

fn source(document: document::AccountSource, at: At<'_>, findings: &mut Findings) -> Option<AccountSource> {
    let there = [document.path.is_there(), document.query.is_there(), document.header.is_there()];
    if there.iter().filter(|there| **there).count() != 1 {
        let finding = Finding::new(at, "an account source has exactly one of `path`, `query` and `header`");
        findings.add(finding.help("write a list of sources where there are several"));
        return None;
    }
    let (in_path, in_query, in_header) = (at.key("path"), at.key("query"), at.key("header"));
    let path = optional(document.path, in_path, findings);
    let query = optional(document.query, in_query, findings);
    let header = optional(document.header, in_header, findings);
    parsed(path, in_path, findings, capture_name)
        .or_else(|| parsed(query, in_query, findings, parameter_name))
        .or_else(|| parsed(header, in_header, findings, header_name))
}

fn capture_name(name: &str) -> Result<AccountSource, Wrong> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Ok(AccountSource::Path(name.into()));
    }
    let help = "write the name alone: `account` where services have `{account}`";
    Err(Wrong::new(format!("{} is not the name of a path segment", Quoted(name)), help))
}

fn parameter_name(name: &str) -> Result<AccountSource, Wrong> {
    // What else a server may take for the parameter is told by its letters and digits.
    let has_letter = name.bytes().any(|byte| byte.is_ascii_alphanumeric());
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~'));
    if has_letter && is_plain {
        return Ok(AccountSource::Query(name.into()));
    }
    let help = "write letters, digits, `-`, `_` and `.`, such as `accountId`";
    Err(Wrong::new(format!("{} is not a query parameter's name", Quoted(name)), help))
}

fn header_name(name: &str) -> Result<AccountSource, Wrong> {
    headers::own_name(name).map(AccountSource::Header)
}

/// What a request that names no account comes to.
pub(super) fn when_absent(
    entry: Entry<document::AccountWhenAbsent>,
    sources: Option<&[AccountSource]>,
    at: At<'_>,
    findings: &mut Findings,
) -> AccountWhenAbsent {
    match optional(entry, at, findings) {
        None | Some(document::AccountWhenAbsent::Deny) => AccountWhenAbsent::Deny,
        Some(document::AccountWhenAbsent::Inject) => {
            let takes = |source: &AccountSource| match source {
                AccountSource::Path(_) => false,
                AccountSource::Query(_) | AccountSource::Header(_) => true,
            };
            if sources.is_some_and(|sources| !sources.iter().any(takes)) {
                let finding = Finding::new(at, "there is no query parameter or header to write the account into");
                findings.add(finding.help("add `query` or `header` to `account`, or write `deny`"));
            }
            AccountWhenAbsent::Inject
        }
    }
}

/// The headers among the sources.
pub(super) fn headers(sources: &[AccountSource]) -> impl Iterator<Item = &HeaderName> {
    sources.iter().filter_map(|source| match source {
        AccountSource::Header(name) => Some(name),
        AccountSource::Path(_) | AccountSource::Query(_) => None,
    })
}
