//! Requests whose end, or whose next protocol, somebody could read in another way.

use super::stage::{Backend, OK, PATIENCE, Stage};

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
