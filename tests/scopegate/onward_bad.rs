//! Servers behind that break the protocol or keep somebody waiting.

mod handshakes;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{Connection, Gateway, Upstream, wait_for};
use crate::http2_client::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Http2, PING, RST_STREAM, SETTINGS, block, frame,
};
use crate::secured_servers::{Server, tls};
use ::harness::authority::{Authority, Issued};

/// A gateway before servers there, whose entries have these keys besides: `/0/` is the first one's, and so on.
fn before(servers: &[(SocketAddr, &str)], authority: &Authority, own: Option<&Issued>) -> Gateway {
    let mut policy = "\nupstreams:\n".to_owned();
    for (place, (address, keys)) in servers.iter().enumerate() {
        let port = address.port();
        policy += &format!("  u{place}: {{ servers: [\"127.0.0.1:{port}\"], {keys} }}\n");
    }
    policy += "apis:\n";
    for place in 0..servers.len() {
        let services = format!("[\"* /{place}/**\"]");
        policy += &format!("  - {{ name: a{place}, base_path: /{place}, upstream: u{place}, public: {services} }}\n");
    }
    Gateway::start_listening("http2: true", &policy, Upstream::start(), |folder| {
        fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
        if let Some(own) = own {
            fs::write(folder.join("own.pem"), &own.pem).unwrap();
            fs::write(folder.join("own.key"), &own.key_pem).unwrap();
        }
    })
}

/// A server that does this with each connection.
fn server(act: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let act = Arc::new(act);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let act = Arc::clone(&act);
            thread::spawn(move || act(stream));
        }
    });
    address
}

fn wait(stream: &mut TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut bytes = [0; 4096];
    while stream.read(&mut bytes).is_ok_and(|length| length > 0) {}
}

/// Speaks HTTP/2 as far as to its PING, and then these frames, once a request has come; what is of stream 1 is
/// of the request's.
fn speaks(frames: Vec<u8>) -> SocketAddr {
    server(move |mut stream| {
        let _ = stream.write_all(&frame(SETTINGS, 0, 0, &[]));
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut preface = [0; 24];
        if stream.read_exact(&mut preface).is_err() {
            return;
        }
        let mut head = [0; 9];
        while stream.read_exact(&mut head).is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            if stream.read_exact(&mut payload).is_err() {
                return;
            }
            match (head[3], head[4]) {
                (SETTINGS, 0) => drop(stream.write_all(&frame(SETTINGS, 1, 0, &[]))),
                (PING, 0) => drop(stream.write_all(&frame(PING, 1, 0, &payload))),
                (HEADERS, _) => drop(stream.write_all(&of_stream(&frames, &head[5..]))),
                _ => {}
            }
        }
    })
}

/// Frames of stream 1 as another's; what is no frame as it is.
fn of_stream(frames: &[u8], id: &[u8]) -> Vec<u8> {
    let (mut frames, mut at) = (frames.to_vec(), 0);
    while at + 9 <= frames.len() && frames[at] != 0xff {
        let length = u32::from_be_bytes([0, frames[at], frames[at + 1], frames[at + 2]]);
        if frames[at + 5..at + 9] == [0, 0, 0, 1] {
            frames[at + 5..at + 9].copy_from_slice(id);
        }
        at += 9 + length as usize;
    }
    frames
}

