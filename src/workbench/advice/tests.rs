//! Each kind of advice by a policy that has it and one, as near as can be, that has not.

use std::path::Path;

use super::AdviceKind::{self, *};
use super::advice;
use crate::config::{Problem, Source, compile, remarked};

/// What is said of these apis, and of a file with more keys.
fn said(more: &str, apis: &str) -> Vec<Problem> {
    let issuers = "issuers: [{ issuer: i, audiences: [a], keys: { file: k } }]";
    let issuers = if more.contains("issuers:") { "" } else { issuers };
    let text = format!(
        "version: 1\nlisteners: [{{ address: 127.0.0.1:0 }}]\nupstreams: {{ u: {{ servers: ['h:1'] }} }}\n\
         {issuers}\n{more}\napis:\n{apis}"
    );
    let source = Source { shown: "f", directory: Path::new("."), text: &text };
    let configuration = compile(&source).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    remarked(&advice(&configuration), &configuration.policy, &source)
}

/// `bad` is advised on once, in words that have `words`, and `good` not at all.
#[track_caller]
fn check(kind: AdviceKind, (more, bad): (&str, &str), words: &str, (good_more, good): (&str, &str)) {
    let found = said(more, bad);
    let codes: Vec<_> = found.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [kind.as_str()], "{found:#?}");
    assert!(found[0].message.contains(words), "{}", found[0].message);
    assert_eq!(said(good_more, good), [], "{kind:?}");
}

/// An api `a` under `/a` with these keys.
fn api(rest: &str) -> String {
    format!("  - {{ name: a, base_path: /a, upstream: u, {rest} }}")
}

/// As [`check`], where only the api differs.
#[track_caller]
fn check_api(kind: AdviceKind, bad: &str, words: &str, good: &str) {
    check(kind, ("", &api(bad)), words, ("", &api(good)));
}

#[test]
fn a_service_that_no_request_can_reach() {
    check_api(
        ServiceUnreachable,
        "scopes: [{ name: r, services: [GET /a/x/*, GET /a/y], except: [/a/x/**] }]",
        "`except` takes all of it away",
        "scopes: [{ name: r, services: [GET /a/x/*, GET /a/y], except: [/a/x/b] }]",
    );
    let endpoint = "token_endpoint: { service: POST /a/token, upstream: u }";
    check_api(
        ServiceUnreachable,
        &format!("{endpoint}, scopes: [{{ name: r, services: [GET /a/token] }}]"),
        "the token endpoint `POST /a/token` has its path",
        &format!("{endpoint}, scopes: [{{ name: r, services: [GET /a/tokens] }}]"),
    );
    let (revocations, apis) =
        ("revocations: { file: r, endpoint: /a/revoke }", "scopes: [{ name: r, services: [/a/revoke] }]");
    check(ServiceUnreachable, (revocations, &api(apis)), "the gateway itself answers", ("", &api(apis)));
}

#[test]
fn a_service_of_a_scope_that_is_public() {
    check_api(
        ServicePublic,
        "public: [GET /a/*], scopes: [{ name: r, services: [GET /a/x, POST /a/x] }]",
        "`GET /a/x` asks for no token: the public service `GET /a/*`",
        "public: [GET /a/*], scopes: [{ name: r, services: ['GET,POST /a/x'] }]",
    );
    let hosts = |hosts: &str| {
        format!(
            "  - {{ name: p, hosts: [{hosts}], upstream: u, public: [/x] }}\n  \
             - {{ name: a, hosts: [b.example], upstream: u, scopes: [{{ name: r, services: [/x] }}] }}"
        )
    };
    assert_eq!(said("", &hosts("a.example")), []);
    assert_eq!(said("", &hosts("b.example")).iter().filter(|said| said.code == ServicePublic.as_str()).count(), 1);
}

#[test]
fn a_service_that_is_in_another_of_its_scope() {
    check_api(
        ServiceRepeated,
        "scopes: [{ name: r, services: [GET /a/x/y, 'GET,POST /a/x/**'] }]",
        "`GET /a/x/y` is in `GET,POST /a/x/**` already",
        "scopes: [{ name: r, services: ['GET,PUT /a/x/y', 'GET,POST /a/x/**'] }, { name: s, services: [GET /a/x/y] }]",
    );
    check_api(
        ServiceRepeated,
        "scopes: [{ name: r, services: ['GET /a/{x}', GET /a/*] }]",
        "`GET /a/*` is in `GET /a/{x}` already",
        "account: { path: t }, scopes: [{ name: r, services: ['GET /a/{t}/*', 'GET /a/*/{t}'] }]",
    );
}

