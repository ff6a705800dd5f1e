//! What a reload keeps, what it begins anew, and what ends with the last that needs it.

use std::sync::Weak;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn equal_settings_keep_keys_and_verdicts() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    let token = key.token(&json!({}));
    let found = world.ask(&token).await.unwrap();
    let next = world.issuers.adopt(&settings(vec![with_keys_at(provider.url())]));
    assert!(next.are_ready());
    let again = next.authenticate(&bearer(&token), &world.policy, 1, NOW).await.unwrap();
    assert!(Arc::ptr_eq(&found, &again));
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_rules_keep_the_keys_and_no_verdict() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    let token = key.token(&json!({}));
    world.ask(&token).await.unwrap();
    let elsewhere = IssuerRules { audiences: ["https://elsewhere.example.com".into()].into(), ..rules() };
    let issuer = config::Issuer { rules: Arc::new(elsewhere), ..with_keys_at(provider.url()) };
    let next = world.issuers.adopt(&settings(vec![issuer]));
    assert!(next.are_ready());
    let ask = async || next.authenticate(&bearer(&token), &world.policy, 2, NOW).await;
    refused(ask().await, TokenFault::AudienceMismatch);
    // The generation that is on its way out still judges by its own.
    world.ask(&token).await.unwrap();
    refused(ask().await, TokenFault::AudienceMismatch);
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_source_begins_anew() {
    let (key, other) = (Key::new("a"), Key::new("b"));
    let (first, second) =
        (Provider::start(Says::ok(jwks(&[&key]))).await, Provider::start(Says::ok(jwks(&[&other]))).await);
    let world = World::ready(unhurried(), vec![with_keys_at(first.url())]).await;
    let token = key.token(&json!({}));
    world.ask(&token).await.unwrap();
    let next = world.issuers.adopt(&settings(vec![with_keys_at(second.url())]));
    eventually("keys", async || next.are_ready()).await;
    refused(next.authenticate(&bearer(&token), &world.policy, 2, NOW).await, TokenFault::KeyUnknown);
    next.authenticate(&bearer(&other.token(&json!({}))), &world.policy, 2, NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_in_no_set_ends_and_is_forgotten() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let World { set, issuers, metrics, .. } = World::ready(quick(), vec![with_keys_at(provider.url())]).await;
    let held: Weak<HeldKeys> = Arc::downgrade(set.states[0].keys.as_ref().unwrap().held());
    let named = || metrics.render().unwrap().contains(ISSUER);
    let next = issuers.adopt(&settings(vec![with_keys_at(provider.url())]));
    drop(set);
    assert!(named() && held.upgrade().is_some());
    let last = issuers.adopt(&settings(vec![]));
    drop(next);
    eventually("the end of its task", async || held.upgrade().is_none()).await;
    assert!(!named());
    assert!(last.are_ready());
    refused(last.authenticate(&bearer(&key.token(&json!({}))), &policy(&[]), 1, NOW).await, TokenFault::IssuerUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_reloads_leave_nothing_behind() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let mut world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    for _ in 0..100 {
        world.set = world.issuers.adopt(&world.settings);
    }
    assert_eq!(world.issuers.at_work.lock().unwrap().states.len(), 1);
    assert_eq!(provider.asked(), 1);
}
