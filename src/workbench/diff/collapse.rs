//! Lines that together are all of a scope or an api, said as one, and what in the files is behind them.

use super::access::{AccessChange, Affected, Whole};
use super::way::Way;
use super::{Direction, Sides};
use crate::policy::{Api, Policy, Scope, ScopeName};

/// The lines with those of a whole scope or api put together. `ways` are those of the policy that allows, without those that others take in.
pub(super) fn collapse(changes: Vec<AccessChange>, ways: &[&Way<'_>], sides: &Sides<'_, '_>) -> Vec<AccessChange> {
    let by_scope = |change: &AccessChange| {
        let grant = change.grants.first()?;
        Some(Whole::Scope(grant.scope.clone()?))
    };
    let changes = together(changes, &by_scope, &|whole, change| count(ways, sides, whole, change));
    let by_api = |_: &AccessChange| Some(Whole::Api);
    let mut changes = together(changes, &by_api, &|whole, change| count(ways, sides, whole, change));
    for change in &mut changes {
        change.because = because(change, sides);
    }
    changes
}

/// How many services there are of such a whole.
fn count(ways: &[&Way<'_>], sides: &Sides<'_, '_>, whole: &Whole, change: &AccessChange) -> usize {
    let of_api = ways.iter().filter(|way| way.api.name == change.api);
    match whole {
        Whole::Scope(name) => {
            let id = sides.to.policy.scope_named(name.as_str());
            let includes = id.and_then(|id| sides.to.policy.scope(id)?.includes);
            let is_told_apart = change.grants.iter().any(|grant| grant.is_included);
            let is_of = |scope| Some(scope) == id || is_told_apart && Some(scope) == includes;
            of_api.filter(|way| way.asks.as_ref().is_some_and(|asks| is_of(asks.scope))).count()
        }
        Whole::Api => of_api.count(),
    }
}

/// Puts together the lines of one api and whole, if they are all of it.
fn together(
    changes: Vec<AccessChange>,
    whole_of: &dyn Fn(&AccessChange) -> Option<Whole>,
    count: &dyn Fn(&Whole, &AccessChange) -> usize,
) -> Vec<AccessChange> {
    let mut groups: Vec<(Option<Whole>, Vec<AccessChange>)> = Vec::new();
    for change in changes {
        let whole = whole_of(&change).filter(|_| change.grants.iter().all(|grant| grant.is_whole));
        let is_same = |group: &(Option<Whole>, Vec<AccessChange>)| {
            whole.is_some() && group.0 == whole && group.1.first().is_some_and(|first| first.api == change.api)
        };
        match groups.iter_mut().find(|group| is_same(group)) {
            Some((_, members)) => members.push(change),
            None => groups.push((whole, vec![change])),
        }
    }
    let merge = |(whole, members): (Option<Whole>, Vec<AccessChange>)| match whole {
        Some(whole) if members.len() > 1 && is_all(&whole, &members, count) => {
            merged(whole, members).into_iter().collect()
        }
        Some(_) | None => members,
    };
    groups.into_iter().flat_map(merge).collect()
}

fn is_all(whole: &Whole, members: &[AccessChange], count: &dyn Fn(&Whole, &AccessChange) -> usize) -> bool {
    let mut services: Vec<_> = members.iter().flat_map(|member| &member.grants).map(|grant| grant.id).collect();
    services.sort_unstable();
    services.dedup();
    members.first().is_some_and(|first| services.len() == count(whole, first))
}

fn merged(whole: Whole, members: Vec<AccessChange>) -> Option<AccessChange> {
    let merged = members.into_iter().reduce(|mut first, member| {
        first.risk = first.risk.max(member.risk);
        first.clients = union(first.clients, member.clients);
        first.grants.extend(member.grants);
        first.example = first.example.or(member.example);
        first
    });
    merged.map(|merged| AccessChange { whole: Some(whole), ..merged })
}

fn union(mut one: Affected, other: Affected) -> Affected {
    one.everyone |= other.everyone;
    one.unlisted |= other.unlisted;
    for client in other.listed {
        if !one.listed.contains(&client) {
            one.listed.push(client);
        }
    }
    one
}

/// What differs in the files about the line's api, scope or service.
fn because(change: &AccessChange, sides: &Sides<'_, '_>) -> Vec<String> {
    let (old, new) = match change.direction {
        Direction::Allowed => (sides.from.policy, sides.to.policy),
        Direction::Denied => (sides.to.policy, sides.from.policy),
    };
    let find = |policy: &'_ Policy| policy.apis().iter().position(|api| api.name == change.api);
    let (Some(before), Some(after)) = (find(old), find(new)) else {
        let what = if find(old).is_none() { "new" } else { "gone" };
        return vec![format!("the api `{}` is {what}", change.api)];
    };
    let (Some(before), Some(after)) = (old.apis().get(before), new.apis().get(after)) else { return vec![] };
    let mut because = of_api(old, before, new, after);
    let mut scopes: Vec<&ScopeName> = change.grants.iter().filter_map(|grant| grant.scope.as_ref()).collect();
    scopes.sort();
    scopes.dedup();
    if let [name] = scopes.as_slice() {
        because.extend(of_scope(old, new, name));
    }
    because
}

fn of_api(old: &Policy, before: &Api, new: &Policy, after: &Api) -> Vec<String> {
    let required = |policy: &Policy, api: &Api| -> Vec<ScopeName> {
        api.required.iter().filter_map(|id| policy.scope(*id)).map(|scope| scope.name.clone()).collect()
    };
    let (needed, needs) = (required(old, before), required(new, after));
    let mut because = Vec::new();
    because.extend(needs.iter().filter(|name| !needed.contains(name)).map(|name| format!("`{name}` is now required")));
    because.extend(
        needed.iter().filter(|name| !needs.contains(name)).map(|name| format!("`{name}` is no longer required")),
    );
    if before.hosts != after.hosts {
        because.push("`hosts` differs".to_owned());
    }
    if before.account != after.account {
        because.push("`account` differs".to_owned());
    }
    if before.account_when_absent != after.account_when_absent {
        because.push("`account_when_absent` differs".to_owned());
    }
    because
}

fn of_scope(old: &Policy, new: &Policy, name: &ScopeName) -> Vec<String> {
    let find = |policy: &Policy| policy.scope_named(name.as_str());
    let (Some(before), Some(after)) = (find(old), find(new)) else {
        return vec![format!("the scope is {}", if find(old).is_none() { "new" } else { "gone" })];
    };
    let (Some(one), Some(other)) = (old.scope(before), new.scope(after)) else { return vec![] };
    let mut because = marks(one, other);
    let excepts = |policy: &Policy, id| -> Vec<String> {
        policy
            .exceptions()
            .filter(|exception| exception.scope == id)
            .map(|exception| exception.service.to_string())
            .collect()
    };
    if excepts(old, before) != excepts(new, after) {
        because.push("`except` differs".to_owned());
    }
    because
}

fn marks(one: &Scope, other: &Scope) -> Vec<String> {
    let mut because = Vec::new();
    if one.reach != other.reach {
        because.push("`accounts` differs".to_owned());
    }
    match (one.marks.confidential_only, other.marks.confidential_only) {
        (true, false) => because.push("it is no longer for confidential clients only".to_owned()),
        (false, true) => because.push("it is now for confidential clients only".to_owned()),
        (true, true) | (false, false) => {}
    }
    because
}
