//! Which servers of an upstream get requests: shares, accounts, checks, ejection, retries.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Connection, Gateway, Signer, Upstream, free_address, wait_for};

const API: &str = "
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: [\"/data/open/**\"]
    scopes:
      - { name: all, accounts: any, services: [\"/data/accounts/{account}/**\"] }
";

/// A policy whose one upstream is this.
fn policy(upstream: &str) -> String {
    format!("\nupstreams:\n  backend: {{ connect_timeout: 500ms, read_timeout: 500ms, {upstream} }}{API}")
}

fn ask(gateway: &Gateway, method: &str) -> u16 {
    gateway.ask(method, "/data/open/x", &[]).status
}

fn answer(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// A server whose checks are answered like this as long as `is_well` says otherwise.
fn checked(is_well: &Arc<AtomicBool>, ill: &'static [u8]) -> Upstream {
    let is_well = Arc::clone(is_well);
    Upstream::answering(move |request| {
        if request.line.contains(" /healthz ") && !is_well.load(Ordering::Relaxed) {
            return ill.to_vec();
        }
        answer("200 OK")
    })
}

/// Requests that are none of its checks.
fn requests(upstream: &Upstream) -> usize {
    upstream.seen().iter().filter(|request| !request.line.contains(" /healthz ")).count()
}

#[track_caller]
fn wait_for_state(gateway: &Gateway, state: &str, count: f64) {
    let series = format!("scopegate_upstream_servers{{state=\"{state}\",upstream=\"backend\"}}");
    wait_for(&format!("{count} servers {state}"), || (gateway.metric(&series) == Some(count)).then_some(()));
}

fn retried(gateway: &Gateway, result: &str) -> Option<f64> {
    gateway.metric(&format!("scopegate_upstream_retries_total{{result=\"{result}\",upstream=\"backend\"}}"))
}

#[test]
fn weights_are_shares() {
    let (heavy, light) = (Upstream::start(), Upstream::start());
    let servers = format!("servers: [{{ address: \"{}\", weight: 3 }}, \"{}\"]", heavy.address, light.address);
    let gateway = Gateway::start(&policy(&servers));
    for _ in 0..40 {
        assert_eq!(ask(&gateway, "GET"), 200);
    }
    assert_eq!((heavy.count(), light.count()), (30, 10));
}

#[test]
fn an_account_has_one_server_whoever_asks() {
    let servers = [(); 4].map(|()| Upstream::start());
    let [a, b, c, d] = servers.each_ref().map(|server| server.address);
    let gateway = Gateway::start(&policy(&format!("servers: [\"{a}\", \"{b}\", \"{c}\", \"{d}\"], balance: account")));
    let callers = ["one", "two"].map(|sub| Signer::shared().token(serde_json::json!({ "scope": "all", "sub": sub })));
    for _ in 0..3 {
        for caller in &callers {
            for account in 0..24 {
                assert_eq!(gateway.get(&format!("/data/accounts/a{account}/x"), caller).status, 200);
            }
        }
    }
    let mut counts = Vec::new();
    for account in 0..24 {
        let path = format!(" /data/accounts/a{account}/x ");
        let seen = |server: &Upstream| server.seen().iter().filter(|request| request.line.contains(&path)).count();
        let seen = servers.each_ref().map(seen);
        assert_eq!((seen.iter().max(), seen.iter().sum::<usize>()), (Some(&6), 6), "{account}: {seen:?}");
        counts.push(seen.iter().position(|count| *count > 0));
    }
    counts.dedup();
    assert!(counts.len() > 4, "accounts are spread: {counts:?}");
}

#[test]
fn a_busy_server_gets_fewer_requests_where_the_least_busy_is_chosen() {
    let slow = Upstream::answering(|_| {
        thread::sleep(Duration::from_millis(200));
        answer("200 OK")
    });
    let quick = Upstream::start();
    let servers = format!("servers: [\"{}\", \"{}\"], balance: least_requests", slow.address, quick.address);
    let gateway = Gateway::start(&policy(&servers));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| assert_eq!(ask(&gateway, "GET"), 200)));
        }
    });
    // Taking turns it would be half.
    assert!(slow.count() < 35, "{} of 100", slow.count());
}

#[test]
fn a_server_that_fails_its_checks_gets_no_requests_until_it_passes_them() {
    for ill in [
        &b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot yet",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"200 fine, thanks\r\n\r\n",
        b"",
    ] {
        let is_well = Arc::new(AtomicBool::new(true));
        let (ailing, other) = (checked(&is_well, ill), Upstream::start());
        let gateway = Gateway::start(&policy(&format!(
            "servers: [\"{}\", \"{}\"], health: {{ path: /healthz, interval: 250ms, timeout: 250ms, unhealthy_after: 2 }}",
            ailing.address, other.address
        )));
        wait_for_state(&gateway, "usable", 2.0);
        is_well.store(false, Ordering::Relaxed);
        wait_for_state(&gateway, "unhealthy", 1.0);
        let before = requests(&ailing);
        for _ in 0..10 {
            assert_eq!(ask(&gateway, "GET"), 200);
        }
        assert_eq!(requests(&ailing), before, "{}", String::from_utf8_lossy(ill));
        is_well.store(true, Ordering::Relaxed);
        wait_for("requests again", || {
            assert_eq!(ask(&gateway, "GET"), 200);
            (requests(&ailing) > before).then_some(())
        });
    }
}

