//! The document to what it means: [`PolicySpec`] and [`Settings`], a file for each part of it.
//!
//! Each part reports what is wrong with it and leaves out what it cannot read, so that all that is
//! wrong comes out in one run. What is left then is not the file, and is thrown away.

mod access;
mod accounts;
mod apis;
mod authorize;
mod balancing;
mod claims;
mod clients;
mod cors;
mod expectations;
mod fleet;
mod headers;
mod introspection;
mod issuers;
mod keys;
mod limits;
mod names;
mod rates;
mod revocations;
mod scopes;
mod server;
mod services;
mod shadow;
mod take;
#[cfg(test)]
mod tests;
mod tls;
mod token_endpoints;
mod tracing;
mod transport;
mod upstreams;
mod values;

use std::path::Path;

use aws_lc_rs::digest;

pub(super) use balancing::{HEAVIEST, LONGEST_RUN, MOST_RETRIES};
pub use expectations::expectations;
pub(super) use expectations::is_of_a_token;
pub(super) use issuers::algorithm_names;
pub(super) use limits::{
    FASTEST, LARGEST_HEAD, LEAST_KEYS, MOST_AT_ONCE, MOST_HEADERS, MOST_KEYS, MOST_RESETS, MOST_STREAMS, SMALLEST_HEAD,
};
pub(super) use rates::MOST_REQUESTS;
pub(super) use server::MOST_THREADS;
pub(super) use token_endpoints::{LARGEST_FORM, USUAL_FORM};

use self::shadow::Purpose;
use super::document::{self, Document};
use super::entry::Entry;
use super::finding::{At, Finding, Findings, Place};
use super::source::LARGEST;
use super::{Audit, Configuration, IdentityHeaders, Problems, ResourceMetadata, Settings, Source, reading, yaml};
use crate::policy::{ApiSpec, Policy, PolicySpec, ScopeNames, UndefinedScopes, UnregisteredClients};

/// Reads a file's text.
///
/// # Errors
/// All that is wrong with it, at least up to a thousand things.
pub fn compile(source: &Source<'_>) -> Result<Configuration, Problems> {
    compile_for(source, Purpose::Force)
}

/// Reads the text of a candidate that is to be tried beside the file in force.
///
/// # Errors
/// All that is wrong with it, at least up to a thousand things.
pub fn compile_candidate(source: &Source<'_>) -> Result<Configuration, Problems> {
    compile_for(source, Purpose::Trial)
}

fn compile_for(source: &Source<'_>, purpose: Purpose) -> Result<Configuration, Problems> {
    let mut findings = Findings::default();
    match configuration(source, purpose, &mut findings) {
        Some(configuration) if findings.is_empty() => Ok(configuration),
        Some(_) | None => Err(Problems::locate(findings, source)),
    }
}

fn configuration(source: &Source<'_>, purpose: Purpose, findings: &mut Findings) -> Option<Configuration> {
    if source.text.len() > LARGEST {
        findings.add(Finding::placed(Place::Byte(0), "the file is larger than 64 MiB").help("make it smaller"));
        return None;
    }
    let node = match yaml::parse(super::without_mark(source.text)) {
        Ok(node) => node,
        Err(finding) => {
            findings.add(finding);
            return None;
        }
    };
    let document = reading::document(node, findings)?;
    let (spec, settings) = meaning(document, source.directory, findings);
    shadow::check(&settings, source, purpose, findings);
    if !findings.is_empty() {
        return None;
    }
    match Policy::compile(spec) {
        Ok(policy) => Some(Configuration { policy, settings, sha256: sha256(source.text) }),
        Err(unindexable) => {
            findings.add(Finding::new(At::ROOT, unindexable.to_string()));
            None
        }
    }
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(byte, digested)| *byte = *digested);
    bytes
}

