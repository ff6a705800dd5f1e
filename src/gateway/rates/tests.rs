//! Which limits a request falls under, and by what it is counted.

use super::*;
use crate::config::{Source, compile};
use crate::policy::UnixTime;

const FILE: &str = r#"
version: 1
listeners: [{ address: "127.0.0.1:1" }]
upstreams: { u: { servers: ["127.0.0.1:2"] } }
issuers: [{ issuer: "https://i", audiences: [a], keys: { file: k } }]
apis:
  - name: a
    upstream: u
    public: ["GET /open", "GET /also"]
    rate_limits: [$LIMITS]
    scopes:
      - { name: one, services: ["GET /one", "GET /uno"], privileges: { more: { services: ["GET /more"] } } }
      - { name: two, services: ["GET /two"] }
  - { name: free, upstream: u, base_path: /free, public: [/free] }
"#;

struct World {
    policy: Policy,
    rates: Option<Box<RateLimits>>,
}

fn world(limits: &str) -> World {
    let text = FILE.replace("$LIMITS", limits);
    let source = Source { shown: "gateway.yaml", directory: std::path::Path::new("/"), text: &text };
    let configuration = compile(&source).unwrap();
    let metrics = Metrics::new().unwrap();
    let rates = RateLimits::new(&configuration.policy, &configuration.settings, &metrics, &Buckets::default());
    World { policy: configuration.policy, rates }
}

fn caller(client: Option<&str>, subject: Option<&str>) -> Caller {
    Caller {
        subject: subject.map(Into::into),
        client: client.map(Into::into),
        expires_at: UnixTime(9),
        ..Caller::supposed("https://i")
    }
}

