//! Tokens that are bound to nothing: what they open, whatever their form and however their client
//! came by them.

use harness::wait_for;

use super::gateway::{TARGET, check, policy, start, start_on};
use super::provider::Provider;
use super::tokens::{JWT, OPAQUE, Wanted, parts};

#[test]
fn a_token_opens_what_its_scope_and_account_say_be_it_a_jwt_or_not() {
    let provider = Provider::start();
    let gateway = start(&provider);
    for resource in [JWT, OPAQUE] {
        for (client, scope, method, target, status, reason) in [
            ("acme", "data-read", "GET", "/data/acme/orders", 200, ""),
            ("acme", "data-read", "GET", "/data/beta/orders", 403, "account_forbidden"),
            ("acme", "data-read", "PUT", "/data/acme/orders", 403, "scope_insufficient"),
            ("acme", "data-read", "DELETE", "/data/acme/orders", 405, "method_not_allowed"),
            ("acme", "data-read", "GET", "/elsewhere", 404, "route_unknown"),
            ("beta", "data-read", "GET", "/data/beta/orders", 200, ""),
            ("beta", "data-read", "GET", "/data/acme/orders", 403, "account_forbidden"),
            ("operator", "data-all", "PUT", "/data/beta/orders", 200, ""),
            ("operator", "data-read", "PUT", "/data/beta/orders", 403, "scope_insufficient"),
            ("operator", "data-read", "GET", "/data/beta/orders", 403, "account_forbidden"),
            ("operator", "data-read data-all", "GET", "/data/beta/orders", 200, ""),
            ("assertive", "data-read", "GET", "/data/acme/orders", 200, ""),
        ] {
            let token = provider.token(Wanted { client, scope, resource, holder: None });
            let authorization = format!("Bearer {token}");
            let headers = [("Authorization", authorization.as_str()), ("Content-Length", "0")];
            let response = gateway.ask(method, target, &headers);
            check(&format!("{method} {target} by {client} with {scope} for {resource}"), &response, status, reason);
        }
    }
}

#[test]
fn every_algorithm_that_the_provider_signs_with_is_taken() {
    let provider = Provider::start();
    let gateway = start(&provider);
    for (resource, algorithm) in [
        (JWT, "RS256"),
        ("https://api.example.com/ps256", "PS256"),
        ("https://api.example.com/es256", "ES256"),
        ("https://api.example.com/eddsa", "EdDSA"),
    ] {
        let token = provider.token(Wanted { resource, ..Wanted::default() });
        assert_eq!(parts(&token).0["alg"], algorithm);
        check(algorithm, &gateway.get(TARGET, &token), 200, "");
    }
}

#[test]
fn a_token_for_another_resource_is_refused() {
    let provider = Provider::start();
    let gateway = start(&provider);
    for resource in ["https://other.example.com", "https://other.example.com/opaque"] {
        let token = provider.token(Wanted { resource, ..Wanted::default() });
        check(resource, &gateway.get(TARGET, &token), 401, "audience_mismatch");
    }
}

#[test]
fn the_provider_is_asked_once_about_an_opaque_token() {
    let provider = Provider::start();
    let gateway = start(&provider);
    let token = provider.token(Wanted { resource: OPAQUE, ..Wanted::default() });
    // All at once, and the answer is slow: those that come meanwhile wait for it.
    provider.slow("/token/introspection", 300);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| check("one of twenty", &gateway.get(TARGET, &token), 200, ""));
        }
    });
    for _ in 0..20 {
        check("one after another", &gateway.get(TARGET, &token), 200, "");
    }
    assert_eq!(provider.requests("/token/introspection"), 1);
}

#[test]
fn a_revoked_opaque_token_is_refused_on_its_next_request_where_answers_are_not_kept() {
    let provider = Provider::start();
    let gateway = start_on(&policy(&provider).replace("cache_for: 30s", "cache_for: 0s"));
    let token = provider.token(Wanted { resource: OPAQUE, ..Wanted::default() });
    let other = provider.token(Wanted { resource: OPAQUE, ..Wanted::default() });
    for _ in 0..3 {
        check("before", &gateway.get(TARGET, &token), 200, "");
    }
    provider.revoke("acme", &token);
    check("after", &gateway.get(TARGET, &token), 401, "token_revoked");
    check("another token", &gateway.get(TARGET, &other), 200, "");
}

#[test]
fn a_revoked_opaque_token_is_refused_once_the_answer_about_it_is_too_old() {
    let provider = Provider::start();
    let gateway = start_on(&policy(&provider).replace("cache_for: 30s", "cache_for: 2s"));
    let token = provider.token(Wanted { resource: OPAQUE, ..Wanted::default() });
    check("before", &gateway.get(TARGET, &token), 200, "");
    provider.revoke("acme", &token);
    let revoked = std::time::Instant::now();
    let refusal = wait_for("the refusal", || Some(gateway.get(TARGET, &token)).filter(|it| it.status != 200));
    let passed = revoked.elapsed();
    check("after", &refusal, 401, "token_revoked");
    println!("cache_for: 2s: a revoked opaque token is refused {passed:?} after its revocation");
    assert!(passed.as_secs() < 3, "it passed for {passed:?}, though answers are kept for 2 s");
}

#[test]
fn a_token_on_the_list_is_refused_though_the_cache_has_it_and_the_provider_knows_nothing_of_it() {
    let provider = Provider::start();
    let text = policy(&provider) + "revocations: { file: revoked.jsonl }\n";
    let gateway = harness::Gateway::start_in(&text, |folder| {
        std::fs::write(folder.join("secret"), super::provider::SECRET).unwrap();
        std::fs::write(folder.join("revoked.jsonl"), "").unwrap();
    });
    let token = provider.token(Wanted::default());
    let other = provider.token(Wanted::default());
    for token in [&token, &other] {
        check("before", &gateway.get(TARGET, token), 200, "");
    }
    let claims = parts(&token).1;
    let entry = serde_json::json!({ "jti": claims["jti"], "iss": claims["iss"], "exp": claims["exp"] });
    std::fs::write(gateway.folder.path().join("revoked.jsonl"), format!("{entry}\n")).unwrap();
    let listed = std::time::Instant::now();
    let refusal = wait_for("the refusal", || Some(gateway.get(TARGET, &token)).filter(|it| it.status != 200));
    println!("a token is refused {:?} after it is on the list", listed.elapsed());
    check("after", &refusal, 401, "token_revoked");
    check("another token", &gateway.get(TARGET, &other), 200, "");
}
