//! The short way to an upstream and back: that it tells the same as pingora's, and keeps connections
//! only where nothing is left in them.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::stage::{Backend, Client, OK, PATIENCE, Stage, head, reason};

pub(super) const ASK: &str = "GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n";

/// A gateway, and the upstream's side of its connections.
fn stage() -> (Stage, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    (Stage::start(&[listener.local_addr().unwrap()]), listener)
}

fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    BufReader::new(stream)
}

/// One request, answered so by the upstream.
fn serve(upstream: &mut BufReader<TcpStream>, answer: &str) {
    head(upstream).unwrap();
    upstream.get_mut().write_all(answer.as_bytes()).unwrap();
}

/// All that the client gets up to and with these bytes.
fn read_until(client: &mut Client, end: &str) -> String {
    let (mut read, mut byte) = (Vec::new(), [0]);
    while !read.ends_with(end.as_bytes()) {
        client.0.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn both_ways_send_one_head_and_tell_one_answer() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let id = "X-Request-Id: r-1\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    let exchange = |connection: &str| {
        let (status, told, body) = stage.ask(&format!(
            "GET /public/%61?b HTTP/1.1\r\nHost: a\r\n{id}X-MIXED-Case: x\r\nTE: trailers\r\nCookie: a=b\r\n\
             Keep-Alive: 5\r\nAuthorization: x\r\nX-Auth-Subject: root\r\nConnection: {connection}\r\n\r\n"
        ));
        let seen = backend.heads.recv_timeout(PATIENCE).unwrap();
        let parent = seen.find("traceparent").unwrap();
        // The parent's id is new each time; the trace is the client's.
        let seen = format!("{}{}", &seen[..parent + 49], &seen[parent + 65..]);
        let mut lines: Vec<_> = seen.split("\r\n").map(str::to_owned).collect();
        lines.sort();
        let mut told: Vec<_> = told.split("\r\n").filter(|line| !line.starts_with("Date")).map(str::to_owned).collect();
        told.sort();
        (status, told, body, lines)
    };
    // An option that pingora has to look at makes the request unusual.
    assert_eq!(exchange("keep-alive"), exchange("keep-alive, x-other"));
}

#[test]
fn a_connection_serves_request_after_request_whatever_the_answers_framing() {
    let (stage, listener) = stage();
    let mut client = stage.connect();
    client.send(ASK);
    let mut upstream = accept(&listener);
    serve(&mut upstream, OK);
    assert_eq!(client.answer().unwrap().2, "hi");
    for (answer, end) in [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "2\r\nhi\r\n0\r\n\r\n"),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "\r\n\r\n"),
        ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "\r\n\r\nhi"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "\r\n\r\n"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", "\r\n\r\nnone"),
    ] {
        client.send(ASK);
        serve(&mut upstream, answer);
        let told = read_until(&mut client, end);
        assert!(told.starts_with(&answer[..12]), "{told}");
    }
}

#[test]
fn a_long_answer_comes_whole_even_in_pieces() {
    let (stage, listener) = stage();
    let mut client = stage.connect();
    client.send(ASK);
    let mut upstream = accept(&listener);
    let body: String = ('a'..='z').cycle().take(300_000).collect();
    let answer =
        format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\nContent-Length: {}\r\n\r\n{body}", "y".repeat(9000), body.len());
    let sending = std::thread::spawn(move || serve(&mut upstream, &answer));
    assert_eq!(client.answer().unwrap().2, body);
    sending.join().unwrap();
}

#[test]
fn a_connection_that_the_server_has_closed_costs_no_request() {
    let (stage, listener) = stage();
    let mut client = stage.connect();
    for _ in 0..3 {
        client.send(ASK);
        let mut upstream = accept(&listener);
        // Once more where the gateway had not heard yet that the connection is closed.
        while head(&mut upstream).is_none() {
            upstream = accept(&listener);
        }
        upstream.get_mut().write_all(OK.as_bytes()).unwrap();
        assert_eq!(client.answer().unwrap().0, 200);
    }
}

#[test]
fn a_server_that_closes_at_the_next_request_is_asked_anew() {
    let (stage, listener) = stage();
    let mut client = stage.connect();
    client.send(ASK);
    let mut first = accept(&listener);
    serve(&mut first, OK);
    assert_eq!(client.answer().unwrap().0, 200);
    client.send(ASK);
    head(&mut first).unwrap();
    drop(first);
    serve(&mut accept(&listener), OK);
    assert_eq!(client.answer().unwrap().0, 200);
}

