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
    let again = next.authenticate(&bearer(&token), &world.policy, 1, moment(NOW)).await.unwrap();
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
    let ask = async || next.authenticate(&bearer(&token), &world.policy, 2, moment(NOW)).await;
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
    refused(next.authenticate(&bearer(&token), &world.policy, 2, moment(NOW)).await, TokenFault::KeyUnknown);
    next.authenticate(&bearer(&other.token(&json!({}))), &world.policy, 2, moment(NOW)).await.unwrap();
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
    refused(
        last.authenticate(&bearer(&key.token(&json!({}))), &policy(&[]), 1, moment(NOW)).await,
        TokenFault::IssuerUnknown,
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_kept_where_only_times_change_though_the_provider_is_away() {
    let key = Key::new("a");
    let mut provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let short = config::Issuer { stale_keys_for: Duration::from_millis(500), ..with_keys_at(provider.url()) };
    let world = World::ready(quick(), vec![short]).await;
    let token = key.token(&json!({}));
    let found = world.ask(&token).await.unwrap();
    provider.stop().await;
    // Whoever has this much time left makes the keys last.
    let long = config::Issuer { refetch_interval: Duration::from_secs(60), ..with_keys_at(provider.url()) };
    let next = world.issuers.adopt(&settings(vec![long]));
    assert!(next.are_ready());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ask = async |token: &str| next.authenticate(&bearer(token), &world.policy, 2, moment(NOW)).await;
    assert_eq!(ask(&token).await.unwrap().caller, found.caller);
    ask(&key.token(&json!({ "jti": "t-2" }))).await.unwrap();
    // And to keep them no longer ends them at once.
    let none = config::Issuer { stale_keys_for: Duration::ZERO, ..with_keys_at(provider.url()) };
    let last = world.issuers.adopt(&settings(vec![none]));
    let asked = async || last.authenticate(&bearer(&token), &world.policy, 3, moment(NOW)).await;
    eventually("the end of the keys", async || asked().await.is_err()).await;
    unavailable(asked().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_a_reload_adds_is_there_within_two_seconds_of_its_provider_and_delays_no_other() {
    const ADDED: &str = "https://added.example.com";
    let key = Key::new("a");
    let first = Provider::start(Says::ok(jwks(&[&key]))).await;
    let mut second = Provider::silent(Says::ok(jwks(&[&key]))).await;
    let world = World::ready(unhurried(), vec![with_keys_at(first.url())]).await;
    let added = IssuerRules { issuer: ADDED.into(), ..rules() };
    let added = config::Issuer { rules: Arc::new(added), ..with_keys_at(second.url()) };
    let next = world.issuers.adopt(&settings(vec![with_keys_at(first.url()), added]));
    let (of_first, of_added) = (key.token(&json!({})), key.token(&json!({ "iss": ADDED })));
    let ask = async |token: &str| next.authenticate(&bearer(token), &world.policy, 2, moment(NOW)).await;
    ask(&of_first).await.unwrap();
    unavailable(ask(&of_added).await);
    assert!(!next.are_ready());
    in_time("two attempts", next.states[1].keys.as_ref().unwrap().held().attempts.end_of(2)).await;
    second.run().await;
    let up = std::time::Instant::now();
    eventually("a good answer", async || ask(&of_added).await.is_ok()).await;
    assert!(up.elapsed() < Duration::from_secs(2), "{:?}", up.elapsed());
    assert!(next.are_ready());
    assert_eq!(first.asked(), 1);
}
