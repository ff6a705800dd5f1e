//! The cache of verified tokens: what stands, what ends, what never gets in.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::issuer::IdentityValues;

async fn world_of(key: &Key, cache: usize) -> (Provider, World) {
    let provider = Provider::start(Says::ok(jwks(&[key]))).await;
    let world = World::of(unhurried(), cache, settings(vec![with_keys_at(provider.url())]));
    eventually("ready", async || world.set.are_ready()).await;
    (provider, world)
}

const AMPLE: usize = 64 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn hits_misses_and_what_had_to_be_made_again_are_counted() {
    let key = Key::new("a");
    let (provider, world) = world_of(&key, AMPLE).await;
    let token = key.token(&json!({}));
    let counts = || {
        ["hit", "miss", "stale"]
            .map(|result| world.metric::<u64>(&format!("scopegate_token_cache_total{{result=\"{result}\"}}")))
    };
    world.ask(&token).await.unwrap();
    assert_eq!(counts(), [0, 1, 0]);
    world.ask(&token).await.unwrap();
    assert_eq!(counts(), [1, 1, 0]);
    world.set.authenticate(&bearer(&token), &world.policy, 2, moment(NOW)).await.unwrap();
    assert_eq!(counts(), [1, 1, 1]);
    provider.says(Says::ok(jwks(&[&Key::new("b")])));
    assert!(world.fetched().await);
    refused(world.ask(&token).await, TokenFault::KeyUnknown);
    assert_eq!(counts(), [1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_generation_makes_its_own_of_a_cached_caller() {
    let key = Key::new("a");
    let (_provider, world) = world_of(&key, AMPLE).await;
    let token = key.token(&json!({}));
    let next = policy(&["write", "audit"]);
    let ask = async |policy, generation| {
        world.set.authenticate(&bearer(&token), policy, generation, moment(NOW)).await.unwrap()
    };
    let first = ask(&world.policy, 1).await;
    assert_eq!(first.headers.scopes.as_ref().unwrap(), "read write");
    let second = ask(&next, 2).await;
    assert_eq!(second.headers.scopes.as_ref().unwrap(), "write");
    assert_eq!(second.standing, next.standing(&second.caller));
    // What the current generation makes of it is kept, though requests of the last one still end.
    assert_eq!(ask(&world.policy, 1).await.headers, first.headers);
    assert!(Arc::ptr_eq(&second, &ask(&next, 2).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_token_ends_with_its_expiry() {
    let key = Key::new("a");
    let (_provider, world) = world_of(&key, AMPLE).await;
    let token = key.token(&json!({ "nbf": NOW.0 }));
    world.ask(&token).await.unwrap();
    let leeway = rules().leeway;
    world.ask_at(&token, UnixTime(NOW.0 + 300 + leeway - 1)).await.unwrap();
    refused(world.ask_at(&token, UnixTime(NOW.0 + 300 + leeway)).await, TokenFault::Expired);
    refused(world.ask_at(&token, UnixTime(NOW.0 - leeway - 1)).await, TokenFault::NotYetValid);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_token_is_too_old_is_remembered_as_long_as_its_key_is_there_and_time_goes_on() {
    let key = Key::new("a");
    let (provider, world) = world_of(&key, AMPLE).await;
    let token = key.token(&json!({}));
    let late = UnixTime(NOW.0 + 1000);
    let known = |token: &str| world.issuers.memory.expired.find(token).map(|found| found.at);
    refused(world.ask_at(&token, late).await, TokenFault::Expired);
    assert_eq!(known(&token), Some(late));
    // Not verified again: that would have been remembered as of now.
    refused(world.ask_at(&token, UnixTime(late.0 + 1)).await, TokenFault::Expired);
    assert_eq!(known(&token), Some(late));
    world.ask(&token).await.unwrap();
    let another = key.token(&json!({ "jti": "another" }));
    refused(world.ask_at(&another, late).await, TokenFault::Expired);
    provider.says(Says::ok(jwks(&[&Key::new("b")])));
    assert!(world.fetched().await);
    refused(world.ask_at(&another, late).await, TokenFault::KeyUnknown);
    let forged = Key::new("b").token(&json!({}));
    refused(world.ask_at(&forged, late).await, TokenFault::SignatureInvalid);
    assert_eq!(known(&forged), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_no_good_neither_grow_the_cache_nor_drive_good_ones_out() {
    let (key, other) = (Key::new("a"), Key::new("a"));
    let (_provider, world) = world_of(&key, 64 * 1024).await;
    let token = key.token(&json!({}));
    let good = world.ask(&token).await.unwrap();
    let (entries, bytes) = (world.issuers.memory.tokens.len(), world.issuers.memory.tokens.bytes());
    for number in 0..500 {
        let id = json!({ "jti": number.to_string() });
        refused(world.ask(&other.token(&id)).await, TokenFault::SignatureInvalid);
        let expired = with(id, &json!({ "exp": NOW.0 - 1000, "iat": NOW.0 - 2000 }));
        refused(world.ask(&key.token(&expired)).await, TokenFault::Expired);
        assert!(world.ask(&format!("a.{number}.c")).await.is_err());
        assert!(world.ask(&format!("opaque-{number}")).await.is_err());
    }
    assert_eq!((world.issuers.memory.tokens.len(), world.issuers.memory.tokens.bytes()), (entries, bytes));
    assert!(Arc::ptr_eq(&good, &world.ask(&token).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_is_bounded_in_bytes() {
    let key = Key::new("a");
    let (_provider, world) = world_of(&key, 64 * 1024).await;
    for number in 0..500 {
        world.ask(&key.token(&json!({ "jti": number.to_string() }))).await.unwrap();
        assert!(world.issuers.memory.tokens.bytes() <= 64 * 1024);
    }
    assert!(world.issuers.memory.tokens.len() > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_new_token_is_verified_once_however_many_bring_it() {
    let key = Key::new("a");
    let (_provider, world) = world_of(&key, AMPLE).await;
    let world = Arc::new(world);
    for round in 0..20 {
        let token = key.token(&json!({ "jti": round.to_string() }));
        let together = Arc::new(tokio::sync::Barrier::new(16));
        let asking: Vec<_> = (0..16)
            .map(|_| {
                let (world, token, together) = (Arc::clone(&world), token.clone(), Arc::clone(&together));
                tokio::spawn(async move {
                    together.wait().await;
                    world.ask(&token).await.unwrap()
                })
            })
            .collect();
        let mut found = Vec::new();
        for asked in asking {
            found.push(asked.await.unwrap());
        }
        // Each verification makes another one.
        assert!(found.iter().all(|one| Arc::ptr_eq(one, &found[0])), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_token_is_answered_at_once_and_without_allocating() {
    let key = Key::new("a");
    let (_provider, world) = world_of(&key, AMPLE).await;
    let token = key.token(&json!({}));
    world.ask(&token).await.unwrap();
    let presented = bearer(&token);
    let counted = allocation_counter::measure(|| {
        let asking = pin!(world.set.authenticate(&presented, &world.policy, 1, moment(NOW)));
        let polled = asking.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))));
    });
    assert_eq!(counted.count_total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_can_be_moved_between_threads() {
    fn movable<F: Future + Send>(future: F) -> F {
        future
    }
    let key = Key::new("a");
    let (_provider, world) = world_of(&key, AMPLE).await;
    movable(world.ask(&key.token(&json!({})))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_for_headers_are_ready_and_none_is_left_out_for_its_characters() {
    let key = Key::new("a");
    let (_provider, world) = world_of(&key, AMPLE).await;
    let found = world.ask(&key.token(&json!({ "sub": "Zoë", "scope": "other write read" }))).await.unwrap();
    assert_eq!(found.headers.subject.as_ref().unwrap().as_bytes(), "Zoë".as_bytes());
    assert_eq!(found.headers.client.as_ref().unwrap(), "acme-integration");
    assert_eq!(found.headers.account.as_ref().unwrap(), "acme");
    assert_eq!(found.headers.scopes.as_ref().unwrap(), "read write");
    let bare = json!({ "sub": null, "client_id": null, "scope": null, "account_id": null });
    assert_eq!(world.ask(&key.token(&bare)).await.unwrap().headers, IdentityValues::default());
    let several = world.ask(&key.token(&json!({ "account_id": ["acme", "other"] }))).await.unwrap();
    assert_eq!(several.headers.account, None);
    for claim in ["sub", "client_id"] {
        let answer = world.ask(&key.token(&json!({ claim: "a\u{7f}b" }))).await.map(|found| found.caller.clone());
        assert!(matches!(answer, Err(Denial::Token(TokenFault::Malformed(_)))), "{claim}: {answer:?}");
    }
}
