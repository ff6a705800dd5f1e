//! The decision: may this request, of this caller, pass?
//!
//! The decision has steps, and the first that refuses is the answer:
//!
//! 1. the target and the headers mean one thing;
//! 2. a public service asks for no token;
//! 3. there is a token;
//! 4. it is well formed, of a known issuer, of an allowed algorithm and type, by a known key;
//! 5. its signature, audience and times are good;
//! 6. what takes keys or an issuer's answer has them at hand;
//! 7. it is not revoked, and what it is bound to was shown;
//! 8. its client is known, and has shown its certificate;
//! 9. all of its scopes are defined, where that is asked;
//! 10. some service has the path, and takes the method;
//! 11. the api's required scopes are held;
//! 12. a scope that grants the service is held;
//! 13. its grant admits this type of client;
//! 14. the request names one account, within the grant's reach.
//!
//! Steps 8 to 14 are here; 1 and 2 are `route`'s, and what steps 3 to 7 found is an [`Identity`]. It is total and
//! depends on nothing but its arguments.

use super::account::NamedAccount;
use super::client::ClientType;
use super::compile::{Api, Effect};
use super::denial::ScopeIds;
use super::permit::{Injection, Reported};
use super::report::Reporting;
use super::route::{Candidate, Match, Named};
use super::standing::ClientStanding;
use super::{
    AccountSource, AccountWhenAbsent, ApiId, Basis, Certificate, Denial, Identity, MethodSet, Permit, Policy, Reach,
    Request, Route, ScopeId, Standing, TokenEndpoint, TokenEndpointId,
};

impl Policy {
    /// Decides whether the route's request may pass: [`Policy::enforce`], and where that refuses, whether
    /// the api that it is for only reports.
    ///
    /// # Errors
    /// The first step that refuses.
    pub fn decide<'r>(&self, route: &Route<'r, '_>, identity: Identity<'_>) -> Result<Permit<'r>, Denial> {
        self.enforce(route, identity).or_else(|denial| self.report(route, denial))
    }

    /// Decides as if every api enforced.
    ///
    /// Where several apis have the path, each is asked as if it were alone: the first that permits
    /// does, and if none does, the refusal is that of the one which came furthest.
    ///
    /// # Errors
    /// The first step that refuses.
    pub fn enforce<'r>(&self, route: &Route<'r, '_>, identity: Identity<'_>) -> Result<Permit<'r>, Denial> {
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

    /// What an api that only reports makes of a refusal.
    fn report<'r>(&self, route: &Route<'r, '_>, denial: Denial) -> Result<Permit<'r>, Denial> {
        let tells_caller = match denial.reporting() {
            Reporting::Never => return Err(denial),
            Reporting::Nobody => false,
            Reporting::Caller => true,
        };
        match self.reporting_api(route, &denial) {
            Some(api) => Ok(Permit::reporting(api, Reported { denial, tells_caller })),
            None => Err(denial),
        }
    }

    /// Step 8.
    pub(super) fn check_client(
        &self,
        standing: &Standing,
        certificate: Option<&Certificate>,
    ) -> Result<ClientType, Denial> {
        match standing.client {
            ClientStanding::Unlisted => Ok(ClientType::Confidential),
            ClientStanding::Unknown => Err(Denial::ClientUnknown),
            ClientStanding::Listed(place) => self.check_certificate(place, certificate),
            ClientStanding::AccountMismatch(place) => {
                self.check_certificate(place, certificate).and(Err(Denial::ClientAccountMismatch))
            }
        }
    }

    /// The type of the client at that place of the list, if this is its certificate.
    fn check_certificate(&self, place: u32, certificate: Option<&Certificate>) -> Result<ClientType, Denial> {
        // A place that is not there is of another policy's list.
        let client = self.clients.as_ref().and_then(|clients| clients.at(place)).ok_or(Denial::ClientUnknown)?;
        match &client.certificate {
            Some(rule) if !rule.admits(certificate) => Err(Denial::CertificateMismatch),
            Some(_) | None => Ok(client.kind),
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

/// Who asks for what.
pub(super) struct Asking<'a, 'r> {
    pub(super) standing: &'a Standing,
    pub(super) client_type: ClientType,
    pub(super) request: &'a Request<'r>,
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
                reach == wanted && found.takes(self.request.method) && self.holds(scope)
            }
            Effect::Public => false,
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
                Effect::Public => None,
            })
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    pub(super) fn holds(&self, scope: ScopeId) -> bool {
        self.standing.held.contains(scope)
    }

    /// Steps 13 and 14 for one grant.
    pub(super) fn decide_grant(
        &self,
        api: ApiId,
        candidate: &Candidate<'r, '_>,
        found: &Match<'_>,
    ) -> Result<Permit<'r>, Denial> {
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
