//! Tokens with random key ids: the provider hardly notices them, and good tokens do not either.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::gateway::{TARGET, check, start};
use crate::harness::{Connection, Gateway};
use crate::holder::unique;
use crate::provider::Provider;
use crate::signer::encode;
use crate::tokens::Wanted;

/// As fast as they can be sent; more come one at a time until [`WINDOW`] is over.
const REQUESTS: usize = 1_000;

/// In which fetches are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// How long the provider takes to answer for its keys: far longer than any request here should take.
const SLOW: Duration = Duration::from_millis(1_500);

#[test]
fn a_thousand_random_kids_make_at_most_two_fetches_in_ten_seconds_and_good_tokens_do_not_wait() {
    let provider = Provider::start();
    let gateway = start(&provider);
    let good = provider.token(Wanted::default());
    check("a good token", &gateway.get(TARGET, &good), 200, "");
    let quiet = latencies(&gateway, &good, &|answered| answered < REQUESTS);
    // As many requests that are refused for want of a token: what they cost a good one is their number.
    let without = || check("no token", &gateway.ask("GET", TARGET, &[]), 401, "token_missing");
    let (others, beside_others) = (AtomicUsize::new(0), AtomicBool::new(false));
    let beside_others = thread::scope(|scope| {
        let beside = scope.spawn(|| latencies(&gateway, &good, &|_| !beside_others.load(Ordering::Relaxed)));
        let flood: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    while others.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                        without();
                    }
                })
            })
            .collect();
        let flooded = flood.into_iter().all(|thread| thread.join().is_ok());
        beside_others.store(true, Ordering::Relaxed);
        assert!(flooded, "a request without a token was not refused as it should be");
        beside.join().unwrap()
    });
    provider.slow("/jwks", u64::try_from(SLOW.as_millis()).unwrap());
    let before = provider.requests("/jwks");

    let begun = Instant::now();
    let forged = || {
        check("a random key id", &gateway.get(TARGET, &with_random_kid(&good)), 401, "key_unknown");
    };
    let (asked, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let flooded = thread::scope(|scope| {
        let beside = scope.spawn(|| latencies(&gateway, &good, &|_| !over.load(Ordering::Relaxed)));
        let flood: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    while asked.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                        forged();
                    }
                })
            })
            .collect();
        let flooded = flood.into_iter().all(|thread| thread.join().is_ok());
        over.store(true, Ordering::Relaxed);
        assert!(flooded, "a token with a random key id was not refused as it should be");
        beside.join().unwrap()
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
    println!("a good token by itself: {}", shown(&quiet));
    println!("a good token beside as many requests without a token: {}", shown(&beside_others));
    println!("a good token beside random key ids: {}", shown(&flooded));
    assert!((1..=2).contains(&fetches), "{fetches} fetches");
    assert!(*flooded.last().unwrap() < SLOW / 2, "a good token has waited: {}", shown(&flooded));
}

/// How long each request with a good token takes, sorted, on one connection, as long as `goes_on`.
fn latencies(gateway: &Gateway, token: &str, goes_on: &dyn Fn(usize) -> bool) -> Vec<Duration> {
    let mut connection = Connection::open(gateway.address);
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut latencies = Vec::new();
    while goes_on(latencies.len()) {
        let begun = Instant::now();
        connection.write(request.as_bytes());
        let response = connection.read_response().expect("an answer");
        latencies.push(begun.elapsed());
        check("a good token", &response, 200, "");
    }
    latencies.sort_unstable();
    latencies
}

fn shown(sorted: &[Duration]) -> String {
    let at = |percent: usize| sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)];
    format!("p50 {:?}, p99 {:?}, longest {:?} of {} requests", at(50), at(99), at(100), sorted.len())
}

/// The token with another `kid`: its claims are what they were, and its signature no longer fits.
fn with_random_kid(token: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": unique() });
    format!("{}.{rest}", encode(header.to_string().as_bytes()))
}