/// What the document means, whole if nothing was found.
pub(super) fn meaning(document: Document, directory: &Path, findings: &mut Findings) -> (PolicySpec, Settings) {
    let root = At::ROOT;
    server::check_version(document.version, root.key("version"), findings);
    let has_revocations = document.revocations.is_there();
    let upstreams = upstreams::upstreams(document.upstreams, root.key("upstreams"), directory, findings);
    let limits = limits::limits(document.limits, root.key("limits"), findings);
    let issuers = issuers::issuers(document.issuers, limits.token, root.key("issuers"), directory, findings);
    let bounds_bodies = apis::bound_bodies(&document.apis);
    let known = server::Known { directory, issuers: &issuers, bounds_bodies };
    let addresses = server::addresses(document.listeners, document.admin, root, known, findings);
    revocations::check_admin(addresses.admin.as_ref(), has_revocations, root.key("admin"), findings);
    let forward = take::optional(document.forward_authorization, root.key("forward_authorization"), findings);
    let context =
        apis::Context { upstreams: &upstreams, issuers: &issuers, forward_authorization: forward.unwrap_or(true) };
    let asks_for_tokens = apis::have_scopes(&document.apis);
    let apis = apis::apis(document.apis, root.key("apis"), context, findings);
    check_issuers(issuers.any || !asks_for_tokens, root.key("issuers"), findings);
    let scope_names = scope_names(document.scope_names, root.key("scope_names"), findings);
    let clients = clients::clients(document.clients, root.key("clients"), &apis.names, scope_names, findings);
    let identity = identity_headers(document.identity_headers, &apis.specs, root.key("identity_headers"), findings);
    let settings = Settings {
        threads: server::threads(document.threads, root.key("threads"), findings),
        listeners: addresses.listeners,
        admin: addresses.admin,
        limits,
        upstreams: upstreams.list,
        issuers: issuers.list,
        token_endpoints: apis.token_endpoints.settings,
        identity_headers: identity,
        forward_authorization: apis.forward_authorization,
        body_bytes: apis.body_bytes,
        cors: apis.cors,
        resource_metadata: resource_metadata(document.resource_metadata, root.key("resource_metadata"), findings),
        revocations: revocations::revocations(document.revocations, root.key("revocations"), directory, findings),
        shared_state: fleet::shared_state(document.shared_state, root.key("shared_state"), directory, findings),
        trusted_proxies: server::trusted_proxies(document.trusted_proxies, root.key("trusted_proxies"), findings),
        shadow: shadow::shadow(document.shadow, root.key("shadow"), directory, findings),
        audit: audit(document.audit, root.key("audit"), directory, findings),
        tracing: tracing::tracing(document.tracing, root.key("tracing"), directory, findings),
        removal_guard: server::removal_guard(document.removal_guard, root.key("removal_guard"), findings),
    };
    let spec = PolicySpec {
        apis: apis.specs,
        token_endpoints: apis.token_endpoints.specs,
        rate_limits: apis.rate_limits,
        clients,
        unregistered_clients: unregistered(document.unregistered_clients, root.key("unregistered_clients"), findings),
        undefined_scopes: undefined(document.undefined_scopes, root.key("undefined_scopes"), findings),
        scope_names,
    };
    (spec, settings)
}

fn identity_headers(
    entry: Entry<document::IdentityHeaders>,
    apis: &[ApiSpec],
    at: At<'_>,
    findings: &mut Findings,
) -> IdentityHeaders {
    let account_headers: Vec<_> = apis.iter().flat_map(|api| accounts::headers(&api.account)).cloned().collect();
    headers::identity_headers(entry, &account_headers, at, findings)
}

fn check_issuers(are_enough: bool, at: At<'_>, findings: &mut Findings) {
    if !are_enough {
        let finding = Finding::new(at, "`issuers` is missing, so no token could be verified");
        findings.add(finding.help("write who signs the tokens: `issuers: [{ issuer: …, audiences: […], keys: … }]`"));
    }
}

fn scope_names(entry: Entry<document::ScopeNames>, at: At<'_>, findings: &mut Findings) -> ScopeNames {
    match take::optional(entry, at, findings) {
        Some(document::ScopeNames::CaseSensitive) | None => ScopeNames::CaseSensitive,
        Some(document::ScopeNames::CaseInsensitive) => ScopeNames::CaseInsensitive,
    }
}

fn undefined(entry: Entry<document::UndefinedScopes>, at: At<'_>, findings: &mut Findings) -> UndefinedScopes {
    match take::optional(entry, at, findings) {
        Some(document::UndefinedScopes::Ignore) | None => UndefinedScopes::Ignore,
        Some(document::UndefinedScopes::Reject) => UndefinedScopes::Reject,
    }
}

fn unregistered(
    entry: Entry<document::UnregisteredClients>,
    at: At<'_>,
    findings: &mut Findings,
) -> UnregisteredClients {
    match take::optional(entry, at, findings) {
        Some(document::UnregisteredClients::Refuse) | None => UnregisteredClients::Refuse,
        Some(document::UnregisteredClients::Allow) => UnregisteredClients::Allow,
    }
}

fn resource_metadata(
    entry: Entry<document::ResourceMetadata>,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<ResourceMetadata> {
    let document = take::optional(entry, at, findings)?;
    let at = at.key("resource");
    let text =
        take::required(document.resource, at, "write the api's own URL, such as `https://api.example.com`", findings);
    take::parsed(text, at, findings, values::url).map(|resource| ResourceMetadata { resource })
}

fn audit(entry: Entry<document::Audit>, at: At<'_>, directory: &Path, findings: &mut Findings) -> Audit {
    let document = take::optional(entry, at, findings).unwrap_or_default();
    // `json` is the one format that there is.
    take::optional(document.format, at.key("format"), findings);
    let at = at.key("file");
    let file = take::optional(document.file, at, findings);
    Audit { file: take::parsed(file, at, findings, |text| values::file(text, directory)) }
}
