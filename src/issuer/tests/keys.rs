//! Keys from a URL: rotation, outage, bad answers, and who may set off a fetch.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_random_kids_cause_two_fetches_at_most_and_delay_nobody() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let world = Arc::new(World::ready(unhurried(), vec![with_keys_at(provider.url())]).await);
    let good = key.token(&json!({}));
    world.ask(&good).await.unwrap();
    let random = |number| key.token_of_kid(&format!("random-{number}"), &json!({}));
    let tokens: Vec<_> = (0..1000).map(random).collect();
    provider.hold(true);
    let ask = |token: String| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.ask(&token).await })
    };
    let asking: Vec<_> = tokens.into_iter().map(ask).collect();
    provider.asked_times(2).await;
    // While all of those wait for the provider, tokens of known keys do not, cached or new.
    world.ask(&good).await.unwrap();
    world.ask(&key.token(&json!({ "jti": "t-2" }))).await.unwrap();
    provider.hold(false);
    for asked in asking {
        refused(asked.await.unwrap(), TokenFault::KeyUnknown);
    }
    // Nor does it ask again for those that come right afterwards.
    refused(world.ask(&key.token_of_kid("random-1", &json!({}))).await, TokenFault::KeyUnknown);
    refused(world.ask(&key.token_of_kid("one-more", &json!({}))).await, TokenFault::KeyUnknown);
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_comes_up_after_the_gateway_is_noticed_within_two_seconds() {
    let key = Key::new("a");
    let mut provider = Provider::stopped(Says::ok(jwks(&[&key]))).await;
    let world = World::new(unhurried(), vec![with_keys_at(provider.url())]);
    // Long enough that the waits between attempts are as long as they get.
    in_time("four attempts", world.held().attempts.end_of(4)).await;
    assert!(!world.set.are_ready());
    unavailable(world.ask(&key.token(&json!({}))).await);
    provider.run().await;
    let up = Instant::now();
    eventually("a good answer", async || world.ask(&key.token(&json!({}))).await.is_ok()).await;
    assert!(up.elapsed() < Duration::from_secs(2), "{:?}", up.elapsed());
    assert!(world.set.are_ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn fetches_for_unknown_kids_are_as_far_apart_as_the_file_says() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let every = |interval| config::Issuer { refetch_interval: interval, ..with_keys_at(provider.url()) };
    let world = World::ready(unhurried(), vec![every(Duration::from_secs(2))]).await;
    let ask = async |kid: &str| refused(world.ask(&key.token_of_kid(kid, &json!({}))).await, TokenFault::KeyUnknown);
    let begun = Instant::now();
    ask("1").await;
    for kid in 2..50 {
        ask(&kid.to_string()).await;
    }
    assert_eq!(provider.asked(), 2);
    let mut kid = 50;
    while provider.asked() == 2 {
        ask(&kid.to_string()).await;
        kid += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let passed = begun.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&passed), "{passed:?}");
    // Another interval counts at once and costs no keys.
    let next = world.issuers.adopt(&settings(vec![every(Duration::from_secs(600))]));
    assert!(next.are_ready());
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let token = key.token_of_kid("x", &json!({}));
    refused(next.authenticate(&bearer(&token), &world.policy, 2, moment(NOW)).await, TokenFault::KeyUnknown);
    assert_eq!(provider.asked(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_whose_packets_were_lost_is_noticed_within_two_seconds_of_its_return() {
    let key = Key::new("a");
    let token = key.token(&json!({}));
    check_noticed(async || {
        let provider = Provider::silent(Says::ok(jwks(&[&key]))).await;
        let world = Arc::new(World::new(unhurried(), vec![with_keys_at(provider.url())]));
        (provider, world, token.clone())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_stay_in_use_and_ready_while_the_provider_is_down() {
    let key = Key::new("a");
    let mut provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let world = World::ready(quick(), vec![with_keys_at(provider.url())]).await;
    provider.stop().await;
    for attempt in 0..3 {
        assert!(!world.fetched().await);
        world.ask(&key.token(&json!({ "jti": attempt.to_string() }))).await.unwrap();
    }
    assert!(world.set.are_ready());
    // Nobody can tell whether this key exists.
    unavailable(world.ask(&key.token_of_kid("unknown", &json!({}))).await);
    let of_issuer = r#"{issuer="https://login.example.com""#;
    assert!(world.metric::<u64>(&format!(r#"scopegate_issuer_fetches_total{of_issuer},result="unreachable"}}"#)) >= 3);
    assert!(world.metric::<f64>(&format!("scopegate_issuer_keys_age_seconds{of_issuer}}}")) < 30.0);
    provider.run().await;
    eventually("a good fetch", async || world.fetched().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_end_when_they_are_too_old_and_their_cached_tokens_with_them() {
    let key = Key::new("a");
    let mut provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let issuer = config::Issuer { stale_keys_for: Duration::from_millis(50), ..with_keys_at(provider.url()) };
    let world = World::ready(quick(), vec![issuer]).await;
    let token = key.token(&json!({}));
    world.ask(&token).await.unwrap();
    provider.stop().await;
    eventually("the end", async || world.ask(&token).await.is_err()).await;
    unavailable(world.ask(&token).await);
    unavailable(world.ask(&key.token(&json!({ "jti": "t-2" }))).await);
    assert!(world.set.are_ready(), "readiness does not go back");
    provider.run().await;
    eventually("keys again", async || world.ask(&token).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_keys_have_ended_their_return_is_noticed_as_soon_as_at_the_start() {
    let key = Key::new("a");
    let mut provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let issuer = config::Issuer { stale_keys_for: Duration::from_millis(50), ..with_keys_at(provider.url()) };
    let pace = Pace { backoff_without_keys: unhurried().backoff_without_keys, ..quick() };
    let pace = Pace { first_backoff: Duration::from_secs(60), backoff_with_keys: Duration::from_secs(60), ..pace };
    let world = World::ready(pace, vec![issuer]).await;
    provider.stop().await;
    let token = key.token(&json!({}));
    eventually("the end", async || world.ask(&token).await.is_err()).await;
    provider.run().await;
    let up = Instant::now();
    eventually("keys again", async || world.ask(&token).await.is_ok()).await;
    assert!(up.elapsed() < Duration::from_secs(2), "{:?}", up.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_stops_working_though_its_tokens_are_cached() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let provider = Provider::start(Says::ok(jwks(&[&old, &new]))).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    let (of_old, of_new) = (old.token(&json!({})), new.token(&json!({})));
    world.ask(&of_old).await.unwrap();
    world.ask(&of_new).await.unwrap();
    provider.says(Says::ok(jwks(&[&new])));
    assert!(world.fetched().await);
    refused(world.ask(&of_old).await, TokenFault::KeyUnknown);
    world.ask(&of_new).await.unwrap();
    // Nor does another key do that takes its name.
    let other = Key::new("new");
    provider.says(Says::ok(jwks(&[&other])));
    assert!(world.fetched().await);
    refused(world.ask(&of_new).await, TokenFault::SignatureInvalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_fetched_by_its_first_tokens_once() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let provider = Provider::start(Says::ok(jwks(&[&old]))).await;
    let world = Arc::new(World::ready(unhurried(), vec![with_keys_at(provider.url())]).await);
    provider.says(Says::ok(jwks(&[&old, &new])));
    let asking: Vec<_> = (0..100)
        .map(|number| {
            let (world, token) = (Arc::clone(&world), new.token(&json!({ "jti": number.to_string() })));
            tokio::spawn(async move { world.ask(&token).await })
        })
        .collect();
    for asked in asking {
        asked.await.unwrap().unwrap();
    }
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_only_so_long_for_a_new_key() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let pace = Pace { refetch_wait: Duration::from_millis(50), ..unhurried() };
    let world = World::ready(pace, vec![with_keys_at(provider.url())]).await;
    provider.hold(true);
    unavailable(in_time("an answer", world.ask(&key.token_of_kid("unknown", &json!({})))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_key_set_never_replaces_a_good_one() {
    let (key, next) = (Key::new("a"), Key::new("next"));
    let good = jwks(&[&key]);
    let whole = jwks(&[&key, &next]);
    let weak = json!({ "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB" }] }).to_string();
    let provider = Provider::start(Says::ok(good)).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    let bad = [
        ("nothing", Says::ok("")),
        ("no keys", Says::ok("{\"keys\":[]}")),
        ("another object", Says::ok("{}")),
        ("a page", Says::ok("<!doctype html><title>Sign in</title>")),
        ("too long", Says::ok(vec![b' '; 2 * 1024 * 1024])),
        ("too long, padded", Says::ok([whole.clone(), vec![b' '; 1024 * 1024]].concat())),
        ("cut off", Says { cut_at: whole.len() / 2, ..Says::ok(whole.clone()) }),
        ("cut off in itself", Says::ok(&whole[..whole.len() / 2])),
        ("weak keys only", Says::ok(weak)),
        (
            "too long, unannounced",
            Says { announced: false, ..Says::ok([whole.clone(), vec![b' '; 1024 * 1024]].concat()) },
        ),
        ("an error", Says { status: "500 Internal Server Error", ..Says::ok(whole.clone()) }),
        ("no content", Says { status: "204 No Content", ..Says::ok("") }),
        ("elsewhere", Says { status: "302 Found", headers: "Location: /\r\n".into(), ..Says::ok(whole.clone()) }),
    ];
    for (what, says) in bad {
        provider.says(says);
        assert!(!in_time(what, world.fetched()).await, "{what}");
        world.ask(&key.token(&json!({ "jti": what }))).await.unwrap_or_else(|denial| panic!("{what}: {denial:?}"));
    }
    provider.says(Says::ok(whole));
    assert!(world.fetched().await);
    world.ask(&next.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_in_which_a_key_in_use_is_broken_replaces_nothing_and_one_that_says_it_is_withdrawn_does() {
    let (stays, spoilt, new) = (Key::new("stays"), Key::new("spoilt"), Key::new("new"));
    let provider = Provider::start(Says::ok(jwks(&[&stays, &spoilt]))).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    let member = |kid: &str, key: &Key, over: Value| with(with(key.signer.jwk(), &json!({ "kid": kid })), &over);
    let set = |over: Value| {
        let keys = [&stays, &new].map(|key| member(key.kid, key, json!({})));
        let keys: Vec<_> = keys.into_iter().chain([member(spoilt.kid, &spoilt, over)]).collect();
        Says::ok(json!({ "keys": keys }).to_string())
    };
    for broken in
        [json!({ "x": "AAAA" }), json!({ "x": null }), json!({ "y": "!" }), json!({ "y": spoilt.signer.jwk()["x"] })]
    {
        provider.says(set(broken.clone()));
        assert!(!world.fetched().await, "{broken}");
        for key in [&stays, &spoilt] {
            world.ask(&key.token(&json!({ "jti": broken.to_string() }))).await.unwrap();
        }
    }
    // A key that nobody relies on yet spoils nothing, and one that is said to be for something else is gone.
    provider.says(set(json!({ "kid": "never good", "x": "AAAA" })));
    assert!(world.fetched().await);
    world.ask(&new.token(&json!({}))).await.unwrap();
    refused(world.ask(&spoilt.token(&json!({}))).await, TokenFault::KeyUnknown);
    provider.says(set(json!({})));
    assert!(world.fetched().await);
    world.ask(&spoilt.token(&json!({}))).await.unwrap();
    for withdrawn in [json!({ "use": "enc" }), json!({ "d": "AAAA" })] {
        provider.says(set(withdrawn));
        assert!(world.fetched().await);
        refused(world.ask(&spoilt.token(&json!({}))).await, TokenFault::KeyUnknown);
        provider.says(set(json!({})));
        assert!(world.fetched().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_keys_are_left_out_and_the_others_used() {
    let key = Key::new("a");
    let weak = json!({ "kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB" });
    let set = json!({ "keys": [weak, with(key.signer.jwk(), &json!({ "kid": "a" }))] });
    let provider = Provider::start(Says::ok(set.to_string())).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    world.ask(&key.token(&json!({}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_again_before_they_expire() {
    let key = Key::new("a");
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let _world = World::ready(quick(), vec![with_keys_at(provider.url())]).await;
    in_time("fetches", provider.asked_times(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_hangs_delays_no_other() {
    const OTHER: &str = "https://other.example.com";
    let key = Key::new("a");
    let hanging = Provider::start(Says::ok("")).await;
    hanging.hold(true);
    let provider = Provider::start(Says::ok(jwks(&[&key]))).await;
    let other = IssuerRules { issuer: OTHER.into(), ..rules() };
    let other = config::Issuer { rules: Arc::new(other), ..with_keys_at(provider.url()) };
    let world = World::new(unhurried(), vec![with_keys_at(hanging.url()), other]);
    hanging.asked_times(1).await;
    let token = key.token(&json!({ "iss": OTHER }));
    eventually("a good answer", async || world.ask(&token).await.is_ok()).await;
    unavailable(world.ask(&key.token(&json!({}))).await);
    assert!(!world.set.are_ready());
    // And a key of the one is no key of the other.
    refused(world.ask(&key.token(&json!({ "iss": "https://nobody.example.com" }))).await, TokenFault::IssuerUnknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_kid_is_verified_with_keys_that_came_since() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let provider = Provider::start(Says::ok(jwks(&[&old]))).await;
    let world = World::ready(unhurried(), vec![with_keys_at(provider.url())]).await;
    provider.says(Says::ok(jwks(&[&new])));
    let header = json!({ "alg": "ES256", "typ": "at+jwt" }).to_string();
    world.ask(&new.signer.token(Algorithm::ES256, &header, &claims().to_string())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_behind_https_must_speak_tls() {
    let provider = Provider::start(Says::ok(jwks(&[&Key::new("a")]))).await;
    let world = World::new(unhurried(), vec![with_keys_at(provider.url().replace("http:", "https:"))]);
    assert!(!in_time("an attempt", world.held().attempts.end_of(1)).await);
    assert!(!world.set.are_ready());
    assert_eq!(provider.asked(), 0);
}
