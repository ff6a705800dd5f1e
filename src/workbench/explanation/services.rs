//! The services that have a request's path, and the scopes that their apis ask of every token.

use serde::Serialize;

use super::scope_name;
use crate::policy::{Considered, Fate, Policy, Reach, Role};
use crate::workbench::Rehearsed;
use crate::workbench::why::{Facts, fate, place};

/// A service that has the path.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceStory {
    /// Its api.
    pub api: String,
    /// As the file writes it.
    pub service: String,
    /// The scope or privilege that it is of; none where it is public.
    pub scope: Option<String>,
    /// `own` or `any`, where it is of a scope and its api's requests name accounts.
    pub accounts: Option<&'static str>,
    /// Where the request names an account for it, and which.
    pub named: Vec<NamedStory>,
    /// What comes of it, as a code.
    pub outcome: &'static str,
    /// The same in words.
    pub note: String,
}

/// An account that a request names.
#[derive(Debug, Clone, Serialize)]
pub struct NamedStory {
    /// Where.
    pub place: String,
    /// Which.
    pub account: String,
}

/// A scope that every token must have.
#[derive(Debug, Clone, Serialize)]
pub struct RequiredScope {
    /// Whose it is.
    pub api: String,
    /// Its name.
    pub scope: String,
    /// Whether the caller has it; unknown where there is no caller.
    pub held: Option<bool>,
}

pub(super) fn service_story(policy: &Policy, considered: &Considered<'_>, facts: &Facts<'_>) -> ServiceStory {
    let listing = considered.listing;
    let (scope, reach) = match listing.role {
        Role::Grant { scope, reach, .. } => (Some(scope), Some(reach)),
        Role::Public | Role::TokenEndpoint(_) => (None, None),
    };
    let api = policy.api(listing.api);
    let named =
        considered.named.iter().map(|(source, account)| NamedStory { place: place(source), account: account.clone() });
    ServiceStory {
        api: api.map_or(String::new(), |api| api.name.to_string()),
        service: listing.service.to_string(),
        scope: scope.map(|scope| scope_name(policy, scope)),
        accounts: reach.filter(|_| api.is_some_and(|api| !api.account.is_empty())).map(|reach| match reach {
            Reach::Own => "own",
            Reach::Any => "any",
        }),
        named: named.collect(),
        outcome: match considered.fate {
            Fate::OtherMethod => "other_method",
            Fate::Excepted(_) => "excepted",
            Fate::NotAsked => "not_asked",
            Fate::NotHeld => "not_held",
            Fate::Refused(_) => "refused",
            Fate::Permits => "permits",
        },
        note: fate(considered, facts),
    }
}

pub(super) fn required_scopes(policy: &Policy, rehearsed: &Rehearsed<'_>) -> Vec<RequiredScope> {
    let mut apis: Vec<_> = rehearsed.considered.iter().map(|considered| considered.listing.api).collect();
    apis.dedup();
    let required = apis.into_iter().filter_map(|id| policy.api(id)).flat_map(|api| {
        api.required.iter().map(|scope| RequiredScope {
            api: api.name.to_string(),
            scope: scope_name(policy, *scope),
            held: rehearsed.caller.as_ref().map(|(_, standing)| standing.held().contains(*scope)),
        })
    });
    required.collect()
}
