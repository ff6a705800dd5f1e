//! Who depends on a scope, as far as is known: the clients that list it, and those that would be shut
//! out if every request had to hold it.

use serde_yaml::Value;

use super::change::Target;
use crate::policy::{Policy, ScopeName};
use crate::record::Metrics;

/// The clients whose lists have the scope, or a privilege of it.
pub(super) fn listing_clients(file: &Value, target: &Target) -> Vec<String> {
    let Target::Scope(name) = target else { return Vec::new() };
    let is_of_it = |listed: &str| {
        let scope = listed.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        scope && listed.get(name.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    };
    let clients = file.get("clients").and_then(Value::as_sequence).into_iter().flatten();
    let listing = clients.filter(|client| {
        let mut scopes = client.get("scopes").and_then(Value::as_sequence).into_iter().flatten();
        scopes.any(|scope| scope.as_str().is_some_and(is_of_it))
    });
    listing.filter_map(|client| client.get("id")?.as_str().map(str::to_owned)).collect()
}

/// Of a required scope: the clients of the list that may hold another scope of its api and whose
/// tokens were never seen to carry this one. A client without a list of scopes may hold any.
pub(super) fn lacking_clients(policy: &Policy, name: &str, metrics: &Metrics) -> Vec<String> {
    let Some(id) = policy.scope_named(name) else { return Vec::new() };
    let Some(scope) = policy.scope(id).filter(|scope| scope.marks.required) else { return Vec::new() };
    let holders = ScopeName::parse(name).map(|name| metrics.scope_holders(&name)).unwrap_or_default();
    let lacking = policy.clients().filter(|client| {
        let mut others = client.ceiling.into_iter().flat_map(crate::policy::ScopeSet::iter);
        let reaches = client.ceiling.is_none()
            || others.any(|other| other != id && policy.scope(other).is_some_and(|other| other.api == scope.api));
        reaches && !holders.iter().any(|(holder, _)| holder == client.id)
    });
    lacking.map(|client| client.id.to_string()).collect()
}
