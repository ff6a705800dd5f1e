//! Tokens that are bound to a key or a certificate: the right one opens, and nothing else does.

use harness::{Gateway, PATIENCE, Response};

use super::certificates::Certified;
use super::gateway::{TARGET, ask_with_proof, check, get_with_proof, policy, start, start_on, start_with_tls, url};
use super::holder::Holder;
use super::provider::Provider;
use super::tokens::{JWT, OPAQUE, Wanted};

/// A `GET` with a bearer token through the proxy that has seen this certificate.
fn get_with_certificate(gateway: &Gateway, token: &str, certificate: &str) -> Response {
    gateway.ask("GET", TARGET, &[("Authorization", &format!("Bearer {token}")), ("Client-Cert", certificate)])
}

#[test]
fn a_dpop_bound_token_needs_a_proof_of_its_key_for_this_request_never_seen_before() {
    let provider = Provider::start();
    let gateway = start(&provider);
    for resource in [JWT, OPAQUE] {
        let (holder, other) = (Holder::new(), Holder::new());
        let wanted = Wanted { client: "prover", resource, holder: Some(&holder), ..Wanted::default() };
        let (token, another_token) = (provider.token(wanted), provider.token(wanted));
        let here = url(TARGET);
        let proof = holder.proof("GET", &here, Some(&token));
        let check = |what: &str, response: &Response, good: bool| {
            let (status, reason) = if good { (200, "") } else { (401, "binding_mismatch") };
            check(&format!("{what}, for {resource}"), response, status, reason);
            if !good {
                let challenged = response
                    .headers
                    .iter()
                    .any(|(name, value)| name.eq_ignore_ascii_case("www-authenticate") && value.starts_with("DPoP "));
                assert!(challenged, "{what}: no DPoP challenge: {response:?}");
            }
        };
        check("the right proof", &ask_with_proof(&gateway, &token, &proof), true);
        check("the same proof again", &ask_with_proof(&gateway, &token, &proof), false);
        check("a new one", &get_with_proof(&gateway, &token, &holder), true);
        check("another's key", &get_with_proof(&gateway, &token, &other), false);
        let authorization = format!("DPoP {token}");
        let no_proof = gateway.ask("GET", TARGET, &[("Authorization", &authorization)]);
        check("no proof", &no_proof, false);
        check("sent as a bearer token", &gateway.get(TARGET, &token), false);
        for (what, proof) in [
            ("for another method", holder.proof("PUT", &here, Some(&token))),
            ("for another URL", holder.proof("GET", &url("/data/beta/orders"), Some(&token))),
            ("for another host", holder.proof("GET", &here.replace("api.", "evil."), Some(&token))),
            ("for another token", holder.proof("GET", &here, Some(&another_token))),
            ("for no token", holder.proof("GET", &here, None)),
        ] {
            check(what, &ask_with_proof(&gateway, &token, &proof), false);
        }
        check("the right one still", &get_with_proof(&gateway, &token, &holder), true);
    }
}

#[test]
fn a_nonce_is_given_where_proofs_must_have_one() {
    let provider = Provider::start();
    let gateway = start_on(&policy(&provider).replace("nonce: false", "nonce: true"));
    let holder = Holder::new();
    let token = provider.token(Wanted { client: "prover", holder: Some(&holder), ..Wanted::default() });
    let refusal = get_with_proof(&gateway, &token, &holder);
    assert_eq!(refusal.status, 401, "{refusal:?}");
    assert!(refusal.header("www-authenticate").is_some_and(|it| it.contains("use_dpop_nonce")), "{refusal:?}");
    let nonce = refusal.header("dpop-nonce").expect("a nonce");
    let proof = holder.proof_with_nonce("GET", &url(TARGET), Some(&token), Some(nonce));
    check("with the nonce", &ask_with_proof(&gateway, &token, &proof), 200, "");
}

