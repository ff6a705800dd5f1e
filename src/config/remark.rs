//! What is said of a good file, and of which part of it: its place in the text is found here.

use super::finding::{Finding, Path, PathStep, Place};
use crate::policy::{ApiId, ExceptionId, Policy, Role, Scope, ScopeId, ServiceId};

/// Something to be said of a good file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What kind of thing, as programs know it.
    pub code: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// What is said.
    pub message: String,
    /// What would be better.
    pub help: String,
}

/// A part of a good file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The candidate's file.
    Shadow,
    /// An api's mode.
    Api(ApiId),
    /// An issuer, by its place in the list.
    Issuer(usize),
    /// A client, by its place in the list.
    Client(usize),
    /// What a client may hold.
    Ceiling(usize),
    /// A scope or privilege.
    Scope(ScopeId),
    /// A service.
    Service(ServiceId),
    /// An exception.
    Exception(ExceptionId),
}

/// Where the parts of a policy are in the document that it was compiled of.
pub(super) struct Subjects<'p> {
    policy: &'p Policy,
    services: Vec<(ServiceId, Path)>,
    exceptions: Vec<(ExceptionId, Path)>,
}

impl<'p> Subjects<'p> {
    pub(super) fn of(policy: &'p Policy) -> Self {
        // Of each list, how many of its entries were met.
        let mut met = hashbrown::HashMap::<(ApiId, Option<ScopeId>), usize>::new();
        let mut next = |list| {
            let count = met.entry(list).or_default();
            *count += 1;
            *count - 1
        };
        let services = policy.listings().into_iter().filter_map(|listing| {
            let steps = match listing.role {
                Role::Public => [api(listing.api), vec![key("public"), nth(next((listing.api, None)))]],
                Role::Grant { scope: id, .. } => {
                    [scope(policy, id)?, vec![key("services"), nth(next((listing.api, Some(id))))]]
                }
                Role::TokenEndpoint(_) => [api(listing.api), vec![key("token_endpoint"), key("service")]],
            };
            Some((listing.id, Path(steps.concat().into())))
        });
        let services = services.collect();
        let mut last = None;
        let mut count = 0;
        let exceptions = policy.exceptions().filter_map(|except| {
            count = if last == Some(except.scope) { count + 1 } else { 0 };
            last = Some(except.scope);
            let steps = [scope(policy, except.scope)?, vec![key("except"), nth(count)]];
            Some((except.id, Path(steps.concat().into())))
        });
        let exceptions = exceptions.collect();
        Self { policy, services, exceptions }
    }

    pub(super) fn finding(&self, remark: &Remark) -> Finding {
        let Remark { message, help, subject, .. } = remark;
        Finding::placed(self.place(*subject), message.clone()).help(help.clone())
    }

    fn place(&self, subject: Subject) -> Place {
        let in_list =
            |list: &str, place: usize, last: &str| Place::Value(Path([key(list), nth(place), key(last)].into()));
        let found = match subject {
            Subject::Shadow => Some(Place::Value(Path([key("shadow"), key("file")].into()))),
            Subject::Api(id) => Some(in_list("apis", id.0 as usize, "mode")),
            Subject::Issuer(place) => Some(in_list("issuers", place, "issuer")),
            Subject::Client(place) => Some(in_list("clients", place, "id")),
            Subject::Ceiling(place) => Some(in_list("clients", place, "scopes")),
            Subject::Scope(id) => self.policy.scope(id).and_then(|found| {
                let mut steps = scope(self.policy, id)?;
                // A privilege's name is its key.
                if found.includes.is_some() {
                    return Some(Place::Key(Path(steps.into())));
                }
                steps.push(key("name"));
                Some(Place::Value(Path(steps.into())))
            }),
            Subject::Service(id) => {
                let place = self.services.binary_search_by_key(&id, |(id, _)| *id).ok();
                place.and_then(|place| self.services.get(place)).map(|(_, path)| Place::Value(path.clone()))
            }
            Subject::Exception(id) => self.exceptions.get(id.0 as usize).map(|(_, path)| Place::Value(path.clone())),
        };
        // INVARIANT: who speaks of a policy's parts has them of the policy itself.
        found.unwrap_or(Place::Byte(0))
    }
}

fn key(name: &str) -> PathStep {
    PathStep::Key(name.into())
}

fn nth(place: usize) -> PathStep {
    PathStep::Nth(place)
}

fn api(id: ApiId) -> Vec<PathStep> {
    vec![key("apis"), nth(id.0 as usize)]
}

/// Of a scope, or of a privilege by its place among those of its scope.
fn scope(policy: &Policy, id: ScopeId) -> Option<Vec<PathStep>> {
    let found = policy.scope(id)?;
    let before = policy.scopes().get(..id.0 as usize)?.iter().rev();
    // Scopes are numbered api by api, and each before its privileges.
    match found.includes {
        None => {
            let same = before.take_while(|scope| scope.api == found.api);
            let place = same.filter(|scope| scope.includes.is_none()).count();
            Some([api(found.api), vec![key("scopes"), nth(place)]].concat())
        }
        Some(of) => {
            let is_sibling = |scope: &&Scope| scope.includes == Some(of);
            let place = before.take_while(is_sibling).count();
            Some([self::scope(policy, of)?, vec![key("privileges"), nth(place)]].concat())
        }
    }
}
