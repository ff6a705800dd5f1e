//! What an upstream may answer that is no good answer, one by one.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{Act, get, policy, say, server, wait};
use crate::harness::{Connection, Gateway, Upstream};

/// What a client gets of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    /// An answer of the gateway's own, of this status and reason.
    Problem(u16, &'static str),
    /// This body, whole.
    Whole(&'static str),
    /// The upstream's head, and then the end before the body's.
    BrokenOff,
}

/// What the upstream does, and what becomes of it.
const FAULTS: [(&str, Act, Got, Option<&str>); 26] = [
    ("closes at once", |_| {}, Got::Problem(502, "upstream_failed"), Some("upstream_failed")),
    ("says nothing", |stream| wait(stream), Got::Problem(504, "upstream_timeout"), Some("upstream_timeout")),
    (
        "is slow to its first byte, and in time",
        |stream| {
            thread::sleep(Duration::from_millis(200));
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "stalls in its head",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Le");
            wait(stream);
        },
        Got::Problem(504, "upstream_timeout"),
        Some("upstream_timeout"),
    ),
    (
        "stalls in its body",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf");
            wait(stream);
        },
        Got::BrokenOff,
        Some("upstream_timeout"),
    ),
    (
        "stalls between chunks",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
            wait(stream);
        },
        Got::BrokenOff,
        Some("upstream_timeout"),
    ),
    (
        "ends in its head",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Le"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends less than its Content-Length",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "ends before its last chunk",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "ends in a chunk",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nhalf"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends a chunk size that is none",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n0\r\n\r\n"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends a chunk size beyond 64 bits",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n");
        },
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends a chunk longer than it says",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhalf\r\n0\r\n\r\n"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends two different lengths",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nhalf"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a length that is no number",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a negative length",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a length beside chunks",
        |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            );
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "sends more than its Content-Length",
        |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
            );
            wait(stream);
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "sends more after its last chunk",
        |stream| {
            let more = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
            say(stream, &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n{more}"));
            wait(stream);
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "answers a second time later",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            thread::sleep(Duration::from_millis(50));
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
            wait(stream);
        },
        Got::Whole("hi"),
        None,
    ),
    ("says no length and ends", |stream| say(stream, "HTTP/1.1 200 OK\r\n\r\nhi"), Got::Whole("hi"), None),
    (
        "speaks another protocol",
        |stream| say(stream, "SSH-2.0-OpenSSH_9.6\r\n"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends bytes of no meaning",
        |stream| {
            let _ = stream.write_all(&[0xff; 5000]);
        },
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a status that is none",
        |stream| say(stream, "HTTP/1.1 9999 What\r\nContent-Length: 0\r\n\r\n"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a header without a name",
        |stream| say(stream, "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nhi"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a head without an end",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\n");
            let line = format!("X: {}\r\n", "x".repeat(1000));
            for _ in 0..3000 {
                if stream.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        },
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
];

#[test]
fn an_upstream_that_fails_is_told_of_and_the_next_request_is_served() {
    for (name, act, expected, error) in FAULTS {
        let mut gateway = Gateway::start_with(&policy(server(act)), Upstream::start(), |_| {});
        let mut connection = Connection::open(gateway.address);
        connection.write(get("bad").as_bytes());
        let found = match connection.read_response() {
            None => Got::BrokenOff,
            Some(response) if response.body.starts_with(b"{") => {
                let reason = response.reason();
                assert_eq!(response.header("content-type"), Some("application/problem+json"), "{name}");
                let (Got::Problem(_, known) | Got::Whole(known)) = expected else {
                    panic!("{name}: {response:?}");
                };
                assert_eq!(reason, known, "{name}");
                Got::Problem(response.status, known)
            }
            Some(response) if response.body == b"hi" => Got::Whole("hi"),
            Some(response) => panic!("{name}: {response:?}"),
        };
        assert_eq!(found, expected, "{name}");
        let line = gateway.audit(1).remove(0);
        assert_eq!((&line["reason"], &line["upstream_error"]), (&json!("public"), &json!(error)), "{name}: {line}");
        // Whatever comes after it while nothing is asked answers no other request, on whichever connection.
        thread::sleep(Duration::from_millis(200));
        let mut others = vec![Connection::open(gateway.address)];
        if matches!(expected, Got::Whole(_)) {
            others.push(connection);
        }
        for (place, other) in others.iter_mut().enumerate() {
            for round in 0..5 {
                let path = format!("good/{place}/{round}");
                other.write(get(&path).as_bytes());
                let response = other.read_response().unwrap_or_else(|| panic!("{name}: no answer to {path}"));
                let body = String::from_utf8(response.body).unwrap();
                assert_eq!((response.status, body), (200, format!("/data/{path}")), "{name}");
            }
        }
        assert!(gateway.is_running(), "{name}");
    }
}
