//! What a policy lists, read whole: for people and programs that ask what it says.
//!
//! Nothing here is asked while a request is decided.

use super::compile::{Effect, Entry};
use super::{ApiId, ClientSpec, Policy, Reach, ScopeId, Service, ServiceId, UnregisteredClients};

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
    /// Under `except`: the scope does not grant it, whatever its `services` take in.
    Except {
        /// Which.
        scope: ScopeId,
    },
}

impl Policy {
    /// Every service of the file, in its order.
    #[must_use]
    pub fn listings(&self) -> Vec<Listing<'_>> {
        let mut listings: Vec<_> = self.trie().entries().iter().filter_map(|entry| self.listing(entry)).collect();
        listings.sort_unstable_by_key(|listing| listing.id);
        listings
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

    /// The clients of the list, in the order of the file; none where there is no list.
    #[must_use]
    pub fn clients(&self) -> Vec<&ClientSpec> {
        let mut clients: Vec<_> = self.clients.iter().flat_map(|clients| clients.values()).collect();
        clients.sort_unstable_by_key(|client| client.place);
        clients.into_iter().map(|client| &client.spec).collect()
    }

    /// The list's entry of a client.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<&ClientSpec> {
        self.clients.as_ref()?.get(id).map(|client| &client.spec)
    }

    pub(super) fn listing(&self, entry: &Entry) -> Option<Listing<'_>> {
        let role = entry.effect.role();
        let api = match role {
            // Services are numbered api by api.
            Role::Public => self.apis().iter().position(|api| api.services.contains(&entry.service.0)),
            Role::Grant { scope, .. } | Role::Except { scope } => self.scope(scope).map(|scope| scope.api.0 as usize),
        };
        let api = ApiId(u32::try_from(api?).ok()?);
        Some(Listing { api, id: entry.service, service: self.service(entry.service)?, role })
    }
}

impl Effect {
    pub(super) fn role(self) -> Role {
        match self {
            Self::Public => Role::Public,
            Self::Grant { scope, reach, confidential_only, .. } => Role::Grant { scope, reach, confidential_only },
            Self::Except { scope } => Role::Except { scope },
        }
    }
}
