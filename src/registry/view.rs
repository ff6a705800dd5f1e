//! What is in force, as JSON for whoever looks: apis, scopes, clients, what they are used for, and what
//! was refused lately.

use std::collections::BTreeMap;
use std::time::SystemTime;

use hashbrown::HashMap;
use serde_json::{Map, Value as Json, json};

use super::advice::advice;
use super::change::Target;
use crate::gateway::Generation;
use crate::hex::hex;
use crate::policy::{
    Api, ApiId, CertificateRule, ClientType, InsufficientScopeStatus, ListedClient, Mode, Policy, Reach, Role, Scope,
    ScopeId, UnixTime,
};
use crate::record::{Denied, Metrics, Used};

/// What scopes are looked for by; each that is there must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// A part of a name, display name, description, service or api, whatever the case.
    pub text: Option<String>,
    /// An api's name.
    pub api: Option<String>,
    /// A part of a service.
    pub service: Option<String>,
}

/// The services of every scope and privilege, by its number.
struct Services<'p> {
    granted: HashMap<ScopeId, Vec<&'p str>>,
    excepted: HashMap<ScopeId, Vec<&'p str>>,
    public: HashMap<ApiId, Vec<&'p str>>,
    token_endpoints: HashMap<ApiId, &'p str>,
}

impl<'p> Services<'p> {
    fn of(policy: &'p Policy) -> Self {
        let mut services = Self {
            granted: HashMap::new(),
            excepted: HashMap::new(),
            public: HashMap::new(),
            token_endpoints: HashMap::new(),
        };
        for listing in policy.listings() {
            let text = listing.service.as_str();
            match listing.role {
                Role::Public => services.public.entry(listing.api).or_default().push(text),
                Role::Grant { scope, .. } => services.granted.entry(scope).or_default().push(text),
                Role::TokenEndpoint(_) => drop(services.token_endpoints.insert(listing.api, text)),
            }
        }
        for except in policy.exceptions() {
            services.excepted.entry(except.scope).or_default().push(except.service.as_str());
        }
        services
    }