#[test]
fn a_server_that_takes_no_connection_fails_its_checks_at_once_and_where_all_do_the_answer_is_503() {
    let address = free_address();
    let gateway =
        Gateway::start(&policy(&format!("servers: [\"{address}\"], health: {{ interval: 100ms, timeout: 100ms }}")));
    wait_for_state(&gateway, "unhealthy", 1.0);
    let response = gateway.ask("GET", "/data/open/x", &[]);
    assert_eq!((response.status, response.reason().as_str()), (503, "upstream_unavailable"));
    assert_eq!(response.header("retry-after"), Some("1"));
    let _listener = TcpListener::bind(address).unwrap();
    wait_for_state(&gateway, "usable", 1.0);
    gateway.wait_for_log("the server fails its checks and gets no requests");
}

#[test]
fn a_server_that_fails_requests_gets_none_for_a_while() {
    let is_well = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_well);
    let failing =
        Upstream::answering(move |_| if flag.load(Ordering::Relaxed) { answer("200 OK") } else { Vec::new() });
    let good = Upstream::start();
    let gateway = Gateway::start(&policy(&format!(
        "servers: [\"{}\", \"{}\"], ejection: {{ failures: 3, for: 1s }}",
        failing.address, good.address
    )));
    let statuses: Vec<_> = (0..20).map(|_| ask(&gateway, "GET")).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 3, "{statuses:?}");
    assert_eq!((failing.count(), good.count()), (3, 17));
    assert_eq!(gateway.metric("scopegate_upstream_ejections_total{upstream=\"backend\"}"), Some(1.0));
    wait_for_state(&gateway, "ejected", 1.0);
    wait_for_state(&gateway, "usable", 2.0);
    // Its time is over, and one more failure ends it.
    let statuses: Vec<_> = (0..10).map(|_| ask(&gateway, "GET")).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 1, "{statuses:?}");
    wait_for_state(&gateway, "ejected", 1.0);
    is_well.store(true, Ordering::Relaxed);
    wait_for_state(&gateway, "usable", 2.0);
    let before = failing.count();
    assert!((0..10).all(|_| ask(&gateway, "GET") == 200));
    assert_eq!(failing.count(), before + 5);
}

#[test]
fn a_status_is_an_answer_and_the_last_server_is_never_ejected() {
    let ill = Upstream::answering(|_| answer("503 Service Unavailable"));
    let only = format!("servers: [\"{}\"], ejection: {{ failures: 1 }}, retries: {{ attempts: 3 }}", ill.address);
    let gateway = Gateway::start(&policy(&only));
    assert!((0..5).all(|_| ask(&gateway, "GET") == 503));
    assert_eq!(ill.count(), 5);
    assert_eq!(gateway.metric("scopegate_upstream_ejections_total{upstream=\"backend\"}"), Some(0.0));
}

#[test]
fn a_request_that_was_not_answered_is_sent_again_if_it_may_be_done_twice() {
    for (method, body, again) in [
        ("GET", "", true),
        ("HEAD", "", true),
        ("OPTIONS", "", true),
        ("PUT", "a body", true),
        ("DELETE", "", true),
        ("POST", "a body", false),
        ("PATCH", "a body", false),
    ] {
        let (failing, good) = (Upstream::answering(|_| Vec::new()), Upstream::start());
        let servers = format!("servers: [\"{}\", \"{}\"], retries: {{}}", failing.address, good.address);
        let gateway = Gateway::start(&policy(&servers));
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let mut connection = Connection::open(gateway.address);
        connection.write(format!("{method} /data/open/x HTTP/1.1\r\nHost: a\r\n{length}\r\n{body}").as_bytes());
        let head = connection.read_head().unwrap();
        assert_eq!(head.contains(" 200 "), again, "{method}: {head}");
        assert_eq!(head.contains(" 502 "), !again, "{method}: {head}");
        assert_eq!((failing.count(), good.count()), (1, usize::from(again)), "{method}");
        assert_eq!(failing.last().body, body.as_bytes(), "{method}");
        if again {
            assert_eq!(good.last().body, body.as_bytes(), "{method}");
        }
        assert_eq!(retried(&gateway, "retried"), Some(f64::from(u8::from(again))), "{method}");
    }
}

#[test]
fn a_failure_says_that_its_connection_ends_so_that_nothing_is_sent_into_it() {
    let failing = Upstream::answering(|_| Vec::new());
    let gateway = Gateway::start(&policy(&format!("servers: [\"{}\"]", failing.address)));
    for method in ["GET", "POST"] {
        let mut connection = Connection::open(gateway.address);
        connection.write(format!("{method} /data/open/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").as_bytes());
        let response = connection.read_response().unwrap();
        assert_eq!((response.status, response.header("connection")), (502, Some("close")), "{method}");
        assert!(connection.read_response().is_none(), "{method}");
    }
}

