//! The decision: may this request, of this caller, pass?
//!
//! Steps 8 to 14 of the order that `ARCHITECTURE.md` gives; 1 and 2 are `route`'s, and what steps 3
//! to 7 found is an [`Identity`]. It is total and depends on nothing but its arguments.

use super::account::{Account, NamedAccount};
use super::client::ClientType;
use super::compile::{Api, Client, Effect};
use super::denial::ScopeIds;
use super::permit::Injection;
use super::route::{Candidate, Match, Named};
use super::standing::ClientStanding;
use super::{
    AccountSource, AccountWhenAbsent, ApiId, Basis, Caller, Certificate, Denial, Identity, MethodSet, Permit, Policy,
    Reach, Request, Route, ScopeSet, Standing, TokenEndpoint, TokenEndpointId, UndefinedScopes, UnregisteredClients,
};

impl Policy {
    /// Decides whether the route's request may pass.
    ///
    /// Where several apis have the path, each is asked as if it were alone: the first that permits
    /// does, and if none does, the refusal is that of the one which came furthest.
    ///
    /// # Errors
    /// The first step that refuses.
    pub fn decide<'r>(&self, route: &Route<'r, '_>, identity: Identity<'_>) -> Result<Permit<'r>, Denial> {
        if let Some(permit) = route.public() {
            return Ok(permit.clone());
        }
        let (standing, certificate) = match identity {
            Identity::Absent => return Err(Denial::TokenMissing),
            Identity::Refused(denial) => return Err(denial),
            Identity::Known { standing, certificate } => (standing, certificate),
        };
        let client_type = self.check_client(standing, certificate)?;
        if standing.undefined_scope {
            return Err(Denial::ScopeUndefined);
        }
        let asking = Asking { standing, client_type, request: &route.request };
        let mut furthest = no_service(route);
        for candidate in &route.candidates {
            if !candidate.matches.iter().any(|found| found.takes(route.request.method)) {
                continue;
            }
            match asking.decide(candidate) {
                Ok(permit) => return Ok(permit),
                Err(denial) if denial.reason() > furthest.reason() => furthest = denial,
                Err(_) => {}
            }
        }
        Err(furthest)
    }

    /// What this policy makes of a caller.
    #[must_use]
    pub fn standing(&self, caller: &Caller) -> Standing {
        let listed = self.clients.as_ref().map(|clients| caller.client.as_ref().and_then(|id| clients.get(id)));
        let client = match listed {
            None => None,
            Some(Some(client)) => Some(client),
            Some(None) if self.unregistered_clients == UnregisteredClients::Allow => None,
            Some(None) => return Standing::nobody(ClientStanding::Unknown),
        };
        let Some(accounts) = own_accounts(caller, client) else {
            return Standing::nobody(ClientStanding::AccountMismatch);
        };
        let mut held = ScopeSet::default();
        let mut undefined = false;
        for name in &caller.scopes {
            match self.scope_named(name) {
                Some(id) => self.add_with_included(&mut held, id),
                None => undefined = true,
            }
        }
        if let Some(ceiling) = client.and_then(|client| client.ceiling.as_ref()) {
            held = held.and(ceiling);
        }
        Standing {
            held,
            accounts,
            client: client.map_or(ClientStanding::Unlisted, |client| {
                ClientStanding::Listed(client.spec.client_type, client.place)
            }),
            undefined_scope: undefined && self.undefined_scopes == UndefinedScopes::Reject,
        }
    }

    /// Step 8.
    fn check_client(&self, standing: &Standing, certificate: Option<&Certificate>) -> Result<ClientType, Denial> {
        match standing.client {
            ClientStanding::Unlisted => Ok(ClientType::Confidential),
            ClientStanding::Unknown => Err(Denial::ClientUnknown),
            ClientStanding::AccountMismatch => Err(Denial::ClientAccountMismatch),
            ClientStanding::Listed(client_type, place) => match self.certificate_rule(place) {
                Some(rule) if !rule.admits(certificate) => Err(Denial::CertificateMismatch),
                Some(_) | None => Ok(client_type),
            },
        }
    }
}

/// The permit of the first public service that takes the method: step 2.
pub(super) fn public<'r>(candidates: &[Candidate<'r, '_>], method: MethodSet) -> Option<Permit<'r>> {
    candidates.iter().find_map(|candidate| {
        let is_public = |found: &&Match<'_>| found.entry.effect == Effect::Public && found.takes(method);
        let found = candidate.matches.iter().find(is_public)?;
        Some(Permit::new(candidate.id, found.entry.service, found.basis(), None, None))
    })
}

/// The permit of a request for a token, which the provider alone answers.
pub(super) fn token_request(id: TokenEndpointId, endpoint: &TokenEndpoint) -> Permit<'static> {
    Permit::new(endpoint.api, endpoint.service, Basis::TokenEndpoint(id), None, None)
}

