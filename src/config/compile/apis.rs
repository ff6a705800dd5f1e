//! `apis`: groups of scopes in front of one upstream.

use super::issuers::Issuers;
use super::names::DefinedNames;
use super::services::{Terms, remedy, services};
use super::take::{Firsts, RENAME, Wrong, at_least_one, checked, items, optional, parsed, required};
use super::token_endpoints::TokenEndpoints;
use super::upstreams::Upstreams;
use super::{accounts, cors, rates, scopes, token_endpoints, values};
use crate::config::entry::{Entry, List};
use crate::config::finding::{At, Finding, Findings, Quoted};
use crate::config::suggest;
use crate::config::{Cors, document};
use crate::policy::{ApiId, ApiName, ApiSpec, BasePath, InsufficientScopeStatus, Mode, RateLimitSpec, UpstreamId};

/// What apis are read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) upstreams: &'a Upstreams,
    pub(super) issuers: &'a Issuers,
    /// Whether `Authorization` goes on where an api does not say.
    pub(super) forward_authorization: bool,
}

/// The apis, and what other parts of the file must know of them.
#[derive(Debug)]
pub(super) struct Apis {
    pub(super) specs: Vec<ApiSpec>,
    pub(super) forward_authorization: Vec<bool>,
    pub(super) body_bytes: Vec<Option<u64>>,
    pub(super) cors: Vec<Option<Cors>>,
    pub(super) token_endpoints: TokenEndpoints,
    pub(super) rate_limits: Vec<RateLimitSpec>,
    pub(super) names: DefinedNames,
}

/// Whether some api has scopes or clients ask for them there, as far as that can be read.
pub(super) fn have_scopes(list: &List<document::Api>) -> bool {
    let Entry::Given(entries) = list else { return false };
    let has_scopes = |api: &document::Api| !is_empty(&api.scopes) || api.token_endpoint.is_there();
    entries.iter().any(|entry| matches!(entry, Entry::Given(api) if has_scopes(api)))
}

/// Whether some api bounds the bodies of its requests.
pub(super) fn bound_bodies(list: &List<document::Api>) -> bool {
    let Entry::Given(entries) = list else { return false };
    entries.iter().any(|entry| matches!(entry, Entry::Given(api) if api.body_bytes.is_there()))
}

pub(super) fn apis(list: List<document::Api>, at: At<'_>, context: Context<'_>, findings: &mut Findings) -> Apis {
    let mut apis = Apis {
        specs: Vec::new(),
        forward_authorization: Vec::new(),
        body_bytes: Vec::new(),
        cors: Vec::new(),
        token_endpoints: TokenEndpoints::new(),
        rate_limits: Vec::new(),
        names: DefinedNames::new(),
    };
    apis.names.complete = match &list {
        Entry::Given(entries) => entries.iter().all(|entry| matches!(entry, Entry::Given(_))),
        Entry::Absent | Entry::Empty | Entry::Faulty => false,
    };
    let mut firsts = Firsts::new();
    let help = "write `apis: [{ name: …, upstream: …, scopes: […] }]`";
    for (place, mut document) in at_least_one(list, at, help, findings) {
        let here = at.nth(place);
        let forward =
            optional(std::mem::take(&mut document.forward_authorization), here.key("forward_authorization"), findings);
        let bytes = optional(std::mem::take(&mut document.body_bytes), here.key("body_bytes"), findings);
        let cors = cors::cors(std::mem::take(&mut document.cors), here.key("cors"), findings);
        if let Entry::Given(name) = &document.name {
            firsts.note(name.clone(), here.key("name"), &format!("the api {}", Quoted(name)), RENAME, findings);
        }
        let endpoint = std::mem::take(&mut document.token_endpoint);
        let has_endpoint = endpoint.is_there();
        let endpoint = token_endpoints::token_endpoint(endpoint, here.key("token_endpoint"), context, findings);
        let limits = std::mem::take(&mut document.rate_limits);
        let spec = api(document, has_endpoint, here, context, &mut apis.names, findings);
        let id = ApiId(u32::try_from(apis.specs.len()).unwrap_or(u32::MAX));
        let limits = rates::rate_limits(limits, here.key("rate_limits"), id, spec.as_ref(), findings);
        let Some(spec) = spec else { continue };
        apis.rate_limits.extend(limits);
        if let Some(endpoint) = endpoint {
            apis.token_endpoints.add(endpoint, id, &spec.hosts, here.key("token_endpoint"), findings);
        }
        apis.specs.push(spec);
        apis.forward_authorization.push(forward.unwrap_or(context.forward_authorization));
        apis.body_bytes.push(bytes);
        apis.cors.push(cors);
    }
    apis
}

