//! What each service comes to, taken apart for explanations, agrees with the decision.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;
use scopegate::policy::{Basis, Caller, Denial, Fate, Identity, MethodSet, Policy, Request, Role, ScopeIds, Target};

use super::{certificate, draw};
use crate::reference::Asked;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_each_service_comes_to_agrees_with_the_decision(
        policy in draw::policy(),
        bearer in draw::bearer(),
        drafts in vec(draw::draft(), 6),
    ) {
        let compiled = Policy::compile(policy.clone()).unwrap();
        let caller = bearer.caller(&policy);
        for draft in &drafts {
            check(&compiled, &draft.request(&policy), &caller)?;
        }
    }
}

fn check(policy: &Policy, asked: &Asked, caller: &Caller) -> Result<(), TestCaseError> {
    let raw = asked.query.as_ref().map_or(asked.path.clone(), |query| format!("{}?{query}", asked.path));
    let Ok(target) = Target::parse(raw.as_bytes()) else { return Ok(()) };
    let mut headers = HeaderMap::new();
    for (name, value) in &asked.headers {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let method = MethodSet::of_request(&asked.method);
    let request = Request { method, target: &target, host: &asked.host, headers: &headers };
    let Ok(route) = policy.find(request) else { return Ok(()) };
    let certificate = certificate(asked.query.is_some());
    let standing = policy.standing(caller);
    let identity = Identity::Known { standing: &standing, certificate: certificate.as_ref() };
    let considered = policy.consider(&request, Some((&standing, certificate.as_ref())));
    let lost = |fate: &Fate| matches!(fate, Fate::OtherMethod | Fate::Excepted(_));
    match policy.enforce(&route, identity) {
        Ok(permit) => {
            let by = considered.iter().find(|considered| Some(considered.listing.id) == permit.service()).unwrap();
            prop_assert_eq!(&by.fate, &Fate::Permits);
            prop_assert_eq!(by.listing.api, permit.api());
            if permit.basis() != Basis::Public {
                let named = by.named.first().map(|(_, account)| account.clone());
                prop_assert_eq!(named, permit.account().map(|account| account.text().into_owned()));
            }
        }
        Err(Denial::RouteUnknown | Denial::MethodNotAllowed { .. }) => {
            prop_assert!(considered.iter().all(|considered| lost(&considered.fate)), "{considered:?}");
        }
        Err(Denial::ScopeInsufficient { api, alternatives }) => {
            let own = considered.iter().filter(|considered| considered.listing.api == api && !lost(&considered.fate));
            let mut needed: ScopeIds = own
                .clone()
                .filter_map(|considered| match considered.listing.role {
                    Role::Grant { scope, .. } => Some(scope),
                    Role::Public | Role::TokenEndpoint(_) => None,
                })
                .collect();
            needed.sort_unstable();
            needed.dedup();
            prop_assert_eq!(needed, alternatives);
            prop_assert!(own.clone().all(|considered| considered.fate == Fate::NotHeld), "{considered:?}");
        }
        Err(
            denial @ (Denial::ClientTypeRejected { .. }
            | Denial::AccountMissing { .. }
            | Denial::AccountAmbiguous { .. }
            | Denial::AccountForbidden { .. }),
        ) => {
            prop_assert!(considered.iter().any(|considered| considered.fate == Fate::Refused(denial.clone())));
        }
        Err(Denial::ScopeRequired { .. }) => {}
        Err(_) => {
            let asked = |fate: &Fate| lost(fate) || *fate == Fate::NotAsked;
            prop_assert!(considered.iter().all(|considered| asked(&considered.fate)), "{considered:?}");
        }
    }
    Ok(())
}
