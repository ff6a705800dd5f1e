//! Clients that take their time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::stage::{Backend, Client, OK, PATIENCE, Stage};
use crate::config::Limits;

const SHORT: Duration = Duration::from_millis(400);

fn short() -> Limits {
    Limits { head_timeout: SHORT, idle_timeout: SHORT, send_timeout: SHORT, ..Limits::default() }
}

/// Sends a byte whenever nothing has come for a while, until the gateway has had enough; what came.
fn drip(client: &mut Client, bytes: &[u8]) -> Vec<u8> {
    let stream = client.0.get_mut();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (started, mut came, mut piece) = (Instant::now(), Vec::new(), [0; 1024]);
    for byte in bytes {
        let sent = stream.write_all(&[*byte]);
        match stream.read(&mut piece) {
            Ok(0) => return came,
            Ok(length) => came.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return came,
        }
        if sent.is_err() {
            return came;
        }
        assert!(started.elapsed() < PATIENCE, "it waits for ever");
    }
    panic!("it took the whole head, in {:?}", started.elapsed());
}

#[test]
fn a_head_that_takes_too_long_ends_its_connection_however_it_is_sent() {
    let stage = Stage::start_with(&["127.0.0.1:1".parse().unwrap()], short());
    let long = format!("GET /public/a HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(2_000));
    assert_eq!(drip(&mut stage.connect(), long.as_bytes()), b"");
    // The next head of a connection, and one before which nothing but line breaks comes.
    let mut client = stage.connect();
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().unwrap().0, 401);
    assert_eq!(drip(&mut client, long.as_bytes()), b"");
    assert_eq!(drip(&mut stage.connect(), "\r\n".repeat(1_000).as_bytes()), b"");
}

#[test]
fn a_head_that_began_with_the_request_before_it_is_bounded_like_others() {
    let limits = Limits { head_timeout: SHORT, idle_timeout: PATIENCE * 10, header_bytes: 1_000, ..Limits::default() };
    let stage = Stage::start_with(&["127.0.0.1:1".parse().unwrap()], limits);
    let ask = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let started = Instant::now();
    let mut late = stage.connect();
    late.send(&format!("{ask}GET /x HT"));
    assert_eq!(late.answer().unwrap().0, 401);
    assert!(late.answer().is_none());
    let mut large = stage.connect();
    large.send(&format!("{ask}GET /x HTTP/1.1\r\nX: {}", "x".repeat(1_000)));
    assert_eq!(large.answer().unwrap().0, 401);
    assert_eq!(large.answer().unwrap().0, 431);
    assert!(started.elapsed() < PATIENCE);
    // What was sent ahead may be more than one head may, as long as each is small enough.
    let mut many = stage.connect();
    many.send(&ask.repeat(100));
    for _ in 0..100 {
        assert_eq!(many.answer().unwrap().0, 401);
    }
}

#[test]
fn a_connection_on_which_nothing_comes_ends_too() {
    let stage = Stage::start_with(&["127.0.0.1:1".parse().unwrap()], short());
    assert!(stage.connect().answer().is_none());
    let mut client = stage.connect();
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.answer().unwrap().0, 401);
    assert!(client.answer().is_none());
}

#[test]
fn an_answer_may_take_longer_than_a_head() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits { head_timeout: Duration::from_millis(50), ..short() };
    let stage = Stage::start_with(&[listener.local_addr().unwrap()], limits);
    let mut client = stage.connect();
    client.send("GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut upstream, _) = listener.accept().unwrap();
    // Another connection's end shows that the patience for heads is over.
    assert!(stage.connect().answer().is_none());
    upstream.write_all(OK.as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().0, 200);
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_its_requests() {
    let backend = Backend::start(OK);
    let stage = Stage::start_with(&[backend.address], short());
    for request in ["GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut stream = TcpStream::connect(stage.address).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let many = request.repeat(1_000);
        let started = Instant::now();
        // Until the gateway, which nobody reads from, reads no more itself, and then ends it.
        while stream.write_all(many.as_bytes()).is_ok() {
            assert!(started.elapsed() < PATIENCE, "{request}");
        }
        while stage.gateway.in_flight() > 0 {
            assert!(started.elapsed() < PATIENCE, "{request}");
            std::thread::yield_now();
        }
    }
}
