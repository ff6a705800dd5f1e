//! Requests inside requests: by lengths, codings, early answers, upgrades and expectations.

use std::fmt::Write as _;

use serde_json::json;

use super::wire::{CUTTINGS, Cutting, Wire, requests};
use crate::harness::{Connection, Gateway, Signer, Upstream};

const POLICY: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    account: { path: account }
    public: ["GET /data/health"]
    scopes:
      - name: data-read
        services: ["* /data/{account}/**"]
"#;

/// What must never be a request anywhere: another's account, asked for without a token.
const HIDDEN: &str = "GET /data/beta/hidden HTTP/1.1\r\nHost: api.example.com\r\n\r\n";

struct Stage {
    wire: Wire,
    gateway: Gateway,
    token: String,
}

impl Stage {
    fn start() -> Self {
        let wire = Wire::start();
        let policy = format!("\nupstreams:\n  backend:\n    servers: [\"{}\"]\n{POLICY}", wire.address);
        let gateway = Gateway::start_with(&policy, Upstream::start(), |_| {});
        let token = Signer::shared().token(json!({ "scope": "data-read", "account_id": "acme" }));
        Self { wire, gateway, token }
    }

    /// A request of the caller's with these lines after `Host`, and everything that comes after its head.
    fn request(&self, start: &str, lines: &[&str], rest: &str) -> String {
        let mut text = format!("{start} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {}\r\n", self.token);
        for line in lines {
            let _ = write!(text, "{line}\r\n");
        }
        format!("{text}\r\n{rest}")
    }

    /// The statuses of all answers to what is sent at once; it is the connection's last.
    fn statuses(&self, text: &str) -> Vec<u16> {
        let mut connection = Connection::open(self.gateway.address);
        connection.try_write(text.as_bytes());
        // A last request whose answer is the last one.
        connection.try_write(b"GET /nowhere HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n");
        std::iter::from_fn(|| connection.read_response()).map(|response| response.status).collect()
    }

    /// However a server cuts what came, it finds the requests that were answered from there, and no hidden one.
    #[track_caller]
    fn check(&self, what: &str, answered: usize) {
        let streams = self.wire.streams();
        for cutting in CUTTINGS {
            let found: Vec<_> = streams.iter().flat_map(|stream| requests(stream, cutting)).collect();
            let hidden = found.iter().filter(|line| line.contains("hidden")).count();
            assert_eq!(hidden, 0, "{what}: {cutting:?} finds {found:?}");
            assert_eq!(found.len(), answered, "{what}: {cutting:?} finds {found:?}");
        }
    }
}

