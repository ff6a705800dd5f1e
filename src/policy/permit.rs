//! The permit: proof that a request was allowed, and by what.

use http::header::HeaderName;

use super::account::Account;
use super::{ApiId, Denial, NamedAccount, Reason, ScopeId, ServiceId, TokenEndpointId};

/// Proof that one request was allowed. Nothing is forwarded without one.
// INVARIANT: the fields are private, and `new` and `reporting` are visible to this folder only; of it,
// `decision` alone calls them, which a test of the sources holds it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit<'r> {
    api: ApiId,
    /// `None`: nothing grants it.
    service: Option<ServiceId>,
    basis: Basis,
    account: Option<NamedAccount<'r>>,
    inject: Option<Injection>,
    reported: Option<Reported>,
}

/// The refusal that a permit passes over, as its api only reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// What the answer would be if the api enforced.
    pub denial: Denial,
    /// Whether the upstream may be told of the caller: token and client are good, and only what they ask
    /// for is refused.
    pub tells_caller: bool,
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
    /// Nothing: the request is refused, and its api only reports.
    Reported,
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
        Self { api, service: Some(service), basis, account, inject, reported: None }
    }

    /// Of a request that is refused, and let through by an api that only reports. It names no account and
    /// writes none in: whether the caller may touch it is what was refused, or was never asked.
    pub(super) fn reporting(api: ApiId, reported: Reported) -> Self {
        Self { api, service: None, basis: Basis::Reported, account: None, inject: None, reported: Some(reported) }
    }

    /// The api whose upstream gets the request.
    #[must_use]
    pub fn api(&self) -> ApiId {
        self.api
    }

    /// The service that matched; `None` where nothing grants the request.
    #[must_use]
    pub fn service(&self) -> Option<ServiceId> {
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

    /// The refusal that it passes over, where its api only reports.
    #[must_use]
    pub fn reported(&self) -> Option<&Reported> {
        self.reported.as_ref()
    }

    /// Its code.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.basis {
            Basis::Public | Basis::TokenEndpoint(_) => Reason::Public,
            Basis::Scope(_) => Reason::Granted,
            Basis::Reported => Reason::Reported,
        }
    }
}
