//! Which scopes and services some tests have touched, and which none has.

use hashbrown::HashSet;

use super::{Ending, Rehearsed};
use crate::policy::{Basis, ExceptionId, Fate, ListedException, Listing, Policy, Role, ScopeId, ServiceId};

/// What was touched so far.
#[derive(Debug, Default)]
pub struct Coverage {
    scopes: HashSet<ScopeId>,
    services: HashSet<ServiceId>,
    exceptions: HashSet<ExceptionId>,
}

/// What nothing has touched.
#[derive(Debug)]
pub struct Uncovered<'p> {
    /// Scopes and privileges that let nothing through, in the order of the file. One that an api
    /// requires does so where that api lets something through.
    pub scopes: Vec<ScopeId>,
    /// Services that nothing asked for, in the order of the file.
    pub services: Vec<Listing<'p>>,
    /// Exceptions that took nothing away, in the order of the file.
    pub exceptions: Vec<ListedException<'p>>,
}

impl Coverage {
    /// Takes down what came of a request.
    pub fn add(&mut self, policy: &Policy, rehearsed: &Rehearsed<'_>) {
        for considered in &rehearsed.considered {
            match considered.fate {
                Fate::OtherMethod => {}
                Fate::Excepted(except) => {
                    self.exceptions.insert(except);
                }
                Fate::NotAsked | Fate::NotHeld | Fate::Refused(_) | Fate::Permits => {
                    self.services.insert(considered.listing.id);
                }
            }
        }
        let Ending::Forwarded(sent) = &rehearsed.ending else { return };
        self.services.extend(sent.service);
        if let Basis::Scope(scope) = sent.basis {
            self.scopes.insert(scope);
            let api = rehearsed.api.and_then(|id| policy.api(id));
            self.scopes.extend(api.iter().flat_map(|api| &api.required));
        }
    }

    /// What was not touched.
    #[must_use]
    pub fn uncovered<'p>(&self, policy: &'p Policy) -> Uncovered<'p> {
        let listings = policy.listings();
        // A scope that grants nothing and that no api requires can let nothing through.
        let granting: HashSet<_> = listings.iter().filter_map(granted_by).collect();
        let required: HashSet<_> = policy.apis().iter().flat_map(|api| &api.required).copied().collect();
        let scopes = (0..).map(ScopeId).zip(policy.scopes()).map(|(id, _)| id);
        Uncovered {
            scopes: scopes
                .filter(|id| granting.contains(id) || required.contains(id))
                .filter(|id| !self.scopes.contains(id))
                .collect(),
            services: listings.into_iter().filter(|listing| !self.services.contains(&listing.id)).collect(),
            exceptions: policy.exceptions().filter(|except| !self.exceptions.contains(&except.id)).collect(),
        }
    }
}

fn granted_by(listing: &Listing<'_>) -> Option<ScopeId> {
    match listing.role {
        Role::Grant { scope, .. } => Some(scope),
        Role::Public | Role::TokenEndpoint(_) => None,
    }
}
