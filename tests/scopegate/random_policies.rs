//! Random policies, requests and callers: the compiled policy answers as the reference does.

mod considered;
mod differences;
mod draw;

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use scopegate::policy::{
    Basis, Caller, Certificate, Denial, Identity, Injection, MethodSet, PathFault, Permit, Policy, PolicySpec, Request,
    ScopeIds, Target,
};

use crate::reference::{self, Answer, Asked, Refusal};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Each case is a policy that decides three requests of four callers each.
    #[test]
    fn the_compiled_policy_decides_as_the_reference_does(
        policy in draw::policy(),
        bearers in vec(option::weighted(0.95, draw::bearer()), 4),
        drafts in vec(draw::draft(), 3),
    ) {
        let compiled = Policy::compile(policy.clone()).unwrap();
        for bearer in &bearers {
            let caller = bearer.as_ref().map(|bearer| bearer.caller(&policy));
            for draft in &drafts {
                let asked = draft.request(&policy);
                let certificate = certificate(asked.query.is_some());
                let expected = reference::decide(&policy, &asked, caller.as_ref(), certificate.as_ref());
                let seen = decide(&compiled, &asked, caller.as_ref(), certificate.as_ref());
                prop_assert_eq!(&seen, &expected, "{:#?}\n{:#?}\n{:#?}", policy, asked, caller);
            }
        }
    }
}

#[test]
fn the_random_cases_reach_every_answer_of_the_decision() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    let cases = (draw::policy(), option::weighted(0.95, draw::bearer()), draw::draft());
    for _ in 0..5_000 {
        let (policy, bearer, draft) = cases.new_tree(&mut runner).unwrap().current();
        let asked = draft.request(&policy);
        let caller = bearer.map(|bearer| bearer.caller(&policy));
        let certificate = certificate(asked.query.is_some());
        let answer = decide(&Policy::compile(policy.clone()).unwrap(), &asked, caller.as_ref(), certificate.as_ref());
        seen.extend(reached(&policy, &asked, &answer));
    }
    let all = [
        "public",
        "granted",
        "injected",
        "path_ambiguous",
        "header_ambiguous",
        "token_missing",
        "client_unknown",
        "certificate_mismatch",
        "scope_undefined",
        "route_unknown",
        "method_not_allowed",
        "scope_required",
        "scope_insufficient",
        "client_type_rejected",
        "account_missing",
        "account_ambiguous",
        "account_forbidden",
        "reported: token_missing",
        "reported: route_unknown",
        "reported: method_not_allowed",
        "reported: scope_insufficient",
        "reported: account_forbidden",
        "allowed by one of several public services",
        "allowed by a service written as a URL",
        "allowed on a path that was decoded",
        "allowed on a path that stays encoded",
        "allowed six segments deep",
        "allowed in the api of the longer of two bases",
        "allowed beside an exception",
    ];
    let missing: Vec<_> = all.iter().filter(|answer| !seen.contains(**answer)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

/// What a case has shown.
fn reached(policy: &PolicySpec, asked: &Asked, answer: &Answer) -> Vec<&'static str> {
    let (api, by, service, injected) = match answer {
        Answer::Denied(refusal) => return vec![refusal.reason],
        Answer::Reported { refusal, .. } => return vec![reported(refusal.reason)],
        Answer::Allowed { api, by, service, injected, .. } => (api, by, service, injected),
    };
    let of = policy.apis.iter().find(|own| own.name.as_str() == api).unwrap();
    let target = Target::parse(asked.path.as_bytes()).unwrap();
    let shown = [
        (by.is_none(), "public"),
        (by.is_some(), "granted"),
        (injected.is_some(), "injected"),
        (by.is_none() && of.public.len() > 1, "allowed by one of several public services"),
        (service.contains("://"), "allowed by a service written as a URL"),
        (target.is_rewritten(), "allowed on a path that was decoded"),
        (target.path().contains('%'), "allowed on a path that stays encoded"),
        (service.matches('/').count() > 5, "allowed six segments deep"),
        (
            policy.apis.iter().any(|other| other.base_path.segments().len() < of.base_path.segments().len()),
            "allowed in the api of the longer of two bases",
        ),
        (
            of.scopes.iter().any(|scope| Some(scope.name.as_str()) == by.as_deref() && !scope.except.is_empty()),
            "allowed beside an exception",
        ),
    ];
    shown.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, name)| name).collect()
}

