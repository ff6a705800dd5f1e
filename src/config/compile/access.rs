//! `admin.access`: whose tokens open the registry of scopes, and how browsers come by them.

use std::mem::take;

use super::issuers::Issuers;
use super::server::Known;
use super::take::{Wrong, optional, parsed, required};
use super::values;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::suggest;
use crate::config::{Access, SignInClient};
use crate::policy::ScopeName;

/// What a token carries where the file does not say.
const VIEW: &str = "scopegate:view";
const MANAGE: &str = "scopegate:manage";

pub(super) fn access(
    entry: Entry<document::Access>,
    at: At<'_>,
    known: Known<'_>,
    findings: &mut Findings,
) -> Option<Access> {
    let mut document = optional(entry, at, findings)?;
    let (issuer_at, view_at, manage_at) = (at.key("issuer"), at.key("view"), at.key("manage"));
    let sign_in = sign_in(&mut document, at, known, findings);
    let url_at = at.key("url");
    let url = parsed(optional(take(&mut document.url), url_at, findings), url_at, findings, origin);
    let issuer = required(document.issuer, issuer_at, "write which of `issuers` signs the tokens", findings);
    let issuer = parsed(issuer, issuer_at, findings, |text| known_issuer(text, known.issuers));
    let view = parsed(optional(document.view, view_at, findings), view_at, findings, name);
    let manage = parsed(optional(document.manage, manage_at, findings), manage_at, findings, name);
    let view = view.or_else(|| ScopeName::parse(VIEW).ok())?;
    let manage = manage.or_else(|| ScopeName::parse(MANAGE).ok())?;
    if view == manage {
        let finding = Finding::new(manage_at, "who may see the registry could change it too: both scopes are one");
        findings.add(finding.help("write another scope for one of them"));
    }
    Some(Access { issuer: issuer?, view, manage, url, sign_in })
}

fn sign_in(
    document: &mut document::Access,
    at: At<'_>,
    known: Known<'_>,
    findings: &mut Findings,
) -> Option<SignInClient> {
    let (secret, resource) = (take(&mut document.client_secret_file), take(&mut document.resource));
    if !document.client_id.is_there() {
        let there = [("client_secret_file", secret.is_there()), ("resource", resource.is_there())];
        for (key, _) in there.into_iter().filter(|(_, is_there)| *is_there) {
            let message = format!("`{key}` goes with `client_id`, which is missing");
            let help = "write the console's id at the issuer, or remove this key";
            findings.add(Finding::at_key(at.key(key), message).help(help));
        }
    }
    let (id, secret_at, resource_at) = (at.key("client_id"), at.key("client_secret_file"), at.key("resource"));
    let client_id = parsed(optional(take(&mut document.client_id), id, findings), id, findings, values::text);
    let secret_file =
        parsed(optional(secret, secret_at, findings), secret_at, findings, |text| values::file(text, known.directory));
    let resource = parsed(optional(resource, resource_at, findings), resource_at, findings, values::url);
    Some(SignInClient { client_id: client_id?, secret_file, resource })
}

/// Scheme, host and port, as browsers write them in `Origin`.
fn origin(text: &str) -> Result<Box<str>, Wrong> {
    const HELP: &str = "write scheme, host and port alone, such as `https://console.example.com`";
    values::url(text)?;
    let parsed = reqwest::Url::parse(text).map_err(|_| Wrong::new(format!("{} is not a URL", Quoted(text)), HELP))?;
    if parsed.path() != "/" || parsed.query().is_some() {
        return Err(Wrong::new(format!("{} is more than where the console is", Quoted(text)), HELP));
    }
    Ok(parsed.origin().ascii_serialization().into())
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
