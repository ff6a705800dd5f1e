//! Several gateways over a real Redis: what one was told, or has seen, counts for the others; the server is stopped,
//! hung and started again under load.
//!
//! `make test-fleet` runs it: on Debian's `redis-server` and on a Valkey, or on what `SCOPEGATE_REDIS` names.

mod outage;
mod proofs;
mod redis;
mod restored;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Connection, Gateway, Response, Signer, Upstream, connect, wait_for};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use redis::Redis;
use serde_json::{Value, json};

const APIS: &str = r#"
revocations: { file: revoked.jsonl, endpoint: /oauth/revoke }
removal_guard: true
apis:
  - name: data
    base_path: /data
    upstream: backend
    public: ["GET /data/open"]
    $LIMITS
    scopes:
      - { name: read, services: ["GET /data/**"] }
      $SCOPES
"#;

/// What a gateway of the fleet has in its file.
fn policy(url: &str, on_outage: &str, more: &str) -> String {
    let shared = format!("\nshared_state: {{ url: \"{url}\", on_outage: {on_outage}{more} }}");
    shared + &APIS.replace("$LIMITS", "").replace("$SCOPES", "- { name: gone, services: [\"GET /data/gone\"] }")
}

fn limited(url: &str, limit: &str) -> String {
    let shared = format!("\nshared_state: {{ url: \"{url}\", on_outage: local }}");
    shared + &APIS.replace("$LIMITS", &format!("rate_limits: [{limit}]")).replace("$SCOPES", "")
}

fn start(policy: &str) -> Gateway {
    Gateway::start_with(policy, Upstream::start(), |_| {})
}

fn token(claims: &Value) -> String {
    let mut all = json!({ "scope": "read" });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    Signer::shared().token(all)
}

/// An answer that is not held against an explanation, which knows of one gateway alone.
fn ask(gateway: &Gateway, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut connection = Connection::over(connect(gateway.address));
    let length = body.len();
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {length}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    connection.write(format!("{text}\r\n{body}").as_bytes());
    connection.read_response().expect("an answer")
}

fn get(gateway: &Gateway, token: &str) -> Response {
    ask(gateway, "GET", "/data/x", &[("Authorization", &format!("Bearer {token}"))], "")
}

fn revoke(gateway: &Gateway, token: &str) {
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(ask(gateway, "POST", "/oauth/revoke", &[form], &format!("token={token}")).status, 200);
}

/// How long it takes until the gateway refuses what another was told to refuse.
fn until_refused(gateway: &Gateway, token: &str) -> Duration {
    let began = Instant::now();
    wait_for("the refusal", || (get(gateway, token).status == 401).then_some(()));
    began.elapsed()
}

fn is_connected(gateway: &Gateway) -> bool {
    gateway.metric("scopegate_shared_state_connected").is_some_and(|value| value > 0.5)
}

#[test]
fn what_is_revoked_on_one_is_refused_on_the_others_within_a_second() {
    let redis = Redis::start();
    let fleet: Vec<_> = (0..2).map(|_| start(&policy(&redis.url(), "deny", ""))).collect();
    let mut times = Vec::new();
    for round in 0..60 {
        let token = token(&json!({ "jti": format!("t-{round}"), "sub": format!("s-{round}") }));
        let (one, other) = (&fleet[round % 2], &fleet[(round + 1) % 2]);
        assert_eq!((get(one, &token).status, get(other, &token).status), (200, 200));
        revoke(one, &token);
        times.push(until_refused(other, &token));
        assert_eq!(get(other, &token).reason(), "token_revoked");
        assert_eq!(get(one, &token).reason(), "token_revoked");
    }
    times.sort_unstable();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("revoked on one, refused on the other: {} times, median {median:?}, most {most:?}", times.len());
    assert!(most < Duration::from_secs(1), "{most:?}");
    let lag = fleet[0].metric("scopegate_shared_state_lag_seconds").unwrap();
    assert!(lag < 5.0, "{lag}");
}