    fn granted(&self, id: ScopeId) -> &[&'p str] {
        self.granted.get(&id).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Every api.
pub fn apis_view(generation: &Generation, metrics: &Metrics) -> Json {
    let policy = &generation.policy;
    let services = Services::of(policy);
    let apis = (0..).map(ApiId).zip(policy.apis());
    let apis: Vec<_> = apis.map(|(id, api)| api_json(generation, &services, id, api, metrics)).collect();
    json!({ "apis": apis })
}

/// One api with its scopes; `None` if there is none of this name.
pub fn api_view(generation: &Generation, name: &str, metrics: &Metrics) -> Option<Json> {
    let policy = &generation.policy;
    let mut apis = (0..).map(ApiId).zip(policy.apis());
    let (id, api) = apis.find(|(_, api)| api.name.as_str() == name)?;
    Some(api_json(generation, &Services::of(policy), id, api, metrics))
}

fn api_json(generation: &Generation, services: &Services<'_>, id: ApiId, api: &Api, metrics: &Metrics) -> Json {
    let policy = &generation.policy;
    let own = (0..).map(ScopeId).zip(policy.scopes()).filter(|(_, scope)| scope.api == id && scope.includes.is_none());
    let scopes: Vec<_> = own.map(|(id, scope)| scope_json(policy, services, id, scope, metrics)).collect();
    json!({
        "name": api.name.as_str(),
        "display_name": api.display_name,
        "base_path": api.base_path.to_string(),
        "upstream": generation.settings.upstreams.get(api.upstream.0 as usize).map(|upstream| &upstream.name),
        "mode": mode(api.mode),
        "insufficient_scope_status": match api.insufficient_scope_status {
            InsufficientScopeStatus::Forbidden => 403,
            InsufficientScopeStatus::Unauthorized => 401,
        },
        "public": services.public.get(&id).cloned().unwrap_or_default(),
        "token_endpoint": services.token_endpoints.get(&id),
        "required": names(policy, api.required.iter().copied()),
        "scopes": scopes,
    })
}

/// The scopes that fit the search, from `offset` on and at most `limit`, and how many fit in all.
pub fn scopes_view(
    generation: &Generation,
    search: &Search,
    (offset, limit): (usize, usize),
    metrics: &Metrics,
) -> Json {
    let policy = &generation.policy;
    let services = Services::of(policy);
    let own = (0..).map(ScopeId).zip(policy.scopes()).filter(|(_, scope)| scope.includes.is_none());
    let found: Vec<_> = own.filter(|(id, scope)| search.fits(policy, &services, *id, scope)).collect();
    let total = found.len();
    let shown = found.into_iter().skip(offset).take(limit);
    let scopes: Vec<_> = shown.map(|(id, scope)| scope_json(policy, &services, id, scope, metrics)).collect();
    json!({ "total": total, "scopes": scopes })
}

/// One scope; `None` if there is none of this name. A privilege's name finds its scope.
pub fn scope_view(generation: &Generation, name: &str, metrics: &Metrics) -> Option<Json> {
    let policy = &generation.policy;
    let folded = || policy.scopes().iter().position(|scope| scope.name.as_str().eq_ignore_ascii_case(name));
    let found = policy.scope_named(name).or_else(|| Some(ScopeId(u32::try_from(folded()?).ok()?)))?;
    let id = policy.scope(found)?.includes.unwrap_or(found);
    Some(scope_json(policy, &Services::of(policy), id, policy.scope(id)?, metrics))
}

fn scope_json(policy: &Policy, services: &Services<'_>, id: ScopeId, scope: &Scope, metrics: &Metrics) -> Json {
    let record = record(policy, services, id, scope);
    let own = |client: &ListedClient<'_>| client.ceiling.is_some_and(|ceiling| ceiling.contains(id));
    let clients: Vec<_> = policy.clients().filter(own).map(|client| client.id.as_str()).collect();
    let holders = metrics.scope_holders(&scope.name).into_iter();
    let holders: BTreeMap<_, _> = holders.map(|(client, until)| (client.to_string(), time(until))).collect();
    let written = serde_yaml::to_value(Json::Object(without_defaults(&record))).unwrap_or_default();
    let privileges = privileges(policy, id).map(|(_, name, privilege)| {
        let used = metrics.scope_usage(&privilege.name).unwrap_or_default();
        (name.to_owned(), used_json(&used))
    });
    json!({
        "name": scope.name.as_str(),
        "api": policy.api(scope.api).map(|api| api.name.as_str()),
        "scope": record,
        "usage": used_json(&metrics.scope_usage(&scope.name).unwrap_or_default()),
        "privilege_usage": privileges.collect::<Map<_, _>>(),
        "allowed_to_clients": clients,
        "seen_with_clients": holders,
        "advice": advice(&Target::Scope(scope.name.to_string()), &written),
    })
}

/// The fields that can be sent back.
fn record(policy: &Policy, services: &Services<'_>, id: ScopeId, scope: &Scope) -> Map<String, Json> {
    let privileges = privileges(policy, id).map(|(id, name, privilege)| {
        (name.to_owned(), json!({ "services": services.granted(id), "accounts": reach(privilege.reach) }))
    });
    let privileges: Map<_, _> = privileges.collect();
    let record = json!({
        "name": scope.name.as_str(),
        "display_name": scope.display_name,
        "description": scope.description,
        "accounts": reach(scope.reach),
        "required": scope.marks.required,
        "emphasize": scope.marks.emphasize,
        "show_in_discovery": scope.marks.show_in_discovery,
        "deprecated": scope.marks.deprecated,
        "confidential_only": scope.marks.confidential_only,
        "services": services.granted(id),
        "except": services.excepted.get(&id).cloned().unwrap_or_default(),
        "privileges": privileges,
    });
    match record {
        Json::Object(record) => record,
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => Map::new(),
    }
}

/// What the advice looks at.
fn without_defaults(record: &Map<String, Json>) -> Map<String, Json> {
    let is_said = |value: &Json| match value {
        Json::Null => false,
        Json::Array(items) => !items.is_empty(),
        Json::Object(entries) => !entries.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    };
    record.iter().filter(|(_, value)| is_said(value)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The privileges of a scope, with their names as the file has them.
fn privileges(policy: &Policy, of: ScopeId) -> impl Iterator<Item = (ScopeId, &str, &Scope)> {
    let scope = policy.scope(of);
    let all = (0..).map(ScopeId).zip(policy.scopes()).filter(move |(_, scope)| scope.includes == Some(of));
    all.filter_map(move |(id, privilege)| {
        let name = privilege.name.as_str().strip_prefix(scope?.name.as_str())?.strip_prefix(':')?;
        Some((id, name, privilege))
    })
}

/// Every client of the list, and who else may call.
pub fn clients_view(generation: &Generation, metrics: &Metrics) -> Json {
    let policy = &generation.policy;
    let clients: Vec<_> = policy.clients().map(|client| client_json(policy, &client, metrics)).collect();
    let others = if policy.lists_clients() {
        match policy.unregistered_clients() {
            crate::policy::UnregisteredClients::Refuse => "refused",
            crate::policy::UnregisteredClients::Allow => "allowed",
        }
    } else {
        "allowed"
    };
    json!({ "listed": policy.lists_clients(), "others": others, "clients": clients })
}

/// One client of the list; `None` if it is not on it.
pub fn client_view(generation: &Generation, id: &str, metrics: &Metrics) -> Option<Json> {
    let policy = &generation.policy;
    Some(client_json(policy, &policy.client(id)?, metrics))
}

fn client_json(policy: &Policy, client: &ListedClient<'_>, metrics: &Metrics) -> Json {
    let listings = policy.listings();
    let may = |scope: ScopeId| client.ceiling.is_none_or(|ceiling| ceiling.contains(scope));
    let mut reached = Vec::new();
    for listing in &listings {
        if let Role::Grant { scope, reach: within, confidential_only } = listing.role
            && may(scope)
            && !(confidential_only && client.client_type == ClientType::Public)
        {
            let name = policy.scope(scope).map(|scope| scope.name.as_str());
            reached.push(json!({ "service": listing.service.as_str(), "scope": name, "accounts": reach(within) }));
        }
    }
    let certificate = client.certificate.map(|rule| match rule {
        CertificateRule::Sha256(sha256) => json!({ "sha256": hex(sha256) }),
        CertificateRule::Subject(subject) => json!({ "subject": subject }),
        CertificateRule::SanDns(name) => json!({ "san_dns": name }),
    });
    json!({
        "id": client.id.as_str(),
        "account": client.account.map(crate::policy::Account::as_str),
        "type": match client.client_type {
            ClientType::Confidential => "confidential",
            ClientType::Public => "public",
        },
        "certificate": certificate,
        "may_hold": client.ceiling.map(|ceiling| names(policy, ceiling.iter())),
        "reaches": reached,
        "usage": used_json(&metrics.client_usage(client.id).unwrap_or_default()),
    })
}

/// What each scope, privilege and client of the file was used for.
pub fn usage_view(generation: &Generation, metrics: &Metrics) -> Json {
    let policy = &generation.policy;
    let scopes = policy.scopes().iter().map(|scope| {
        let used = used_json(&metrics.scope_usage(&scope.name).unwrap_or_default());
        json!({ "scope": scope.name.as_str(), "deprecated": scope.marks.deprecated, "usage": used })
    });
    let clients = policy.clients().map(|client| {
        let used = used_json(&metrics.client_usage(client.id).unwrap_or_default());
        json!({ "client": client.id.as_str(), "usage": used })
    });
    json!({ "scopes": scopes.collect::<Vec<_>>(), "clients": clients.collect::<Vec<_>>() })
}

/// The last refusals, the newest first; those after the one of that number.
pub fn denials_view(metrics: &Metrics, after: u64) -> Json {
    let denials = metrics.denials();
    let shown = denials.iter().filter(|denied| denied.number > after).map(denied_json);
    json!({ "denials": shown.collect::<Vec<_>>() })
}

fn denied_json(denied: &Denied) -> Json {
    json!({
        "number": denied.number,
        "time": jiff::Timestamp::try_from(denied.time).ok().map(|time| format!("{time:.3}")),
        "request_id": denied.request_id,
        "generation": denied.generation,
        "reason": denied.reason.as_str(),
        "reported": denied.reported,
        "api": denied.api.as_ref().map(crate::policy::ApiName::as_str),
        "issuer": denied.issuer,
        "client": denied.client,
        "subject": denied.subject,
        "account": denied.account,
        "method": denied.method,
        "path": denied.path,
        "status": denied.status,
        "wanted": denied.wanted.iter().map(crate::policy::ScopeName::as_str).collect::<Vec<_>>(),
    })
}

impl Search {
    fn fits(&self, policy: &Policy, services: &Services<'_>, id: ScopeId, scope: &Scope) -> bool {
        let has = |whole: &str, part: &str| whole.to_lowercase().contains(&part.to_lowercase());
        let api = policy.api(scope.api);
        let own = std::iter::once(id).chain(privileges(policy, id).map(|(id, ..)| id));
        let own: Vec<_> = own.flat_map(|id| services.granted(id).iter().copied()).collect();
        let in_service = |part: &str| own.iter().any(|service| has(service, part));
        let in_text = |part: &str| {
            let texts = [scope.display_name.as_deref(), scope.description.as_deref()];
            has(scope.name.as_str(), part)
                || texts.into_iter().flatten().any(|text| has(text, part))
                || privileges(policy, id).any(|(_, name, _)| has(name, part))
                || api.is_some_and(|api| {
                    has(api.name.as_str(), part) || api.display_name.as_deref().is_some_and(|name| has(name, part))
                })
                || in_service(part)
        };
        self.api.as_deref().is_none_or(|name| api.is_some_and(|api| api.name.as_str() == name))
            && self.service.as_deref().is_none_or(in_service)
            && self.text.as_deref().is_none_or(in_text)
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::ReportOnly => "report_only",
    }
}

pub(super) fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Own => "own",
        Reach::Any => "any",
    }
}

pub(super) fn names(policy: &Policy, scopes: impl Iterator<Item = ScopeId>) -> Vec<&str> {
    scopes.filter_map(|id| policy.scope(id)).map(|scope| scope.name.as_str()).collect()
}

fn used_json(used: &Used) -> Json {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    json!({
        "allowed": used.allowed,
        "denied": used.denied,
        "last_allowed": used.last_allowed.map(time),
        "last_expiry": used.last_expiry.map(time),
        "live": used.last_expiry.is_some_and(|expiry| expiry.0 > now),
    })
}

/// RFC 3339.
pub(super) fn time(time: UnixTime) -> Option<String> {
    jiff::Timestamp::from_second(i64::try_from(time.0).ok()?).ok().map(|time| time.to_string())
}
