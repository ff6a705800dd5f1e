//! The server stopped, hung and started again under load: what is answered meanwhile, and how long it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Connection, Gateway, connect, wait_for};
use serde_json::json;

use super::redis::Redis;
use super::{get, is_connected, limited, policy, start, token};

/// How long each part takes.
const PART: Duration = Duration::from_secs(2);

/// What a part has come to.
#[derive(Debug)]
struct Seen {
    answers: usize,
    /// Those that were not 200, by their reason.
    others: Vec<String>,
    median: Duration,
    p99: Duration,
}

/// Has four clients ask for a while, each on a connection that it keeps.
fn load(gateway: &Gateway, token: &str, time: Duration) -> Seen {
    let stop = AtomicBool::new(false);
    let asked: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = Connection::over(connect(gateway.address));
                    let head = format!("GET /data/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
                    let mut seen = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        connection.write(head.as_bytes());
                        let answer = connection.read_response().expect("an answer");
                        let other = (answer.status != 200).then(|| answer.reason());
                        seen.push((began.elapsed(), other));
                        thread::sleep(Duration::from_micros(500));
                    }
                    seen
                })
            })
            .collect();
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let mut times: Vec<_> = asked.iter().map(|(time, _)| *time).collect();
    times.sort_unstable();
    let others = asked.into_iter().filter_map(|(_, other)| other).collect();
    Seen { answers: times.len(), others, median: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
}

fn print(what: &str, seen: &Seen) {
    let Seen { answers, others, median, p99 } = seen;
    println!("{what}: {answers} answers, {} not 200, median {median:?}, p99 {p99:?}", others.len());
}

/// No cliff: whatever a busy machine adds, it is less than the shared state's time-out.
#[track_caller]
fn check_no_cliff(with: &Seen, without: &Seen) {
    let most = with.p99 * 4 + Duration::from_millis(150);
    assert!(without.p99 <= most, "{:?} beside {:?}", without.p99, with.p99);
}

#[test]
fn with_local_knowledge_requests_go_on_at_the_same_pace_whatever_the_server_does() {
    let mut redis = Redis::start();
    let gateway = start(&limited(&redis.url(), "{ by: client, requests: 1000000, per: 1s }"));
    let token = token(&json!({ "client_id": "acme" }));
    wait_for("it to connect", || is_connected(&gateway).then_some(()));
    let with = load(&gateway, &token, PART);
    print("with the server", &with);
    let stopped = thread::scope(|scope| {
        let loading = scope.spawn(|| load(&gateway, &token, PART));
        redis.end();
        loading.join().unwrap()
    });
    print("while it is stopped", &stopped);
    assert!(!is_connected(&gateway));
    let back = thread::scope(|scope| {
        let loading = scope.spawn(|| load(&gateway, &token, PART));
        redis.begin();
        loading.join().unwrap()
    });
    print("while it comes back", &back);
    wait_for("it to connect again", || is_connected(&gateway).then_some(()));
    let hung = thread::scope(|scope| {
        let loading = scope.spawn(|| load(&gateway, &token, PART));
        redis.hang(true);
        loading.join().unwrap()
    });
    print("while it hangs with its connections open", &hung);
    assert!(!is_connected(&gateway));
    redis.hang(false);
    wait_for("it to connect once more", || is_connected(&gateway).then_some(()));
    for seen in [&with, &stopped, &back, &hung] {
        assert_eq!(seen.others, Vec::<String>::new());
        check_no_cliff(&with, seen);
    }
}

#[test]
fn with_deny_and_a_longer_time_a_server_that_is_soon_back_is_not_missed() {
    let mut redis = Redis::start();
    let with = |stale_for: &str| start(&policy(&redis.url(), "deny", &format!(", stale_for: {stale_for}")));
    let (short, long) = (with("3s"), with("1h"));
    let (good, bad) = (token(&json!({ "jti": "good" })), token(&json!({ "jti": "bad" })));
    for gateway in [&short, &long] {
        wait_for("it to connect", || (get(gateway, &good).status == 200).then_some(()));
    }
    super::revoke(&short, &bad);
    super::until_refused(&long, &bad);
    let gone = Instant::now();
    redis.end();
    wait_for("both to notice", || (!is_connected(&short) && !is_connected(&long)).then_some(()));
    wait_for("the refusal", || {
        let status = get(&short, &good).status;
        assert!(status == 200 || gone.elapsed() > Duration::from_secs(2), "{status} after {:?}", gone.elapsed());
        (status == 503).then_some(())
    });
    let trusted = gone.elapsed();
    println!("with `stale_for: 3s` refused {trusted:?} after the server went");
    assert!(trusted < Duration::from_secs(5), "{trusted:?}");
    // What it heard it still knows.
    assert_eq!((get(&long, &good).status, &*get(&long, &bad).reason()), (200, "token_revoked"));
    redis.begin();
    wait_for("it to serve", || (get(&short, &good).status == 200).then_some(()));
    assert_eq!(get(&short, &bad).reason(), "token_revoked");
}

#[test]
fn with_deny_what_cannot_be_told_is_refused_and_served_again_as_soon_as_it_can() {
    let mut redis = Redis::start();
    let gateway = start(&policy(&redis.url(), "deny", ""));
    let token = token(&json!({ "jti": "t" }));
    wait_for("it to connect", || (get(&gateway, &token).status == 200).then_some(()));
    let with = load(&gateway, &token, PART);
    print("with the server", &with);
    redis.end();
    // What others had revoked a second ago is not known any more.
    wait_for("the refusal", || (get(&gateway, &token).status == 503).then_some(()));
    let away = load(&gateway, &token, PART);
    print("while it is stopped", &away);
    assert!(away.others.len() == away.answers && away.others.iter().all(|reason| reason == "shared_state_unavailable"));
    check_no_cliff(&with, &away);
    let public = super::ask(&gateway, "GET", "/data/open", &[], "");
    assert_eq!(public.status, 200);
    let began = Instant::now();
    redis.begin();
    wait_for("it to serve", || (get(&gateway, &token).status == 200).then_some(()));
    println!("served again {:?} after the server came back", began.elapsed());
    redis.hang(true);
    wait_for("the refusal", || (get(&gateway, &token).status == 503).then_some(()));
    redis.hang(false);
    wait_for("it to serve", || (get(&gateway, &token).status == 200).then_some(()));
}
