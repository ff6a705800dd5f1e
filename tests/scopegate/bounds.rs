//! Every bound of the file: what is just within it passes, and what is just beyond it is refused with
//! the answer that the documentation has.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Connection, Gateway, PATIENCE, Signer, Upstream, connect, wait_for};
use crate::http2_client::{Http2, head, read};

const APIS: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    body_bytes: 10
    public: ["/data/open/**"]
    scopes:
      - { name: read, services: ["GET /data/**"] }
  - name: any
    base_path: /any
    upstream: backend
    public: ["/any/**"]
"#;

const SMALL: &str = "limits: { request_line_bytes: 200, header_count: 8, header_bytes: 2048, token_bytes: 600, \
                     scopes_per_token: 3, claims_depth: 3 }";

fn policy(limits: &str) -> String {
    format!("\n{limits}{APIS}")
}

fn start(limits: &str) -> Gateway {
    Gateway::start_listening("http2: true", &policy(limits), Upstream::start(), |_| {})
}

/// The status that comes back for these bytes, and the reason where there is one.
#[track_caller]
fn check(gateway: &Gateway, request: &[u8], status: u16, reason: Option<&str>) {
    let before = gateway.upstream.count();
    let response = gateway.send(request);
    let shown = String::from_utf8_lossy(&request[..request.len().min(120)]);
    assert_eq!(response.status, status, "{shown}… {response:?}");
    if let Some(reason) = reason {
        assert_eq!((response.reason().as_str(), response.json()["status"].as_u64()), (reason, Some(status.into())));
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
    }
    assert_eq!(gateway.upstream.count() > before, status == 200, "{shown}…");
}

/// A request of so many bytes before its body.
fn padded(start: &str, length: usize) -> Vec<u8> {
    let empty = format!("{start}X: \r\n\r\n");
    format!("{start}X: {}\r\n\r\n", "x".repeat(length - empty.len())).into_bytes()
}

const GET: &str = "GET /data/open/x HTTP/1.1\r\nHost: a\r\n";

