//! Tokens with random key ids: the provider hardly notices, and good tokens not at all.

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

const REQUESTS: usize = 1_000;

/// How long the provider takes to answer for its keys: far longer than any request here should take.
const SLOW: Duration = Duration::from_millis(1_500);

#[test]
fn a_thousand_random_kids_make_at_most_two_fetches_in_ten_seconds_and_good_tokens_do_not_wait() {
    let provider = Provider::start();
    let gateway = start(&provider);
    let good = provider.token(Wanted::default());
    check("a good token", &gateway.get(TARGET, &good), 200, "");
    let quiet = latencies(&gateway, &good, &|answered| answered < REQUESTS);
    provider.slow("/jwks", u64::try_from(SLOW.as_millis()).unwrap());
    let before = provider.requests("/jwks");

    let begun = Instant::now();
    let (asked, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let flooded = thread::scope(|scope| {
        let beside = scope.spawn(|| latencies(&gateway, &good, &|_| !over.load(Ordering::Relaxed)));
        let flood: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    while asked.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                        let forged = with_random_kid(&good);
                        check("a random key id", &gateway.get(TARGET, &forged), 401, "key_unknown");
                    }
                })
            })
            .collect();
        flood.into_iter().for_each(|thread| thread.join().unwrap());
        over.store(true, Ordering::Relaxed);
        beside.join().unwrap()
    });
    let passed = begun.elapsed();

    let fetches = provider.requests("/jwks") - before;
    println!("{REQUESTS} requests with random key ids in {passed:?}: {fetches} fetches, each of which took {SLOW:?}");
    println!("a good token without them: {}; beside them: {}", shown(&quiet), shown(&flooded));
    assert!(passed < Duration::from_secs(10), "the flood took {passed:?}, so that its fetches tell nothing");
    assert!((1..=2).contains(&fetches), "{fetches} fetches");
    assert!(*flooded.last().unwrap() < SLOW / 2, "a good token has waited: {}", shown(&flooded));
}

/// How long each request with a good token takes, sorted, on one connection, as long as `goes_on`.
fn latencies(gateway: &Gateway, token: &str, goes_on: &dyn Fn(usize) -> bool) -> Vec<Duration> {
    let mut connection = Connection::open(gateway.address);
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut taken = Vec::new();
    while goes_on(taken.len()) {
        let begun = Instant::now();
        connection.write(request.as_bytes());
        let response = connection.read_response().expect("an answer");
        taken.push(begun.elapsed());
        check("a good token", &response, 200, "");
    }
    taken.sort_unstable();
    taken
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
