//! A provider of which the gateway knows nothing but its name, and to which it shows who it is in each
//! of the ways that there are.

use harness::{Gateway, Upstream};

use super::gateway::{TARGET, check, policy};
use super::provider::{Provider, SECRET};
use super::tokens::{JWT, OPAQUE, Wanted};

/// The provider's policy, with keys and introspection discovered.
fn discovering(provider: &Provider) -> String {
    let issuer = provider.issuer();
    policy(provider)
        .replace(&format!("keys: {{ url: {issuer}/jwks }}"), "keys: { discover: true }")
        .replace(&format!("      url: {issuer}/token/introspection\n"), "")
}

/// The policy with what takes the place of the gateway's name and secret.
fn shown_by(policy: &str, keys: &str) -> String {
    let secret = "      client_id: gateway\n      client_secret_file: secret\n";
    assert!(policy.contains(secret));
    policy.replace(secret, keys)
}

fn start(provider: &Provider, policy: &str) -> Gateway {
    let put = |folder: &std::path::Path| {
        for (name, content) in [
            ("secret", SECRET.to_owned()),
            ("key.pem", provider.holder.pem()),
            ("client.pem", provider.certified.pem()),
            ("client.key", provider.certified.key_pem()),
            ("ca.pem", provider.authority.pem()),
        ] {
            std::fs::write(folder.join(name), content).unwrap();
        }
    };
    Gateway::start_with(policy, Upstream::start(), put)
}

/// Tokens of both forms are let through, and one that the provider has revoked is not.
#[track_caller]
fn check_tokens(what: &str, provider: &Provider, gateway: &Gateway) {
    for resource in [JWT, OPAQUE] {
        let token = provider.token(Wanted { resource, ..Wanted::default() });
        check(&format!("{what}: {resource}"), &gateway.get(TARGET, &token), 200, "");
    }
    let revoked = provider.token(Wanted { resource: OPAQUE, ..Wanted::default() });
    provider.revoke("acme", &revoked);
    check(what, &gateway.get(TARGET, &revoked), 401, "token_revoked");
    let answers = |result: &str| {
        let issuer = provider.issuer();
        gateway.metric(&format!("scopegate_introspections_total{{issuer=\"{issuer}\",result=\"{result}\"}}"))
    };
    assert_eq!((answers("active"), answers("inactive")), (Some(1.0), Some(1.0)), "{what}");
}

#[test]
fn its_keys_and_its_introspection_are_found_by_its_name() {
    let provider = Provider::start();
    let gateway = start(&provider, &discovering(&provider));
    check_tokens("a secret", &provider, &gateway);
}

#[test]
fn the_gateway_is_known_by_an_assertion_that_it_signs() {
    let provider = Provider::start();
    let keys = "      client_id: gateway-assertive\n      private_key_file: key.pem\n";
    let gateway = start(&provider, &shown_by(&discovering(&provider), keys));
    check_tokens("an assertion", &provider, &gateway);
}

#[test]
fn the_gateway_is_known_by_a_certificate_that_it_shows() {
    let provider = Provider::start();
    let keys = format!(
        "      url: https://{}/token/introspection\n      client_id: gateway-certified\n      \
         certificate_file: client.pem\n      certificate_key_file: client.key\n",
        provider.tls
    );
    let policy =
        shown_by(&discovering(&provider), &keys).replace("    leeway: 0s\n", "    leeway: 0s\n    ca_file: ca.pem\n");
    let gateway = start(&provider, &policy);
    check_tokens("a certificate", &provider, &gateway);
}
