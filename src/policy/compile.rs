//! A policy, indexed: made once for each generation, then only read.

use std::ops::Range;

use hashbrown::HashMap;
use http::header::HeaderName;
use thiserror::Error;

use super::bases::Bases;
use super::client::{Client, Clients};
use super::denial::ScopeIds;
use super::index::{Index, account_headers};
use super::rate_limit::RateLimits;
use super::trie::{NodeId, Trie};
use super::{
    AccountSource, AccountWhenAbsent, ApiId, ApiName, BasePath, ClientSpec, ExceptionId, InsufficientScopeStatus,
    Marks, MethodSet, Mode, PolicySpec, Reach, ScopeId, ScopeName, ScopeNames, ScopeSet, Service, ServiceId,
    TokenEndpoint, UndefinedScopes, UnregisteredClients, UpstreamId,
};

/// The compiled, immutable whole of what decisions depend on.
#[derive(Debug)]
pub struct Policy {
    apis: Box<[Api]>,
    scopes: Box<[Scope]>,
    services: Box<[Service]>,
    pub(super) bases: Bases,
    pub(super) entries: Trie<Entry>,
    pub(super) exceptions: Trie<Exception>,
    /// What exceptions are written like, by their numbers.
    pub(super) excepted: Box<[(ScopeId, Service)]>,
    names: HashMap<Box<str>, ScopeId>,
    account_headers: Box<[HeaderName]>,
    pub(super) token_endpoints: Box<[TokenEndpoint]>,
    pub(super) rate_limits: RateLimits,
    pub(super) clients: Option<Clients>,
    pub(super) unregistered_clients: UnregisteredClients,
    pub(super) undefined_scopes: UndefinedScopes,
    pub(super) scope_names: ScopeNames,
    /// Whether some api only reports.
    pub(super) reports: bool,
}

/// Why a spec cannot be indexed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unindexable {
    /// The router of base paths does not take one.
    #[error("the base path `{0}` cannot be routed")]
    BasePath(Box<str>),
    /// A service is not under its api's base path.
    #[error("the service `{0}` is not under its api's base path")]
    OutsideBase(Box<str>),
    /// A client's list has a scope that no api defines.
    #[error("the client `{client}` lists the scope `{scope}`, which no api defines")]
    ClientScope {
        /// Whose list it is.
        client: Box<str>,
        /// What is not defined.
        scope: Box<str>,
    },
    /// A rate limit is for a scope that no api defines.
    #[error("the rate limit `{limit}` is for the scope `{scope}`, which no api defines")]
    LimitedScope {
        /// Which limit.
        limit: Box<str>,
        /// What is not defined.
        scope: Box<str>,
    },
    /// Two scopes, or two clients, of one name.
    #[error("`{0}` is there twice")]
    Twice(Box<str>),
    /// A token endpoint is not `POST` and one literal path, or its api is not there.
    #[error("the token endpoint `{0}` is not `POST` and one path of an api")]
    TokenEndpoint(Box<str>),
    /// More than can be counted in 32 bits.
    #[error("there are more services than can be counted")]
    TooMany,
}

/// An api, compiled.
#[derive(Debug)]
pub struct Api {
    /// Unique in the file.
    pub name: ApiName,
    /// For people.
    pub display_name: Option<Box<str>>,
    /// Where its services lie.
    pub base_path: BasePath,
    /// Where permitted requests go.
    pub upstream: UpstreamId,
    /// What it does with a request that it refuses.
    pub mode: Mode,
    /// The status of a missing scope.
    pub insufficient_scope_status: InsufficientScopeStatus,
    /// Where requests name their account; all that are present must agree.
    pub account: Box<[AccountSource]>,
    /// What a request that names no account comes to.
    pub account_when_absent: AccountWhenAbsent,
    /// Its required scopes, in the order of the file.
    pub required: ScopeIds,
    /// The hosts that it is for, lower case; empty: every host.
    pub hosts: Box<[Box<str>]>,
    pub(super) entries: NodeId,
    /// `None` where no scope has any.
    pub(super) exceptions: Option<NodeId>,
    /// The numbers of its services, which follow each other.
    pub(super) services: Range<u32>,
}

/// A scope or privilege, compiled.
#[derive(Debug)]
pub struct Scope {
    /// As tokens carry it; a privilege's is `scope:privilege`.
    pub name: ScopeName,
    /// Whose it is.
    pub api: ApiId,
    /// The scope that holding this privilege includes; `None` for a scope.
    pub includes: Option<ScopeId>,
    /// For people.
    pub display_name: Option<Box<str>>,
    /// For people.
    pub description: Option<Box<str>>,
    /// The reach of its services.
    pub reach: Reach,
    /// Its yes-or-no keys.
    pub marks: Marks,
}

/// What stands at the end of a pattern.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) methods: MethodSet,
    pub(super) service: ServiceId,
    pub(super) effect: Effect,
    /// The segments of the path that name the account.
    pub(super) account_segments: Box<[u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Public,
    Grant { scope: ScopeId, reach: Reach, confidential_only: bool },
}

