//! The provider's keys change while tokens of theirs are in use.

use std::time::{Duration, Instant};

use harness::wait_for;

use super::gateway::{TARGET, check, start};
use super::provider::Provider;
use super::tokens::{Wanted, parts};

/// How often tokens with unknown keys may set off a fetch.
const INTERVAL: Duration = Duration::from_secs(10);

#[test]
fn a_new_key_counts_with_its_first_token_and_a_removed_one_ends_with_the_next_fetch() {
    let provider = Provider::start();
    let gateway = start(&provider);
    let old = provider.token(Wanted::default());
    check("the first key", &gateway.get(TARGET, &old), 200, "");
    assert_eq!(provider.requests("/jwks"), 1);

    provider.add_key("second");
    let new = provider.token(Wanted::default());
    assert_eq!(parts(&new).0["kid"], "second");
    let begun = Instant::now();
    check("the new key, at once", &gateway.get(TARGET, &new), 200, "");
    println!("the first token of a new key is let through in {:?}", begun.elapsed());
    assert_eq!(provider.requests("/jwks"), 2, "one fetch");
    check("the first key, still in the set", &gateway.get(TARGET, &old), 200, "");

    provider.drop_key("RSA-1");
    provider.add_key("third");
    let newest = provider.token(Wanted::default());
    // Until a fetch tells otherwise, the first key is good, and the third unknown.
    let begun = Instant::now();
    wait_for("the third key", || {
        let response = gateway.get(TARGET, &newest);
        if response.status == 200 {
            return Some(());
        }
        check("the third key, too soon for a fetch", &response, 401, "key_unknown");
        check("the first key, as long", &gateway.get(TARGET, &old), 200, "");
        None
    });
    println!("the next new key is taken {:?} later; tokens may set off a fetch every {INTERVAL:?}", begun.elapsed());
    assert!(begun.elapsed() <= INTERVAL + Duration::from_secs(1), "{:?}", begun.elapsed());
    check("the removed key, though the cache has the token", &gateway.get(TARGET, &old), 401, "key_unknown");
    check("the second key", &gateway.get(TARGET, &new), 200, "");
    assert_eq!(provider.requests("/jwks"), 3);
    let eddsa = Wanted { resource: "https://api.example.com/eddsa", ..Wanted::default() };
    check("a key that stayed", &gateway.get(TARGET, &provider.token(eddsa)), 200, "");
}
