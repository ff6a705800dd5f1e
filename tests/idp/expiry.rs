//! Tokens that end while they are in use.

use std::time::Instant;

use harness::now;
use harness::wait_for;

use super::gateway::{TARGET, check, start};
use super::provider::Provider;
use super::tokens::{JWT, OPAQUE, Wanted};

#[test]
fn a_token_is_refused_from_its_expiry_on_though_the_cache_has_it() {
    const LIFETIME: u32 = 3;
    let provider = Provider::start_with_lifetime(LIFETIME);
    let gateway = start(&provider);
    for resource in [JWT, OPAQUE] {
        let issued = now();
        let token = provider.token(Wanted { resource, ..Wanted::default() });
        let begun = Instant::now();
        check(resource, &gateway.get(TARGET, &token), 200, "");
        let refusal = wait_for("the expiry", || Some(gateway.get(TARGET, &token)).filter(|it| it.status != 200));
        println!("a token for {LIFETIME} s is refused after {:?}: {resource}", begun.elapsed());
        // The provider itself no longer knows an opaque token that has expired.
        let reason = if resource == JWT { "token_expired" } else { "token_revoked" };
        check(resource, &refusal, 401, reason);
        assert!(now() - issued <= u64::from(LIFETIME) + 1, "{resource}: it was good for too long");
    }
}
