//! Random pairs of policies: what `diff` tells of is what trying requests tells, and nothing else.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use scopegate::policy::{Caller, Certificate, MethodSet, Policy, PolicySpec, Target};
use scopegate::workbench::diff::{
    AccessChange, ClientAspect, ClientChange, Difference, Direction, Example, Grant, TokenAspect, Verdict,
};

use super::{certificate, draw};
use crate::reference::Asked;

/// `SCOPEGATE_DIFF_PAIRS` asks for more pairs than a run of all tests has time for.
fn pairs() -> u32 {
    std::env::var("SCOPEGATE_DIFF_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: pairs(), ..ProptestConfig::default() })]

    #[test]
    fn a_difference_is_what_trying_requests_shows(
        old in draw::policy(),
        other in draw::policy(),
        splice in (0..8u8, any::<Index>(), any::<Index>(), any::<Index>()),
        bearers in vec(draw::bearer(), 4),
        drafts in vec(draw::draft(), 10),
    ) {
        let new = spliced(&old, &other, &splice);
        let pair = Pair::new(old, new);
        for draft in &drafts {
            for spec in [&pair.old_spec, &pair.new_spec] {
                let asked = draft.request(spec);
                let callers = bearers.iter().map(|bearer| Some(bearer.caller(spec))).chain([None]);
                for caller in callers {
                    pair.check_told(&asked, caller.as_ref())?;
                }
                pair.check_regions(&asked)?;
            }
        }
        pair.check_examples()?;
    }
}

#[test]
fn a_policy_does_not_differ_from_itself() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..300 {
        let spec = draw::policy().new_tree(&mut runner).unwrap().current();
        let pair = Pair::new(spec.clone(), spec);
        assert!(pair.difference.is_empty() && pair.difference.without_effect.is_empty(), "{:#?}", pair.difference);
    }
}

/// The old policy with something of the other in it, or the other.
fn spliced(old: &PolicySpec, other: &PolicySpec, (what, api, from, scope): &(u8, Index, Index, Index)) -> PolicySpec {
    let mut new = old.clone();
    let donor = from.get(&other.apis).clone();
    let place = api.index(new.apis.len());
    let target = &mut new.apis[place];
    match what {
        0 => return other.clone(),
        1 => new.clients.clone_from(&other.clients),
        2 => {
            new.undefined_scopes = other.undefined_scopes;
            new.scope_names = other.scope_names;
            new.unregistered_clients = other.unregistered_clients;
        }
        3 => target.hosts = donor.hosts,
        4 => {
            target.account = donor.account;
            target.account_when_absent = donor.account_when_absent;
        }
        5 => {
            target.public =
                donor.public.into_iter().filter(|service| service.pattern().is_under(&target.base_path)).collect();
        }
        6 => {
            let chosen = scope.index(target.scopes.len());
            let scope = &mut target.scopes[chosen];
            let donor = &donor.scopes[0];
            scope.reach = donor.reach;
            scope.marks = donor.marks;
            scope
                .except
                .extend(donor.except.iter().filter(|service| service.pattern().is_under(&target.base_path)).cloned());
        }
        _ => {
            let chosen = scope.index(target.scopes.len());
            let scope = &mut target.scopes[chosen];
            scope.services.extend(
                donor
                    .scopes
                    .iter()
                    .flat_map(|scope| &scope.services)
                    .filter(|service| service.pattern().is_under(&target.base_path))
                    .cloned(),
            );
        }
    }
    if let Some(clients) = &mut new.clients {
        let names: Vec<_> = new.apis.iter().flat_map(|api| &api.scopes).map(|scope| scope.name.clone()).collect();
        for client in clients {
            if let Some(scopes) = &mut client.scopes {
                scopes.retain(|name| names.contains(name));
            }
        }
    }
    new
}

struct Pair {
    old_spec: PolicySpec,
    new_spec: PolicySpec,
    old: Policy,
    new: Policy,
    difference: Difference,
}

impl Pair {
    fn new(old_spec: PolicySpec, new_spec: PolicySpec) -> Self {
        let (old, new) = (Policy::compile(old_spec.clone()).unwrap(), Policy::compile(new_spec.clone()).unwrap());
        let difference = Difference::new(&old, &new).unwrap();
        Self { old_spec, new_spec, old, new, difference }
    }

    fn sides(&self, direction: Direction) -> (&Policy, &Policy) {
        match direction {
            Direction::Allowed => (&self.old, &self.new),
            Direction::Denied => (&self.new, &self.old),
        }
    }

    /// What the two answer differently is told of by some line.
    fn check_told(&self, asked: &Asked, caller: Option<&Caller>) -> Result<(), TestCaseError> {
        let certificate = certificate(asked.query.is_some());
        let (Some(before), Some(after)) = (
            allows(&self.old, asked, caller, certificate.as_ref()),
            allows(&self.new, asked, caller, certificate.as_ref()),
        ) else {
            return Ok(());
        };
        let direction = match (before, after) {
            (false, true) => Direction::Allowed,
            (true, false) => Direction::Denied,
            (true, true) | (false, false) => return Ok(()),
        };
        let (from, to) = self.sides(direction);
        let told = self
            .difference
            .access
            .iter()
            .any(|line| line.direction == direction && has(line, to, asked, caller))
            || self.difference.clients.iter().any(|line| line.direction == direction && self.is_of(line, to, caller))
            || self
                .difference
                .tokens
                .iter()
                .any(|line| line.direction == direction && carries(&line.aspect, from, to, caller));
        prop_assert!(
            told,
            "{:?} {:#?}\n{:#?}\nold {:#?}\nnew {:#?}\n{:#?}",
            direction,
            asked,
            caller,
            self.old_spec,
            self.new_spec,
            self.difference
        );
        Ok(())
    }

