//! What a request whose caller is known may allocate: nothing.

use http::{HeaderMap, HeaderName};
use scopegate::policy::{
    AccountSource, ApiName, ApiSpec, BasePath, Policy, PolicySpec, Reach, ScopeName, ScopeSpec, Service, Target,
};

use crate::fixture;

#[track_caller]
fn check(spec: PolicySpec, headers: &HeaderMap) {
    let policy = Policy::compile(spec).unwrap();
    let standing = policy.standing(&fixture::caller());
    let decide = || {
        let target = Target::parse(fixture::TARGET).unwrap();
        let permit = fixture::decide(&policy, &standing, &target, headers);
        assert!(permit.account().is_some());
    };
    decide();
    let counted = allocation_counter::measure(decide);
    assert_eq!(counted.count_total, 0);
}

#[test]
fn parsing_finding_and_deciding_allocate_nothing() {
    for services in [10, 1_000] {
        check(fixture::spec(services), &fixture::headers());
    }
}

#[test]
fn base_paths_within_each_other_allocate_nothing() {
    let mut spec = fixture::spec(100);
    for base in ["/", "/integration", "/integration/default-data/acme", "/integration/default"] {
        let name = ApiName::parse(&format!("at-{}", spec.apis.len())).unwrap();
        let base_path = BasePath::parse(base).unwrap();
        spec.apis.push(ApiSpec { name, base_path, scopes: vec![], ..spec.apis[0].clone() });
    }
    check(spec, &fixture::headers());
}

#[test]
fn exceptions_and_accounts_in_query_and_header_allocate_nothing() {
    let mut spec = fixture::spec(100);
    let api = &mut spec.apis[0];
    api.account.push(AccountSource::Query("account".into()));
    api.account.push(AccountSource::Header(HeaderName::from_static("x-account")));
    let line = |text: &str| Service::parse(&format!("{text} /integration/default-data/{{account}}/packets/admin/**"));
    api.scopes[0].except = ["GET", "*"].into_iter().map(|methods| line(methods).unwrap()).collect();
    let name = ScopeName::parse("other").unwrap();
    api.scopes.push(ScopeSpec { name, reach: Reach::Any, ..api.scopes[0].clone() });
    let mut headers = fixture::headers();
    headers.append("x-account", "acme".parse().unwrap());
    headers.append("connection", "keep-alive, x-other".parse().unwrap());
    check(spec, &headers);
}

#[test]
fn the_counter_counts() {
    let counted = allocation_counter::measure(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(counted.count_total, 1);
}