#[test]
fn a_server_of_http2_that_breaks_it_is_answered_for() {
    let authority = Authority::new("root");
    let fields = |fields: &[(&str, &str)]| block(fields);
    let headers = |flags, fields: &[(&str, &str)]| frame(HEADERS, flags, 1, &block(fields));
    let whole = END_STREAM | END_HEADERS;
    let mut endless = frame(HEADERS, 0, 1, &fields(&[(":status", "200")]));
    for _ in 0..2_000 {
        endless.extend(frame(CONTINUATION, 0, 1, &fields(&[("x-more", &"y".repeat(200))])));
    }
    let begun = headers(END_HEADERS, &[(":status", "200"), ("content-length", "20")]);
    let cases = [
        ("RST_STREAM: CANCEL", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), 502, "upstream_failed"),
        ("RST_STREAM: HTTP_1_1_REQUIRED", frame(RST_STREAM, 0, 1, &[0, 0, 0, 13]), 502, "upstream_failed"),
        ("garbage", vec![0xff; 64], 502, "upstream_failed"),
        ("SETTINGS of a bad length", frame(SETTINGS, 0, 0, &[1, 2, 3]), 502, "upstream_failed"),
        ("an endless head", endless, 502, "upstream_failed"),
        ("no status", headers(whole, &[("x-y", "z")]), 502, "upstream_failed"),
        (
            "two lengths",
            headers(whole, &[(":status", "200"), ("content-length", "1"), ("content-length", "2")]),
            502,
            "upstream_failed",
        ),
        (
            "a field of the connection",
            headers(whole, &[(":status", "200"), ("connection", "close")]),
            502,
            "upstream_failed",
        ),
        ("another protocol", headers(END_HEADERS, &[(":status", "101")]), 502, "upstream_failed"),
        ("DATA first", frame(DATA, END_STREAM, 1, b"x"), 502, "upstream_failed"),
        ("nothing", vec![], 504, "upstream_timeout"),
        ("REFUSED_STREAM again and again", frame(RST_STREAM, 0, 1, &[0, 0, 0, 7]), 503, "upstream_unavailable"),
        ("GOAWAY at once", frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]), 503, "upstream_unavailable"),
        ("half a body", [begun.clone(), frame(DATA, END_STREAM, 1, b"half")].concat(), 0, ""),
        (
            "a body that is reset",
            [begun.clone(), frame(DATA, 0, 1, b"half"), frame(RST_STREAM, 0, 1, &[0; 4])].concat(),
            0,
            "",
        ),
        ("a body that stops", [begun, frame(DATA, 0, 1, b"half")].concat(), 0, ""),
    ];
    let speaking = |(_, frames, ..): &(_, Vec<u8>, _, _)| (speaks(frames.clone()), "http2: true, read_timeout: 500ms");
    let gateway = before(&cases.iter().map(speaking).collect::<Vec<_>>(), &authority, None);
    for (place, (what, _, status, reason)) in cases.into_iter().enumerate() {
        let mut client = Connection::open(gateway.address);
        client.write(format!("GET /{place}/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n").as_bytes());
        match client.read_response() {
            Some(response) => assert_eq!((response.status, &*response.reason()), (status, reason), "{what}"),
            // What has begun is broken off, so that nobody takes it for whole.
            None => assert_eq!(status, 0, "{what}"),
        }
        let mut client = Http2::plain(gateway.address);
        match client.send(crate::http2_client::head("GET", &format!("/{place}/x"), &[]), None, None) {
            Ok(response) => assert_eq!(response.status, status, "{what}"),
            Err(_) => assert_eq!(status, 0, "{what}"),
        }
        let lines = gateway.audit(2 * place + 2);
        assert!(lines.iter().all(|line| line["upstream_error"].is_string()), "{what}: {lines:?}");
    }
}

#[test]
fn what_a_server_has_not_taken_up_is_sent_again_and_nothing_else() {
    let server = Server::http2(None);
    let gateway = before(&[(server.address, "http2: true")], &Authority::new("root"), None);
    let post = |act: &str| {
        let head = format!("POST /0/{act} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4");
        gateway.send(format!("{head}\r\n\r\nbody").as_bytes())
    };
    assert_eq!(post("warm").status, 200);
    let response = post("refuse-once");
    assert_eq!((response.status, server.count()), (200, 3), "{response:?}");
    assert_eq!(server.last().body, b"body");
    assert_eq!(post("cancel").status, 502);
    assert_eq!(server.count(), 4);
    // Its connection ends in good order, and no request is lost with it.
    for _ in 0..20 {
        assert_eq!(post("goaway").status, 200);
    }
    assert!(server.connections() > 2);
}