#[test]
fn nothing_is_missed_while_the_server_is_away_or_when_it_has_lost_everything() {
    let mut redis = Redis::absent();
    let fleet: Vec<_> = (0..2).map(|_| start(&policy(&redis.url(), "local", ""))).collect();
    let tokens: Vec<_> = (0..4).map(|number| token(&json!({ "jti": format!("t-{number}") }))).collect();
    // Before there ever was a server: what each knows itself counts.
    revoke(&fleet[0], &tokens[0]);
    assert_eq!((get(&fleet[0], &tokens[0]).status, get(&fleet[1], &tokens[0]).status), (401, 200));
    // By hand, in the file of one.
    let by_hand = format!("{{\"jti\":\"t-1\",\"iss\":\"https://issuer.example\",\"exp\":{}}}\n", harness::now() + 600);
    let list = fleet[1].folder.path().join("revoked.jsonl");
    fs::write(&list, by_hand).unwrap();
    redis.begin();
    until_refused(&fleet[1], &tokens[0]);
    until_refused(&fleet[0], &tokens[1]);
    // It loses all that it had, and one of those who knew is gone too.
    redis.end();
    revoke(&fleet[0], &tokens[2]);
    redis.begin();
    until_refused(&fleet[1], &tokens[2]);
    let newcomer = start(&policy(&redis.url(), "deny", ""));
    for token in &tokens[..3] {
        until_refused(&newcomer, token);
    }
    assert_eq!(get(&newcomer, &tokens[3]).status, 200);
    // It heard of them only: with the server emptied once more it brings them back for a second newcomer.
    drop(fleet);
    redis.end();
    redis.begin();
    wait_for("the newcomer", || is_connected(&newcomer).then_some(()));
    let last = start(&policy(&redis.url(), "local", ""));
    for token in &tokens[..3] {
        until_refused(&last, token);
    }
}

#[test]
fn a_rate_limit_holds_for_all_together() {
    let redis = Redis::start();
    let policy = limited(&redis.url(), "{ by: client, requests: 200, per: 24h }");
    let mut fleet: Vec<_> = (0..2).map(|_| start(&policy)).collect();
    let (token, other) = (token(&json!({ "client_id": "acme" })), token(&json!({ "client_id": "beta" })));
    let mut passed = 0;
    for round in 0..200 {
        for gateway in &fleet {
            passed += usize::from(get(gateway, &token).status == 200);
        }
        // Slower than the exchange, as one client is.
        if round % 5 == 0 {
            thread::sleep(Duration::from_millis(60));
        }
    }
    println!("200 requests in 24 h over two gateways that share: {passed} of 400 passed");
    // What passes at the other in one exchange, and the little that a bucket is filled meanwhile.
    assert!((200..260).contains(&passed), "{passed}");
    // A gateway that starts anew hears of it with its first request.
    fleet.pop();
    let newcomer = start(&policy);
    wait_for("the newcomer to know", || (get(&newcomer, &token).status == 429).then_some(()));
    let refused = get(&newcomer, &token);
    assert_eq!(refused.reason(), "rate_limited");
    assert_eq!(get(&newcomer, &other).status, 200);
}

#[test]
fn a_scope_that_another_gateway_saw_in_a_live_token_stays() {
    let redis = Redis::start();
    let with = policy(&redis.url(), "local", "");
    let fleet: Vec<_> = (0..2).map(|_| start(&with)).collect();
    let carried = token(&json!({ "scope": "read gone", "exp": harness::now() + 600 }));
    assert_eq!(get(&fleet[0], &carried).status, 200);
    let series = "scopegate_scope_last_expiry_seconds{scope=\"gone\"}";
    wait_for("the other to hear", || fleet[1].metric(series));
    fleet[1].rewrite(&with.replace("- { name: gone, services: [\"GET /data/gone\"] }", ""));
    let shown = fleet[1].wait_for_policy("the refusal", |policy| !policy["last_error"].is_null());
    assert!(shown["last_error"].as_str().unwrap().contains("the scope `gone` cannot be removed"), "{shown}");
    assert_eq!(shown["generation"], 1);
}