#[test]
fn no_request_is_hidden_in_another_whoever_cuts_the_stream() {
    let stage = Stage::start();
    let length = HIDDEN.len();
    let by_length = format!("Content-Length: {length}");
    let chunks = format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n");
    let ended = format!("0\r\n\r\n{HIDDEN}");
    let ended_length = format!("Content-Length: {}", ended.len());
    let cases: Vec<(&str, Vec<&str>, String)> = vec![
        // A body that looks like a request, in every method that has none.
        ("POST", vec![&by_length], HIDDEN.into()),
        ("PUT", vec!["Transfer-Encoding: chunked"], chunks.clone()),
        ("GET", vec![&by_length], HIDDEN.into()),
        ("HEAD", vec![&by_length], HIDDEN.into()),
        ("DELETE", vec![&by_length], HIDDEN.into()),
        ("OPTIONS", vec![&by_length], HIDDEN.into()),
        ("GET", vec!["Transfer-Encoding: chunked"], chunks.clone()),
        ("DELETE", vec!["Transfer-Encoding: chunked"], chunks.clone()),
        // Length against coding: CL.TE, TE.CL, TE.TE and their disguises.
        ("POST", vec![&ended_length, "Transfer-Encoding: chunked"], ended.clone()),
        ("POST", vec!["Transfer-Encoding: chunked", &ended_length], ended.clone()),
        ("POST", vec!["Content-Length: 4", "Transfer-Encoding: chunked"], chunks.clone()),
        ("POST", vec![&ended_length, "Transfer_Encoding: chunked"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer.Encoding: chunked"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer~Encoding: chunked"], ended.clone()),
        ("POST", vec![&ended_length, "X-Transfer-Encoding: chunked"], ended.clone()),
        ("POST", vec!["Transfer-Encoding: chunked", "Content_Length: 4"], chunks.clone()),
        ("POST", vec!["Transfer-Encoding: chunked", "Transfer_Encoding: identity"], chunks.clone()),
        ("POST", vec![&ended_length, "Transfer-Encoding: xchunked"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer-Encoding: identity, chunked"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer-Encoding: chunked, identity"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer-Encoding : chunked"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer-Encoding:\x0bchunked"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer-Encoding: chunked\x0b"], ended.clone()),
        ("POST", vec![&ended_length, "Transfer-Encoding:\r\n chunked"], ended.clone()),
        ("POST", vec![&ended_length, "X: y\nTransfer-Encoding: chunked"], ended.clone()),
        ("POST", vec![&ended_length, "X: y\rTransfer-Encoding: chunked"], ended.clone()),
        ("POST", vec!["Content-Length: 0", &ended_length], ended.clone()),
        ("POST", vec![&ended_length, "Content-Length: 0"], ended.clone()),
        ("POST", vec![&ended_length, &ended_length], ended.clone()),
        ("POST", vec!["Content-Length: 0x5"], ended.clone()),
        ("POST", vec![&ended_length, "Connection: close, content-length"], ended.clone()),
        ("POST", vec!["Transfer-Encoding: chunked", "Connection: close, transfer-encoding"], chunks.clone()),
        // Chunks that servers cut differently.
        ("POST", vec!["Transfer-Encoding: chunked"], format!("0x{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("+{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!(" {length:x}\r\n{HIDDEN}\r\n0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("1000000000000000{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("{length:x}\n{HIDDEN}\n0\n\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("{length:x}\r{HIDDEN}\r\n0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("{length:x};a=b\r\n{HIDDEN}\r\n0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("{length:x};a\rb\r\n{HIDDEN}\r\n0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("{length:x}\r\n{HIDDEN}xx0\r\n\r\n")),
        ("POST", vec!["Transfer-Encoding: chunked"], format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", length - 4)),
        ("POST", vec!["Transfer-Encoding: chunked"], "-1\r\n0\r\n\r\n".into()),
        // Trailers, which must not become headers or requests.
        (
            "POST",
            vec!["Transfer-Encoding: chunked", "Trailer: Content-Length"],
            "1\r\nx\r\n0\r\nContent-Length: 50\r\n\r\n".into(),
        ),
    ];
    println!("{} streams, each cut in {} ways", cases.len(), CUTTINGS.len());
    let mut answered = 0;
    for (method, lines, rest) in &cases {
        let text = stage.request(&format!("{method} /data/acme/x"), lines, rest);
        let statuses = stage.statuses(&text);
        answered += statuses.iter().filter(|status| **status == 200).count();
        assert!(statuses.len() <= 3, "{method} {lines:?}: {statuses:?}");
        stage.check(&format!("{method} {lines:?} {}", rest.escape_debug()), answered);
    }
    assert!(answered >= 12, "{answered}");
}

/// What a proxy before the gateway takes for one request and the gateway must not take for two, or the other way round:
/// each is refused, and nothing behind it is read. (CVE-2025-22871, CVE-2024-6827, and others of 2024 to 2026.)
#[test]
fn chunks_that_some_server_ends_elsewhere_are_refused() {
    let stage = Stage::start();
    let hidden_length = format!("{:x}", HIDDEN.len() + 5);
    let cases = [
        // A line feed that ends the line for one, and is a part of the extension for the other.
        format!("2;\nxx\r\n{hidden_length}\r\n0\r\n\r\n{HIDDEN}\r\n0\r\n\r\n"),
        format!("2;a\nxx\r\n{hidden_length}\r\n0\r\n\r\n{HIDDEN}\r\n0\r\n\r\n"),
        format!("2;a=\"\n\"\r\nxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("2;a\rxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("2;a\0\r\nxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("0;\n\r\n\r\n{HIDDEN}"),
        format!("0;a\n\r\n{HIDDEN}\r\n"),
        // A line feed or a carriage return alone.
        format!("2\nxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("2\rxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("2\r\nxx\n0\r\n\r\n{HIDDEN}"),
        format!("2\r\nxx\r0\r\n\r\n{HIDDEN}"),
        format!("0\r\n\n{HIDDEN}"),
        format!("0\n\r\n{HIDDEN}"),
        // Two bytes after the data that are no end of a line.
        format!("2\r\nxxyy0\r\n\r\n{HIDDEN}"),
        format!("2\r\nxx0\r\n\r\n{HIDDEN}"),
        // Sizes that are none, or that overflow.
        format!("\r\n0\r\n\r\n{HIDDEN}"),
        format!(";a\r\n0\r\n\r\n{HIDDEN}"),
        format!("1_0\r\nxxxxxxxxxxxxxxxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("2 0\r\nxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("00000000000000002\r\nxx\r\n0\r\n\r\n{HIDDEN}"),
        format!("2\x0b\r\nxx\r\n0\r\n\r\n{HIDDEN}"),
        // Trailers that end elsewhere.
        format!("0\r\nX: y\n\r\n{HIDDEN}"),
        format!("0\r\nX: y\r\n\n{HIDDEN}"),
        format!("0\r\n X: y\r\n\r\n{HIDDEN}"),
        format!("0\r\nX: y\rZ: y\r\n\r\n{HIDDEN}"),
    ];
    println!("{} bodies", cases.len());
    for body in &cases {
        let shown = body.escape_debug();
        let text = stage.request("POST /data/acme/x", &["Transfer-Encoding: chunked"], body);
        assert_eq!(stage.statuses(&text), [400], "{shown}");
        // The same in two pieces, wherever they are parted.
        for place in 1..body.len().min(12) {
            let (head, rest) = text.split_at(text.len() - body.len() + place);
            let mut connection = Connection::open(stage.gateway.address);
            connection.write(head.as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(5));
            connection.try_write(rest.as_bytes());
            let statuses: Vec<_> =
                std::iter::from_fn(|| connection.read_response()).map(|response| response.status).collect();
            assert_eq!(statuses, [400], "{shown} parted at {place}");
        }
        stage.check(&shown.to_string(), 0);
    }
}

#[test]
fn an_early_refusal_lets_nothing_of_its_body_be_a_request() {
    let stage = Stage::start();
    let length = HIDDEN.len();
    for start in
        ["POST /data/beta/x", "POST /nowhere", "POST /data/acme/../x", "GET /.well-known/oauth-protected-resource"]
    {
        for (lines, rest) in [
            (vec![format!("Content-Length: {length}")], HIDDEN.to_owned()),
            (vec!["Transfer-Encoding: chunked".into()], format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n")),
            (vec![format!("Content-Length: {length}"), "Expect: 100-continue".into()], HIDDEN.to_owned()),
            (vec!["Transfer-Encoding: chunked".into()], format!("zz\r\n{HIDDEN}")),
            (vec![format!("Content-Length: {}", length + 1)], HIDDEN.to_owned()),
        ] {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let text = stage.request(start, &lines, &rest);
            // At once, and in two pieces with the answer between.
            let statuses = stage.statuses(&text);
            assert!(
                statuses.iter().all(|status| matches!(status, 400 | 401 | 403 | 404)),
                "{start} {lines:?}: {statuses:?}"
            );
            assert!(!statuses.is_empty() && statuses.len() <= 2, "{start} {lines:?}: {statuses:?}");
            let (head, body) = text.split_at(text.len() - rest.len());
            let mut connection = Connection::open(stage.gateway.address);
            connection.write(head.as_bytes());
            assert!(connection.read_response().unwrap().status >= 400);
            connection.try_write(body.as_bytes());
            assert!(connection.read_response().is_none(), "{start} {lines:?}: the body was answered");
        }
    }
    stage.check("refusals", 0);
}

#[test]
fn pipelined_requests_are_each_judged_for_themselves() {
    let stage = Stage::start();
    let good = stage.request("GET /data/acme/x", &[], "");
    let body = stage.request("POST /data/acme/x", &["Content-Length: 5"], "hello");
    let forbidden = stage.request("GET /data/beta/x", &[], "");
    for (text, statuses) in [
        (format!("{good}{HIDDEN}{good}"), &[200, 401, 200, 401][..]),
        (format!("{body}{forbidden}{body}"), &[200, 403, 200, 401]),
        (format!("{HIDDEN}{body}"), &[401, 200, 401]),
        // After what is ambiguous, nothing is read.
        (format!("{}{good}", stage.request("GET /data/acme//x", &[], "")), &[400]),
        (format!("{}{good}", stage.request("GET /data/acme/x", &["Host: a"], "")), &[400]),
    ] {
        assert_eq!(stage.statuses(&text), statuses, "{text}");
    }
}

#[test]
fn an_upgrade_gives_nobody_a_tunnel_that_the_upstream_did_not() {
    let stage = Stage::start();
    let mut answered = 0;
    for lines in [
        &["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"][..],
        &["Upgrade: h2c", "Connection: Upgrade"],
        &["Upgrade: h2c"],
        &["Upgrade: websocket"],
        &["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 777"],
        &[
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version: 13",
        ],
        &["Upgrade: websocket, h2c", "Connection: Upgrade"],
        &[
            "Upgrade: websocket",
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ],
        &["Upgrade: TLS/1.2", "Connection: Upgrade"],
        &["Upgrade: HTTP/2.0", "Connection: Upgrade"],
        &["Upgrade: IRC/6.9", "Connection: Upgrade"],
        &["Upgrade:", "Connection: Upgrade"],
    ] {
        let text = stage.request("GET /data/acme/x", lines, HIDDEN);
        assert_eq!(stage.statuses(&text), [200, 401, 401], "{lines:?}");
        answered += 1;
        stage.check(&format!("{lines:?}"), answered);
        let sent = String::from_utf8(stage.wire.streams().concat()).unwrap().to_ascii_lowercase();
        // A token may have any of it by chance.
        for line in sent.lines().filter(|line| !line.starts_with("authorization:")) {
            assert!(!["h2c", "http2-settings", "tls/"].iter().any(|protocol| line.contains(protocol)), "{line}");
        }
    }
    let preface =
        stage.request("GET /data/acme/x", &["Upgrade: h2c", "Connection: Upgrade"], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(stage.statuses(&preface)[..2], [200, 400]);
}

#[test]
fn old_versions_have_no_codings_and_no_second_request_unless_asked() {
    let stage = Stage::start();
    let old = |lines: &[&str], rest: &str| {
        stage.request("POST /data/acme/x", lines, rest).replacen("HTTP/1.1", "HTTP/1.0", 1)
    };
    for (text, statuses) in [
        (old(&["Content-Length: 0"], HIDDEN), &[200][..]),
        (old(&["Content-Length: 0", "Connection: keep-alive"], HIDDEN), &[200, 401, 401]),
        (old(&["Transfer-Encoding: chunked"], "0\r\n\r\n"), &[400]),
        (old(&["Transfer-Encoding: chunked", "Connection: keep-alive", "Content-Length: 5"], "0\r\n\r\n"), &[400]),
        (old(&[], HIDDEN), &[200]),
    ] {
        assert_eq!(stage.statuses(&text), statuses, "{text}");
    }
    stage.check("HTTP/1.0", 3);
    assert_eq!(requests(&stage.wire.streams().concat(), Cutting::LengthFirst).len(), 3);
}
