//! Random policies, requests and callers: the compiled policy answers as the reference does.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use scopegate::policy::{
    Account, AccountSource, AccountWhenAbsent, ApiName, ApiSpec, BasePath, Basis, Binding, Caller, Certificate,
    CertificateRule, ClientId, ClientSpec, ClientType, Denial, Identity, Injection, InsufficientScopeStatus, Marks,
    MethodSet, Permit, Policy, PolicySpec, PrivilegeSpec, Reach, Request, ScopeIds, ScopeName, ScopeNames, ScopeSpec,
    Service, Target, UndefinedScopes, UnixTime, UnregisteredClients, UpstreamId,
};

use crate::reference::{self, Answer, Asked};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Each case is a policy with twelve requests of four callers: 24,000 decisions a run.
    #[test]
    fn the_compiled_policy_decides_as_the_reference_does(
        policy in policy(),
        callers in vec(option::weighted(0.95, caller()), 4),
        requests in vec(asked(), 3),
    ) {
        let compiled = Policy::compile(policy.clone()).unwrap();
        for caller in &callers {
            for asked in &requests {
                let certificate = certificate(asked.query.is_some());
                let expected = reference::decide(&policy, asked, caller.as_ref(), certificate.as_ref());
                let seen = decide(&compiled, asked, caller.as_ref(), certificate.as_ref());
                prop_assert_eq!(&seen, &expected, "{:#?}\n{:#?}\n{:#?}", policy, asked, caller);
            }
        }
    }
}

#[test]
fn the_random_cases_reach_every_answer_of_the_decision() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3_000 {
        let mut draw = || (policy(), caller(), asked()).new_tree(&mut runner).unwrap().current();
        let (policy, caller, asked) = draw();
        let compiled = Policy::compile(policy).unwrap();
        let certificate = certificate(asked.query.is_some());
        seen.insert(match decide(&compiled, &asked, Some(&caller), certificate.as_ref()) {
            Answer::Allowed { by: None, .. } => "public",
            Answer::Allowed { injected: Some(_), .. } => "injected",
            Answer::Allowed { .. } => "granted",
            Answer::Denied { reason, .. } => reason,
        });
    }
    let all = [
        "public",
        "granted",
        "injected",
        "header_ambiguous",
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
    ];
    let missing: Vec<_> = all.iter().filter(|answer| !seen.contains(**answer)).collect();
    assert!(missing.is_empty(), "never seen: {missing:?}");
}

