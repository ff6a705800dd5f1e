//! What a policy is compiled from: the file's meaning, already parsed, not yet indexed.
//!
//! `config` builds a [`PolicySpec`]; [`Policy::compile`](super::Policy::compile) indexes it. Nothing
//! here is looked at while a request is decided.

use super::{
    AccountSource, AccountWhenAbsent, ApiName, BasePath, CertificateRule, ClientId, ClientType, RateLimitSpec,
    ScopeName, Service, account::Account,
};

/// An api's place in the file, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiId(pub u32);

/// A scope's or privilege's place in the policy: scopes and their privileges in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeId(pub u32);

/// A service's place in the policy, in the order of the file: public services too, exceptions not, token
/// endpoints last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// An exception's place in the policy, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExceptionId(pub u32);

/// An upstream's place in the file, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub u32);

/// A token endpoint's place among those of the file, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenEndpointId(pub u32);

/// Whose data a scope may touch on behalf of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Only the accounts that the caller's token (or its client's entry) names.
    Own,
    /// Any account.
    Any,
}

/// What an api does with a request that it refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It answers the refusal.
    #[default]
    Enforce,
    /// It lets the request through and has the refusal recorded, where that may be.
    ReportOnly,
}

/// The status that answers a missing scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InsufficientScopeStatus {
    /// 403, as RFC 6750 section 3.1 has it.
    #[default]
    Forbidden,
    /// 401, for apis whose clients were built for that.
    Unauthorized,
}

/// What a token that carries a scope no api defines comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UndefinedScopes {
    /// The undefined scope grants nothing; the others count.
    #[default]
    Ignore,
    /// The request is refused.
    Reject,
}

/// How a token's scopes are compared with the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScopeNames {
    /// Byte by byte, as RFC 6749 section 3.3 has it.
    #[default]
    CaseSensitive,
    /// Whatever the ASCII case.
    CaseInsensitive,
}

/// What a client that the `clients` list leaves out may do, where there is such a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnregisteredClients {
    /// Nothing.
    #[default]
    Refuse,
    /// What its token says.
    Allow,
}

/// All that decisions depend on.
#[derive(Debug, Clone, Default)]
pub struct PolicySpec {
    /// In the order of the file.
    pub apis: Vec<ApiSpec>,
    /// Where clients get their tokens through the gateway, in the order of the file.
    pub token_endpoints: Vec<TokenEndpointSpec>,
    /// In the order of the file.
    pub rate_limits: Vec<RateLimitSpec>,
    /// `None` where the file has no `clients`: then every client is as its token says.
    pub clients: Option<Vec<ClientSpec>>,
    /// Only looked at where there are `clients`.
    pub unregistered_clients: UnregisteredClients,
    /// For tokens; in the file every name is defined.
    pub undefined_scopes: UndefinedScopes,
    /// For tokens; in the file names are unique whatever the case.
    pub scope_names: ScopeNames,
}

/// A group of scopes in front of one upstream.
#[derive(Debug, Clone)]
pub struct ApiSpec {
    /// Unique in the file.
    pub name: ApiName,
    /// For people.
    pub display_name: Option<Box<str>>,
    /// Every service of the api lies under it.
    pub base_path: BasePath,
    /// Lower case, without a port unless the file gives one; empty: whatever the host.
    pub hosts: Vec<Box<str>>,
    /// Where permitted requests go.
    pub upstream: UpstreamId,
    /// Where a request names the account it touches; all that are present must agree.
    pub account: Vec<AccountSource>,
    /// What a request that names no account comes to.
    pub account_when_absent: AccountWhenAbsent,
    /// What it does with a request that it refuses.
    pub mode: Mode,
    /// The status for `scope_required` and `scope_insufficient`.
    pub insufficient_scope_status: InsufficientScopeStatus,
    /// Services that ask for no token.
    pub public: Vec<Service>,
    /// In the order of the file.
    pub scopes: Vec<ScopeSpec>,
}

impl ApiSpec {
    /// One that says nothing else.
    #[must_use]
    pub fn new(name: ApiName, base_path: BasePath, upstream: UpstreamId) -> Self {
        Self {
            name,
            display_name: None,
            base_path,
            hosts: vec![],
            upstream,
            account: vec![],
            account_when_absent: AccountWhenAbsent::Deny,
            mode: Mode::default(),
            insufficient_scope_status: InsufficientScopeStatus::default(),
            public: vec![],
            scopes: vec![],
        }
    }
}

/// A provider's token endpoint, guarded.
#[derive(Debug, Clone)]
pub struct TokenEndpointSpec {
    /// The api that names it.
    pub api: ApiId,
    /// `POST` and one literal path, wherever the api's own services lie.
    pub service: Service,
    /// The provider.
    pub upstream: UpstreamId,
}

/// A name with services.
#[derive(Debug, Clone)]
pub struct ScopeSpec {
    /// Unique in the policy, whatever the case.
    pub name: ScopeName,
    /// For people.
    pub display_name: Option<Box<str>>,
    /// For people.
    pub description: Option<Box<str>>,
    /// The reach of its services.
    pub reach: Reach,
    /// Its yes-or-no keys.
    pub marks: Marks,
    /// What it grants.
    pub services: Vec<Service>,
    /// What it must not grant although `services` would; its privileges are not narrowed by it.
    pub except: Vec<Service>,
    /// Named additions; holding one includes holding the scope.
    pub privileges: Vec<PrivilegeSpec>,
}

impl ScopeSpec {
    /// One that says nothing else, and so grants nothing.
    #[must_use]
    pub fn new(name: ScopeName, reach: Reach) -> Self {
        Self {
            name,
            display_name: None,
            description: None,
            reach,
            marks: Marks::default(),
            services: vec![],
            except: vec![],
            privileges: vec![],
        }
    }
}

/// A scope's yes-or-no keys; its privileges share them, `required` aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "these are the file's own keys, each independent of the others")]
pub struct Marks {
    /// Every request to the api must hold it.
    pub required: bool,
    /// Shown with emphasis on consent screens.
    pub emphasize: bool,
    /// Listed in discovery, and named in challenges.
    pub show_in_discovery: bool,
    /// Still honoured, on its way out.
    pub deprecated: bool,
    /// Refused to public clients and to browsers.
    pub confidential_only: bool,
}

impl Default for Marks {
    fn default() -> Self {
        Self { required: false, emphasize: false, show_in_discovery: true, deprecated: false, confidential_only: false }
    }
}

/// A named addition to a scope. Its name in tokens is `scope:privilege`.
#[derive(Debug, Clone)]
pub struct PrivilegeSpec {
    /// The whole name, `scope:privilege`.
    pub name: ScopeName,
    /// The reach of its services; the scope's where the file does not say.
    pub reach: Reach,
    /// What it grants beyond the scope.
    pub services: Vec<Service>,
}

/// An application known by its client id.
#[derive(Debug, Clone)]
pub struct ClientSpec {
    /// Unique in the file.
    pub id: ClientId,
    /// The account of a token that carries none; one that carries another is refused.
    pub account: Option<Account>,
    /// The ceiling; `None` where the file gives none.
    pub scopes: Option<Vec<ScopeName>>,
    /// Whether it can keep a secret (RFC 6749 section 2.1).
    pub client_type: ClientType,
    /// What its TLS certificate must be.
    pub certificate: Option<CertificateRule>,
}

impl ClientSpec {
    /// One of which the file says nothing else.
    #[must_use]
    pub fn new(id: ClientId, client_type: ClientType) -> Self {
        Self { id, account: None, scopes: None, client_type, certificate: None }
    }
}
