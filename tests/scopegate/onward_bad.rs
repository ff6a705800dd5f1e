//! Servers behind that are not whom they should be, break the protocol, or keep somebody waiting.

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
        policy += &format!("  u{place}: {{ servers: [\"127.0.0.1:{port}\"], connect_timeout: 700ms, {keys} }}\n");
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

/// That nothing is sent to the server at that place, and why not is said once and counted.
#[track_caller]
fn check_unavailable(what: &str, gateway: &Gateway, place: usize, protocol: &str, said: &str) {
    for _ in 0..3 {
        let response = gateway.ask("GET", &format!("/{place}/x"), &[]);
        assert_eq!((response.status, &*response.reason()), (503, "upstream_unavailable"), "{what}");
        assert!(response.header("retry-after").is_some(), "{what}");
    }
    let line = format!("no {protocol} handshake with a server of the upstream comes about upstream=\"u{place}\"");
    let log = gateway.log();
    let lines: Vec<_> = log.lines().filter(|log| log.contains(&line)).collect();
    assert_eq!(lines.len(), 1, "{what}: {log}");
    assert!(lines[0].contains(said), "{what}: {lines:?}");
    let series = format!("scopegate_upstream_handshakes_failed_total{{protocol=\"{protocol}\",upstream=\"u{place}\"}}");
    assert_eq!(gateway.metric(&series), Some(3.0), "{what}");
}

#[test]
fn nothing_is_sent_to_a_server_that_does_not_show_whose_it_is() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("other"));
    let here = "127.0.0.1";
    let with = |certificate: Issued| Server::http1(tls(&certificate, None, &[]));
    let good = with(authority.issue("server", &[here]));
    let (trusting, named) = ("tls: { ca_file: ca.pem }", "tls: { ca_file: ca.pem, server_name: orders.internal }");
    let cases = [
        ("a wrong address", &with(authority.issue("server", &["127.0.0.2"])), trusting, "not valid for name"),
        ("a name for an address", &with(authority.issue("127.0.0.1", &["localhost"])), trusting, "not valid for name"),
        ("a wrong name", &good, named, "not valid for name"),
        ("another authority", &with(stranger.issue("server", &[here])), trusting, "UnknownIssuer"),
        ("an old certificate", &with(authority.issue_expired("server", &[here])), trusting, "expired"),
        ("whom the machine does not trust", &good, "tls: {}", ""),
    ];
    let right = with(authority.issue("server", &["orders.internal"]));
    let mut servers: Vec<_> = cases.iter().map(|(_, server, keys, _)| (server.address, *keys)).collect();
    servers.push((right.address, named));
    let gateway = before(&servers, &authority, None);
    for (place, (what, server, _, said)) in cases.into_iter().enumerate() {
        check_unavailable(what, &gateway, place, "tls", said);
        assert_eq!(server.count(), 0, "{what}");
    }
    assert_eq!(gateway.ask("GET", "/6/x", &[]).status, 200);
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_the_gateway_s() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let own = authority.issue("gateway", &["gateway.internal"]);
    let http1 = Server::http1(tls(&certificate, Some(&authority), &[]));
    let http2 = Server::http2(Some(tls(&certificate, Some(&authority), &["h2"])));
    let servers = [
        (http1.address, "tls: { ca_file: ca.pem, certificate: own.pem, key: own.key }"),
        (http2.address, "http2: true, tls: { ca_file: ca.pem, certificate: own.pem, key: own.key }"),
        (http1.address, "tls: { ca_file: ca.pem }"),
        (http2.address, "http2: true, tls: { ca_file: ca.pem }"),
    ];
    let gateway = before(&servers, &authority, Some(&own));
    let status = |place: usize| gateway.ask("GET", &format!("/{place}/x"), &[]).status;
    assert_eq!((status(0), status(1)), (200, 200));
    // Where there is none to show, a client of TLS 1.3 learns after its own half that it is not served.
    assert!(matches!((status(2), status(3)), (502 | 503, 502 | 503)));
    assert_eq!((http1.count(), http2.count()), (1, 1));
}

#[test]
fn a_handshake_that_does_not_come_about_is_not_waited_for() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let silent = server(|mut stream| wait(&mut stream));
    let garbage = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        wait(&mut stream);
    });
    // A fatal alert: handshake_failure.
    let alert = server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]);
        wait(&mut stream);
    });
    let other = Server::http1(tls(&certificate, None, &["http/1.1"]));
    let none = Server::http1(tls(&certificate, None, &[]));
    let (trusting, both) = ("tls: { ca_file: ca.pem }", "http2: true, tls: { ca_file: ca.pem }");
    let cases = [
        ("TLS, silent", silent, trusting, "tls", "in time"),
        ("TLS, no TLS", garbage, trusting, "tls", ""),
        ("TLS, an alert", alert, trusting, "tls", "alert"),
        ("HTTP/2, silent", silent, "http2: true", "http2", "in time"),
        ("HTTP/2, HTTP/1.1", garbage, "http2: true", "http2", ""),
        ("HTTP/2 over TLS, agreed on another", other.address, both, "tls", ""),
        ("HTTP/2 over TLS, agreed on none", none.address, both, "tls", "does not agree on HTTP/2"),
    ];
    let servers: Vec<_> = cases.iter().map(|(_, address, keys, ..)| (*address, *keys)).collect();
    let gateway = before(&servers, &authority, None);
    for (place, (what, _, _, protocol, said)) in cases.into_iter().enumerate() {
        let began = Instant::now();
        check_unavailable(what, &gateway, place, protocol, said);
        assert!(began.elapsed() < Duration::from_secs(5), "{what}");
    }
    assert_eq!((other.count(), none.count()), (0, 0));
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

#[test]
fn tls_that_cannot_be_set_up_sends_nothing_until_it_can() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let server = Server::http1(tls(&certificate, None, &[]));
    let gateway = before(&[(server.address, "tls: { ca_file: later.pem }")], &authority, None);
    assert_eq!(gateway.ask("GET", "/0/x", &[]).status, 503);
    assert!(gateway.log().contains("TLS cannot be set up"), "{}", gateway.log());
    fs::write(gateway.folder.path().join("later.pem"), &authority.pem).unwrap();
    wait_for("the file to be in use", || (gateway.ask("GET", "/0/x", &[]).status == 200).then_some(()));
}
