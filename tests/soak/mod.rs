//! A gateway under everything at once for a while: good requests, bad ones, slow ones, reloads, rotated
//! keys. Memory, descriptors and latency are taken down, and must be flat.
//!
//! `SOAK_SECONDS` is how long (20 if it is not set), `SCOPEGATE_BINARY` which binary (the one that the
//! tests are built with). `make soak` runs it for ten minutes on the optimised one.

mod bodies;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Connection, Gateway, Signer};
use serde_json::json;

const POLICY: &str = r"
limits: { head_timeout: 2s, header_bytes: 16384, connections_per_address: 500 }
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    body_bytes: 1000
    scopes:
      - { name: read, services: ['GET,POST /data/{account}/**'] }
";

/// What memory may grow by from the second quarter to the last: this part, and this many KiB.
const GROWTH: (f64, u64) = (0.1, 16 * 1024);
/// What descriptors may.
const MORE_FILES: u64 = 32;
/// What the 99th percentile of latency may: this factor, and this much.
const SLOWER: (u32, Duration) = (3, Duration::from_millis(20));

/// One look at the process.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    memory: u64,
    files: u64,
}

/// What all clients share.
struct Shared {
    gateway: Gateway,
    policy: String,
    started: Instant,
    ends: AtomicBool,
    /// When, and how long it took.
    latencies: Mutex<Vec<(Duration, Duration)>>,
    bad: AtomicU64,
    slow: AtomicU64,
    reloads: AtomicU64,
    rotations: AtomicU64,
    rotated: [AtomicU64; 2],
    /// What was not answered as it must be.
    wrong: Mutex<Vec<String>>,
}

impl Shared {
    fn go_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }
}

fn policy(upstream: SocketAddr) -> String {
    format!("\nupstreams: {{ backend: {{ servers: [\"{upstream}\"] }} }}{POLICY}")
}

/// An upstream that answers with the path that it was asked for, and remembers nothing.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                    if !head.ends_with("\r\n\r\n") {
                        continue;
                    }
                    let path = head.split(' ').nth(1).unwrap();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                    if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                    head.clear();
                }
            });
        }
    });
    address
}