#[test]
fn answers_are_waited_for_no_longer_than_they_may_take() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let (plain, secured) = (Server::plain(), Server::http1(tls(&certificate, None, &[])));
    let http2 = Server::http2(None);
    let first = "first_byte_timeout: 200ms, read_timeout: 4s";
    let total = "total_timeout: 200ms, read_timeout: 4s";
    let read = "first_byte_timeout: 4s, read_timeout: 200ms";
    let mut cases = Vec::new();
    for (address, keys, part) in [
        (plain.address, "", "half"),
        (secured.address, "tls: { ca_file: ca.pem },", "half"),
        (http2.address, "http2: true,", "stall"),
    ] {
        for (bound, act, method) in [
            (first, "slow", "GET"),
            (first, "slow", "POST"),
            (total, "slow", "GET"),
            (total, "slow", "POST"),
            (total, part, "GET"),
            (read, part, "GET"),
        ] {
            cases.push((address, format!("{keys} {bound}"), act, method));
        }
    }
    let servers: Vec<_> = cases.iter().map(|(address, keys, ..)| (*address, &**keys)).collect();
    let gateway = before(&servers, &authority, None);
    for (place, (_, keys, act, method)) in cases.iter().enumerate() {
        let began = Instant::now();
        let mut client = Connection::open(gateway.address);
        let text = format!("{method} /{place}/{act} HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 0\r\n\r\n");
        client.write(text.as_bytes());
        match client.read_response() {
            Some(response) => {
                assert_eq!((*act, response.status), ("slow", 504), "{keys}");
                assert_eq!(response.reason(), "upstream_timeout");
            }
            // What has begun is broken off, so that nobody takes it for whole.
            None => assert_ne!(*act, "slow", "{keys}"),
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(3), "{keys} {method}: {took:?}");
        assert_eq!(gateway.audit(place + 1)[place]["upstream_error"], "upstream_timeout", "{keys} {method}");
    }
}

#[test]
fn idle_connections_are_kept_as_long_and_as_many_as_may_be() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let secured = || Server::http1(tls(&certificate, None, &[]));
    let servers = [(secured(), "TLS"), (Server::http2(None), "HTTP/2"), (secured(), "none")];
    let keys = [
        "idle_timeout: 1s, tls: { ca_file: ca.pem }",
        "idle_timeout: 1s, http2: true",
        "idle_connections: 0, tls: { ca_file: ca.pem }",
    ];
    let entries: Vec<_> = servers.iter().zip(keys).map(|((server, _), keys)| (server.address, keys)).collect();
    let gateway = before(&entries, &authority, None);
    for (place, (server, what)) in servers.iter().enumerate() {
        assert_eq!(gateway.ask("GET", &format!("/{place}/x"), &[]).status, 200);
        wait_for("the connection to be closed", || (server.open() == 0).then_some(()));
        assert_eq!(gateway.ask("GET", &format!("/{place}/x"), &[]).status, 200, "{what}");
        assert_eq!(server.connections(), 2, "{what}");
    }
}

#[test]
fn a_connection_that_the_server_has_closed_is_not_used_again() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let settings = tls(&certificate, None, &[]);
    // Answers once, and closes: with an end of TLS, and without.
    for says_so in [true, false] {
        let settings: Arc<ServerConfig> = Arc::clone(&settings);
        let address = server(move |stream| {
            let session = ServerConnection::new(Arc::clone(&settings)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            let mut read = Vec::new();
            let mut bytes = [0; 1024];
            while !read.ends_with(b"\r\n\r\n") {
                match stream.read(&mut bytes) {
                    Ok(length @ 1..) => read.extend_from_slice(&bytes[..length]),
                    Ok(_) | Err(_) => return,
                }
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
            stream.flush().unwrap();
            if says_so {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        let gateway = before(&[(address, "tls: { ca_file: ca.pem }")], &authority, None);
        for round in 0..10 {
            // Even one that must not be sent twice.
            let response = gateway.send(b"POST /0/x HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(response.status, 200, "{says_so}: {round}");
            thread::sleep(Duration::from_millis(30));
        }
    }
}