/// Who asks for what: client, subject, account, the scope that grants, the service's place, the address.
type Asks = (Option<&'static str>, Option<&'static str>, Option<&'static str>, Option<&'static str>, u32, &'static str);

/// Asks for a request and counts it at once.
fn count(
    rates: &RateLimits,
    passing: &Passing<'_>,
    policy: &Policy,
    address: impl FnOnce() -> Option<IpAddr>,
) -> Result<Option<Box<Fields>>, Exceeded> {
    rates.ask(passing, policy, address)?.map(Asked::count).transpose()
}

/// Which of these requests, one after another, pass.
#[track_caller]
fn check(limits: &str, expected: &[(Asks, bool)]) {
    let World { policy, rates } = world(limits);
    let rates = rates.unwrap();
    for (place, ((client, subject, account, scope, service, address), passes)) in expected.iter().enumerate() {
        let caller = (client.is_some() || subject.is_some()).then(|| caller(*client, *subject));
        let passing = Passing {
            api: ApiId(0),
            granting: scope.and_then(|name| policy.scope_named(name)),
            service: Some(ServiceId(*service)),
            caller: caller.as_ref(),
            account: account.map(str::as_bytes),
        };
        let counted = count(&rates, &passing, &policy, || address.parse().ok());
        assert_eq!(counted.is_ok(), *passes, "{limits} request {place} {counted:?}");
    }
}

const A: Asks = (Some("a"), None, None, Some("one"), 2, "192.0.2.1");

#[test]
fn a_client_is_counted_by_its_id_or_subject_or_address() {
    let limit = "{ by: client, requests: 1, per: 1h }";
    let subject: Asks = (None, Some("a"), None, Some("one"), 2, "192.0.2.1");
    let nobody: Asks = (None, None, None, None, 0, "192.0.2.1");
    check(
        limit,
        &[
            (A, true),
            (A, false),
            ((Some("b"), None, None, Some("one"), 2, "192.0.2.1"), true),
            (subject, true),
            (subject, false),
            (nobody, true),
            (nobody, false),
            ((None, None, None, None, 1, "::ffff:192.0.2.1"), false),
            ((None, None, None, None, 0, "2001:db8::1"), true),
            ((None, None, None, None, 0, "2001:db8::ffff"), false),
            ((None, None, None, None, 0, "2001:db8:0:1::1"), true),
            ((None, None, None, None, 0, "unknown"), true),
            ((None, None, None, None, 0, "unknown"), false),
        ],
    );
}

#[test]
fn an_account_is_counted_whoever_touches_it() {
    let by = |client, account| (Some(client), None, account, Some("one"), 2, "192.0.2.1");
    check(
        "{ by: account, requests: 2, per: 1h }",
        &[
            (by("a", Some("acme")), true),
            (by("b", Some("acme")), true),
            (by("c", Some("acme")), false),
            (by("c", Some("beta")), true),
            (by("c", None), true),
            (by("c", None), true),
            (by("c", None), false),
            (by("d", None), true),
        ],
    );
}

#[test]
fn scopes_services_and_pairs_are_counted_each_for_itself_and_a_privilege_with_its_scope() {
    let of = |client, scope, service| (Some(client), None, None, Some(scope), service, "192.0.2.1");
    check(
        "{ by: scope, requests: 2, per: 1h }",
        &[
            (of("a", "one", 2), true),
            (of("b", "one:more", 4), true),
            (of("c", "one", 3), false),
            (of("c", "two", 5), true),
        ],
    );
    check(
        "{ by: [client, service], requests: 1, per: 1h }",
        &[(of("a", "one", 2), true), (of("a", "one", 3), true), (of("b", "one", 2), true), (of("a", "one", 2), false)],
    );
    check(
        "{ by: api, requests: 2, per: 1h }",
        &[(of("a", "one", 2), true), (of("b", "two", 5), true), (of("c", "two", 5), false)],
    );
}

#[test]
fn limits_apply_together_and_one_that_refuses_leaves_the_others_as_they_are() {
    let two: Asks = (Some("a"), None, None, Some("two"), 5, "192.0.2.1");
    check(
        "{ by: client, requests: 3, per: 1h }, { by: api, requests: 1, per: 24h, scopes: [one] }",
        &[(A, true), (A, false), (A, false), (two, true), (two, true), (two, false)],
    );
}

#[test]
fn clients_are_told_what_is_left_in_structured_fields() {
    let World { policy, rates } = world(
        "{ by: client, requests: 60, per: 1m, burst: 2 }, { name: day, by: api, requests: 24, per: 24h }, \
         { by: scope, requests: 1, per: 1m, scopes: [two] }",
    );
    let rates = rates.unwrap();
    let someone = caller(Some("a"), None);
    let one = policy.scope_named("one:more");
    let passing = |granting| Passing { api: ApiId(0), granting, service: None, caller: Some(&someone), account: None };
    let told = |fields: &Fields| fields.headers().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
    let fields = count(&rates, &passing(one), &policy, || None).unwrap().unwrap();
    let policies = "ratelimit-policy: \"client-1m\";q=60;w=60;scopegate-burst=2, \"day\";q=24;w=86400";
    assert_eq!(told(&fields), [policies, "ratelimit: \"client-1m\";r=1;t=1, \"day\";r=23;t=82800"]);
    let fields = count(&rates, &passing(one), &policy, || None).unwrap().unwrap();
    assert_eq!(told(&fields), [policies, "ratelimit: \"client-1m\";r=0;t=1, \"day\";r=22;t=79200"]);
    let exceeded = count(&rates, &passing(one), &policy, || None).unwrap_err();
    assert_eq!((exceeded.limit, exceeded.retry_after), (RateLimitId(0), 1));
    assert_eq!(told(&exceeded.fields), [policies, "ratelimit: \"client-1m\";r=0;t=1"]);
    assert!(told(&count(&rates, &passing(None), &policy, || None).unwrap_err().fields)[0].contains("day"));
    let free = Passing { api: ApiId(1), granting: None, service: None, caller: None, account: None };
    assert!(count(&rates, &free, &policy, || None).unwrap().is_none());
}

#[test]
fn a_policy_without_limits_has_nothing_to_ask() {
    assert!(world("").rates.is_none());
}
