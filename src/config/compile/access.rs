//! `admin.access`: whose tokens open the registry of scopes.

use super::issuers::Issuers;
use super::take::{Wrong, optional, parsed, required};
use crate::config::Access;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::suggest;
use crate::policy::ScopeName;

/// What a token carries where the file does not say.
const VIEW: &str = "scopegate:view";
const MANAGE: &str = "scopegate:manage";

pub(super) fn access(
    entry: Entry<document::Access>,
    at: At<'_>,
    issuers: &Issuers,
    findings: &mut Findings,
) -> Option<Access> {
    let document = optional(entry, at, findings)?;
    let (issuer_at, view_at, manage_at) = (at.key("issuer"), at.key("view"), at.key("manage"));
    let issuer = required(document.issuer, issuer_at, "write which of `issuers` signs the tokens", findings);
    let issuer = parsed(issuer, issuer_at, findings, |text| known_issuer(text, issuers));
    let view = parsed(optional(document.view, view_at, findings), view_at, findings, name);
    let manage = parsed(optional(document.manage, manage_at, findings), manage_at, findings, name);
    let view = view.or_else(|| ScopeName::parse(VIEW).ok())?;
    let manage = manage.or_else(|| ScopeName::parse(MANAGE).ok())?;
    if view == manage {
        let finding = Finding::new(manage_at, "who may see the registry could change it too: both scopes are one");
        findings.add(finding.help("write another scope for one of them"));
    }
    Some(Access { issuer: issuer?, view, manage })
}

fn known_issuer(text: &str, issuers: &Issuers) -> Result<Box<str>, Wrong> {
    let names = || issuers.syntaxes.iter().map(|(name, _)| &**name);
    if names().any(|name| name == text) || !issuers.complete {
        return Ok(text.into());
    }
    let help = suggest::nearest(text, names()).map_or("write one of `issuers`".to_owned(), suggest::perhaps);
    Err(Wrong::new(format!("{} is none of `issuers`", Quoted(text)), help))
}

fn name(text: &str) -> Result<ScopeName, Wrong> {
    ScopeName::parse(text).map_err(|invalid| {
        let help = "a scope's name has visible ASCII characters, without spaces, `\"` and `\\`";
        Wrong::new(format!("{} is not a scope's name: {invalid}", Quoted(text)), help)
    })
}