#[test]
fn a_service_that_takes_in_those_of_another_api() {
    let apis = |pattern: &str, host: &str| {
        format!(
            "  - {{ name: a, base_path: /a, hosts: [a.example], upstream: u, scopes: [{{ name: r, services: [GET /a/x] }}] }}\n  \
             - {{ name: all, hosts: [{host}], upstream: u, scopes: [{{ name: all, services: ['{pattern}'] }}] }}"
        )
    };
    let words = "`/**` takes in `GET /a/x` of the api `a`: who holds `r` gets through there too";
    let words = words.replace("`r`", "`all`");
    let found = said("", &apis("/**", ""));
    assert_eq!(found.iter().map(|said| said.code).collect::<Vec<_>>(), [ApiOverlap.as_str()]);
    assert_eq!((&*found[0].message, found[0].line), (&*words, 8), "{found:#?}");
    assert_eq!(said("", &apis("POST /**", "")), []);
    assert_eq!(said("", &apis("/**", "b.example")), []);
    assert_eq!(said("", &apis("/b/**", "")), []);
}

#[test]
fn an_exception_that_takes_nothing() {
    check_api(
        ExceptionIdle,
        "scopes: [{ name: r, services: [GET /a/x/*], except: [POST /a/x/y] }]",
        "`POST /a/x/y` takes nothing away: no service of `r`",
        "scopes: [{ name: r, services: [GET /a/x/*], except: ['GET,POST /a/*/y'] }]",
    );
}

#[test]
fn a_scope_that_adds_nothing() {
    check_api(
        ScopeAddsNothing,
        "scopes: [{ name: r, services: [/a/**], privileges: { p: { services: [GET /a/x] } } }]",
        "`r:p` adds nothing to `r`, which it includes",
        "scopes: [{ name: r, services: [GET /a/**], privileges: { p: { services: [/a/x] } } }]",
    );
    check_api(
        ScopeAddsNothing,
        "scopes: [{ name: base, required: true, services: [GET /a/**] }, { name: r, services: [GET /a/x] }]",
        "`r` adds nothing to `base`, which every token must have",
        "scopes: [{ name: base, services: [GET /a/**] }, { name: r, services: [GET /a/x] }]",
    );
    // More accounts are something.
    check_api(
        ScopeAddsNothing,
        "account: { header: X-A }, scopes: [{ name: r, services: [/a/**], privileges: { p: { services: [/a/x] } } }]",
        "`r:p`",
        "account: { header: X-A }, scopes: [{ name: r, confidential_only: true, services: [/a/**], privileges: { p: { accounts: any, services: [/a/x] } } }]",
    );
}

#[test]
fn two_scopes_that_grant_the_same() {
    check_api(
        ScopeDuplicated,
        "scopes: [{ name: r, services: [/a/x, GET /a/y] }, { name: s, services: [GET /a/y, /a/x] }]",
        "`s` grants the same as `r`",
        "scopes: [{ name: r, services: [/a/x] }, { name: s, services: [/a/x], deprecated: true }, { name: t, services: [/a/x], confidential_only: true }]",
    );
}

#[test]
fn an_api_that_lets_through_what_it_refuses() {
    check_api(
        ReportOnly,
        "mode: report_only, scopes: [{ name: r, services: [/a/x] }]",
        "the api `a` only reports: every request under `/a`",
        "mode: enforce, scopes: [{ name: r, services: [/a/x] }]",
    );
}

#[test]
fn an_account_that_the_api_does_not_look_at() {
    check_api(
        AccountUnseen,
        "scopes: [{ name: r, services: ['GET /a/{tenant}/x', 'GET /a/{tenant}/y'] }]",
        "`GET /a/{tenant}/x` shows an account",
        "account: { path: tenant }, scopes: [{ name: r, services: ['GET /a/{tenant}/x', 'GET /a/{tenant}/y'] }]",
    );
}