#[test]
fn a_request_that_was_answered_in_part_is_not_asked_anew() {
    let (stage, listener) = stage();
    let mut client = stage.connect();
    client.send(ASK);
    let mut upstream = accept(&listener);
    serve(&mut upstream, OK);
    assert_eq!(client.answer().unwrap().0, 200);
    client.send(ASK);
    serve(&mut upstream, "HTTP/1.1 200 OK\r\nContent-");
    drop(upstream);
    let (status, _, body) = client.answer().unwrap();
    assert_eq!((status, &*reason(&body)), (502, "upstream_failed"));
}

#[test]
fn bytes_that_nobody_asked_for_are_nobodys_answer() {
    let (stage, listener) = stage();
    // In chunks, so that pingora reads it, and longer than what it reads at once.
    let long =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: {}\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "y".repeat(7000));
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    for (answer, extra) in [(OK, poison), (OK, "x"), (&*long, poison)] {
        let mut client = stage.connect();
        client.send(ASK);
        let mut upstream = accept(&listener);
        serve(&mut upstream, &format!("{answer}{extra}"));
        let told = read_until(&mut client, if answer == OK { "\r\n\r\nhi" } else { "2\r\nhi\r\n0\r\n\r\n" });
        assert!(told.starts_with("HTTP/1.1 200 OK\r\n"), "{told}");
        client.send(ASK);
        let mut next = accept(&listener);
        serve(&mut next, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmine");
        assert_eq!(client.answer().unwrap().2, "mine");
    }
}

#[test]
fn an_answer_up_to_the_connections_end_comes_in_chunks_and_the_clients_connection_stays() {
    let (stage, listener) = stage();
    let mut client = stage.connect();
    for _ in 0..2 {
        client.send(ASK);
        let mut upstream = accept(&listener);
        serve(&mut upstream, "HTTP/1.1 200 OK\r\n\r\nto the end");
        drop(upstream);
        let mut told = Vec::new();
        while !told.ends_with(b"0\r\n\r\n") {
            let mut read = [0; 1000];
            let length = client.0.read(&mut read).unwrap();
            assert!(length > 0, "{}", String::from_utf8_lossy(&told));
            told.extend_from_slice(&read[..length]);
        }
        let told = String::from_utf8(told).unwrap().to_ascii_lowercase();
        assert!(told.starts_with("http/1.1 200 ok\r\n") && told.contains("transfer-encoding: chunked\r\n"), "{told}");
        assert!(told.ends_with("a\r\nto the end\r\n0\r\n\r\n"), "{told}");
    }
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let (stage, listener) = stage();
    let mut client = stage.connect();
    client.send(ASK);
    let mut upstream = accept(&listener);
    head(&mut upstream).unwrap();
    drop(client);
    assert_eq!(upstream.read(&mut [0]).unwrap(), 0);
    let line = stage.audit().pop().unwrap();
    assert_eq!((&line["status"], &line["upstream_error"]), (&0.into(), &serde_json::Value::Null));
}

#[test]
fn a_client_of_http_1_0_gets_neither_chunks_nor_interim_answers() {
    let (stage, listener) = stage();
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{chunks}");
    for answer in [chunks, &hints, "HTTP/1.1 200 OK\r\n\r\nhi"] {
        let mut client = stage.connect();
        client.send("GET /public/a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        serve(&mut accept(&listener), answer);
        let mut told = String::new();
        client.0.read_to_string(&mut told).unwrap();
        let lower = told.to_ascii_lowercase();
        assert!(lower.starts_with("http/1.1 200 ") && lower.ends_with("\r\n\r\nhi"), "{told}");
        assert!(!lower.contains("transfer-encoding") && lower.contains("connection: close"), "{told}");
    }
    // What is as long as it says ends there.
    let mut client = stage.connect();
    for _ in 0..2 {
        client.send("GET /public/a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        serve(&mut accept(&listener), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
        assert_eq!(client.answer().unwrap().2, "hi");
    }
}

#[test]
fn a_server_that_switches_protocols_in_another_version_is_not_believed() {
    let (stage, listener) = stage();
    let ask = "GET /public/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let mut client = stage.connect();
        client.send(ask);
        let mut upstream = accept(&listener);
        serve(&mut upstream, &format!("{version} 101 x\r\nUpgrade: websocket\r\n\r\n\u{1}\u{2}hi"));
        if version == "HTTP/1.1" {
            read_until(&mut client, "\r\n\r\n\u{1}\u{2}hi");
        } else {
            let (status, _, body) = client.answer().unwrap();
            assert_eq!((status, &*reason(&body)), (502, "upstream_failed"));
        }
    }
}
