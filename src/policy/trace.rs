//! What each service that has a request's path comes to: the decision taken apart, for explanations.
//!
//! The grants are judged by the decision's own functions. It is not asked while a request is decided.

use super::account::{in_header, in_query};
use super::client::ClientType;
use super::compile::{Api, Effect, Entry, Exception};
use super::decision::{Asking, public};
use super::route::{Candidate, Match};
use super::{
    AccountSource, ApiId, Certificate, Denial, ExceptionId, Listing, MethodSet, NamedAccount, Pattern, Policy, Request,
    Standing,
};

/// A service whose path a request has, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered<'p> {
    /// The service.
    pub listing: Listing<'p>,
    /// Where the request names an account, as this service reads it, and which.
    pub named: Vec<(AccountSource, String)>,
    /// What comes of it.
    pub fate: Fate,
}

/// What comes of a service that has a request's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It does not take the request's method.
    OtherMethod,
    /// This exception of its scope takes the request's method from it.
    Excepted(ExceptionId),
    /// It was not asked: a public service lets the request through, or its caller is not known or
    /// was refused before.
    NotAsked,
    /// Its scope is not held.
    NotHeld,
    /// Its scope is held, and it does not grant the request all the same.
    Refused(Denial),
    /// It lets the request through; one of an api that has required scopes, if these are held.
    Permits,
}

impl Policy {
    /// What each service that has the request's path comes to, in the order in which they are asked:
    /// the most specific base path first, then the order of the file. `caller` is whose token is good.
    #[must_use]
    pub fn consider(
        &self,
        request: &Request<'_>,
        caller: Option<(&Standing, Option<&Certificate>)>,
    ) -> Vec<Considered<'_>> {
        let apis = self.bases.at(request.target).iter().filter_map(|id| Some((*id, self.api(*id)?)));
        let apis: Vec<_> = apis.filter(|(_, api)| api.admits_host(request.host)).collect();
        let candidates = apis.iter().filter_map(|(id, api)| self.candidate(*id, api, request).ok().flatten());
        let candidates: Vec<_> = candidates.collect();
        let is_public = public(&candidates, request.method).is_some();
        let asking = caller.filter(|_| !is_public).and_then(|(standing, certificate)| {
            let client_type: ClientType = self.check_client(standing, certificate).ok()?;
            (!standing.undefined_scope).then_some(Asking { standing, client_type, request })
        });
        let of_api = |(id, api): &(ApiId, &Api)| {
            let candidate = candidates.iter().find(|candidate| candidate.id == *id);
            self.consider_api(api, request, candidate, asking.as_ref())
        };
        apis.iter().flat_map(of_api).collect()
    }

    fn consider_api(
        &self,
        api: &Api,
        request: &Request<'_>,
        candidate: Option<&Candidate<'_, '_>>,
        asking: Option<&Asking<'_, '_>>,
    ) -> Vec<Considered<'_>> {
        let target = request.target;
        let depth = api.base_path.segments().len();
        let (mut entries, mut excepts) = (Vec::new(), Vec::new());
        self.entries.walk(api.entries, &|place| target.segment(place), depth, &mut |entry| entries.push(entry));
        if let Some(root) = api.exceptions {
            self.exceptions.walk(root, &|place| target.reading(place), depth, &mut |except| excepts.push(except));
        }
        entries.sort_unstable_by_key(|entry| entry.service);
        let considered = entries.into_iter().filter_map(|entry| {
            let left = candidate.and_then(|candidate| {
                let found = candidate.matches.iter().find(|found| found.entry.service == entry.service)?;
                found.takes(request.method).then_some((candidate, found))
            });
            let fate = match left {
                Some((candidate, found)) => fate(candidate, found, asking),
                None => lost(entry, &excepts, request.method),
            };
            let listing = self.listing(entry)?;
            Some(Considered { named: named(api, listing.service.pattern(), request), listing, fate })
        });
        considered.collect()
    }
}

/// Of a service that has path and method.
fn fate(candidate: &Candidate<'_, '_>, found: &Match<'_>, asking: Option<&Asking<'_, '_>>) -> Fate {
    match (found.entry.effect, asking) {
        (Effect::Public, _) => Fate::Permits,
        (Effect::Grant { .. }, None) => Fate::NotAsked,
        (Effect::Grant { scope, .. }, Some(asking)) if !asking.holds(scope) => Fate::NotHeld,
        (Effect::Grant { .. }, Some(asking)) => {
            asking.decide_grant(candidate.id, candidate, found).map_or_else(Fate::Refused, |_| Fate::Permits)
        }
    }
}

/// Of a service that has the path, and not, or no more, the method.
fn lost(entry: &Entry, excepts: &[&Exception], method: MethodSet) -> Fate {
    if entry.methods.and(method).is_empty() {
        return Fate::OtherMethod;
    }
    let takes = |except: &&&Exception| {
        let is_its_own = match entry.effect {
            Effect::Grant { scope, .. } => scope == except.scope,
            Effect::Public => false,
        };
        is_its_own && !except.methods.and(method).is_empty()
    };
    excepts.iter().find(takes).map_or(Fate::OtherMethod, |except| Fate::Excepted(except.id))
}

fn named(api: &Api, pattern: &Pattern, request: &Request<'_>) -> Vec<(AccountSource, String)> {
    let named = api.account.iter().filter_map(|source| {
        // What is ambiguous was refused before.
        let account = match source {
            AccountSource::Path(name) => {
                pattern.capture(name).and_then(|place| request.target.segment(place)).map(NamedAccount::encoded)
            }
            AccountSource::Query(name) => in_query(request.target.query(), name).ok().flatten(),
            AccountSource::Header(name) => in_header(request.headers, name).ok().flatten(),
        };
        Some((source.clone(), account?.text().into_owned()))
    });
    named.collect()
}
