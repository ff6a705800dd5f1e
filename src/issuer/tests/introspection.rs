//! Opaque tokens: what is asked, how often, and that nothing but a good answer lets one pass.

use std::fs;
use std::future::poll_fn;
use std::task::Poll;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;
use crate::config::ClientAuthentication;

/// An issuer that is asked at a provider, with its secret in a file.
struct Asked {
    provider: Provider,
    world: Arc<World>,
    directory: TempDir,
}

fn active(members: &Value) -> Says {
    Says::ok(with(with(claims(), &json!({ "active": true })), members).to_string())
}

fn at(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

impl Asked {
    async fn new(says: Says) -> Self {
        Self::caching(says, Duration::from_secs(30)).await
    }

    async fn caching(says: Says, cache_for: Duration) -> Self {
        let pace = Pace { look: quick().look, exchange: Duration::from_millis(500), ..unhurried() };
        Self::at(Provider::start(says).await, cache_for, pace)
    }

    fn at(provider: Provider, cache_for: Duration, pace: Pace) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        fs::write(&secret, "s3 cret\n").unwrap();
        let introspection = Introspection {
            url: Some(provider.url().into()),
            client_id: "gate:way".into(),
            authentication: ClientAuthentication::Secret { file: secret },
            cache_for,
            jwts: false,
        };
        let issuer = asked_by(introspection);
        let world = Arc::new(World::new(pace, vec![issuer]));
        assert!(world.set.are_ready(), "it needs no keys");
        Self { provider, world, directory }
    }

    /// The id and secret of the last question, as they were sent.
    fn last_credentials(&self) -> String {
        let head = self.provider.last_question().head;
        let value = head.lines().find_map(|line| line.strip_prefix("authorization: Basic ")).unwrap().to_owned();
        String::from_utf8(STANDARD.decode(value).unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_active_token_is_asked_about_as_the_rfcs_say_and_once() {
    let asked = Asked::new(active(&json!({}))).await;
    let found = asked.world.ask("opaque/+= token").await.unwrap();
    assert_eq!(found.caller.subject.as_deref(), Some("alice"));
    assert_eq!(found.headers.scopes.as_ref().unwrap(), "read write");
    assert!(Arc::ptr_eq(&found, &asked.world.ask("opaque/+= token").await.unwrap()));
    assert_eq!(asked.provider.asked(), 1);
    let question = asked.provider.last_question();
    assert_eq!(question.body, "token=opaque%2F%2B%3D+token&token_type_hint=access_token");
    assert!(question.head.starts_with("POST /endpoint "), "{}", question.head);
    assert!(question.head.contains("accept: application/json\r\n"), "{}", question.head);
    assert!(question.head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{}", question.head);
    assert_eq!(asked.last_credentials(), "gate%3Away:s3+cret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_with_one_token_ask_once() {
    for (says, good) in [(active(&json!({})), true), (Says::ok("{\"active\":false}"), false)] {
        let asked = Asked::new(says).await;
        asked.provider.hold(true);
        let world = Arc::clone(&asked.world);
        let first = tokio::spawn(async move { world.ask("opaque").await });
        asked.provider.asked_times(1).await;
        let mut others: Vec<_> = (0..99).map(|_| Box::pin(asked.world.ask("opaque"))).collect();
        for other in &mut others {
            // It has begun before there is an answer.
            assert!(poll_fn(|context| Poll::Ready(other.as_mut().poll(context))).await.is_pending());
        }
        asked.provider.hold(false);
        assert_eq!(first.await.unwrap().is_ok(), good);
        for other in others {
            assert_eq!(other.await.is_ok(), good);
        }
        assert_eq!(asked.provider.asked(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_answer_is_used_again_for_so_long_and_never_past_expiry() {
    for (expires_in, used_for) in [(300, 30), (10, 10)] {
        let asked = Asked::new(active(&json!({ "exp": NOW.0 + expires_in }))).await;
        asked.world.ask("opaque").await.unwrap();
        asked.world.ask_at("opaque", at(used_for - 1)).await.unwrap();
        assert_eq!(asked.provider.asked(), 1);
        asked.provider.says(Says::ok("{\"active\":false}"));
        refused(asked.world.ask_at("opaque", at(used_for)).await, TokenFault::Revoked);
        assert_eq!(asked.provider.asked(), 2);
        assert_eq!(asked.world.metric::<u64>("scopegate_token_cache_total{result=\"stale\"}"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_used_again_where_nothing_may_be_remembered() {
    let asked = Asked::caching(active(&json!({})), Duration::ZERO).await;
    for times in 1..4 {
        asked.world.ask("opaque").await.unwrap();
        assert_eq!(asked.provider.asked(), times);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_remembered_briefly_and_apart_from_good_tokens() {
    let asked = Asked::new(active(&json!({}))).await;
    asked.world.ask("good").await.unwrap();
    asked.provider.says(Says::ok("{\"active\":false}"));
    refused(asked.world.ask("bad").await, TokenFault::Revoked);
    asked.provider.says(active(&json!({})));
    refused(asked.world.ask_at("bad", at(4)).await, TokenFault::Revoked);
    assert_eq!(asked.provider.asked(), 2);
    assert_eq!(asked.world.issuers.memory.tokens.len(), 1);
    asked.world.ask_at("bad", at(5)).await.unwrap();
    assert_eq!(asked.provider.asked(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_unavailable_and_remembered_by_nobody() {
    let asked = Asked::new(active(&json!({}))).await;
    let good = active(&json!({})).body;
    for (what, says) in [
        ("an error", Says { status: "500 Internal Server Error", ..active(&json!({})) }),
        ("not authorized", Says { status: "401 Unauthorized", ..active(&json!({})) }),
        ("created", Says { status: "201 Created", ..active(&json!({})) }),
        ("elsewhere", Says { status: "307 Temporary Redirect", headers: "Location: /\r\n".into(), ..Says::ok("") }),
        ("garbage", Says::ok("garbage")),
        ("nothing", Says::ok("")),
        ("a page", Says::ok("<html>")),
        ("no verdict", Says::ok("{}")),
        ("a verdict of the wrong type", Says::ok("{\"active\":\"true\"}")),
        ("two verdicts", Says::ok("{\"active\":false,\"active\":true}")),
        ("too long", Says::ok([good.clone(), vec![b' '; 64 * 1024]].concat())),
        ("cut off", Says { cut_at: good.len() / 2, ..Says::ok(good.clone()) }),
    ] {
        asked.provider.says(says);
        let answer = in_time(what, asked.world.ask("opaque")).await;
        assert_eq!(answer.map(|found| found.caller.clone()), Err(Denial::IssuerUnavailable), "{what}");
    }
    asked.provider.says(active(&json!({})));
    asked.world.ask("opaque").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_slow_or_gone_is_unavailable_in_time() {
    let mut asked = Asked::new(active(&json!({}))).await;
    asked.provider.hold(true);
    unavailable(in_time("an answer", asked.world.ask("opaque")).await);
    asked.provider.hold(false);
    asked.provider.stop().await;
    unavailable(in_time("an answer", asked.world.ask("another")).await);
    asked.provider.run().await;
    asked.world.ask("opaque").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_packets_were_lost_is_asked_within_two_seconds_of_its_return() {
    check_noticed(async || {
        let provider = Provider::silent(active(&json!({}))).await;
        let Asked { provider, world, directory } = Asked::at(provider, Duration::ZERO, unhurried());
        // The secret was read, and the questions that wait are those of this token.
        drop(directory);
        let asking = Arc::clone(&world);
        tokio::spawn(async move { asking.ask("opaque").await.map(drop) });
        (provider, world, "opaque".to_owned())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_judged_as_a_tokens_claims_are() {
    for (members, fault) in [
        (json!({ "iss": "https://other.example.com" }), TokenFault::IssuerUnknown),
        (json!({ "aud": "https://elsewhere.example.com" }), TokenFault::AudienceMismatch),
        (json!({ "exp": NOW.0 - 100 }), TokenFault::Expired),
        (json!({ "nbf": NOW.0 + 100 }), TokenFault::NotYetValid),
    ] {
        let asked = Asked::new(active(&members)).await;
        refused(asked.world.ask("opaque").await, fault);
    }
    let asked = Asked::new(active(&json!({ "scope": [1] }))).await;
    let answer = asked.world.ask("opaque").await.map(|found| found.caller.clone());
    assert!(matches!(answer, Err(Denial::Token(TokenFault::Malformed(_)))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_used_and_a_lost_one_kept() {
    let asked = Asked::caching(active(&json!({})), Duration::ZERO).await;
    let secret = asked.directory.path().join("secret");
    fs::write(&secret, "another").unwrap();
    eventually("the new secret", async || {
        asked.world.ask("opaque").await.unwrap();
        asked.last_credentials() == "gate%3Away:another"
    })
    .await;
    fs::write(&secret, "").unwrap();
    fs::remove_file(&secret).unwrap();
    tokio::time::sleep(quick().look * 3).await;
    asked.world.ask("opaque").await.unwrap();
    assert_eq!(asked.last_credentials(), "gate%3Away:another");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nobody_is_asked() {
    let asked = Asked::new(active(&json!({}))).await;
    let mut issuer = asked.world.settings.issuers[0].clone();
    let file = asked.directory.path().join("none");
    issuer.introspection.as_mut().unwrap().authentication = ClientAuthentication::Secret { file };
    let world = World::new(quick(), vec![issuer]);
    unavailable(world.ask("opaque").await);
    assert_eq!(asked.provider.asked(), 0);
    fs::write(asked.directory.path().join("none"), "now there").unwrap();
    eventually("a secret", async || world.ask("opaque").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_without_keys_is_asked_about_its_jwts() {
    let asked = Asked::new(active(&json!({}))).await;
    let key = Key::new("a");
    asked.world.ask(&key.token(&json!({}))).await.unwrap();
    assert_eq!(asked.provider.asked(), 1);
    refused(asked.world.ask(&key.token(&json!({ "iss": "https://x.example" }))).await, TokenFault::IssuerUnknown);
    assert_eq!(asked.provider.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_an_opaque_token_is_malformed() {
    let provider = Provider::start(Says::ok(jwks(&[&Key::new("a")]))).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    let answer = world.ask("opaque").await.map(|found| found.caller.clone());
    assert!(matches!(answer, Err(Denial::Token(TokenFault::Malformed(_)))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_issuers_answer_does_not_stand() {
    let asked = Asked::new(active(&json!({}))).await;
    asked.world.ask("opaque").await.unwrap();
    let mut issuer = asked.world.settings.issuers[0].clone();
    issuer.rules = Arc::new(IssuerRules { audiences: ["https://elsewhere.example.com".into()].into(), ..rules() });
    let set = asked.world.issuers.adopt(&settings(vec![issuer]));
    let answer = set.authenticate(&bearer("opaque"), &asked.world.policy, 2, moment(NOW)).await;
    refused(answer, TokenFault::AudienceMismatch);
    assert_eq!(asked.provider.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_makes_no_answer_last_longer_and_takes_no_refusal_along() {
    let asked = Asked::new(active(&json!({ "iat": null, "exp": NOW.0 + 300 }))).await;
    let ask_by = async |seconds: i64, passed: u64| {
        let clocks = clocks(UnixTime(NOW.0.saturating_add_signed(seconds)), passed);
        asked.world.set.authenticate(&bearer("opaque"), &asked.world.policy, 1, clocks).await
    };
    ask_by(0, 0).await.unwrap();
    asked.provider.says(Says::ok("{\"active\":false}"));
    // Set back by an hour: for its 30 seconds, and not for an hour more.
    ask_by(-3600 + 29, 29).await.unwrap();
    refused(ask_by(-3600 + 30, 30).await, TokenFault::Revoked);
    assert_eq!(asked.provider.asked(), 2);
    // What was refused by a clock that was an hour ahead is not when it is set right.
    asked.provider.says(active(&json!({ "iat": null, "exp": NOW.0 + 300 })));
    refused(ask_by(3600 + 40, 40).await, TokenFault::Expired);
    ask_by(41, 41).await.unwrap();
    assert_eq!(asked.provider.asked(), 4);
}