fn request(method: &str, target: &str, more: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Asks again and again on one connection; every answer must be whole and its own.
fn good(shared: &Shared, client: usize) {
    let token = Signer::shared().token(json!({ "scope": "read", "account_id": "acme", "jti": client.to_string() }));
    let mut connection = Connection::open(shared.gateway.address);
    let mut number = 0_u64;
    while shared.go_on() {
        number += 1;
        let target = format!("/data/acme/{client}/{number}");
        let started = Instant::now();
        connection.try_write(request("GET", &target, &bearer(&token)).as_bytes());
        match connection.read_response() {
            Some(response) if response.status == 200 && response.body == target.as_bytes() => {
                let took = started.elapsed();
                shared.latencies.lock().unwrap().push((shared.started.elapsed(), took));
            }
            other => {
                shared.wrong(format!("{target}: {other:?}"));
                connection = Connection::open(shared.gateway.address);
            }
        }
    }
}

/// Asks for what must be refused, each on a connection of its own.
fn bad(shared: &Shared) {
    let good = bearer(&Signer::shared().token(json!({ "scope": "read", "account_id": "acme" })));
    let expired = bearer(&Signer::shared().token(json!({ "exp": 1 })));
    let unknown = bearer(&Signer::new().token(json!({ "scope": "read", "account_id": "acme" })));
    let large = format!("X: {}\r\n", "x".repeat(20_000));
    let body = format!("{good}Content-Length: 1001\r\n");
    let cases = [
        (request("GET", "/data/acme/x", ""), 401),
        (request("GET", "/data/acme/x", "Authorization: Bearer x\r\n"), 401),
        (request("GET", "/data/acme/x", &expired), 401),
        (request("GET", "/data/acme/x", &unknown), 401),
        (request("GET", "/data/globex/x", &good), 403),
        (request("DELETE", "/data/acme/x", &good), 405),
        (request("GET", "/other", &good), 404),
        (request("GET", "/data/acme/../globex/x", &good), 400),
        (request("GET", "/data/acme/x", &large), 431),
        (request("POST", "/data/acme/x", &body), 413),
    ];
    for (request, status) in cases.iter().cycle() {
        if !shared.go_on() {
            return;
        }
        let mut connection = Connection::open(shared.gateway.address);
        connection.try_write(request.as_bytes());
        match connection.read_response() {
            Some(response) if response.status == *status => drop(shared.bad.fetch_add(1, Ordering::Relaxed)),
            other => shared.wrong(format!("{}: {other:?}", &request[..request.len().min(60)])),
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends half a head, and waits until the gateway has had enough.
fn slow(shared: &Shared) {
    while shared.go_on() {
        let mut connections: Vec<_> = (0..10).map(|_| Connection::open(shared.gateway.address)).collect();
        for connection in &mut connections {
            connection.try_write(b"GET /data/acme/x HTTP/1.1\r\nHost: a\r\nX: ");
        }
        for mut connection in connections {
            if let Some(answer) = connection.read_response() {
                shared.wrong(format!("half a head was answered: {answer:?}"));
            }
            shared.slow.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Puts another policy in place again and again.
fn reload(shared: &Shared) {
    for number in 0_u64.. {
        thread::sleep(Duration::from_secs(2));
        if !shared.go_on() {
            return;
        }
        shared
            .gateway
            .rewrite(&shared.policy.replace("body_bytes: 1000", &format!("body_bytes: {}", 1000 - number % 2)));
        shared.reloads.fetch_add(1, Ordering::Relaxed);
    }
}

/// Puts one more key beside the good one, or takes it away again, and asks with a token by it.
fn rotate(shared: &Shared) {
    let other = Signer::new();
    let token = bearer(&other.sign(
        &json!({ "alg": "RS256", "typ": "at+jwt", "kid": "other" }),
        &harness::payload(json!({ "scope": "read", "account_id": "acme" })),
    ));
    let mut more = other.jwks()["keys"][0].clone();
    more["kid"] = json!("other");
    let file = shared.gateway.folder.path().join("jwks.json");
    for number in 0_u64.. {
        let mut keys = Signer::shared().jwks();
        if number % 2 == 0 {
            keys["keys"].as_array_mut().unwrap().push(more.clone());
        }
        let new = file.with_extension("new");
        std::fs::write(&new, keys.to_string()).unwrap();
        std::fs::rename(new, &file).unwrap();
        shared.rotations.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            if !shared.go_on() {
                return;
            }
            let status = shared.gateway.send(request("GET", "/data/acme/k", &token).as_bytes()).status;
            match status {
                200 => drop(shared.rotated[0].fetch_add(1, Ordering::Relaxed)),
                401 => drop(shared.rotated[1].fetch_add(1, Ordering::Relaxed)),
                other => shared.wrong(format!("a token by the other key: {other}")),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn memory_descriptors_and_latency_are_flat_under_everything_at_once() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let policy = policy(upstream());
    let shared = Arc::new(Shared {
        gateway: Gateway::start(&policy),
        policy,
        started: Instant::now(),
        ends: AtomicBool::new(false),
        latencies: Mutex::default(),
        bad: AtomicU64::new(0),
        slow: AtomicU64::new(0),
        reloads: AtomicU64::new(0),
        rotations: AtomicU64::new(0),
        rotated: Default::default(),
        wrong: Mutex::default(),
    });
    let mut clients: Vec<thread::JoinHandle<()>> = Vec::new();
    let mut spawn = |what: fn(&Shared)| {
        let shared = Arc::clone(&shared);
        clients.push(thread::spawn(move || what(&shared)));
    };
    for what in [bad, bad, slow, slow, reload, rotate] {
        spawn(what);
    }
    for client in 0..4 {
        let shared = Arc::clone(&shared);
        clients.push(thread::spawn(move || good(&shared, client)));
    }
    let length = Duration::from_secs(seconds);
    let mut samples = Vec::new();
    while shared.started.elapsed() < length {
        thread::sleep(Duration::from_millis(500));
        let files = std::fs::read_dir(format!("/proc/{}/fd", shared.gateway.id())).unwrap().count() as u64;
        samples.push(Sample { at: shared.started.elapsed(), memory: shared.gateway.memory(), files });
    }
    shared.ends.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let latencies = shared.latencies.lock().unwrap();
    let quarters = [0, 1, 2, 3].map(|place| Quarter::of(place, length, &samples, &latencies));
    println!(
        "{:>8} {:>12} {:>10} {:>12} {:>9} {:>9}",
        "quarter", "memory KiB", "files", "requests/s", "p50 µs", "p99 µs"
    );
    for (place, quarter) in quarters.iter().enumerate() {
        let Quarter { memory, files, requests, half, most } = quarter;
        let pace = *requests as f64 / (length.as_secs_f64() / 4.0);
        println!(
            "{:>8} {memory:>12} {files:>10} {pace:>12.0} {:>9} {:>9}",
            place + 1,
            half.as_micros(),
            most.as_micros()
        );
    }
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "good {}, refused {}, slow {}, reloads {}, rotations {} (tokens by the other key: {} taken, {} refused)",
        latencies.len(),
        count(&shared.bad),
        count(&shared.slow),
        count(&shared.reloads),
        count(&shared.rotations),
        count(&shared.rotated[0]),
        count(&shared.rotated[1]),
    );
    let wrong = shared.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{} wrong, such as {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert_eq!(shared.gateway.metric("scopegate_panics_total"), Some(0.0));
    let [_, early, _, late] = quarters;
    late.check_flat(&early);
}

/// What was seen in a quarter of the time.
#[derive(Debug, Clone, Copy)]
struct Quarter {
    /// The most of it, in KiB.
    memory: u64,
    files: u64,
    requests: usize,
    half: Duration,
    most: Duration,
}

impl Quarter {
    fn of(place: u32, length: Duration, samples: &[Sample], latencies: &[(Duration, Duration)]) -> Self {
        let within = |at: Duration| (length * place / 4..length * (place + 1) / 4).contains(&at);
        let seen = || samples.iter().filter(|sample| within(sample.at));
        let mut took: Vec<_> = latencies.iter().filter(|(at, _)| within(*at)).map(|(_, took)| *took).collect();
        took.sort_unstable();
        Self {
            memory: seen().map(|sample| sample.memory).max().unwrap_or_default(),
            files: seen().map(|sample| sample.files).max().unwrap_or_default(),
            requests: took.len(),
            half: took.get(took.len() / 2).copied().unwrap_or_default(),
            most: took.get(took.len() * 99 / 100).copied().unwrap_or_default(),
        }
    }

    fn check_flat(&self, early: &Self) {
        let memory = early.memory + (early.memory as f64 * GROWTH.0).round() as u64 + GROWTH.1;
        assert!(self.memory <= memory, "memory has grown: {self:?} after {early:?}");
        assert!(self.files <= early.files + MORE_FILES, "descriptors have grown: {self:?} after {early:?}");
        assert!(self.most <= early.most * SLOWER.0 + SLOWER.1, "it has got slower: {self:?} after {early:?}");
        assert!(self.requests > 0 && early.requests > 0);
    }
}