/// What stands at the end of an exception's pattern: methods that the scope's own services lose.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) methods: MethodSet,
    pub(super) scope: ScopeId,
    pub(super) id: ExceptionId,
}

impl Policy {
    /// Indexes a spec.
    ///
    /// # Errors
    /// If it is larger than can be counted, or not what `config` would have let through.
    pub fn compile(spec: PolicySpec) -> Result<Self, Unindexable> {
        let mut index = Index::new(spec.scope_names);
        let bases: Vec<BasePath> = spec.apis.iter().map(|api| api.base_path.clone()).collect();
        let account_headers = account_headers(&spec.apis);
        for api in spec.apis {
            index.add_api(api)?;
        }
        let endpoints = spec.token_endpoints.into_iter().map(|endpoint| index.add_token_endpoint(endpoint));
        let token_endpoints = endpoints.collect::<Result<_, _>>()?;
        let reports = index.apis.iter().any(|api| api.mode == Mode::ReportOnly);
        let mut policy = Self {
            apis: index.apis.into(),
            scopes: index.scopes.into(),
            services: index.services.into(),
            bases: Bases::new(&bases)?,
            entries: index.entries.build(),
            exceptions: index.exceptions.build(),
            excepted: index.excepted.into(),
            names: index.names,
            account_headers,
            token_endpoints,
            rate_limits: RateLimits::default(),
            clients: None,
            unregistered_clients: spec.unregistered_clients,
            undefined_scopes: spec.undefined_scopes,
            scope_names: spec.scope_names,
            reports,
        };
        policy.rate_limits = RateLimits::new(spec.rate_limits, policy.apis.len(), |name| policy.scope_named(name))?;
        policy.clients = spec.clients.map(|clients| policy.index_clients(clients)).transpose()?;
        Ok(policy)
    }

    /// Every api, in the order of the file.
    #[must_use]
    pub fn apis(&self) -> &[Api] {
        &self.apis
    }

    /// The api of that number.
    #[must_use]
    pub fn api(&self, id: ApiId) -> Option<&Api> {
        self.apis.get(id.0 as usize)
    }

    /// The apis that let through what they refuse, in the order of the file.
    pub fn reporting_apis(&self) -> impl Iterator<Item = &Api> {
        self.apis.iter().filter(|api| api.mode == Mode::ReportOnly)
    }

    /// Every scope and privilege, in the order of the file.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The scope or privilege of that number.
    #[must_use]
    pub fn scope(&self, id: ScopeId) -> Option<&Scope> {
        self.scopes.get(id.0 as usize)
    }

    /// The scope or privilege of that name, compared as tokens' are.
    #[must_use]
    pub fn scope_named(&self, name: &str) -> Option<ScopeId> {
        let folds =
            self.scope_names == ScopeNames::CaseInsensitive && name.bytes().any(|byte| byte.is_ascii_uppercase());
        if folds { self.names.get(&*name.to_ascii_lowercase()) } else { self.names.get(name) }.copied()
    }

    /// Every service, in the order of the file.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The service of that number.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.services.get(id.0 as usize)
    }

    /// Every header in which some api's requests name their account.
    #[must_use]
    pub fn account_headers(&self) -> &[HeaderName] {
        &self.account_headers
    }

    fn index_clients(&self, specs: Vec<ClientSpec>) -> Result<Clients, Unindexable> {
        let mut clients = Clients::new();
        for spec in specs {
            let ceiling = spec.scopes.as_ref().map(|names| self.ceiling(&spec, names)).transpose()?;
            let ClientSpec { id, account, client_type, certificate, scopes: _ } = spec;
            clients.add(Client { id, account, ceiling, kind: client_type, certificate })?;
        }
        Ok(clients)
    }

    fn ceiling(&self, client: &ClientSpec, names: &[ScopeName]) -> Result<ScopeSet, Unindexable> {
        let mut ceiling = ScopeSet::default();
        for name in names {
            let Some(id) = self.scope_named(name.as_str()) else {
                return Err(Unindexable::ClientScope {
                    client: client.id.as_str().into(),
                    scope: name.as_str().into(),
                });
            };
            self.add_with_included(&mut ceiling, id);
        }
        // Required scopes cost nobody their access: a token that has them keeps them.
        for required in self.apis.iter().flat_map(|api| &api.required) {
            ceiling.insert(*required);
        }
        Ok(ceiling)
    }

    /// Adds a scope or privilege and what holding it includes.
    pub(super) fn add_with_included(&self, set: &mut ScopeSet, id: ScopeId) {
        set.insert(id);
        if let Some(included) = self.scope(id).and_then(|scope| scope.includes) {
            set.insert(included);
        }
    }
}

impl Api {
    /// Whether requests to this host are for it; a host of the file without a port is any port's.
    #[must_use]
    pub fn admits_host(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.names_host(host)
    }

    /// Whether this host is one that the file names for it.
    pub fn names_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| is_host(own, host))
    }
}

/// Whether a host of the file is a request's; one without a port is any port's.
pub fn is_host(own: &str, host: &str) -> bool {
    own.eq_ignore_ascii_case(host) || own.eq_ignore_ascii_case(without_port(host))
}

/// The host without `:port`; the colons of an IPv6 address stand in brackets.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}