fn decide(policy: &Policy, asked: &Asked, caller: Option<&Caller>, certificate: Option<&Certificate>) -> Answer {
    let raw = match &asked.query {
        Some(query) => format!("{}?{query}", asked.path),
        None => asked.path.clone(),
    };
    let target = Target::parse(raw.as_bytes()).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in &asked.headers {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let request =
        Request { method: MethodSet::of_request(&asked.method), target: &target, host: &asked.host, headers: &headers };
    let standing = caller.map(|caller| policy.standing(caller));
    let identity = match &standing {
        Some(standing) => Identity::Known { standing, certificate },
        None => Identity::Absent,
    };
    match policy.find(request).and_then(|route| policy.decide(&route, identity)) {
        Ok(permit) => allowed(policy, &permit),
        Err(denial) => Answer::Denied { reason: denial.reason().as_str(), detail: detail(policy, &denial) },
    }
}

fn allowed(policy: &Policy, permit: &Permit<'_>) -> Answer {
    Answer::Allowed {
        api: policy.api(permit.api()).unwrap().name.to_string(),
        by: match permit.basis() {
            Basis::Public | Basis::TokenEndpoint(_) => None,
            Basis::Scope(id) => Some(policy.scope(id).unwrap().name.to_string()),
        },
        service: policy.service(permit.service()).unwrap().to_string(),
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

fn policy() -> impl Strategy<Value = PolicySpec> {
    (
        vec(api(), 1..4),
        option::weighted(0.6, vec(client(), 2)),
        prop_oneof![Just(UndefinedScopes::Ignore), Just(UndefinedScopes::Ignore), Just(UndefinedScopes::Reject)],
        prop_oneof![Just(ScopeNames::CaseSensitive), Just(ScopeNames::CaseInsensitive)],
        prop_oneof![Just(UnregisteredClients::Refuse), Just(UnregisteredClients::Allow)],
    )
        .prop_map(|(mut apis, clients, undefined_scopes, scope_names, unregistered_clients)| {
            for (place, api) in apis.iter_mut().enumerate() {
                name_scopes(place, api);
            }
            let defined: Vec<ScopeName> =
                apis.iter().flat_map(|api| &api.scopes).map(|scope| scope.name.clone()).collect();
            let clients = clients.map(|mut clients| {
                for (place, client) in clients.iter_mut().enumerate() {
                    client.id = ClientId::parse(["app", "web"][place]).unwrap();
                    // A ceiling can only list what is defined.
                    if let Some(scopes) = &mut client.scopes {
                        scopes.retain(|name| defined.contains(name));
                    }
                }
                clients
            });
            PolicySpec { apis, clients, unregistered_clients, undefined_scopes, scope_names, ..PolicySpec::default() }
        })
}

/// Names are unique in a policy: `s0` to `s3` and so on for each api, `:p` and `:q` for privileges.
fn name_scopes(place: usize, api: &mut ApiSpec) {
    api.name = ApiName::parse(&format!("api{place}")).unwrap();
    for (number, scope) in api.scopes.iter_mut().enumerate() {
        let name = format!("s{}", place * 3 + number);
        for (privilege, letter) in scope.privileges.iter_mut().zip(["p", "q"]) {
            privilege.name = ScopeName::parse(&format!("{name}:{letter}")).unwrap();
        }
        scope.name = ScopeName::parse(&name).unwrap();
    }
}

fn api() -> impl Strategy<Value = ApiSpec> {
    (
        select(&["/", "/", "/a", "/a/b"][..]),
        vec(select(&["h", "i:80"][..]), 0..2),
        subsequence(
            vec![
                AccountSource::Path("t".into()),
                AccountSource::Path("u".into()),
                AccountSource::Query("q".into()),
                AccountSource::Header(HeaderName::from_static("x-account")),
            ],
            0..4,
        ),
        any::<bool>(),
        any::<u8>(),
        vec(scope(), 1..4),
        vec(service(), 0..3),
    )
        .prop_map(|(base, hosts, account, injects, public, scopes, public_services)| {
            let base_path = BasePath::parse(base).unwrap();
            let mut api = ApiSpec {
                name: ApiName::parse("x").unwrap(),
                display_name: None,
                base_path,
                hosts: hosts.into_iter().map(Into::into).collect(),
                upstream: UpstreamId(0),
                account,
                account_when_absent: if injects { AccountWhenAbsent::Inject } else { AccountWhenAbsent::Deny },
                insufficient_scope_status: InsufficientScopeStatus::Forbidden,
                public: if public < 50 { public_services } else { vec![] },
                scopes,
            };
            keep_to_the_file_rules(&mut api, base);
            api
        })
}

/// Puts every service under the base, and injection only where there is something to write it in.
fn keep_to_the_file_rules(api: &mut ApiSpec, base: &str) {
    let base = if base == "/" { "" } else { base };
    let under = |service: &mut Service| {
        let (methods, path) = service.as_str().split_once(' ').unwrap();
        *service = Service::parse(&format!("{methods} {base}{path}")).unwrap();
    };
    api.public.iter_mut().for_each(under);
    for scope in &mut api.scopes {
        scope.services.iter_mut().for_each(under);
        scope.except.iter_mut().for_each(under);
        scope.privileges.iter_mut().flat_map(|privilege| &mut privilege.services).for_each(under);
    }
    if !api.account.iter().any(|source| !matches!(source, AccountSource::Path(_))) {
        api.account_when_absent = AccountWhenAbsent::Deny;
    }
}

fn scope() -> impl Strategy<Value = ScopeSpec> {
    let privilege = || {
        (reach(), vec(service(), 0..3)).prop_map(|(reach, services)| PrivilegeSpec {
            name: ScopeName::parse("x").unwrap(),
            reach,
            services,
        })
    };
    (reach(), any::<(u8, u8)>(), vec(service(), 0..4), vec(service(), 0..2), vec(privilege(), 0..3)).prop_map(
        |(reach, (required, confidential), services, except, privileges)| ScopeSpec {
            name: ScopeName::parse("x").unwrap(),
            display_name: None,
            description: None,
            reach,
            marks: Marks { required: required < 20, confidential_only: confidential < 60, ..Marks::default() },
            services,
            except,
            privileges,
        },
    )
}

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![Just(Reach::Own), Just(Reach::Any)]
}

fn service() -> impl Strategy<Value = Service> {
    let segment = select(&["a", "a", "b", "*", "{t}", "{u}"][..]);
    (select(&["GET", "GET,POST", "*", "PUT"][..]), vec(segment, 0..4), any::<bool>()).prop_filter_map(
        "one name twice",
        |(methods, segments, any_rest)| {
            let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            let rest = if any_rest { "/**" } else { "" };
            Service::parse(&format!("{methods} /{}", format!("{path}{rest}").trim_start_matches('/'))).ok()
        },
    )
}

fn client() -> impl Strategy<Value = ClientSpec> {
    (
        option::weighted(0.3, select(&["acme", "beta"][..])),
        option::weighted(0.3, vec(0..9usize, 1..7)),
        any::<bool>(),
        option::weighted(0.2, Just(CertificateRule::Sha256([1; 32]))),
    )
        .prop_map(|(account, ceiling, public, certificate)| ClientSpec {
            id: ClientId::parse("x").unwrap(),
            account: account.and_then(Account::parse),
            scopes: ceiling
                .map(|places| places.iter().map(|place| ScopeName::parse(&format!("s{place}")).unwrap()).collect()),
            client_type: if public { ClientType::Public } else { ClientType::Confidential },
            certificate,
        })
}

fn caller() -> impl Strategy<Value = Caller> {
    let scope = (0..9usize, select(&["s", "s", "s", "S"][..]), select(&["", "", ":p", ":q"][..]), 0..40u8).prop_map(
        |(place, letter, privilege, odd)| if odd == 0 { "other".into() } else { format!("{letter}{place}{privilege}") },
    );
    (
        vec(scope, 0..10),
        subsequence(vec!["acme", "beta", "a@b", "a"], 0..4),
        option::of(select(&["app", "app", "web", "none"][..])),
    )
        .prop_map(|(mut scopes, accounts, client)| {
            scopes.sort();
            scopes.dedup();
            Caller {
                issuer: "https://issuer.example".into(),
                subject: None,
                client: client.map(Into::into),
                accounts: accounts.into_iter().filter_map(Account::parse).collect(),
                scopes: scopes.into_iter().map(Into::into).collect(),
                token_id: None,
                issued_at: None,
                not_before: None,
                expires_at: UnixTime(u64::MAX),
                binding: Binding::default(),
            }
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    let segment = select(&["a", "a", "a", "b", "b", "acme", "beta", "a%40b", "c"][..]);
    let account = || select(&["acme", "beta", "a@b"][..]);
    (
        select(&["GET", "GET", "GET", "POST", "PUT", "DELETE", "BREW", "TRACE"][..]),
        vec(segment, 0..5),
        any::<bool>(),
        option::weighted(0.4, vec((select(&["q", "r"][..]), account()), 1..3)),
        select(&["h", "h:80", "i", "i:80"][..]),
        vec((prop_oneof![4 => Just("x-account"), 1 => Just("origin"), 1 => Just("sec-fetch-mode"), 4 => Just("accept")], account()), 0..3),
    )
        .prop_map(|(method, segments, slash, query, host, headers)| Asked {
            method: method.to_owned(),
            path: match (segments.is_empty(), slash) {
                (true, _) => "/".to_owned(),
                (false, slash) => format!("/{}{}", segments.join("/"), if slash { "/" } else { "" }),
            },
            query: query.map(|pairs| {
                let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key}={}", value.replace('@', "%40"))).collect();
                pairs.join("&")
            }),
            host: host.to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        })
}

fn certificate(presented: bool) -> Option<Certificate> {
    presented.then(|| Certificate { sha256: [1; 32], subject: "CN=app".into(), san_dns: [].into() })
}