#[test]
fn a_server_that_asks_for_a_password_over_tls_is_signed_in_to_and_no_other_is() {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&key).unwrap();
    let own_key = KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&own_key, &issuer).unwrap();
    let mut redis = Redis::with(|port| {
        let files = "--tls-cert-file own.pem --tls-key-file own.key --tls-ca-cert-file root.pem --tls-auth-clients no";
        let mut arguments: Vec<_> =
            format!("--port 0 --tls-port {port} {files}").split(' ').map(str::to_owned).collect();
        arguments.extend(["--requirepass".to_owned(), PASSWORD.to_owned()]);
        arguments
    });
    let write = |name: &str, text: &str| fs::write(redis.folder.path().join(name), text).unwrap();
    write("own.pem", &own.pem());
    write("own.key", &own_key.serialize_pem());
    write("root.pem", &root.pem());
    if !redis.try_begin() {
        // Some builds of Valkey; Debian's Redis has it.
        assert!(redis::is_named(), "the server does not start with TLS");
        println!("this server is built without TLS: not tried");
        return;
    }
    let url = format!("rediss://localhost:{}", redis.address.port());
    let connects = |password: &str, authority: &str| connects(&url, ", ca_file: root.pem", password, authority);
    assert!(connects(PASSWORD, &root.pem()));
    assert!(!connects("another", &root.pem()));
    let stranger = CertificateParams::new(Vec::new()).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert!(!connects(PASSWORD, &stranger.pem()));
}

#[test]
fn a_server_that_asks_for_a_password_is_signed_in_to_with_it() {
    let mut redis =
        Redis::with(|port| ["--port", &port.to_string(), "--requirepass", PASSWORD].map(str::to_owned).into());
    redis.begin();
    assert!(connects(&redis.url(), "", PASSWORD, ""));
    assert!(!connects(&redis.url(), "", "another", ""));
}

const PASSWORD: &str = "open sesame";

/// Whether a gateway connects to it.
fn connects(url: &str, more: &str, password: &str, authority: &str) -> bool {
    let policy = policy(url, "local", &format!(", password_file: password{more}"));
    let gateway = Gateway::start_with(&policy, Upstream::start(), |folder| {
        fs::write(folder.join("password"), format!("{password}\n")).unwrap();
        fs::write(folder.join("root.pem"), authority).unwrap();
    });
    wait_for("an end of it", || {
        let failed = gateway.log().contains("the shared state cannot be connected to");
        if is_connected(&gateway) { Some(true) } else { failed.then_some(false) }
    })
}

/// A server that answers whatever comes with rubbish, for ever.
fn rubbish(text: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut buffer = vec![0; 65_536];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    let is_signing_in = buffer.windows(4).any(|text| text == b"PING");
                    let answer: &[u8] = if is_signing_in { b"+PONG\r\n" } else { text };
                    buffer.fill(0);
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn rubbish_makes_nothing_weaker_than_the_file_says() {
    for text in
        [&b"$999999999999\r\nxx"[..], b"*3\r\n$1\r\nx\r\n:5\r\n*0\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n"]
    {
        let url = format!("redis://{}", rubbish(text));
        let local = start(&policy(&url, "local", ""));
        let good = token(&json!({ "jti": "good" }));
        let shown = String::from_utf8_lossy(text);
        assert_eq!(get(&local, &good).status, 200, "{shown}");
        revoke(&local, &good);
        assert_eq!(get(&local, &good).reason(), "token_revoked", "{shown}");
        let deny = Gateway::launch("", &policy(&url, "deny", ""), Upstream::start(), |_| {});
        wait_for("it to listen", || std::net::TcpStream::connect(deny.admin).ok());
        let other = token(&json!({ "jti": "other" }));
        wait_for("it to serve", || std::net::TcpStream::connect(deny.address).ok());
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            let answer = get(&deny, &other);
            let reason = if answer.status == 503 { answer.reason() } else { answer.status.to_string() };
            assert!(["shared_state_unavailable", "issuer_unavailable"].contains(&&*reason), "{shown} {reason}");
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(ask(&deny, "GET", "/data/open", &[], "").status, 200, "{shown}");
        let errors = ["rubbish", "unreachable", "late"].map(|error| {
            deny.metric(&format!("scopegate_shared_state_errors_total{{error=\"{error}\"}}")).unwrap_or_default()
        });
        assert!(errors.iter().sum::<f64>() > 0.5, "{shown}");
        assert_eq!(deny.admin("/readyz").status, 503, "{shown}");
        assert!(deny.memory() < 300 * 1024, "{} KiB", deny.memory());
    }
}
