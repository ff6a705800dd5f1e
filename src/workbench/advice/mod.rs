//! What an expert reviewer would say of a good policy: what can never count, what counts for more than
//! it seems, and whom it shuts out.
//!
//! Each kind is said only where it is sure from the file alone.

mod clients;
mod kind;
mod scopes;
mod services;
#[cfg(test)]
mod tests;

pub use kind::AdviceKind;

use hashbrown::HashMap;

use crate::config::{Configuration, Remark, Subject};
use crate::policy::{Api, ApiId, ListedException, Listing, Mode, Policy, Reach, Role, Scope, ScopeId};

/// All that is to be said of a policy, kind by kind.
#[must_use]
pub fn advice(configuration: &Configuration) -> Vec<Remark> {
    let review = Review::new(configuration);
    let mut remarks = Vec::new();
    review.services(&mut remarks);
    review.scopes(&mut remarks);
    review.clients(&mut remarks);
    review.modes(&mut remarks);
    remarks
}

/// What is looked at.
struct Review<'c> {
    configuration: &'c Configuration,
    policy: &'c Policy,
    listings: Vec<Listing<'c>>,
    /// Those of the services that are token endpoints.
    endpoints: Vec<Listing<'c>>,
    exceptions: HashMap<ScopeId, Vec<ListedException<'c>>>,
}

impl<'c> Review<'c> {
    fn new(configuration: &'c Configuration) -> Self {
        let policy = &configuration.policy;
        let listings = policy.listings();
        let is_endpoint = |listing: &&Listing<'_>| matches!(listing.role, Role::TokenEndpoint(_));
        let endpoints = listings.iter().filter(is_endpoint).copied().collect();
        let mut exceptions: HashMap<_, Vec<_>> = HashMap::new();
        for except in policy.exceptions() {
            exceptions.entry(except.scope).or_default().push(except);
        }
        Self { configuration, policy, listings, endpoints, exceptions }
    }

    fn exceptions_of(&self, scope: ScopeId) -> &[ListedException<'c>] {
        self.exceptions.get(&scope).map_or(&[], |exceptions| exceptions)
    }

    fn scopes_by_id(&self) -> impl Iterator<Item = (ScopeId, &'c Scope)> {
        (0..).map(ScopeId).zip(self.policy.scopes())
    }

    fn modes(&self, remarks: &mut Vec<Remark>) {
        for (id, api) in (0..).map(ApiId).zip(self.policy.apis()).filter(|(_, api)| api.mode == Mode::ReportOnly) {
            let message = format!(
                "the api `{}` only reports: every request under `{}` that has one meaning is let through, token or not",
                api.name, api.base_path
            );
            let help = "remove `mode` once its reports say what they should";
            remarks.push(remark(AdviceKind::ReportOnly, Subject::Api(id), message, help));
        }
    }

    fn name(&self, scope: ScopeId) -> &'c str {
        self.policy.scope(scope).map_or("", |scope| scope.name.as_str())
    }
}

fn remark(kind: AdviceKind, subject: Subject, message: String, help: impl Into<String>) -> Remark {
    Remark { code: kind.as_str(), subject, message, help: help.into() }
}

/// Whether one reach reaches all that another does.
fn reaches(one: Reach, other: Reach) -> bool {
    one == Reach::Any || other == Reach::Own
}

/// Whether every request to `other` could have come to `api` by its host.
fn has_hosts_of(api: &Api, other: &Api) -> bool {
    api.hosts.is_empty() || !other.hosts.is_empty() && other.hosts.iter().all(|host| api.hosts.contains(host))
}

/// Whether some request could come to either by its host.
fn share_hosts(api: &Api, other: &Api) -> bool {
    api.hosts.is_empty() || other.hosts.is_empty() || other.hosts.iter().any(|host| api.hosts.contains(host))
}