#[test]
fn a_head_has_a_longest_line_a_number_of_fields_and_a_size() {
    let gateway = start(SMALL);
    let line = |length: usize| {
        let rest = length - "GET /data/open/ HTTP/1.1".len();
        format!("GET /data/open/{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(rest)).into_bytes()
    };
    let fields = |count: usize| format!("{GET}{}\r\n", "X: y\r\n".repeat(count - 1)).into_bytes();
    let too_large = Some("head_too_large");
    check(&gateway, &line(200), 200, None);
    check(&gateway, &line(201), 414, too_large);
    check(&gateway, &line(1900), 414, too_large);
    check(&gateway, &fields(8), 200, None);
    check(&gateway, &fields(9), 431, too_large);
    check(&gateway, &padded(GET, 2048), 200, None);
    check(&gateway, &padded(GET, 2049), 431, too_large);
    check(&gateway, &padded(GET, 500_000), 431, too_large);
    // A body in the same packet counts for nothing.
    let post = "POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n";
    check(&gateway, &[padded(post, 2048), vec![b'b'; 5000]].concat(), 200, None);
    assert_eq!(gateway.upstream.last().body.len(), 5000);
    let refused = r#"scopegate_connections_refused_total{reason="head_too_large"}"#;
    assert_eq!(gateway.metric(refused), Some(2.0));
    let lines = gateway.audit(7);
    assert!(lines.iter().any(|line| line["reason"] == "head_too_large" && line["decision"] == "deny"), "{lines:?}");
}

#[test]
fn a_head_that_is_too_large_is_refused_as_soon_as_that_is_so_on_every_request_of_a_connection() {
    let gateway = start(SMALL);
    for head in [GET.to_owned(), format!("{GET}\r\n{GET}\r\n{GET}")] {
        let mut connection = Connection::open(gateway.address);
        connection.write(head.as_bytes());
        for _ in 0..head.matches("\r\n\r\n").count() {
            assert_eq!(connection.read_response().unwrap().status, 200);
        }
        // It never ends, and 40 KiB of it come.
        for _ in 0..20 {
            connection.try_write(format!("X: {}\r\n", "x".repeat(2000)).as_bytes());
        }
        let response = connection.read_response().unwrap();
        assert_eq!((response.status, response.reason().as_str()), (431, "head_too_large"));
        assert_eq!(response.header("connection"), Some("close"));
        assert!(connection.read_response().is_none());
    }
}

#[test]
fn http2_has_the_same_bounds() {
    let gateway = start(SMALL);
    let mut http2 = Http2::plain(gateway.address);
    let target = |length: usize| format!("/data/open/{}", "x".repeat(length - "GET /data/open/ HTTP/2".len()));
    assert_eq!(http2.get(&target(200), &[]).status, 200);
    let refused = http2.get(&target(201), &[]);
    assert_eq!((refused.status, refused.reason().as_str()), (414, "head_too_large"));
    // The `Host` that `:authority` becomes is one of the eight.
    let fields = |count: usize| vec![("x", "y"); count - 1];
    assert_eq!(http2.get("/data/open/x", &fields(8)).status, 200);
    let refused = http2.get("/data/open/x", &fields(9));
    assert_eq!((refused.status, refused.reason().as_str()), (431, "head_too_large"));
    // The HTTP/2 library answers for itself.
    let large = "x".repeat(2048);
    let refused = http2.send(head("GET", "/data/open/x", &[("x", &large)]), None, None);
    assert!(refused.as_ref().is_ok_and(|refused| refused.status == 431), "{refused:?}");
    assert_eq!(gateway.upstream.count(), 2);
    assert_eq!(http2.get("/data/open/x", &[]).status, 200);
}

#[test]
fn a_token_has_a_longest_size_and_says_so_much() {
    let gateway = start(SMALL);
    let is_too_long = |length: usize| {
        let response = gateway.get("/data/x", &"a".repeat(length));
        assert_eq!((response.status, response.reason().as_str()), (401, "token_malformed"));
        response.json()["detail"].as_str().unwrap().contains("longer than any that is accepted")
    };
    assert_eq!((is_too_long(600), is_too_long(601)), (false, true));
    let roomy = start("limits: { scopes_per_token: 3, claims_depth: 3 }");
    let check = |claims: Value, status: u16| {
        let response = roomy.get("/data/x", &Signer::shared().token(claims.clone()));
        assert_eq!(response.status, status, "{claims} {response:?}");
        assert!(status == 200 || response.reason() == "token_malformed", "{response:?}");
    };
    check(json!({ "scope": "read a b" }), 200);
    check(json!({ "scope": "read a b a read" }), 200);
    check(json!({ "scope": "read a b c" }), 401);
    check(json!({ "scope": "read", "x": { "y": {} } }), 200);
    check(json!({ "scope": "read", "x": [[1]] }), 200);
    check(json!({ "scope": "read", "x": { "y": [{}] } }), 401);
    check(json!({ "scope": "read", "x": [[[]]] }), 401);
}

#[test]
fn a_body_has_a_largest_size_however_its_length_is_told() {
    let gateway = start("");
    let post = "POST /data/open/x HTTP/1.1\r\nHost: a\r\n";
    let by_length = |bytes: usize| format!("{post}Content-Length: {bytes}\r\n\r\n{}", "b".repeat(bytes)).into_bytes();
    let by_chunks = |pieces: &[usize]| {
        let pieces: String = pieces.iter().map(|bytes| format!("{bytes:x}\r\n{}\r\n", "b".repeat(*bytes))).collect();
        format!("{post}Transfer-Encoding: chunked\r\n\r\n{pieces}0\r\n\r\n").into_bytes()
    };
    let too_large = Some("body_too_large");
    check(&gateway, &by_length(10), 200, None);
    check(&gateway, &by_length(11), 413, too_large);
    check(&gateway, &by_chunks(&[10]), 200, None);
    check(&gateway, &by_chunks(&[4, 3, 3]), 200, None);
    check(&gateway, &by_chunks(&[11]), 413, too_large);
    check(&gateway, &by_chunks(&[4, 3, 4]), 413, too_large);
    // A client that asks first need not send it.
    let asks = format!("{post}Content-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    check(&gateway, asks.as_bytes(), 413, too_large);
    let other = format!("POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{}", "b".repeat(100_000));
    check(&gateway, other.as_bytes(), 200, None);
    let mut http2 = Http2::plain(gateway.address);
    for (length, declared, status) in [(10, true, 200), (11, true, 413), (10, false, 200), (11, false, 413)] {
        let told = length.to_string();
        let headers: &[_] = if declared { &[("content-length", told.as_str())] } else { &[] };
        let body = vec![b'b'; length];
        let response = http2.send(head("POST", "/data/open/x", headers), Some(&body), None).unwrap();
        assert_eq!(response.status, status, "{length} {declared}");
    }
    let denied = r#"scopegate_decisions_total{api="data",decision="deny",reason="body_too_large"}"#;
    wait_for("the counts", || gateway.metric(denied).filter(|count| (*count - 6.0).abs() < 0.5));
    assert!(gateway.audit(12).iter().any(|line| line["reason"] == "body_too_large" && line["status"] == 413));
}

#[test]
fn clients_that_take_their_time_are_not_waited_for() {
    let limits = "limits: { head_timeout: 600ms, idle_timeout: 900ms, body_timeout: 300ms }";
    let gateway = start(limits);
    let quick = Duration::from_millis(150);
    // In pieces, and in time.
    let mut connection = Connection::open(gateway.address);
    for piece in ["GET /data/op", "en/x HTTP/1.1\r\nHo", "st: a\r\n\r\n"] {
        connection.write(piece.as_bytes());
        thread::sleep(quick);
    }
    assert_eq!(connection.read_response().unwrap().status, 200);
    // Idle for longer than a head may take, and not for longer than it may be.
    thread::sleep(Duration::from_millis(700));
    connection.write(format!("{GET}\r\n").as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    let started = Instant::now();
    assert!(connection.read_response().is_none());
    let idle = started.elapsed();
    assert!((Duration::from_millis(800)..Duration::from_secs(5)).contains(&idle), "{idle:?}");
    let late = r#"scopegate_connections_refused_total{reason="head_timeout"}"#;
    assert_eq!(gateway.metric(late), Some(0.0));
    // Never a whole head, as the first of a connection or a later one.
    for before in ["", GET] {
        let mut connection = Connection::open(gateway.address);
        if !before.is_empty() {
            connection.write(format!("{before}\r\n").as_bytes());
            assert_eq!(connection.read_response().unwrap().status, 200);
        }
        connection.write(b"GET /data/open/x HT");
        assert!(connection.read_response().is_none());
    }
    assert_eq!(gateway.metric(late), Some(2.0));
    // A body in pieces, and in time; and one that stops.
    let mut connection = Connection::open(gateway.address);
    connection.write(b"POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    for piece in [b"ab", b"cd"] {
        thread::sleep(quick);
        connection.write(piece);
    }
    assert_eq!(connection.read_response().unwrap().status, 200);
    connection.write(b"POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    let response = connection.read_response().unwrap();
    assert_eq!((response.status, response.reason().as_str()), (408, "request_timeout"));
    assert!(connection.read_response().is_none());
}

#[test]
fn a_body_that_stops_is_not_waited_for_over_http2_either() {
    let gateway = start("limits: { body_timeout: 300ms }");
    let request = head("POST", "/any/x", &[("content-length", "4")]);
    let response = Http2::plain(gateway.address).with(|sender| async move {
        let mut ready = sender.ready().await.unwrap();
        let (answer, mut body) = ready.send_request(request, false).unwrap();
        body.send_data("ab".into(), false).unwrap();
        tokio::time::timeout(PATIENCE, read(answer)).await.expect("an answer in time").unwrap()
    });
    assert_eq!((response.status, response.reason().as_str()), (408, "request_timeout"));
}

#[test]
fn a_body_that_trickles_in_is_not_waited_for() {
    let gateway = start("limits: { body_bytes_per_second: 200 }");
    // Seven seconds, in which one sends a byte at a time, and the other a hundred.
    let send = |bytes: usize| {
        let mut writer = connect(gateway.address);
        let mut connection = Connection::over(writer.try_clone().unwrap());
        connection.write(b"POST /any/x HTTP/1.1\r\nHost: a\r\nContent-Length: 7000\r\n\r\n");
        let reader = thread::spawn(move || connection.read_response().unwrap());
        for _ in 0..70 {
            if reader.is_finished() || writer.write_all(&vec![b'b'; bytes]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        reader.join().unwrap()
    };
    thread::scope(|scope| {
        let slow = scope.spawn(|| send(1));
        assert_eq!(send(100).status, 200);
        let response = slow.join().unwrap();
        assert_eq!((response.status, response.reason().as_str()), (408, "request_timeout"));
    });
}

/// A connection from an address of this machine.
fn connect_from(from: IpAddr, to: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The connection, if it is served.
fn served(from: &str, gateway: &Gateway) -> Option<Connection> {
    let mut connection = Connection::over(connect_from(from.parse().unwrap(), gateway.address));
    connection.try_write(format!("{GET}\r\n").as_bytes());
    connection.read_response().filter(|response| response.status == 200).map(|_| connection)
}

#[test]
fn connections_are_bounded_in_all_and_by_address_and_a_trusted_proxy_only_in_all() {
    let limits = "trusted_proxies: [127.0.0.3]\nlimits: { connections: 7, connections_per_address: 3 }";
    let gateway = start(limits);
    let open = "scopegate_connections";
    wait_for("no connection", || gateway.metric(open).filter(|count| *count < 0.5));
    let mut ours: Vec<_> = (0..3).map(|_| served("127.0.0.1", &gateway).unwrap()).collect();
    assert!(served("127.0.0.1", &gateway).is_none());
    let _other = served("127.0.0.2", &gateway).unwrap();
    assert_eq!(gateway.metric(open), Some(4.0));
    // One that ends makes room.
    ours.pop();
    ours.push(wait_for("room for another", || served("127.0.0.1", &gateway)));
    let _proxy: Vec<_> = (0..3).map(|_| served("127.0.0.3", &gateway)).collect();
    assert!(served("127.0.0.3", &gateway).is_none(), "more than there may be in all");
    assert!(served("127.0.0.2", &gateway).is_none());
    let refused =
        |why: &str| gateway.metric(&format!("scopegate_connections_refused_total{{reason=\"{why}\"}}")).unwrap();
    assert!(refused("too_many_of_address") >= 1.0 && refused("too_many") >= 2.0);
    assert_eq!(gateway.metric(open), Some(7.0));
    // The admin address is another, and those that are open go on.
    assert_eq!(gateway.admin("/healthz").status, 200);
    let connection = ours.last_mut().unwrap();
    connection.write(format!("{GET}\r\n").as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
}

#[test]
fn an_upstream_gets_as_many_requests_at_once_as_it_may_and_the_others_are_shed() {
    let (asked, under_way) = mpsc::channel();
    let (release, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let upstream = Upstream::answering(move |_| {
        asked.send(()).unwrap();
        let _ = wait.lock().unwrap().recv();
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()
    });
    let upstreams = |most: usize| {
        let address = upstream.address;
        policy(&format!("upstreams: {{ backend: {{ servers: [\"{address}\"], max_requests: {most} }} }}"))
    };
    let (two, three) = (upstreams(2), upstreams(3));
    let gateway = Gateway::start_with(&two, upstream, |_| {});
    let ask = || {
        let mut connection = Connection::open(gateway.address);
        connection.write(format!("{GET}\r\n").as_bytes());
        connection
    };
    let mut carried = [ask(), ask()];
    (0..2).for_each(|_| under_way.recv_timeout(PATIENCE).unwrap());
    let shed = |expected: f64| {
        let response = ask().read_response().unwrap();
        assert_eq!((response.status, response.reason().as_str()), (503, "overloaded"));
        assert_eq!(response.header("retry-after"), Some("1"));
        assert_eq!(gateway.metric(r#"scopegate_upstream_requests_shed_total{upstream="backend"}"#), Some(expected));
    };
    shed(1.0);
    assert_eq!(gateway.metric(r#"scopegate_upstream_requests{upstream="backend"}"#), Some(2.0));
    // Another generation counts those of the one before, and has a bound of its own.
    gateway.rewrite(&three);
    gateway.wait_for_policy("the next generation", |policy| policy["generation"] == 2);
    let mut third = ask();
    under_way.recv_timeout(PATIENCE).unwrap();
    shed(2.0);
    (0..3).for_each(|_| release.send(()).unwrap());
    for connection in carried.iter_mut().chain([&mut third]) {
        assert_eq!(connection.read_response().unwrap().status, 200);
    }
    release.send(()).unwrap();
    assert_eq!(ask().read_response().unwrap().status, 200, "there is room again");
    let line = gateway.audit(6).into_iter().find(|line| line["reason"] == "overloaded").unwrap();
    assert_eq!((&line["decision"], &line["status"]), (&json!("deny"), &json!(503)));
}

#[test]
fn bounds_that_are_changed_hold_from_the_next_request_on() {
    let gateway = start("");
    let mut connection = Connection::open(gateway.address);
    let long = format!("GET /data/open/{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(300));
    connection.write(long.as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    gateway.rewrite(&policy(SMALL));
    gateway.wait_for_policy("the next generation", |policy| policy["generation"] == 2);
    connection.write(long.as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 414);
    check(&gateway, long.as_bytes(), 414, Some("head_too_large"));
}