#[test]
fn an_unbound_token_is_refused_where_proofs_are_required() {
    let provider = Provider::start();
    let gateway = start_on(&policy(&provider).replace("required: false", "required: true"));
    let holder = Holder::new();
    let bound = provider.token(Wanted { client: "prover", holder: Some(&holder), ..Wanted::default() });
    check("bound", &get_with_proof(&gateway, &bound, &holder), 200, "");
    let unbound = provider.token(Wanted::default());
    check("unbound", &gateway.get(TARGET, &unbound), 401, "binding_mismatch");
    // RFC 9449 section 7.1: a proof does not make a bearer token a bound one.
    check("unbound, with a proof", &get_with_proof(&gateway, &unbound, &holder), 401, "binding_mismatch");
}

#[test]
fn a_certificate_bound_token_needs_its_certificate_as_a_trusted_proxy_tells_of_it() {
    let provider = Provider::start();
    let gateway = start(&provider);
    let far_from_proxies = start_on(&policy(&provider).replace("127.0.0.1/32", "192.0.2.1/32"));
    let other = provider.authority.certify("certified", &["certified.example.com"]);
    for (client, own) in [("certified", &provider.certified), ("self-certified", &provider.self_certified)] {
        for resource in [JWT, OPAQUE] {
            let token = provider.token(Wanted { client, resource, ..Wanted::default() });
            let check = |what: &str, response: &Response, status: u16, reason: &str| {
                check(&format!("{what}, by {client} for {resource}"), response, status, reason);
            };
            check("its own", &get_with_certificate(&gateway, &token, &own.header()), 200, "");
            check("none", &gateway.get(TARGET, &token), 401, "binding_mismatch");
            let others = get_with_certificate(&gateway, &token, &other.header());
            check("another's of the same name", &others, 401, "binding_mismatch");
            let told_by_a_stranger = get_with_certificate(&far_from_proxies, &token, &own.header());
            check("told by a stranger", &told_by_a_stranger, 401, "binding_mismatch");
            let unreadable = get_with_certificate(&gateway, &token, ":AAAA:");
            check("unreadable", &unreadable, 400, "header_ambiguous");
        }
    }
}

/// The status of a `GET` by a client that shows this certificate itself, and tells of another.
fn get_over_tls(
    gateway: &Gateway,
    provider: &Provider,
    token: &str,
    shown: Option<&Certified>,
    told: Option<&Certified>,
) -> u16 {
    let authority = reqwest::Certificate::from_pem(provider.authority.pem().as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([authority]);
    if let Some(shown) = shown {
        let pem = shown.pem() + &shown.key_pem();
        builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
    }
    let client = builder.resolve("api.example.com", gateway.address).build().unwrap();
    let url = format!("https://api.example.com:{}{TARGET}", gateway.address.port());
    let mut request = client.get(url).header("Authorization", format!("Bearer {token}"));
    if let Some(told) = told {
        request = request.header("Client-Cert", told.header());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
}

#[test]
fn a_certificate_bound_token_needs_its_certificate_on_the_connection_that_it_comes_by() {
    let provider = Provider::start();
    let gateway = start_with_tls(&provider);
    let own = &provider.certified;
    let other = &provider.authority.certify("certified", &["certified.example.com"]);
    for resource in [JWT, OPAQUE] {
        let token = provider.token(Wanted { client: "certified", resource, ..Wanted::default() });
        for (what, shown, told, status) in [
            ("its own", Some(own), None, 200),
            ("none", None, None, 401),
            ("another's of the same name", Some(other), None, 401),
            ("replayed by nobody, with its own told", None, Some(own), 401),
            ("replayed by another, with its own told", Some(other), Some(own), 401),
            ("its own still, with another's told", Some(own), Some(other), 200),
        ] {
            let found = get_over_tls(&gateway, &provider, &token, shown, told);
            assert_eq!(found, status, "{what}, for {resource}");
        }
        // Beside those that were let through, nothing is forwarded.
        let lines = gateway.audit(if resource == JWT { 6 } else { 12 });
        let refused = lines.iter().filter(|line| line["reason"] == "binding_mismatch").count();
        assert_eq!(refused, lines.len() * 2 / 3, "{lines:?}");
    }
    assert_eq!(gateway.upstream.count(), 4);
}