fn api(
    document: document::Api,
    has_token_endpoint: bool,
    at: At<'_>,
    context: Context<'_>,
    names: &mut DefinedNames,
    findings: &mut Findings,
) -> Option<ApiSpec> {
    let name = required(document.name, at.key("name"), "write what messages and metrics call it", findings);
    let name = parsed(name, at.key("name"), findings, api_name);
    let base_path = base_path(document.base_path, at.key("base_path"), findings);
    let hosts = at.key("hosts");
    let host_list = items(document.hosts, hosts, findings).into_iter();
    let host_list = host_list.filter_map(|(place, text)| parsed(Some(text), hosts.nth(place), findings, values::host));
    let host_list = host_list.collect();
    let upstream = upstream(document.upstream, context.upstreams, at.key("upstream"), findings);
    let account = accounts::sources(document.account, at.key("account"), findings);
    let absent = at.key("account_when_absent");
    let account_when_absent = accounts::when_absent(document.account_when_absent, account.as_deref(), absent, findings);
    let is_empty = is_empty(&document.scopes) && is_empty(&document.public) && !has_token_endpoint;
    if is_empty {
        let finding = Finding::new(at, "this api has neither `scopes` nor `public`, so no request to it can pass");
        findings.add(finding.help("give it scopes with services"));
    }
    let terms = Terms { base_path: base_path.as_ref(), shown_account: None };
    let public = services(document.public, at.key("public"), terms, findings);
    let ground = scopes::Ground {
        base_path: base_path.as_ref(),
        account: account.as_deref(),
        privilege_syntax: context.issuers.privilege_syntax,
    };
    let scopes = scopes::scopes(document.scopes, at.key("scopes"), ground, names, findings);
    let display_name = optional(document.display_name, at.key("display_name"), findings).map(Into::into);
    let status = optional(document.insufficient_scope_status, at.key("insufficient_scope_status"), findings);
    let status = checked(status, at.key("insufficient_scope_status"), findings, insufficient_scope_status);
    let mode = match optional(document.mode, at.key("mode"), findings) {
        Some(document::Mode::Enforce) | None => Mode::Enforce,
        Some(document::Mode::ReportOnly) => Mode::ReportOnly,
    };
    Some(ApiSpec {
        name: name?,
        display_name,
        base_path: base_path?,
        hosts: host_list,
        upstream: upstream?,
        account: account?,
        account_when_absent,
        mode,
        insufficient_scope_status: status.unwrap_or_default(),
        public,
        scopes,
    })
}

fn is_empty<T>(list: &List<T>) -> bool {
    match list {
        Entry::Absent | Entry::Empty => true,
        Entry::Faulty => false,
        Entry::Given(entries) => entries.is_empty(),
    }
}

fn api_name(text: &str) -> Result<ApiName, Wrong> {
    ApiName::parse(text).map_err(|invalid| {
        let help = "letters, digits, `-`, `_` and `.` make a name";
        Wrong::new(format!("{} is not an api's name: {invalid}", Quoted(text)), help)
    })
}

fn base_path(entry: Entry<String>, at: At<'_>, findings: &mut Findings) -> Option<BasePath> {
    if matches!(entry, Entry::Absent) {
        return Some(BasePath::default());
    }
    parsed(optional(entry, at, findings), at, findings, |text| {
        BasePath::parse(text).map_err(|invalid| {
            Wrong::new(format!("{} is not a base path: {invalid}", Quoted(text)), remedy(&invalid, text))
        })
    })
}

pub(super) fn upstream(
    entry: Entry<String>,
    known: &Upstreams,
    at: At<'_>,
    findings: &mut Findings,
) -> Option<UpstreamId> {
    let name = required(entry, at, "write the name of one of `upstreams`", findings)?;
    let id = known.ids.get(&*name).copied();
    if id.is_none() && known.complete {
        let finding = Finding::new(at, format!("there is no upstream {}", Quoted(&name)));
        let names = known.ids.keys().map(|name| &**name);
        findings.add(match suggest::nearest(&name, names) {
            Some(near) => finding.help(suggest::perhaps(near)),
            None => finding.help("add it to `upstreams`, or name one that is there"),
        });
    }
    id
}

fn insufficient_scope_status(status: u64) -> Result<InsufficientScopeStatus, Wrong> {
    match status {
        403 => Ok(InsufficientScopeStatus::Forbidden),
        401 => Ok(InsufficientScopeStatus::Unauthorized),
        other => Err(Wrong::new(format!("`{other}` does not answer a missing scope"), "write `403` or `401`")),
    }
}