#[test]
fn every_account_for_whoever_has_a_browser() {
    let scopes = |marks: &str| {
        api(&format!("account: {{ header: X-A }}, scopes: [{{ name: su, accounts: any, {marks} services: [/a/x] }}]"))
    };
    check(AnyForBrowsers, ("", &scopes("")), "browsers among them", ("", &scopes("confidential_only: true,")));
    let public = "clients: [{ id: web, type: public, scopes: [su] }]";
    let server = "clients: [{ id: server, scopes: [su] }, { id: web, type: public, scopes: [] }]";
    check(AnyForBrowsers, (public, &scopes("")), "the public client `web` among them", (server, &scopes("")));
}

#[test]
fn a_required_scope_that_clients_will_not_have() {
    let scopes = |marks: &str| {
        api(&format!("scopes: [{{ name: base, required: true, {marks} }}, {{ name: r, services: [/a/x] }}]"))
    };
    check(RequiredLocksOut, ("", &scopes("deprecated: true")), "it is deprecated", ("", &scopes("deprecated: false")));
    let (metadata, hidden) = ("resource_metadata: { resource: https://a.example }", scopes("show_in_discovery: false"));
    check(RequiredLocksOut, (metadata, &hidden), "the metadata does not list it", ("", &hidden));
}

#[test]
fn a_scope_that_no_client_may_hold() {
    let apis = api(
        "scopes: [{ name: r, services: [/a/x] }, { name: s, services: [/a/y], privileges: { p: { services: [/a/z] } } }]",
    );
    check(
        ScopeUnheld,
        ("clients: [{ id: c, scopes: [r] }]", &apis),
        "no client may hold `s`",
        ("clients: [{ id: c, scopes: [r, 's:p'] }]", &apis),
    );
    check(
        ScopeUnheld,
        ("clients: [{ id: c, scopes: [r, s] }]", &apis),
        "no client may hold `s:p`",
        ("clients: [{ id: c }]", &apis),
    );
    assert_eq!(said("clients: [{ id: c, scopes: [r] }]\nunregistered_clients: allow", &apis), []);
}

#[test]
fn a_deprecated_scope_that_is_still_granted() {
    let apis =
        api("scopes: [{ name: old, deprecated: true, services: [/a/x] }, { name: new, services: [/a/x, /a/y] }]");
    check(
        DeprecatedGranted,
        ("clients: [{ id: c, scopes: [old, new] }]", &apis),
        "`c` may still hold `old`",
        ("clients: [{ id: c }]", &apis),
    );
}

#[test]
fn a_provider_that_is_asked_in_clear() {
    let issuer = |url: &str| format!("issuers: [{{ issuer: i, audiences: [a], keys: {{ url: '{url}' }} }}]");
    let apis = api("scopes: [{ name: r, services: [/a/x] }]");
    let bad = issuer("http://login.example.com/jwks");
    for good in ["https://login.example.com/jwks", "http://127.0.0.1:1/jwks", "http://[::1]/jwks", "http://localhost"] {
        check(
            ProviderInClear,
            (&bad, &apis),
            "`http://login.example.com/jwks` is asked without TLS",
            (&issuer(good), &apis),
        );
    }
}

#[test]
fn advice_is_said_where_it_belongs() {
    let text = api(
        "public: [/a/h], scopes: [{ name: q, services: [/a/q] },\n{ name: r, services: [/a/**], except: [\n/b, /a/h],\nprivileges: { o: { services: [/a/h] }, p: { services: [\n/a/x,\nGET /a/x] } } }]",
    );
    let text = text.replace("/b,", "/a/q,");
    let found = said("", &text);
    let places: Vec<_> = found.iter().map(|said| (said.code, said.line)).collect();
    assert_eq!(places, [("service_public", 10), ("service_repeated", 12)], "{found:#?}");
}

#[test]
fn of_the_repositorys_policy_only_what_is_true_is_said() {
    let text = include_str!("../../../gateway.yaml");
    let source = Source { shown: "gateway.yaml", directory: Path::new("."), text };
    let configuration = compile(&source).unwrap();
    let found = remarked(&advice(&configuration), &configuration.policy, &source);
    // The old name of a scope is there to show that it still works.
    let said: Vec<_> = found.iter().map(|problem| (problem.code, &*problem.message)).collect();
    let old = "`registry-portal` may still hold `read_users`, which is on its way out";
    assert_eq!(said, [(DeprecatedGranted.as_str(), old)]);
}

#[test]
fn the_kinds_have_codes_of_their_own() {
    let codes: hashbrown::HashSet<_> = AdviceKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(codes.len(), AdviceKind::ALL.len());
}
