//! Many tokens with key ids that nobody has: the provider is hardly asked for its keys, and good tokens
//! are answered as fast as beside as many requests that are refused for something else.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::encode;
use crate::harness::waves::{Sample, Side, measure, percentile, request, shown};
use crate::harness::{Gateway, Signer, Upstream};

/// How long the provider takes to answer for its keys once the gateway has them.
const SLOW: Duration = Duration::from_secs(1);

/// In which fetches are counted: the interval that the gateway keeps unless the file says otherwise.
const WINDOW: Duration = Duration::from_secs(10);

/// A provider that notes when its keys were fetched; the first fetch is fast.
struct Provider {
    fetches: Arc<Mutex<Vec<Instant>>>,
    server: Upstream,
}

impl Provider {
    fn start() -> Self {
        let fetches: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let noted = Arc::clone(&fetches);
        let server = Upstream::answering(move |_| {
            let earlier = {
                let mut noted = noted.lock().unwrap();
                noted.push(Instant::now());
                noted.len() - 1
            };
            if earlier > 0 {
                thread::sleep(SLOW);
            }
            let body = Signer::shared().jwks().to_string();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        });
        Self { fetches, server }
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

    /// Its fetches but the first.
    fn later_fetches(&self) -> Vec<Instant> {
        self.fetches.lock().unwrap()[1..].to_vec()
    }
}

#[test]
fn random_key_ids_make_two_fetches_in_ten_seconds_at_most_and_delay_good_tokens_no_more_than_other_refusals() {
    let provider = Provider::start();
    let gateway = Gateway::start(&provider.policy());
    let good = Signer::shared().token(json!({ "scope": "data-read" }));
    assert_eq!(gateway.get("/data/x", &good).status, 200);
    let (_, rest) = good.split_once('.').unwrap();
    let random_kid = || {
        let header = json!({ "alg": "RS256", "typ": "at+jwt", "kid": format!("{:032x}", fastrand::u128(..)) });
        request("/data/x", Some(&format!("{}.{rest}", encode(header.to_string().as_bytes()))))
    };
    let no_token = || request("/data/x", None);
    let mut sides = [
        Side::new("nothing", None),
        Side::new("requests without a token", Some((&no_token, "token_missing"))),
        Side::new("requests with random key ids", Some((&random_kid, "key_unknown"))),
    ];
    let begun = Instant::now();
    measure(gateway.address, &request("/data/x", Some(&good)), &mut sides);
    let passed = begun.elapsed();
    let fetches = provider.later_fetches();
    let [_, none, random] = &sides;
    println!("{} random key ids in {passed:?}: {} fetches, each of which took {SLOW:?}", random.refused, fetches.len());
    let meanwhile = |sample: &Sample| {
        fetches.iter().any(|begun| *begun <= sample.begun && sample.begun + sample.took < *begun + SLOW)
    };
    let waiting: Vec<_> = sides.iter().flat_map(|side| &side.samples).copied().filter(meanwhile).collect();
    println!("good tokens while a fetch was under way: {}", shown(&waiting));
    assert!(random.refused >= 1_000, "{} random key ids", random.refused);
    let windows = usize::try_from(passed.as_secs() / WINDOW.as_secs()).unwrap() + 1;
    assert!((1..=2 * windows).contains(&fetches.len()), "{} fetches in {passed:?}", fetches.len());
    // Generous, as the load generator runs on the same cores: a wait for the provider would be a second.
    let (least, most) = (random.least_percentile(99), none.least_percentile(99) * 3 + Duration::from_millis(5));
    assert!(least <= most, "{least:?}, and beside other refusals {most:?}");
    assert!(random.longest() < SLOW, "{:?}: somebody waited for the provider", random.longest());
    assert!(percentile(&waiting, 90) <= most, "{}, and beside other refusals {most:?}", shown(&waiting));
    assert!(waiting.len() > 100, "{} good requests during a fetch", waiting.len());
}
