//! How the gateway proves who it is when it asks about a token, as the provider sees it.

use std::fs;
use std::path::Path;

use jsonwebtoken::{DecodingKey, Validation, decode};
use tempfile::TempDir;

use super::*;
use crate::config::ClientAuthentication;
use crate::token::AssertionAlgorithm;
use crate::token::samples::pem;

/// An issuer that is asked by somebody with a private key.
struct Asked {
    provider: Provider,
    world: World,
    directory: TempDir,
}

impl Asked {
    async fn new(signer: &Signer, algorithm: Option<AssertionAlgorithm>) -> Self {
        let says = with(claims(), &json!({ "active": true }));
        let provider = Provider::start(Says::ok(says.to_string())).await;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.pem");
        put(&file, signer);
        let introspection = Introspection {
            url: Some(provider.url().into()),
            client_id: "gate&way".into(),
            authentication: ClientAuthentication::PrivateKey { file, algorithm, key_id: Some("k-1".into()) },
            cache_for: Duration::ZERO,
            jwts: false,
        };
        let issuer = asked_by(introspection);
        Self { world: World::new(quick(), vec![issuer]), provider, directory }
    }

    /// The assertion of the last question, which has no other credentials.
    fn assertion(&self) -> String {
        let question = self.provider.last_question();
        assert!(!question.head.to_ascii_lowercase().contains("authorization:"), "{}", question.head);
        let start = "token=opaque&token_type_hint=access_token&client_assertion_type=\
                     urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=";
        question.body.strip_prefix(start).unwrap_or_else(|| panic!("{}", question.body)).to_owned()
    }
}

fn put(file: &Path, signer: &Signer) {
    fs::write(file, pem("PRIVATE KEY", &signer.pkcs8())).unwrap();
}

/// What a provider makes of an assertion; `None` if it is not signed by that key.
fn read(assertion: &str, signer: &Signer, algorithm: AssertionAlgorithm) -> Option<(Value, Value)> {
    let jwk = serde_json::from_value(signer.jwk()).unwrap();
    let mut validation = Validation::new(algorithm.name().parse().unwrap());
    validation.set_audience(&[ISSUER]);
    validation.leeway = 0;
    let decoded = decode::<Value>(assertion, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).ok()?;
    Some((serde_json::to_value(decoded.header).unwrap(), decoded.claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_signed_for_the_issuer_and_lasts_a_minute() {
    for (signer, algorithm, named) in [
        (&KEYS.rsa, AssertionAlgorithm::Rs256, None),
        (&KEYS.rsa, AssertionAlgorithm::Ps256, Some(AssertionAlgorithm::Ps256)),
        (&KEYS.p256, AssertionAlgorithm::Es256, None),
        (&KEYS.ed25519, AssertionAlgorithm::EdDsa, Some(AssertionAlgorithm::EdDsa)),
    ] {
        let asked = Asked::new(signer, named).await;
        asked.world.ask("opaque").await.unwrap();
        let (header, claims) = read(&asked.assertion(), signer, algorithm).unwrap();
        assert_eq!((&header["alg"], &header["kid"]), (&algorithm.name().into(), &"k-1".into()));
        assert_eq!((&claims["iss"], &claims["sub"]), (&"gate&way".into(), &"gate&way".into()));
        assert_eq!(claims["aud"], ISSUER);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_assertion_is_sent_twice() {
    let asked = Asked::new(&KEYS.p256, None).await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..20 {
        asked.world.ask("opaque").await.unwrap();
        let (_, claims) = read(&asked.assertion(), &KEYS.p256, AssertionAlgorithm::Es256).unwrap();
        assert!(ids.insert(claims["jti"].as_str().unwrap().to_owned()), "{claims}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_key_is_used_and_a_bad_one_is_not() {
    let asked = Asked::new(&KEYS.p256, None).await;
    let file = asked.directory.path().join("key.pem");
    for bad in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        fs::write(&file, bad).unwrap();
        // Nothing tells that it was looked at: give it time for several looks.
        tokio::time::sleep(quick().look * 3).await;
        asked.world.ask("opaque").await.unwrap();
        read(&asked.assertion(), &KEYS.p256, AssertionAlgorithm::Es256).unwrap();
    }
    put(&file, &KEYS.rsa);
    eventually("the new key", async || {
        asked.world.ask("opaque").await.unwrap();
        read(&asked.assertion(), &KEYS.rsa, AssertionAlgorithm::Rs256).is_some()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_sign_as_the_file_asks_is_not_used() {
    let asked = Asked::new(&KEYS.rsa, Some(AssertionAlgorithm::Es256)).await;
    unavailable(asked.world.ask("opaque").await);
    assert_eq!(asked.provider.asked(), 0);
    put(&asked.directory.path().join("key.pem"), &KEYS.p256);
    eventually("a key that can", async || asked.world.ask("opaque").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_counted_by_what_became_of_them() {
    let mut asked = Asked::new(&KEYS.p256, None).await;
    let answer = |members: Value| Says::ok(with(with(claims(), &json!({ "active": true })), &members).to_string());
    let count = async |asked: &Asked, says: Says, result: &str| {
        asked.provider.says(says);
        let _ = asked.world.ask(result).await;
        let series = format!("scopegate_introspections_total{{issuer=\"{ISSUER}\",result=\"{result}\"}}");
        assert_eq!(asked.world.metric::<u64>(&series), 1, "{result}");
    };
    count(&asked, answer(json!({})), "active").await;
    count(&asked, Says::ok("{\"active\":false}"), "inactive").await;
    count(&asked, answer(json!({ "aud": "https://elsewhere.example" })), "rejected").await;
    count(&asked, Says { status: "401 Unauthorized", ..Says::ok("{}") }, "bad_status").await;
    count(&asked, Says::ok("<html>"), "bad_answer").await;
    asked.provider.stop().await;
    count(&asked, Says::ok(""), "unreachable").await;
    let none = asked.world.issuers.adopt(&settings(vec![]));
    let metrics = Arc::clone(&asked.world.metrics);
    drop(asked);
    drop(none);
    eventually("no series", async || !metrics.render().unwrap().contains(ISSUER)).await;
}
