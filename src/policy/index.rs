//! How a spec becomes a policy's tables: each api, scope and service numbered in the order of the file.

use hashbrown::{HashMap, HashSet};
use http::header::HeaderName;

use super::compile::{Api, Effect, Entry, Exception, Scope, Unindexable};
use super::denial::ScopeIds;
use super::trie::{NodeId, TrieBuilder};
use super::{
    AccountSource, ApiId, ApiSpec, BasePath, ExceptionId, Marks, ScopeId, ScopeNames, ScopeSpec, Service, ServiceId,
    TokenEndpoint, TokenEndpointSpec,
};

/// What grows while the apis are gone through.
pub(super) struct Index {
    pub(super) apis: Vec<Api>,
    pub(super) scopes: Vec<Scope>,
    pub(super) services: Vec<Service>,
    pub(super) entries: TrieBuilder<Entry>,
    pub(super) exceptions: TrieBuilder<Exception>,
    pub(super) excepted: Vec<(ScopeId, Service)>,
    pub(super) names: HashMap<Box<str>, ScopeId>,
    pub(super) scope_names: ScopeNames,
}

/// Where an api's services begin: the base path has led there.
#[derive(Clone, Copy)]
struct Root<'s> {
    base: &'s BasePath,
    entries: NodeId,
    exceptions: Option<NodeId>,
}

impl Index {
    pub(super) fn new(scope_names: ScopeNames) -> Self {
        Self {
            apis: vec![],
            scopes: vec![],
            services: vec![],
            entries: TrieBuilder::new(),
            exceptions: TrieBuilder::new(),
            excepted: vec![],
            names: HashMap::new(),
            scope_names,
        }
    }

    pub(super) fn add_api(&mut self, spec: ApiSpec) -> Result<(), Unindexable> {
        let id = ApiId(count(self.apis.len())?);
        let first = count(self.services.len())?;
        let base = spec.base_path;
        let entries = self.entries.root().ok_or(Unindexable::TooMany)?;
        let exceptions = if spec.scopes.iter().all(|scope| scope.except.is_empty()) {
            None
        } else {
            Some(self.exceptions.root().ok_or(Unindexable::TooMany)?)
        };
        let root = Root { base: &base, entries, exceptions };
        for service in spec.public {
            self.add_entry(root, &[], service, Effect::Public)?;
        }
        let mut required = ScopeIds::new();
        for scope in spec.scopes {
            let is_required = scope.marks.required;
            let scope = self.add_scope(id, root, &spec.account, scope)?;
            if is_required {
                required.push(scope);
            }
        }
        self.apis.push(Api {
            name: spec.name,
            display_name: spec.display_name,
            base_path: base,
            upstream: spec.upstream,
            mode: spec.mode,
            insufficient_scope_status: spec.insufficient_scope_status,
            account: spec.account.into(),
            account_when_absent: spec.account_when_absent,
            required,
            hosts: spec.hosts.into(),
            entries,
            exceptions,
            services: first..count(self.services.len())?,
        });
        Ok(())
    }

    pub(super) fn add_token_endpoint(&mut self, spec: TokenEndpointSpec) -> Result<TokenEndpoint, Unindexable> {
        let TokenEndpointSpec { api, service, upstream } = spec;
        let id = ServiceId(count(self.services.len())?);
        let endpoint = TokenEndpoint::new(api, id, upstream, &service);
        let endpoint = endpoint.filter(|_| self.apis.get(api.0 as usize).is_some());
        let endpoint = endpoint.ok_or_else(|| Unindexable::TokenEndpoint(service.as_str().into()))?;
        self.services.push(service);
        Ok(endpoint)
    }

    fn add_scope(
        &mut self,
        api: ApiId,
        root: Root<'_>,
        account: &[AccountSource],
        spec: ScopeSpec,
    ) -> Result<ScopeId, Unindexable> {
        let confidential_only = spec.marks.confidential_only;
        let scope = self.name_scope(Scope {
            name: spec.name,
            api,
            includes: None,
            display_name: spec.display_name,
            description: spec.description,
            reach: spec.reach,
            marks: spec.marks,
        })?;
        for service in spec.services {
            self.add_entry(root, account, service, Effect::Grant { scope, reach: spec.reach, confidential_only })?;
        }
        for service in spec.except {
            self.add_exception(root, scope, service)?;
        }
        for privilege in spec.privileges {
            let id = self.name_scope(Scope {
                name: privilege.name,
                api,
                includes: Some(scope),
                display_name: None,
                description: None,
                reach: privilege.reach,
                marks: Marks { required: false, ..spec.marks },
            })?;
            let effect = Effect::Grant { scope: id, reach: privilege.reach, confidential_only };
            for service in privilege.services {
                self.add_entry(root, account, service, effect)?;
            }
        }
        Ok(scope)
    }

    fn name_scope(&mut self, scope: Scope) -> Result<ScopeId, Unindexable> {
        let id = ScopeId(count(self.scopes.len())?);
        let key = match self.scope_names {
            ScopeNames::CaseSensitive => scope.name.as_str().to_owned(),
            ScopeNames::CaseInsensitive => scope.name.as_str().to_ascii_lowercase(),
        };
        if self.names.insert(key.into(), id).is_some() {
            return Err(Unindexable::Twice(scope.name.as_str().into()));
        }
        self.scopes.push(scope);
        Ok(id)
    }

    fn add_entry(
        &mut self,
        root: Root<'_>,
        account: &[AccountSource],
        service: Service,
        effect: Effect,
    ) -> Result<(), Unindexable> {
        check_base(root, &service)?;
        let id = ServiceId(count(self.services.len())?);
        let account_segments = account
            .iter()
            .filter_map(|source| match source {
                AccountSource::Path(name) => service.pattern().capture(name).and_then(|place| u8::try_from(place).ok()),
                AccountSource::Query(_) | AccountSource::Header(_) => None,
            })
            .collect();
        let entry = Entry { methods: service.methods(), service: id, effect, account_segments };
        self.entries
            .insert(root.entries, root.base.segments().len(), service.pattern(), entry)
            .ok_or(Unindexable::TooMany)?;
        self.services.push(service);
        Ok(())
    }

    /// Exceptions are kept by their readings: a scope must not grant what some server takes for them.
    fn add_exception(&mut self, root: Root<'_>, scope: ScopeId, service: Service) -> Result<(), Unindexable> {
        check_base(root, &service)?;
        let exception = Exception { methods: service.methods(), scope, id: ExceptionId(count(self.excepted.len())?) };
        let (node, skip) = (root.exceptions.ok_or(Unindexable::TooMany)?, root.base.segments().len());
        self.exceptions.insert(node, skip, &service.pattern().readings(), exception).ok_or(Unindexable::TooMany)?;
        self.excepted.push((scope, service));
        Ok(())
    }
}

fn check_base(root: Root<'_>, service: &Service) -> Result<(), Unindexable> {
    if service.pattern().is_under(root.base) { Ok(()) } else { Err(Unindexable::OutsideBase(service.as_str().into())) }
}

fn count(length: usize) -> Result<u32, Unindexable> {
    u32::try_from(length).map_err(|_| Unindexable::TooMany)
}

/// Every header in which some api's requests name their account.
pub(super) fn account_headers(apis: &[ApiSpec]) -> Box<[HeaderName]> {
    let headers: HashSet<_> = apis
        .iter()
        .flat_map(|api| &api.account)
        .filter_map(|source| match source {
            AccountSource::Header(name) => Some(name.clone()),
            AccountSource::Path(_) | AccountSource::Query(_) => None,
        })
        .collect();
    headers.into_iter().collect()
}
