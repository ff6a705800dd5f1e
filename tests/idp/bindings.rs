//! Tokens that are bound to a key or a certificate: the right one opens, and nothing else does.

use crate::gateway::{TARGET, ask_with_proof, check, get_with_proof, policy, start, start_on, url};
use crate::harness::{Gateway, Response};
use crate::holder::Holder;
use crate::provider::Provider;
use crate::tokens::{JWT, OPAQUE, Wanted};

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
            assert!(unreadable.status == 400 || unreadable.status == 401, "{unreadable:?}");
        }
    }
}
