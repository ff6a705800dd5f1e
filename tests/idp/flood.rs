//! Tokens with random key ids: the provider hardly notices them, and good tokens do not either.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::encode;
use harness::waves::{Side, measure, request};
use serde_json::json;

use super::gateway::{TARGET, check, start};
use super::holder::unique;
use super::provider::Provider;
use super::tokens::Wanted;

/// As fast as they can be sent; more come one at a time until [`WINDOW`] is over.
const REQUESTS: usize = 1_000;

/// In which fetches are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// How long the provider takes to answer for its keys: far longer than any request here should take.
const SLOW: Duration = Duration::from_millis(1_500);

#[test]
fn a_thousand_random_kids_make_at_most_two_fetches_in_ten_seconds() {
    let provider = Provider::start();
    let gateway = start(&provider);
    let good = provider.token(Wanted::default());
    check("a good token", &gateway.get(TARGET, &good), 200, "");
    provider.slow("/jwks", u64::try_from(SLOW.as_millis()).unwrap());
    let before = provider.requests("/jwks");
    let begun = Instant::now();
    let forged = || {
        check("a random key id", &gateway.get(TARGET, &with_random_kid(&good)), 401, "key_unknown");
    };
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        let flood = || {
            while asked.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                forged();
            }
        };
        for _ in 0..8 {
            scope.spawn(flood);
        }
    });
    let passed = begun.elapsed();
    assert!(passed < WINDOW, "the flood took {passed:?}, so that its fetches tell nothing");
    let at_once = provider.requests("/jwks") - before;
    while begun.elapsed() < WINDOW {
        forged();
        asked.fetch_add(1, Ordering::Relaxed);
    }
    let fetches = provider.requests("/jwks") - before;
    println!("{REQUESTS} requests with random key ids in {passed:?}: {at_once} fetches, each of which took {SLOW:?}");
    println!("{} such requests in {:?}: {fetches} fetches", asked.into_inner(), begun.elapsed());
    assert!((1..=2).contains(&fetches), "{fetches} fetches");
}

#[test]
fn good_tokens_are_answered_as_fast_beside_random_kids_as_beside_other_refusals() {
    let provider = Provider::start();
    let gateway = start(&provider);
    let good = provider.token(Wanted::default());
    check("a good token", &gateway.get(TARGET, &good), 200, "");
    provider.slow("/jwks", u64::try_from(SLOW.as_millis()).unwrap());
    let no_token = || request(TARGET, None);
    let random_kid = || request(TARGET, Some(&with_random_kid(&good)));
    let mut sides = [
        Side::new("nothing", None),
        Side::new("requests without a token", Some((&no_token, "token_missing"))),
        Side::new("requests with random key ids", Some((&random_kid, "key_unknown"))),
    ];
    measure(gateway.address, &request(TARGET, Some(&good)), &mut sides);
    let [_, none, random] = &sides;
    // Generous, as the load generator and the provider run on the same cores.
    let (least, most) = (random.least_percentile(99), none.least_percentile(99) * 3 + Duration::from_millis(5));
    assert!(least <= most, "{least:?}, and beside other refusals {most:?}");
    assert!(random.longest() < SLOW, "{:?}: somebody waited for the provider", random.longest());
}

/// The token with another `kid`: its claims are what they were, and its signature no longer fits.
fn with_random_kid(token: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": unique() });
    format!("{}.{rest}", encode(header.to_string().as_bytes()))
}
