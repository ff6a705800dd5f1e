//! Requests whose end, or whose next protocol, somebody could read in another way.

use super::stage::{Backend, OK, PATIENCE, Stage, reason};

#[test]
fn a_body_that_a_server_may_not_read_is_the_last_thing_on_its_connection() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let smuggled = "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len();
    let by_length = format!("Content-Length: {length}\r\n\r\n{smuggled}");
    let by_chunks = format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{smuggled}\r\n0\r\n\r\n");
    for (start, body, closes) in [
        ("GET /public/a", &*by_length, true),
        ("HEAD /public/a", &by_length, true),
        ("DELETE /any", &by_chunks, true),
        ("OPTIONS /any", &by_length, true),
        ("GET /public/a", "Content-Length: 0\r\n\r\n", false),
        ("GET /public/a", "\r\n", false),
        ("POST /public/a", &by_length, false),
        ("POST /public/a", &by_chunks, false),
    ] {
        let mut client = stage.connect();
        client.send(&format!("{start} HTTP/1.1\r\nHost: a\r\n{body}"));
        // The backend reads no chunks, and takes them for requests itself.
        let is_whole = |head: &String| head.contains("\r\nX-Request-Id: ");
        let seen = std::iter::from_fn(|| backend.heads.recv_timeout(PATIENCE).ok()).find(is_whole).unwrap();
        assert_eq!(seen.contains("\r\nConnection: close\r\n"), closes, "{start} {body}: {seen}");
    }
}

#[test]
fn an_ambiguous_request_is_the_last_of_its_connection() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let next = "GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (request, expected) in [
        ("GET  /public/a HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        ("GET /public/../a HTTP/1.1\r\nHost: a\r\n\r\n", "path_ambiguous"),
        ("GET /public/a HTTP/1.1\nHost: a\r\n\r\n", "header_ambiguous"),
        ("GET /public/a HTTP/1.1\r\nHost: a\r\nX: b\nContent-Length: 40\r\n\r\n", "header_ambiguous"),
        ("POST /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n", "header_ambiguous"),
        (
            "POST /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "header_ambiguous",
        ),
        ("POST /public/a HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 0\r\n\r\n", "header_ambiguous"),
        (
            "GET /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
            "header_ambiguous",
        ),
    ] {
        let mut client = stage.connect();
        client.send(&format!("{request}{next}"));
        let (status, head, body) = client.answer().unwrap();
        assert_eq!((status, &*reason(&body)), (400, expected), "{request}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{request}{head}");
        assert!(client.answer().is_none(), "{request}");
    }
    assert!(backend.heads.try_recv().is_err());
}

#[test]
fn an_upgrade_that_is_no_whole_handshake_is_forwarded_as_none() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    for head in [
        "GET /public/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "POST /public/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "GET /public/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "GET /public/ws HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "GET /public/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
    ] {
        assert_eq!(stage.ask(head).0, 200, "{head}");
        let seen = backend.heads.recv_timeout(PATIENCE).unwrap();
        assert!(!seen.to_ascii_lowercase().contains("upgrade"), "{seen}");
    }
}

#[test]
fn a_change_of_protocol_that_nobody_asked_for_is_not_passed_on() {
    let backend =
        Backend::start("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let stage = Stage::start(&[backend.address]);
    for version in ["1.1", "1.0"] {
        let (status, _, body) = stage.ask(&format!("GET /public/ws HTTP/{version}\r\nHost: a\r\n\r\n"));
        assert_eq!((status, &*reason(&body)), (502, "upstream_failed"));
    }
}
