//! Answers that are longer than they may be, or change the protocol: nothing of them is read as another answer, and no
//! client gets a tunnel that it did not ask for.

use crate::harness::{Connection, Gateway, Upstream, connect};

const POLICY: &str = r#"
apis:
  - { name: data, base_path: /data, upstream: backend, public: ["* /data/**"] }
"#;

const WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n";

/// What would be the next client's answer, if it were one.
const PLANTED: &str = "HTTP/1.1 200 OK\r\nX-Planted: yes\r\nContent-Length: 7\r\n\r\nplanted";

#[test]
fn what_follows_an_answer_is_nobodys() {
    let body = |head: &str, status: &str| format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{PLANTED}");
    let chunks = format!("{:x}\r\n{PLANTED}\r\n0\r\n\r\n", PLANTED.len());
    let length = format!("Content-Length: {}", PLANTED.len());
    let switching =
        |protocol: &str| body(&format!("Upgrade: {protocol}\r\nConnection: Upgrade"), "101 Switching Protocols");
    for (method, lines, answer, status) in [
        // Answers that have no body (RFC 9112 section 6.3), and one all the same.
        ("HEAD", "", body(&length, "200 OK"), 200),
        ("HEAD", "", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"), 200),
        ("GET", "", body(&length, "204 No Content"), 204),
        ("GET", "", body(&length, "304 Not Modified"), 304),
        ("GET", "", format!("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"), 204),
        ("GET", "", body("Content-Length: 0", "200 OK"), 200),
        // Protocols that nobody asked for.
        ("GET", "", switching("websocket"), 502),
        ("GET", "", switching("h2c"), 502),
        ("POST", "Content-Length: 0\r\n", switching("websocket"), 502),
        (
            "GET",
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n",
            switching("h2c"),
            502,
        ),
        ("GET", "Upgrade: TLS/1.2\r\nConnection: Upgrade\r\n", switching("TLS/1.2"), 502),
        ("GET", WEBSOCKET, switching("h2c"), 502),
        ("GET", WEBSOCKET, switching("websocket, h2c"), 502),
        ("GET", WEBSOCKET, switching("websocket\r\nUpgrade: h2c"), 502),
        ("GET", WEBSOCKET, body("Connection: Upgrade", "101 Switching Protocols"), 502),
    ] {
        let shown = format!("{method} {} to {}", lines.escape_debug(), answer.escape_debug());
        let gateway = Gateway::start_with(POLICY, Upstream::answering(move |_| answer.clone().into_bytes()), |_| {});
        let mut connection = Connection::over(connect(gateway.address));
        let asked = format!("{method} /data/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        connection.write(asked.as_bytes());
        let line = connection.read_head().expect(&shown);
        assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {line}");
        if status == 502 {
            // Its problem body, and then the end: what is sent now goes nowhere.
            connection.try_write(b"GET /data/tunnel HTTP/1.1\r\nHost: a\r\n\r\n");
        } else {
            connection.try_write(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
            let next = connection.read_response().expect(&shown);
            assert_eq!((next.status, next.header("x-planted")), (401, None), "{shown}");
        }
        let seen = gateway.upstream.seen();
        assert!(!seen.iter().any(|request| request.line.contains("tunnel")), "{shown}");
        // And another client's next request has an answer of its own.
        let next = gateway.ask("GET", "/nowhere", &[]);
        assert_eq!((next.status, next.header("x-planted")), (401, None), "{shown}");
    }
}
