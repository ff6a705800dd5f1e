//! The permit: proof that a request was allowed, and by what.

use http::header::HeaderName;

use super::account::Account;
use super::{ApiId, NamedAccount, Reason, ScopeId, ServiceId, TokenEndpointId};

/// Proof that one request was allowed. Nothing is forwarded without one.
// INVARIANT: the fields are private and `new` is visible to this folder only; of it, `decision`
// alone calls it, which a test of the sources holds it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit<'r> {
    api: ApiId,
    service: ServiceId,
    basis: Basis,
    account: Option<NamedAccount<'r>>,
    inject: Option<Injection>,
}

/// What a permit rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A public service: no token was asked for.
    Public,
    /// A scope (or privilege) that the caller holds.
    Scope(ScopeId),
    /// A request for a token that the provider behind this endpoint may answer.
    TokenEndpoint(TokenEndpointId),
}

/// The caller's own account, to be written into a request that names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// As this query parameter.
    Query(Box<str>, Account),
    /// As this header.
    Header(HeaderName, Account),
}

impl<'r> Permit<'r> {
    pub(super) fn new(
        api: ApiId,
        service: ServiceId,
        basis: Basis,
        account: Option<NamedAccount<'r>>,
        inject: Option<Injection>,
    ) -> Self {
        Self { api, service, basis, account, inject }
    }

    /// The api whose upstream gets the request.
    #[must_use]
    pub fn api(&self) -> ApiId {
        self.api
    }

    /// The service that matched.
    #[must_use]
    pub fn service(&self) -> ServiceId {
        self.service
    }

    /// What it rests on.
    #[must_use]
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The account that the request names, if any.
    #[must_use]
    pub fn account(&self) -> Option<&NamedAccount<'r>> {
        self.account.as_ref()
    }

    /// The account to write into the request, if it named none and the api wants that.
    #[must_use]
    pub fn injection(&self) -> Option<&Injection> {
        self.inject.as_ref()
    }

    /// Its code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.basis {
            Basis::Public | Basis::TokenEndpoint(_) => Reason::Public,
            Basis::Scope(_) => Reason::Granted,
        }
    }
}