impl Asked {
    fn raw_target(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }

    fn header_map(&self) -> HeaderMap {
        let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.headers.iter().map(|(own, value)| (name(own), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn request<'r>(&'r self, target: &'r Target<'r>, headers: &'r HeaderMap) -> Request<'r> {
        Request { method: MethodSet::of_request(&self.method), target, host: &self.host, headers }
    }

    /// What `judge` says of it, unless its target is never judged.
    fn judged<T>(
        &self,
        policy: &Policy,
        caller: Option<&Caller>,
        certificate: Option<&Certificate>,
        judge: impl FnOnce(Request<'_>, Identity<'_>) -> T,
    ) -> Result<T, PathFault> {
        let raw = self.raw_target();
        let target = Target::parse(raw.as_bytes())?;
        let headers = self.header_map();
        let standing = caller.map(|caller| policy.standing(caller));
        let identity = match &standing {
            Some(standing) => Identity::Known { standing, certificate },
            None => Identity::Absent,
        };
        Ok(judge(self.request(&target, &headers), identity))
    }
}

fn decide(policy: &Policy, asked: &Asked, caller: Option<&Caller>, certificate: Option<&Certificate>) -> Answer {
    let judged = asked.judged(policy, caller, certificate, |request, identity| {
        let decided = policy.find(request).and_then(|route| policy.decide(&route, identity));
        answer(policy, decided)
    });
    judged.unwrap_or_else(|fault| Answer::Denied(refusal(policy, &fault.into(), false)))
}

fn answer(policy: &Policy, decided: Result<Permit<'_>, Denial>) -> Answer {
    match decided {
        Ok(permit) => match permit.reported() {
            None => allowed(policy, &permit),
            Some(reported) => Answer::Reported {
                api: policy.api(permit.api()).unwrap().name.to_string(),
                refusal: refusal(policy, &reported.denial, reported.tells_caller),
            },
        },
        Err(denial) => Answer::Denied(refusal(policy, &denial, knows_caller(&denial))),
    }
}

/// What an enforced refusal has shown of its caller, which nobody asks it.
fn knows_caller(denial: &Denial) -> bool {
    !matches!(
        denial,
        Denial::HeaderAmbiguous(_)
            | Denial::TokenMissing
            | Denial::ClientUnknown
            | Denial::CertificateMismatch
            | Denial::ClientAccountMismatch
    )
}

fn refusal(policy: &Policy, denial: &Denial, knows_caller: bool) -> Refusal {
    Refusal {
        reason: denial.reason().as_str(),
        detail: detail(policy, denial),
        api: denial.api().map(|api| policy.api(api).unwrap().name.to_string()),
        knows_caller,
    }
}

/// What the cases must reach of refusals that are only reported.
fn reported(reason: &str) -> &'static str {
    match reason {
        "token_missing" => "reported: token_missing",
        "route_unknown" => "reported: route_unknown",
        "method_not_allowed" => "reported: method_not_allowed",
        "scope_insufficient" => "reported: scope_insufficient",
        "account_forbidden" => "reported: account_forbidden",
        _ => "reported: another",
    }
}

fn allowed(policy: &Policy, permit: &Permit<'_>) -> Answer {
    Answer::Allowed {
        api: policy.api(permit.api()).unwrap().name.to_string(),
        by: match permit.basis() {
            Basis::Public | Basis::TokenEndpoint(_) | Basis::Reported => None,
            Basis::Scope(id) => Some(policy.scope(id).unwrap().name.to_string()),
        },
        service: policy.service(permit.service().unwrap()).unwrap().to_string(),
        account: permit.account().map(|account| account.text().into_owned()),
        injected: permit.injection().map(|injection| match injection {
            Injection::Query(_, account) | Injection::Header(_, account) => account.to_string(),
        }),
    }
}

fn detail(policy: &Policy, denial: &Denial) -> Vec<String> {
    let names = |ids: &ScopeIds| ids.iter().map(|id| policy.scope(*id).unwrap().name.to_string()).collect();
    match denial {
        Denial::ScopeRequired { missing, .. } => names(missing),
        Denial::ScopeInsufficient { alternatives, .. } => names(alternatives),
        _ => vec![],
    }
}

fn certificate(presented: bool) -> Option<Certificate> {
    presented.then(|| Certificate { sha256: [1; 32], subject: "CN=app".into(), san_dns: [].into() })
}
