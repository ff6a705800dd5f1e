//! Issuers: their rules, their keys, and how they are asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::Algorithm;

use super::settings::BOUNDS;
use super::with;
use crate::config::compile::{At, document, issuers};
use crate::config::entry::Entry;
use crate::config::finding::Findings;
use crate::config::{ClientAuthentication, Introspection, Issuer, KeySource};
use crate::token::{AssertionAlgorithm, ClaimPath, ClaimPaths, DpopRules, IssuerRules, ScopeSyntax, TokenType};

pub(super) fn login() -> Issuer {
    let rules = IssuerRules {
        issuer: "https://login.example.com".into(),
        audiences: ["https://api.example.com".into(), "api".into()].into(),
        algorithms: [Algorithm::RS256, Algorithm::ES256].into(),
        token_type: TokenType::Require,
        leeway: 10,
        claims: ClaimPaths {
            scope: [claim(&["scope"]), claim(&["realm_access", "roles"])].into(),
            account: [claim(&["https://example.com/account"])].into(),
            client: [claim(&["client_id"])].into(),
        },
        scope_syntax: ScopeSyntax::Words,
        bounds: BOUNDS,
        dpop: Some(DpopRules { max_age: 90, nonce: true, required: false }),
    };
    Issuer {
        rules: Arc::new(rules),
        keys: Some(KeySource::Url("https://login.example.com/jwks".into())),
        stale_keys_for: Duration::from_secs(3600),
        refetch_interval: Duration::from_secs(10),
        ca_file: None,
        introspection: Some(Introspection {
            url: Some("https://login.example.com/introspect".into()),
            client_id: "gateway".into(),
            authentication: ClientAuthentication::Secret { file: "/etc/scopegate/secrets/idp".into() },
            cache_for: Duration::from_secs(15),
            jwts: false,
        }),
    }
}

pub(super) fn legacy() -> Issuer {
    let rules = IssuerRules {
        issuer: "legacy".into(),
        audiences: ["legacy".into()].into(),
        algorithms: [Algorithm::HS256].into(),
        token_type: TokenType::Off,
        leeway: 30,
        claims: ClaimPaths {
            scope: [claim(&["scope"])].into(),
            account: [claim(&["account_id"])].into(),
            client: [claim(&["client_id"])].into(),
        },
        scope_syntax: ScopeSyntax::Privileges,
        bounds: BOUNDS,
        dpop: None,
    };
    Issuer {
        rules: Arc::new(rules),
        keys: Some(KeySource::File(PathBuf::from("/etc/keys/legacy.json"))),
        stale_keys_for: Duration::from_secs(24 * 3600),
        refetch_interval: Duration::from_secs(10),
        ca_file: None,
        introspection: None,
    }
}

fn claim(names: &[&str]) -> ClaimPath {
    ClaimPath(names.iter().map(|name| (*name).into()).collect())
}

#[test]
fn keys_and_the_introspection_endpoint_can_be_discovered() {
    let settings = with(&[
        ("keys: { url: https://login.example.com/jwks }", "keys: { discover: true }\n    ca_file: tls/ca.pem"),
        ("      url: https://login.example.com/introspect\n", ""),
    ]);
    let issuer = &settings.issuers[0];
    assert_eq!(issuer.keys, Some(KeySource::Discover));
    assert_eq!(issuer.ca_file.as_deref(), Some(Path::new("/etc/scopegate/tls/ca.pem")));
    assert_eq!(issuer.introspection.as_ref().unwrap().url, None);
}

#[test]
fn an_issuer_with_keys_may_be_asked_about_jwts_too() {
    for jwts in [true, false] {
        let settings = with(&[("cache_for: 15s", &format!("jwts: {jwts}"))]);
        assert_eq!(settings.issuers[0].introspection.as_ref().unwrap().jwts, jwts);
    }
}

#[test]
fn unknown_keys_are_asked_for_as_often_as_the_file_says() {
    for (text, expected) in
        [("1s", Duration::from_secs(1)), ("2500ms", Duration::from_millis(2500)), ("10m", Duration::from_secs(600))]
    {
        let settings = with(&[("stale_keys_for: 1h", &format!("refetch_interval: {text}"))]);
        assert_eq!(settings.issuers[0].refetch_interval, expected);
    }
}

#[test]
fn the_gateway_proves_who_it_is_in_one_of_three_ways() {
    let check = |keys: &str, expected: ClientAuthentication| {
        let settings = with(&[("client_secret_file: secrets/idp", keys)]);
        assert_eq!(settings.issuers[0].introspection.as_ref().unwrap().authentication, expected, "{keys}");
    };
    let private_key = |algorithm, key_id: Option<&str>| ClientAuthentication::PrivateKey {
        file: "/etc/scopegate/a.pem".into(),
        algorithm,
        key_id: key_id.map(Into::into),
    };
    check("private_key_file: a.pem", private_key(None, None));
    for (name, algorithm) in AssertionAlgorithm::ALL.map(|algorithm| (algorithm.name(), algorithm)) {
        let keys = format!("private_key_file: a.pem\n      private_key_algorithm: {name}\n      private_key_id: k-1");
        check(&keys, private_key(Some(algorithm), Some("k-1")));
    }
    let certificate =
        ClientAuthentication::Certificate { file: "/etc/scopegate/a.pem".into(), key_file: "/b.pem".into() };
    check("certificate_file: a.pem\n      certificate_key_file: /b.pem", certificate);
}

#[test]
fn every_asymmetric_algorithm_is_the_default() {
    let rules = issuers::issuers(
        Entry::Given(vec![Entry::Given(document::Issuer {
            issuer: Entry::Given("i".to_owned()),
            ..document::Issuer::default()
        })]),
        BOUNDS,
        At::ROOT,
        Path::new(""),
        &mut Findings::default(),
    );
    let names: Vec<_> = rules.list[0].rules.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    assert_eq!(names, ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]);
}
