//! Many tokens with key ids that nobody has: the provider is hardly asked for its keys, and good tokens
//! are answered as fast as beside as many requests that are refused for something else.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Connection, Gateway, Signer, Upstream};
use crate::signer::encode;

/// A thousand random key ids in all.
const ROUNDS: usize = 4;
const WAVE: usize = 250;
const SENDERS: usize = 4;

/// How long the provider takes to answer for its keys once the gateway has them.
const SLOW: Duration = Duration::from_secs(2);

/// In which fetches are counted: the interval that the gateway keeps unless the file says otherwise.
const WINDOW: Duration = Duration::from_secs(10);

/// A provider that counts the fetches of its keys, the first of which is fast.
struct Provider {
    fetches: Arc<AtomicUsize>,
    /// Whether one is under way.
    asked: Arc<AtomicBool>,
    server: Upstream,
}

impl Provider {
    fn start() -> Self {
        let (fetches, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, shown) = (Arc::clone(&fetches), Arc::clone(&asked));
        let server = Upstream::answering(move |_| {
            if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                shown.store(true, Ordering::SeqCst);
                thread::sleep(SLOW);
                shown.store(false, Ordering::SeqCst);
            }
            let body = Signer::shared().jwks().to_string();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        });
        Self { fetches, asked, server }
    }

    fn policy(&self) -> String {
        format!(
            r#"
issuers:
  - issuer: https://issuer.example
    audiences: [https://api.example.com]
    keys: {{ url: "http://{}/jwks" }}
apis:
  - name: data
    upstream: backend
    scopes:
      - name: data-read
        services: ["GET /data/**"]
"#,
            self.server.address
        )
    }
}

/// How requests that are refused show who they are.
type Authorization<'f> = dyn Fn(usize) -> Option<String> + Sync + 'f;

/// What was measured of good tokens' requests.
#[derive(Default)]
struct Measured {
    /// While a fetch was under way.
    meanwhile: Vec<Duration>,
    otherwise: Vec<Duration>,
}

fn request(token: Option<&str>) -> Vec<u8> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET /data/x HTTP/1.1\r\nHost: api.example.com\r\n{authorization}\r\n").into_bytes()
}

/// Sends a wave of requests that are refused with this reason, and good ones beside them all the while.
fn wave(
    gateway: &Gateway,
    provider: &Provider,
    good: &str,
    shows: &Authorization<'_>,
    reason: &str,
    measured: &mut Measured,
) {
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::open(gateway.address);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= WAVE {
                            return;
                        }
                        connection.write(&request(shows(number).as_deref()));
                        let response = connection.read_response().expect("an answer");
                        assert_eq!((response.status, &*response.reason()), (401, reason));
                    }
                })
            })
            .collect();
        let beside = scope.spawn(|| {
            let mut connection = Connection::open(gateway.address);
            let (good, mut found) = (request(Some(good)), Measured::default());
            while !over.load(Ordering::Relaxed) {
                let asked_before = provider.asked.load(Ordering::SeqCst);
                let begun = Instant::now();
                connection.write(&good);
                assert_eq!(connection.read_response().expect("an answer").status, 200);
                let passed = begun.elapsed();
                let asked = asked_before && provider.asked.load(Ordering::SeqCst);
                (if asked { &mut found.meanwhile } else { &mut found.otherwise }).push(passed);
                // As a client would; not to be a flood too.
                thread::sleep(Duration::from_micros(200));
            }
            found
        });
        let sent = senders.into_iter().all(|sender| sender.join().is_ok());
        over.store(true, Ordering::Relaxed);
        let found = beside.join().expect("good tokens are let through");
        assert!(sent, "a request was not refused with {reason}");
        measured.meanwhile.extend(found.meanwhile);
        measured.otherwise.extend(found.otherwise);
    });
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn shown(times: &mut [Duration]) -> String {
    let [median, high] = [50, 99].map(|percent| percentile(times, percent));
    format!("p50 {median:?}, p99 {high:?} of {}", times.len())
}

#[test]
fn random_key_ids_make_two_fetches_in_ten_seconds_at_most_and_delay_good_tokens_no_more_than_other_refusals() {
    let provider = Provider::start();
    let gateway = Gateway::start(&provider.policy());
    let good = Signer::shared().token(json!({ "scope": "data-read" }));
    assert_eq!(gateway.get("/data/x", &good).status, 200);
    let (_, rest) = good.split_once('.').unwrap();
    let forged = Mutex::new(0);
    let random_kid = |_: usize| {
        let mut number = forged.lock().unwrap();
        *number += 1;
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": format!("{number}-{}", fastrand::u64(..)) });
        Some(format!("{}.{rest}", encode(header.to_string().as_bytes())))
    };
    let stranger = Signer::new();
    let (no_signature, _) = good.rsplit_once('.').unwrap();
    let badly_signed = |_: usize| Some(format!("{no_signature}.{}", encode(&stranger.sign_rsa(b"something else"))));
    let kinds: [(&str, &Authorization<'_>, &str); 3] = [
        ("no token", &|_| None, "token_missing"),
        ("a known key and another's signature", &badly_signed, "signature_invalid"),
        ("a random key id", &random_kid, "key_unknown"),
    ];
    let mut measured: [Measured; 3] = Default::default();
    let before = provider.fetches.load(Ordering::SeqCst);
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        for ((_, shows, reason), measured) in kinds.iter().zip(&mut measured) {
            wave(&gateway, &provider, &good, shows, reason, measured);
        }
    }
    let (passed, fetches) = (begun.elapsed(), provider.fetches.load(Ordering::SeqCst) - before);
    println!("{} requests with random key ids: {fetches} fetches of {SLOW:?} in {passed:?}", ROUNDS * WAVE);
    for ((kind, ..), measured) in kinds.iter().zip(&mut measured) {
        println!("good tokens beside requests with {kind}: {}", shown(&mut measured.otherwise));
    }
    let [none, _, random] = &mut measured;
    println!("good tokens while a fetch is under way: {}", shown(&mut random.meanwhile));
    assert_eq!(forged.into_inner().unwrap(), ROUNDS * WAVE);
    let windows = usize::try_from(passed.as_secs() / WINDOW.as_secs()).unwrap() + 1;
    assert!((1..=2 * windows).contains(&fetches), "{fetches} fetches in {passed:?}");
    // Generous, as the load generator runs on the same cores: a wait for the provider would be seconds.
    let usual = percentile(&mut none.otherwise, 99);
    assert!(percentile(&mut random.otherwise, 99) <= usual * 3 + Duration::from_millis(5));
    assert!(percentile(&mut random.meanwhile, 99) <= usual * 3 + Duration::from_millis(5));
    assert!(random.meanwhile.len() > 100, "{} good requests during a fetch", random.meanwhile.len());
}