    fn is_of(&self, line: &ClientChange, to: &Policy, caller: Option<&Caller>) -> bool {
        let Some(caller) = caller else { return false };
        let listed = |policy: &Policy| caller.client.as_deref().is_some_and(|id| policy.client(id).is_some());
        let named = match caller.client.as_deref() {
            Some(id) if listed(&self.old) || listed(&self.new) => {
                line.clients.iter().any(|client| client.as_str() == id)
            }
            _ => line.unlisted,
        };
        let concerns = match &line.aspect {
            ClientAspect::Scope(name) => holds(to, caller, name.as_str()),
            _ => true,
        };
        named && concerns
    }

    /// Each line's example is answered as it says, and is of the line.
    fn check_examples(&self) -> Result<(), TestCaseError> {
        let difference = &self.difference;
        let access = difference.access.iter().map(|line| (line.direction, line.example.as_ref().unwrap()));
        let clients = difference.clients.iter().map(|line| (line.direction, &line.example));
        let tokens = difference.tokens.iter().map(|line| (line.direction, &line.example));
        for (direction, example) in access.chain(clients).chain(tokens) {
            let (from, to) = self.sides(direction);
            prop_assert_eq!(example.verdict(to), Some(Verdict::Allowed), "{:#?}", example);
            prop_assert!(matches!(example.verdict(from), Some(Verdict::Denied(_))), "{:#?}", example);
        }
        for line in &difference.access {
            let example = line.example.as_ref().unwrap();
            let target = Target::parse(example.target.as_bytes()).unwrap();
            prop_assert!(line.grants.iter().any(|grant| covers(grant, &example.method, &target)), "{:#?}", line);
        }
        Ok(())
    }

    /// Another path of a line's regions would do as its example as well.
    fn check_regions(&self, asked: &Asked) -> Result<(), TestCaseError> {
        let Ok(target) = Target::parse(asked.path.as_bytes()) else { return Ok(()) };
        for line in &self.difference.access {
            let (from, to) = self.sides(line.direction);
            let [grant] = line.grants.as_slice() else { continue };
            let api = to.apis().iter().find(|api| api.name == line.api).unwrap();
            let elsewhere = line.grants[0].when.is_some() || !api.account.is_empty();
            if elsewhere || !covers(grant, &line.example.as_ref().unwrap().method, &target) || repeats(&target) {
                continue;
            }
            let example = Example { target: asked.path.clone(), ..line.example.clone().unwrap() };
            // Whether some other api finds an account there that is not the caller's is for the cases.
            if example.verdict(to) == Some(Verdict::Allowed) && !names_accounts(from) {
                prop_assert!(
                    matches!(example.verdict(from), Some(Verdict::Denied(_)) | None),
                    "{:#?}\n{:#?}",
                    line,
                    example
                );
            }
            prop_assert!(
                example.verdict(to) != Some(Verdict::Denied(scopegate::policy::Reason::ScopeInsufficient)),
                "{:#?}\n{:#?}",
                line,
                example
            );
        }
        Ok(())
    }
}

fn names_accounts(policy: &Policy) -> bool {
    policy.apis().iter().any(|api| !api.account.is_empty())
}

fn repeats(target: &Target<'_>) -> bool {
    let mut segments: Vec<_> = (0..).map_while(|place| target.segment(place)).collect();
    segments.sort_unstable();
    segments.windows(2).any(|pair| pair[0] == pair[1])
}

fn covers(grant: &Grant, method: &str, target: &Target<'_>) -> bool {
    !grant.methods.and(MethodSet::of_request(method)).is_empty()
        && grant.regions.iter().any(|region| region.takes(target))
}

/// Whether the line is about such a request of such a caller.
fn has(line: &AccessChange, to: &Policy, asked: &Asked, caller: Option<&Caller>) -> bool {
    let target = Target::parse(asked.path.as_bytes()).unwrap();
    line.grants.iter().any(|grant| {
        let held = grant.scope.as_ref().is_none_or(|scope| {
            let mut needs = grant.required.iter().chain([scope]);
            caller.is_some_and(|caller| needs.all(|name| holds(to, caller, name.as_str())))
        });
        held && covers(grant, &asked.method, &target)
    })
}

fn holds(policy: &Policy, caller: &Caller, name: &str) -> bool {
    let wanted = policy.scope_named(name);
    caller
        .scopes
        .iter()
        .filter_map(|carried| policy.scope_named(carried))
        .any(|id| Some(id) == wanted || policy.scope(id).unwrap().includes == wanted && wanted.is_some())
}

fn carries(aspect: &TokenAspect, from: &Policy, to: &Policy, caller: Option<&Caller>) -> bool {
    let Some(caller) = caller else { return false };
    caller.scopes.iter().any(|carried| match aspect {
        TokenAspect::UndefinedScopes => from.scope_named(carried).is_none(),
        TokenAspect::Scope(name) => to.scope_named(carried) == to.scope_named(name.as_str()),
        TokenAspect::LetterCase => from.scope_named(carried).is_none() && to.scope_named(carried).is_some(),
    })
}

/// Whether the policy lets it through; `None` if it is never judged.
fn allows(policy: &Policy, asked: &Asked, caller: Option<&Caller>, certificate: Option<&Certificate>) -> Option<bool> {
    let judged = asked.judged(policy, caller, certificate, |request, identity| {
        let route = policy.find(request).ok()?;
        Some(policy.enforce(&route, identity).is_ok())
    });
    judged.ok().flatten()
}
