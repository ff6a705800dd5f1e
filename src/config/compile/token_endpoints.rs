//! `apis[].token_endpoint`: where clients get their tokens through the gateway.

use super::apis::{self, Context};
use super::issuers::Issuers;
use super::services::service;
use super::take::{Wrong, checked, optional, parsed, required};
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Finding, Findings, Place, Quoted};
use crate::config::{TokenEndpoint, suggest};
use crate::policy::{ApiId, MethodSet, Segment, Service, TokenEndpointSpec, UpstreamId};
use crate::token::ScopeSyntax;

/// The token endpoints, for the policy and for the settings, each at the same place in both.
#[derive(Debug)]
pub(super) struct TokenEndpoints {
    pub(super) specs: Vec<TokenEndpointSpec>,
    pub(super) settings: Vec<TokenEndpoint>,
    taken: Vec<Taken>,
}

/// One of them, by itself.
#[derive(Debug)]
pub(super) struct Endpoint {
    service: Service,
    upstream: UpstreamId,
    settings: TokenEndpoint,
}

/// Requests that are some endpoint's.
#[derive(Debug)]
struct Taken {
    path: String,
    /// Empty: whatever the host.
    hosts: Box<[Box<str>]>,
    place: Place,
}

/// What a form may have if the file does not say.
pub(in crate::config) const USUAL_FORM: usize = 32 * 1024;
/// Pingora keeps this much of a body to send it again.
pub(in crate::config) const LARGEST_FORM: usize = 64 * 1024;

pub(super) fn token_endpoint(
    entry: Entry<document::TokenEndpoint>,
    at: At<'_>,
    context: Context<'_>,
    findings: &mut Findings,
) -> Option<Endpoint> {
    let document = optional(entry, at, findings)?;
    let here = at.key("service");
    let text =
        required(document.service, here, "write the provider's endpoint: `service: POST /oauth/token`", findings);
    let service = parsed(text, here, findings, endpoint_service);
    let upstream = apis::upstream(document.upstream, context.upstreams, at.key("upstream"), findings);
    let scope_syntax = scope_syntax(document.issuer, context.issuers, at, findings);
    let here = at.key("max_form_bytes");
    let max_form_bytes = checked(optional(document.max_form_bytes, here, findings), here, findings, form_bytes);
    let settings = TokenEndpoint { scope_syntax, max_form_bytes: max_form_bytes.unwrap_or(USUAL_FORM) };
    Some(Endpoint { service: service?, upstream: upstream?, settings })
}

impl TokenEndpoints {
    pub(super) fn new() -> Self {
        Self { specs: Vec::new(), settings: Vec::new(), taken: Vec::new() }
    }

    /// Adds that of an api with these hosts, and reports it if another has its requests.
    pub(super) fn add(
        &mut self,
        endpoint: Endpoint,
        api: ApiId,
        hosts: &[Box<str>],
        at: At<'_>,
        findings: &mut Findings,
    ) {
        let Endpoint { service, upstream, settings } = endpoint;
        let here = at.key("service");
        let path = service.pattern().to_string();
        let shares_host = |taken: &Taken| {
            taken.hosts.is_empty() || hosts.is_empty() || hosts.iter().any(|host| taken.hosts.contains(host))
        };
        if let Some(taken) = self.taken.iter().find(|taken| taken.path == path && shares_host(taken)) {
            let finding = Finding::new(here, format!("the token endpoint {} is there twice", Quoted(&path)));
            findings
                .add(finding.first(taken.place.clone()).help("remove one of them, or give their apis other `hosts`"));
        }
        self.taken.push(Taken { path, hosts: hosts.into(), place: Place::Value(here.path()) });
        self.specs.push(TokenEndpointSpec { api, service, upstream });
        self.settings.push(settings);
    }
}

/// `POST` and one path: RFC 6749 section 3.2 has clients ask in no other way, and what is guarded must
/// be told exactly.
fn endpoint_service(text: &str) -> Result<Service, Wrong> {
    let service = service(text)?;
    let pattern = service.pattern();
    let is_literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
    if !pattern.segments().iter().all(is_literal) || pattern.any_rest() {
        let message = format!("{} is more than one path, and a token endpoint is one", Quoted(text));
        return Err(Wrong::new(message, "write the path without `*` and `{name}`, such as `POST /oauth/token`"));
    }
    if Some(service.methods()) != MethodSet::known("POST") {
        let message = format!("{} is not how tokens are asked for, which is by `POST`", Quoted(text));
        return Err(Wrong::new(message, format!("write `POST {pattern}`")));
    }
    Ok(service)
}

/// That of the issuer that is named, or of the only one.
fn scope_syntax(entry: Entry<String>, issuers: &Issuers, at: At<'_>, findings: &mut Findings) -> ScopeSyntax {
    let names = || issuers.syntaxes.iter().map(|(name, _)| &**name);
    let here = at.key("issuer");
    let is_absent = matches!(entry, Entry::Absent);
    let name = optional(entry, here, findings);
    let found = match &name {
        Some(name) => issuers.syntaxes.iter().find(|(known, _)| **known == **name),
        None => issuers.syntaxes.first(),
    };
    match (&name, found) {
        (Some(name), None) if issuers.complete => {
            let finding = Finding::new(here, format!("there is no issuer {}", Quoted(name)));
            findings.add(match suggest::nearest(name, names()) {
                Some(near) => finding.help(suggest::perhaps(near)),
                None => finding.help("add it to `issuers`, or name one that is there"),
            });
        }
        (None, Some(_)) if is_absent && issuers.syntaxes.len() > 1 => {
            let finding = Finding::new(here, "`issuer` is missing, and there are several");
            findings.add(finding.help("name the issuer whose tokens this endpoint gives: its `scope_syntax` counts"));
        }
        (Some(_) | None, Some(_) | None) => {}
    }
    found.map(|(_, syntax)| *syntax).unwrap_or_default()
}

fn form_bytes(bytes: u64) -> Result<usize, Wrong> {
    match usize::try_from(bytes) {
        Ok(bytes) if (1..=LARGEST_FORM).contains(&bytes) => Ok(bytes),
        Ok(_) | Err(_) => Err(Wrong::new(
            format!("`{bytes}` is not a size that a form may have"),
            format!("write 1 to {LARGEST_FORM} bytes, or remove the key for {USUAL_FORM}"),
        )),
    }
}
