//! Too much, too slow, cut anywhere, or nonsense: the process goes on and others are served.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use super::targets::{POLICY, check_line};
use crate::harness::{Connection, Gateway, Signer};

fn token() -> String {
    Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }))
}

fn good(token: &str) -> String {
    format!("GET /data/acme/x HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\r\n")
}

#[test]
fn heads_beyond_all_measure_are_refused_and_the_next_client_is_served() {
    let mut gateway = Gateway::start(POLICY);
    let token = token();
    let start = "GET /data/acme/x HTTP/1.1\r\nHost: api.example.com\r\n";
    let many = |name: &dyn Fn(usize) -> String| (0..10_000).map(|n| format!("{}: b\r\n", name(n))).collect::<String>();
    let long = "a".repeat(2 << 20);
    for head in [
        format!("{start}{}\r\n", many(&|n| format!("X-{n}"))),
        format!("{start}{}\r\n", many(&|_| "X-Same".into())),
        format!("{start}{}\r\n", many(&|_| "Authorization".into())),
        format!("{start}{}\r\n", many(&|_| "Connection".into())),
        format!("{start}X: {long}\r\n\r\n"),
        format!("{start}{long}: x\r\n\r\n"),
        format!("{start}Authorization: Bearer {long}\r\n\r\n"),
        format!("{start}Authorization: Bearer {}\r\n\r\n", "a".repeat(20_000)),
        format!("{start}Connection: {}\r\n\r\n", "a,".repeat(30_000)),
        format!("GET /data/acme/{long} HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        format!("GET /data/acme{} HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "/a".repeat(40_000)),
        format!("GET /data/acme/x?{} HTTP/1.1\r\nHost: api.example.com\r\n\r\n", "a&".repeat(40_000)),
        format!("{long} /data/acme/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
        long,
        "\r\n".repeat(1 << 20),
    ] {
        let mut connection = Connection::open(gateway.address);
        connection.try_write(head.as_bytes());
        if let Some(response) = connection.read_response() {
            assert!((400..500).contains(&response.status), "{}: {response:?}", &head[..100]);
        }
        assert_eq!(gateway.get("/data/acme/x", &token).status, 200);
    }
    assert!(gateway.is_running());
    assert_eq!(gateway.upstream.count(), 15);
}

#[test]
fn clients_that_send_nothing_or_half_a_head_keep_nobody_from_being_served() {
    let gateway = Gateway::start(POLICY);
    let token = token();
    let request = good(&token);
    let silent: Vec<_> = (0..400)
        .map(|place| {
            let mut connection = Connection::open(gateway.address);
            let pieces = [0, 1, 30, request.len() - 1];
            connection.write(&request.as_bytes()[..pieces[place % pieces.len()]]);
            connection
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(gateway.get("/data/acme/x", &token).status, 200);
    }
    // Those who go on are served.
    for (place, mut connection) in silent.into_iter().enumerate().filter(|(place, _)| place % 4 == 3).take(20) {
        connection.write(b"\n");
        assert_eq!(connection.read_response().unwrap().status, 200, "{place}");
    }
}

#[test]
fn where_a_head_is_cut_does_not_change_what_it_means() {
    let gateway = Gateway::start(POLICY);
    let token = token();
    let mut connection = Connection::open(gateway.address);
    for byte in good(&token).bytes() {
        connection.write(&[byte]);
    }
    assert_eq!(connection.read_response().unwrap().status, 200);
    // Cut in two within the parts that mean something, with time for the first to be read alone.
    for line in [
        "GET /data/acme/secret/key HTTP/1.1\r\n",
        "GET /data/acme/x HTTP/1.1 /data/beta HTTP/1.1\r\n",
        "GET /data/acme/x#/../../beta/x HTTP/1.1\r\n",
        "GET /data/acme/x y/../../beta/x HTTP/1.1\r\n",
    ] {
        for cut in 1..line.len() {
            let mut connection = Connection::open(gateway.address);
            connection.write(&line.as_bytes()[..cut]);
            std::thread::sleep(Duration::from_millis(2));
            connection.try_write(&line.as_bytes()[cut..]);
            connection.try_write(good(&token).split_once("\r\n").unwrap().1.as_bytes());
            if let Some(response) = connection.read_response() {
                assert!((400..500).contains(&response.status), "{line} cut at {cut}: {response:?}");
            }
        }
    }
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn whatever_bytes_come_the_process_goes_on_and_only_permitted_paths_are_forwarded() {
    const NASTY: &[u8] = b"\r\n\t \0:;,#?%/\\.\"<>@*&=+-_~\x0b\x0c\x7f\x80\xc0\xaf\xff02fFeEcC";
    let mut gateway = Gateway::start(POLICY);
    let token = token();
    let requests = [
        good(&token),
        good(&token).replace("/data/acme/x", "/data/acme/secre%74/../x?a=%2f"),
        good(&token).replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        good(&token)
            .replace("\r\n\r\n", "\r\nContent-Length: 45\r\n\r\nGET /data/beta/x HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ];
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..3_000 {
        let mut bytes = requests[round % requests.len()].clone().into_bytes();
        for _ in 0..random.usize(1..4) {
            // In the request line or at the end, and not in the token.
            let place = if random.bool() { random.usize(..40) } else { bytes.len() - random.usize(1..60) };
            let byte = NASTY[random.usize(..NASTY.len())];
            match random.u8(..3) {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        let mut stream = TcpStream::connect(gateway.address).unwrap();
        let _ = stream.write_all(&bytes);
        // Pingora gives a request up whose client has ended before its answer.
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        let _ = stream.peek(&mut [0]);
        let _ = stream.shutdown(Shutdown::Write);
        stream.set_read_timeout(None).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let seen = gateway.upstream.seen();
    assert!(seen.len() >= 100, "{}", seen.len());
    for request in seen {
        let (_, target) = request.line.split_once(' ').unwrap();
        check_line(&format!("GET {target}"), request.line.as_bytes());
    }
    assert!(gateway.is_running());
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    assert_eq!(gateway.get("/data/acme/x", &token).status, 200);
}
