//! JWTs whose issuer is asked too: nothing that does not verify is asked about, and nothing that is not
//! active passes.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::ClientAuthentication;

/// Where the provider has its keys; it is asked about tokens elsewhere.
const KEYS_AT: &str = "/jwks";

const CACHE_FOR: u64 = 30;

/// An issuer with keys that is asked about its JWTs.
struct Confirmed {
    provider: Provider,
    world: Arc<World>,
    key: Key,
    _directory: TempDir,
}

fn active(members: &Value) -> Says {
    Says::ok(with(json!({ "active": true }), members).to_string())
}

fn inactive() -> Says {
    Says::ok("{\"active\":false}")
}

fn at(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

impl Confirmed {
    async fn new() -> Self {
        Self::caching(CACHE_FOR).await
    }

    async fn caching(cache_for: u64) -> Self {
        let (provider, key) = (Provider::start(active(&json!({}))).await, Key::new("a"));
        provider.says_at(KEYS_AT, Says::ok(jwks(&[&key])));
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        fs::write(&secret, "s3cret").unwrap();
        let introspection = Introspection {
            url: Some(provider.url().into()),
            client_id: "gateway".into(),
            authentication: ClientAuthentication::Secret { file: secret },
            cache_for: Duration::from_secs(cache_for),
            jwts: true,
        };
        let issuer = config::Issuer { introspection: Some(introspection), ..with_keys_at(provider.url_of(KEYS_AT)) };
        let pace = Pace { exchange: Duration::from_millis(500), ..unhurried() };
        let world = Arc::new(World::ready(pace, vec![issuer]).await);
        Self { provider, world, key, _directory: directory }
    }

    /// How often it was asked about tokens.
    fn asked(&self) -> usize {
        self.provider.paths().iter().filter(|path| *path != KEYS_AT).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_jwt_is_asked_about_once_for_as_long_as_an_answer_may_be_kept() {
    let confirmed = Confirmed::new().await;
    let token = confirmed.key.token(&json!({ "scope": "read write" }));
    let found = confirmed.world.ask(&token).await.unwrap();
    assert_eq!(found.headers.scopes.as_ref().unwrap(), "read write");
    assert!(confirmed.provider.last_question().body.starts_with(&format!("token={token}&")));
    for seconds in [0, 1, CACHE_FOR - 1] {
        assert!(Arc::ptr_eq(&found, &confirmed.world.ask_at(&token, at(seconds)).await.unwrap()));
    }
    assert_eq!(confirmed.asked(), 1);
    confirmed.world.ask_at(&token, at(CACHE_FOR)).await.unwrap();
    assert_eq!(confirmed.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_at_the_provider_is_seen_with_the_cache_warm_and_the_refusal_is_kept_briefly() {
    let confirmed = Confirmed::new().await;
    let token = confirmed.key.token(&json!({}));
    confirmed.world.ask(&token).await.unwrap();
    confirmed.provider.says(inactive());
    confirmed.world.ask_at(&token, at(CACHE_FOR - 1)).await.unwrap();
    for seconds in [CACHE_FOR, CACHE_FOR + 4] {
        refused(confirmed.world.ask_at(&token, at(seconds)).await, TokenFault::Revoked);
    }
    assert_eq!(confirmed.asked(), 2);
    confirmed.provider.says(active(&json!({})));
    confirmed.world.ask_at(&token, at(CACHE_FOR + 5)).await.unwrap();
    // Another token of the same claims is another question.
    confirmed.provider.says(inactive());
    refused(confirmed.world.ask(&confirmed.key.token(&json!({ "jti": "other" }))).await, TokenFault::Revoked);
    assert_eq!(confirmed.asked(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_no_longer_than_the_token_or_it_lasts() {
    let confirmed = Confirmed::new().await;
    for (token_ends, said, kept_for) in [(10, 300, 10), (300, 20, 20)] {
        let token = confirmed.key.token(&json!({ "exp": NOW.0 + token_ends }));
        confirmed.provider.says(active(&json!({ "exp": NOW.0 + said })));
        confirmed.world.ask(&token).await.unwrap();
        confirmed.world.ask_at(&token, at(kept_for - 1)).await.unwrap();
        confirmed.provider.says(inactive());
        refused(confirmed.world.ask_at(&token, at(kept_for)).await, TokenFault::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_is_asked_about_by_nobody() {
    let confirmed = Confirmed::new().await;
    let (key, world) = (&confirmed.key, &confirmed.world);
    let good = key.token(&json!({}));
    let (signed, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", Key::new("a").token(&json!({})).rsplit_once('.').unwrap().1);
    let id_token = key.signer.token(Algorithm::ES256, r#"{"alg":"ES256","typ":"jwt+x","kid":"a"}"#, "{}");
    assert!(world.ask(&id_token).await.is_err());
    for (token, fault) in [
        (forged, TokenFault::SignatureInvalid),
        (key.token(&json!({ "aud": "https://elsewhere.example.com" })), TokenFault::AudienceMismatch),
        (key.token(&json!({ "exp": NOW.0 - 100 })), TokenFault::Expired),
        (key.token(&json!({ "nbf": NOW.0 + 100 })), TokenFault::NotYetValid),
        (key.token_of_kid("b", &json!({})), TokenFault::KeyUnknown),
        (key.token(&json!({ "cnf": { "unknown": 1 } })), TokenFault::BindingMismatch),
    ] {
        refused(world.ask(&token).await, fault);
    }
    assert_eq!(confirmed.asked(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_cannot_be_asked_is_unavailable_and_a_kept_answer_stands_until_its_end() {
    let mut confirmed = Confirmed::new().await;
    let (warm, cold) = (confirmed.key.token(&json!({})), confirmed.key.token(&json!({ "jti": "cold" })));
    confirmed.world.ask(&warm).await.unwrap();
    confirmed.provider.hold(true);
    unavailable(in_time("an answer", confirmed.world.ask(&cold)).await);
    confirmed.provider.hold(false);
    confirmed.provider.stop().await;
    unavailable(in_time("an answer", confirmed.world.ask(&cold)).await);
    confirmed.world.ask_at(&warm, at(CACHE_FOR - 1)).await.unwrap();
    unavailable(confirmed.world.ask_at(&warm, at(CACHE_FOR)).await);
    confirmed.provider.run().await;
    confirmed.world.ask_at(&warm, at(CACHE_FOR)).await.unwrap();
    for says in [Says::ok("<html>"), Says::ok("{}"), Says { status: "500 Internal Server Error", ..inactive() }] {
        confirmed.provider.says(says);
        unavailable(confirmed.world.ask(&cold).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_with_one_jwt_ask_once_and_none_is_kept_where_nothing_may_be() {
    for (cache_for, says, good) in [(CACHE_FOR, active(&json!({})), true), (0, inactive(), false)] {
        let confirmed = Confirmed::caching(cache_for).await;
        confirmed.provider.says(says);
        let token = confirmed.key.token(&json!({}));
        confirmed.provider.hold(true);
        let asking: Vec<_> = (0..100)
            .map(|_| {
                let (world, token) = (Arc::clone(&confirmed.world), token.clone());
                tokio::spawn(async move { world.ask(&token).await })
            })
            .collect();
        eventually("a question", async || confirmed.asked() == 1).await;
        confirmed.provider.hold(false);
        for answer in asking {
            assert_eq!(answer.await.unwrap().is_ok(), good);
        }
        assert_eq!(confirmed.asked(), 1);
    }
    let confirmed = Confirmed::caching(0).await;
    let token = confirmed.key.token(&json!({}));
    for times in 1..4 {
        confirmed.world.ask(&token).await.unwrap();
        assert_eq!(confirmed.asked(), times);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_what_token_and_answer_both_say() {
    let confirmed = Confirmed::new().await;
    confirmed.provider.says(active(&json!({ "scope": "write admin" })));
    let found = confirmed.world.ask(&confirmed.key.token(&json!({ "scope": "read write" }))).await.unwrap();
    assert_eq!(found.headers.scopes.as_ref().unwrap(), "write");
    confirmed.provider.says(active(&json!({ "sub": "somebody else" })));
    let answer = confirmed.world.ask(&confirmed.key.token(&json!({ "jti": "other" }))).await;
    let answer = answer.map(|found| found.caller.clone());
    assert!(matches!(answer, Err(Denial::Token(TokenFault::Malformed(_)))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_and_a_setting_that_is_new_hold_at_once() {
    let confirmed = Confirmed::new().await;
    let token = confirmed.key.token(&json!({}));
    confirmed.world.ask(&token).await.unwrap();
    // Whoever asked nobody until now asks about what was let through without.
    let mut issuer = confirmed.world.settings.issuers[0].clone();
    issuer.introspection.as_mut().unwrap().jwts = false;
    let set = confirmed.world.issuers.adopt(&settings(vec![issuer.clone()]));
    confirmed.provider.says(inactive());
    set.authenticate(&bearer(&token), &confirmed.world.policy, 2, moment(NOW)).await.unwrap();
    issuer.introspection.as_mut().unwrap().jwts = true;
    issuer.refetch_interval += Duration::from_secs(1);
    let set = confirmed.world.issuers.adopt(&settings(vec![issuer]));
    refused(set.authenticate(&bearer(&token), &confirmed.world.policy, 3, moment(NOW)).await, TokenFault::Revoked);
    confirmed.provider.says_at(KEYS_AT, Says::ok(jwks(&[&Key::new("b")])));
    assert!(confirmed.world.fetched().await);
    refused(confirmed.world.ask(&token).await, TokenFault::KeyUnknown);
}