/// Step 10's refusal: what is left if no api has a service for the request.
fn no_service(route: &Route<'_, '_>) -> Denial {
    let matches = || route.candidates.iter().flat_map(|candidate| &candidate.matches);
    if matches().next().is_none() {
        return Denial::RouteUnknown;
    }
    Denial::MethodNotAllowed { allow: matches().fold(MethodSet::NONE, |allow, found| allow.or(found.methods)) }
}

/// A token's accounts, or its client's where it carries none; `None` if they contradict each other.
fn own_accounts(caller: &Caller, client: Option<&Client>) -> Option<Box<[Account]>> {
    match client.and_then(|client| client.spec.account.as_ref()) {
        None => Some(caller.accounts.clone()),
        Some(account) if caller.accounts.is_empty() || caller.accounts.contains(account) => {
            Some([account.clone()].into())
        }
        Some(_) => None,
    }
}

/// Who asks for what.
struct Asking<'a, 'r> {
    standing: &'a Standing,
    client_type: ClientType,
    request: &'a Request<'r>,
}

impl<'r> Asking<'_, 'r> {
    /// Steps 11 to 14 for one api.
    fn decide(&self, candidate: &Candidate<'r, '_>) -> Result<Permit<'r>, Denial> {
        let api = candidate.id;
        if !candidate.api.required.iter().all(|scope| self.standing.held.contains(*scope)) {
            let missing = candidate.api.required.iter().filter(|scope| !self.standing.held.contains(**scope));
            return Err(Denial::ScopeRequired { api, missing: missing.copied().collect() });
        }
        let mut refusal = None;
        // The narrower reach first, so that a permit rests on no more than it needs.
        for reach in [Reach::Own, Reach::Any] {
            for found in self.held(candidate, reach) {
                match self.decide_grant(api, candidate, found) {
                    Ok(permit) => return Ok(permit),
                    Err(denial)
                        if refusal.as_ref().is_none_or(|earlier: &Denial| denial.reason() > earlier.reason()) =>
                    {
                        refusal = Some(denial);
                    }
                    Err(_) => {}
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Denial::ScopeInsufficient { api, alternatives: self.alternatives(candidate) }))
    }

    /// The grants of this reach whose scope is held: step 12.
    fn held<'c, 'p>(&self, candidate: &'c Candidate<'r, 'p>, wanted: Reach) -> impl Iterator<Item = &'c Match<'p>> {
        candidate.matches.iter().filter(move |found| match found.entry.effect {
            Effect::Grant { scope, reach, .. } => {
                reach == wanted && found.takes(self.request.method) && self.standing.held.contains(scope)
            }
            Effect::Public | Effect::Except { .. } => false,
        })
    }

    /// The scopes of which one would do.
    fn alternatives(&self, candidate: &Candidate<'_, '_>) -> ScopeIds {
        let mut scopes: ScopeIds = candidate
            .matches
            .iter()
            .filter(|found| found.takes(self.request.method))
            .filter_map(|found| match found.entry.effect {
                Effect::Grant { scope, .. } => Some(scope),
                Effect::Public | Effect::Except { .. } => None,
            })
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// Steps 13 and 14 for one grant.
    fn decide_grant(&self, api: ApiId, candidate: &Candidate<'r, '_>, found: &Match<'_>) -> Result<Permit<'r>, Denial> {
        let Effect::Grant { reach, confidential_only, .. } = found.entry.effect else {
            return Err(Denial::ScopeInsufficient { api, alternatives: ScopeIds::new() });
        };
        if confidential_only && (self.client_type == ClientType::Public || self.request.is_from_browser()) {
            return Err(Denial::ClientTypeRejected { api });
        }
        let permit = |account, inject| Ok(Permit::new(api, found.entry.service, found.basis(), account, inject));
        match (candidate.account(self.request, found), reach) {
            (Named::Several, Reach::Own | Reach::Any) => Err(Denial::AccountAmbiguous { api }),
            (Named::One(account), Reach::Any) => permit(Some(account), None),
            (Named::Nothing, Reach::Any) => permit(None, None),
            (Named::One(account), Reach::Own) if self.is_own(&account) => permit(Some(account), None),
            (Named::One(_), Reach::Own) => Err(Denial::AccountForbidden { api }),
            (Named::Nothing, Reach::Own) => match self.injection(candidate.api) {
                Some(injection) => permit(None, Some(injection)),
                None => Err(Denial::AccountMissing { api }),
            },
        }
    }

    fn is_own(&self, account: &NamedAccount<'_>) -> bool {
        self.standing.accounts.iter().any(|own| account.is(own))
    }

    /// The caller's single account, where the api wants it written in.
    fn injection(&self, api: &Api) -> Option<Injection> {
        let [account] = &*self.standing.accounts else { return None };
        if api.account_when_absent == AccountWhenAbsent::Deny {
            return None;
        }
        api.account.iter().find_map(|source| match source {
            AccountSource::Path(_) => None,
            AccountSource::Query(name) => Some(Injection::Query(name.clone(), account.clone())),
            AccountSource::Header(name) => Some(Injection::Header(name.clone(), account.clone())),
        })
    }
}
