//! The provider is away: later than the gateway, or gone for a while.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Connection, EndOnDrop, Gateway, wait_for};

use super::gateway::{TARGET, check, fetches, launch, policy, start_on};
use super::provider::Provider;
use super::tokens::{OPAQUE, Wanted};

#[test]
fn a_provider_that_starts_after_the_gateway_is_noticed_within_two_seconds() {
    let provider = Provider::start();
    let token = provider.token(Wanted::default());
    provider.kill();
    let gateway = launch(&provider);
    // Long enough for the gateway to try as seldom as it ever does.
    wait_for("failed fetches", || {
        (reached(&gateway) && fetches(&gateway, &provider, "unreachable") >= 6.0).then_some(())
    });
    let refusal = gateway.get(TARGET, &token);
    check("without keys", &refusal, 503, "issuer_unavailable");
    assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
    assert_eq!(gateway.admin("/readyz").status, 503);

    let listens = provider.start_again();
    wait_for("the first good request", || (gateway.get(TARGET, &token).status == 200).then_some(()));
    let passed = listens.elapsed();
    println!("the first good request came {passed:?} after the provider began to listen");
    assert!(passed < Duration::from_secs(2), "{passed:?}");
    assert_eq!(gateway.admin("/readyz").status, 200);
}

#[test]
fn an_outage_fails_no_request_whose_key_is_known() {
    let provider = Provider::start();
    // As short as the gateway takes it, so that a refresh of its own falls into the outage too.
    provider.say_fresh_for(60);
    let gateway = start_on(&policy(&provider).replace("cache_for: 30s", "cache_for: 1s"));
    let (known, not_seen_before) = (provider.token(Wanted::default()), provider.token(Wanted::default()));
    let opaque = provider.token(Wanted { resource: OPAQUE, ..Wanted::default() });
    for token in [&known, &opaque] {
        check("before", &gateway.get(TARGET, token), 200, "");
    }
    provider.add_key("unknown-to-the-gateway");
    let of_a_new_key = provider.token(Wanted::default());

    let over = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| steady_load(&gateway, &known, &over, &answered));
        }
        // Ends the load even if something here fails.
        let _end = EndOnDrop(&over);
        let gone = Instant::now();
        provider.freeze();
        wait_for("a fetch in vain", || {
            check("a key that nobody can ask for", &gateway.get(TARGET, &of_a_new_key), 503, "issuer_unavailable");
            (fetches(&gateway, &provider, "unreachable") >= 1.0).then_some(())
        });
        provider.kill();
        check("a token not seen before", &gateway.get(TARGET, &not_seen_before), 200, "");
        wait_for("the end of what is known of the opaque token", || {
            let response = gateway.get(TARGET, &opaque);
            (response.status != 200).then(|| check("opaque", &response, 503, "issuer_unavailable"))
        });
        assert_eq!(gateway.admin("/readyz").status, 200, "readiness does not flap");
        thread::sleep(outage().saturating_sub(gone.elapsed()));
        check("a token not seen before, once more", &gateway.get(TARGET, &not_seen_before), 200, "");
        println!("the provider was away for {:?}", gone.elapsed());

        let listens = provider.start_again();
        wait_for("the new key", || (gateway.get(TARGET, &of_a_new_key).status == 200).then_some(()));
        println!("a token of a new key is let through {:?} after the provider began to listen", listens.elapsed());
    });
    let failed = fetches(&gateway, &provider, "unreachable");
    println!("{} requests, none of which failed; {failed} fetches failed", answered.into_inner());
    assert!(failed >= 2.0, "{failed}");
}

/// A minute, or what `SCOPEGATE_OUTAGE_SECONDS` says.
fn outage() -> Duration {
    let seconds = std::env::var("SCOPEGATE_OUTAGE_SECONDS").ok().map(|text| text.parse().expect("whole seconds"));
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Two hundred requests a second at most, each of which must be let through.
fn steady_load(gateway: &Gateway, token: &str, over: &AtomicBool, answered: &AtomicUsize) {
    let mut connection = Connection::open(gateway.address);
    let request = format!("GET {TARGET} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\r\n");
    while !over.load(Ordering::Relaxed) {
        connection.write(request.as_bytes());
        let response = connection.read_response().expect("an answer");
        check("a token of a known key", &response, 200, "");
        answered.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(5));
    }
}

fn reached(gateway: &Gateway) -> bool {
    std::net::TcpStream::connect(gateway.admin).is_ok() && std::net::TcpStream::connect(gateway.address).is_ok()
}
