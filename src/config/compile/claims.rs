//! `issuers[].claims`: where a token says what.

use super::take::{Wrong, one_or_many, optional, parsed};
use crate::config::document;
use crate::config::entry::{Entry, OneOrMany};
use crate::config::finding::{At, Findings, Quoted};
use crate::token::{ClaimPath, ClaimPaths};

pub(super) fn claims(entry: Entry<document::Claims>, at: At<'_>, findings: &mut Findings) -> ClaimPaths {
    let document = optional(entry, at, findings).unwrap_or_default();
    ClaimPaths {
        scope: paths(document.scope, at.key("scope"), "scope", findings),
        account: paths(document.account, at.key("account"), "account_id", findings),
        client: paths(document.client, at.key("client"), "client_id", findings),
    }
}

fn paths(entry: Entry<OneOrMany<String>>, at: At<'_>, default: &str, findings: &mut Findings) -> Box<[ClaimPath]> {
    let Some(values) = optional(entry, at, findings) else { return [ClaimPath([default.into()].into())].into() };
    let mut paths = Vec::new();
    for (place, name) in one_or_many(values, at, findings) {
        let parsed = match place {
            Some(place) => parsed(Some(name), at.nth(place), findings, path),
            None => parsed(Some(name), at, findings, path),
        };
        paths.extend(parsed);
    }
    paths.into()
}

/// Dots lead inside, but for those of a URL: a claim named by one is named by all of it.
fn path(name: &str) -> Result<ClaimPath, Wrong> {
    let is_url = name.contains("://");
    let names: Box<[Box<str>]> = if is_url { [name.into()].into() } else { name.split('.').map(Into::into).collect() };
    if names.iter().any(|name| name.is_empty()) {
        let help = "write a name such as `scope`, or the way to it such as `realm_access.roles`";
        return Err(Wrong::new(format!("{} is not a claim's name", Quoted(name)), help));
    }
    Ok(ClaimPath(names))
}