#[test]
fn without_retries_in_the_file_no_request_is_sent_twice() {
    let (failing, good) = (Upstream::answering(|_| Vec::new()), Upstream::start());
    let gateway = Gateway::start(&policy(&format!("servers: [\"{}\", \"{}\"]", failing.address, good.address)));
    let statuses: Vec<_> = (0..10).map(|_| ask(&gateway, "GET")).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 502).count(), 5, "{statuses:?}");
    assert_eq!(failing.count() + good.count(), 10);
}

#[test]
fn a_request_whose_server_breaks_off_within_the_head_of_its_answer_is_sent_again() {
    for method in ["GET", "PUT"] {
        let half = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&half);
        let ailing = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = ailing.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in ailing.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Half: ");
            }
        });
        let good = Upstream::start();
        let servers = format!("servers: [\"{address}\", \"{}\"], retries: {{}}", good.address);
        let gateway = Gateway::start(&policy(&servers));
        assert_eq!(ask(&gateway, method), 200);
        assert_eq!((half.load(Ordering::Relaxed), good.count()), (1, 1), "{method}");
        assert_eq!(retried(&gateway, "retried"), Some(1.0), "{method}");
    }
}

#[test]
fn an_answer_that_has_begun_or_is_late_is_not_asked_for_again() {
    let half = Upstream::answering(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it".to_vec());
    let begun = Upstream::answering(|request| {
        let half: &[u8] = b"HTTP/1.1 200 OK\r\nX-Half: ";
        if request.line.contains("late") { half.to_vec() } else { answer("200 OK") }
    });
    for (server, target) in [(&half, "/data/open/x"), (&begun, "/data/open/late")] {
        let servers = format!("servers: [\"{}\"], retries: {{ attempts: 3, budget_percent: 100 }}", server.address);
        let gateway = Gateway::start(&policy(&servers));
        let mut connection = Connection::open(gateway.address);
        connection.write(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes());
        let whole = connection.read_response().is_some_and(|response| response.status == 200);
        assert!(!whole);
        assert_eq!((server.count(), retried(&gateway, "retried")), (1, Some(0.0)), "{target}");
    }
}

#[test]
fn an_upstream_that_fails_altogether_gets_little_more_than_its_requests() {
    let failing = [(); 2].map(|()| Upstream::answering(|_| Vec::new()));
    let [a, b] = failing.each_ref().map(|server| server.address);
    let retries = "retries: { attempts: 3, budget_percent: 10 }";
    let gateway = Gateway::start(&policy(&format!("servers: [\"{a}\", \"{b}\"], {retries}")));
    for _ in 0..200 {
        assert_eq!(ask(&gateway, "GET"), 502);
    }
    let sent: usize = failing.iter().map(Upstream::count).sum();
    // Ten at once and a tenth of the requests, of which the first found nothing to save for.
    assert!((228..=230).contains(&sent), "{sent}");
    assert_eq!(retried(&gateway, "retried"), Some((sent - 200) as f64));
    assert!(retried(&gateway, "over_budget") > Some(100.0));
}

#[test]
fn servers_that_die_and_return_fail_no_request_that_may_be_sent_again() {
    let dies = Arc::new(AtomicUsize::new(0));
    let servers = [0, 1, 2].map(|place| {
        let dies = Arc::clone(&dies);
        Upstream::answering(
            move |_| if dies.load(Ordering::Relaxed) % 4 == place { Vec::new() } else { answer("200 OK") },
        )
    });
    let [a, b, c] = servers.each_ref().map(|server| server.address);
    let upstream = format!("servers: [\"{a}\", \"{b}\", \"{c}\"], retries: {{ attempts: 2, budget_percent: 100 }}");
    let ways = [
        "balance: round_robin",
        "balance: least_requests",
        "ejection: { failures: 2, for: 200ms }",
        "balance: account",
    ];
    let gateway = Gateway::start(&policy(&format!("{upstream}, {}", ways[0])));
    let end = Instant::now() + Duration::from_secs(2);
    let answered: usize = thread::scope(|scope| {
        let client = || {
            let mut connection = Connection::open(gateway.address);
            let mut answered = 0;
            while Instant::now() < end {
                connection.write(b"GET /data/open/x HTTP/1.1\r\nHost: a\r\n\r\n");
                assert_eq!(connection.read_response().unwrap().status, 200);
                answered += 1;
            }
            answered
        };
        let clients = [(); 4].map(|()| scope.spawn(client));
        for (flip, way) in (1..).zip(ways.iter().cycle()).take_while(|_| Instant::now() < end) {
            dies.fetch_add(1, Ordering::Relaxed);
            gateway.rewrite(&policy(&format!("{upstream}, {way}")));
            gateway.wait_for_policy("the next generation", |policy| {
                policy["generation"] == flip || policy["generation"] == flip + 1
            });
        }
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert!(answered > 100, "{answered}");
    assert!(retried(&gateway, "retried") > Some(0.0));
}
