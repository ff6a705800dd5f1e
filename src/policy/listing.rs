//! What a policy lists, read whole: for people and programs that ask what it says.
//!
//! Nothing here is asked while a request is decided.

use super::client::{Client, Clients};
use super::compile::{Effect, Entry};
use super::{
    Account, ApiId, CertificateRule, ClientId, ClientType, ExceptionId, Policy, Reach, Request, ScopeId, ScopeNames,
    ScopeSet, Service, ServiceId, TokenEndpointId, UndefinedScopes, UnregisteredClients,
};

/// One service of the file, and what it stands there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing<'p> {
    /// Its api.
    pub api: ApiId,
    /// Its number.
    pub id: ServiceId,
    /// Itself.
    pub service: &'p Service,
    /// Under which key it stands.
    pub role: Role,
}

/// What a service of the file stands there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Under `public`: no token is asked for.
    Public,
    /// Under `services`: the scope or privilege grants it.
    Grant {
        /// Which.
        scope: ScopeId,
        /// To which accounts.
        reach: Reach,
        /// Whether browsers and public clients are refused it.
        confidential_only: bool,
    },
    /// Under `token_endpoint`: requests for tokens are judged by their forms.
    TokenEndpoint(TokenEndpointId),
}

/// One exception of the file: what a scope does not grant, whatever its `services` take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedException<'p> {
    /// Its number.
    pub id: ExceptionId,
    /// Whose it is.
    pub scope: ScopeId,
    /// What is left out.
    pub service: &'p Service,
}

/// A client of the list.
#[derive(Debug, Clone, Copy)]
pub struct ListedClient<'p> {
    /// Its id.
    pub id: &'p ClientId,
    /// The account of its tokens that carry none.
    pub account: Option<&'p Account>,
    /// What it may hold; `None`: what its tokens say.
    pub ceiling: Option<&'p ScopeSet>,
    /// Whether it can keep a secret.
    pub client_type: ClientType,
    /// What its certificate must be.
    pub certificate: Option<&'p CertificateRule>,
}

impl Policy {
    /// Every service of the file, in its order; token endpoints last.
    #[must_use]
    pub fn listings(&self) -> Vec<Listing<'_>> {
        let mut listings: Vec<_> = self.entries.entries().iter().filter_map(|entry| self.listing(entry)).collect();
        let endpoints = (0..).map(TokenEndpointId).zip(&self.token_endpoints).filter_map(|(id, endpoint)| {
            let service = self.service(endpoint.service)?;
            Some(Listing { api: endpoint.api, id: endpoint.service, service, role: Role::TokenEndpoint(id) })
        });
        listings.extend(endpoints);
        listings.sort_unstable_by_key(|listing| listing.id);
        listings
    }

    /// Every exception of the file, in its order.
    pub fn exceptions(&self) -> impl Iterator<Item = ListedException<'_>> {
        let excepted = (0..).map(ExceptionId).zip(&self.excepted);
        excepted.map(|(id, (scope, service))| ListedException { id, scope: *scope, service })
    }

    /// The exception of that number.
    #[must_use]
    pub fn exception(&self, id: ExceptionId) -> Option<ListedException<'_>> {
        let (scope, service) = self.excepted.get(id.0 as usize)?;
        Some(ListedException { id, scope: *scope, service })
    }

    /// The apis under whose base path the request lies and whose hosts it is for, the most specific first.
    pub fn apis_of(&self, request: &Request<'_>) -> impl Iterator<Item = ApiId> + '_ {
        let host: Box<str> = request.host.into();
        let is_for = move |id: &ApiId| self.api(*id).is_some_and(|api| api.admits_host(&host));
        self.bases.at(request.target).iter().copied().filter(is_for)
    }

    /// Whether there is a list of clients, so that others are refused or let through as it says.
    #[must_use]
    pub fn lists_clients(&self) -> bool {
        self.clients.is_some()
    }

    /// What a client that the list leaves out may do.
    #[must_use]
    pub fn unregistered_clients(&self) -> UnregisteredClients {
        self.unregistered_clients
    }

    /// What a token that carries a scope no api defines comes to.
    #[must_use]
    pub fn undefined_scopes(&self) -> UndefinedScopes {
        self.undefined_scopes
    }

    /// How tokens' scopes are compared with the file's.
    #[must_use]
    pub fn scope_names(&self) -> ScopeNames {
        self.scope_names
    }

    /// The clients of the list, in the order of the file; none where there is no list.
    pub fn clients(&self) -> impl Iterator<Item = ListedClient<'_>> {
        self.clients.iter().flat_map(Clients::all).map(ListedClient::of)
    }

    /// The list's entry of a client.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<ListedClient<'_>> {
        Some(ListedClient::of(self.clients.as_ref()?.find(Some(id))?.client))
    }

    pub(super) fn listing(&self, entry: &Entry) -> Option<Listing<'_>> {
        let (role, api) = match entry.effect {
            // Services are numbered api by api.
            Effect::Public => {
                (Role::Public, self.apis().iter().position(|api| api.services.contains(&entry.service.0))?)
            }
            Effect::Grant { scope, reach, confidential_only } => {
                (Role::Grant { scope, reach, confidential_only }, self.scope(scope)?.api.0 as usize)
            }
        };
        let api = ApiId(u32::try_from(api).ok()?);
        Some(Listing { api, id: entry.service, service: self.service(entry.service)?, role })
    }
}

impl<'p> ListedClient<'p> {
    fn of(client: &'p Client) -> Self {
        Self {
            id: &client.id,
            account: client.account.as_ref(),
            ceiling: client.ceiling.as_ref(),
            client_type: client.kind,
            certificate: client.certificate.as_ref(),
        }
    }
}
