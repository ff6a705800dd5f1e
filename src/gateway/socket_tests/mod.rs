//! The gateway over real sockets, in this process: what pingora and the phases make of connections.
//!
//! What a decision is, and what each refusal looks like, is tested where it is made.

mod carrying;
mod ending;
mod framing;
mod panics;
mod relay;
mod slow;
mod stage;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::{NeedsRestart, NotReplaced, Replaced};
pub(super) use panics::provoke;
use stage::{Backend, OK, PATIENCE, Stage, configuration, head, reason};

/// One that goes the short way, by `relay`, and one that does not.
const WAYS: [&str; 2] = [relay::ASK, "POST /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"];

#[test]
fn a_public_service_is_forwarded_and_its_answer_comes_back() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let (status, head, body) =
        stage.ask("GET /public/%61?b=c HTTP/1.1\r\nHost: a.example:8080\r\nX-Auth-Subject: root\r\n\r\n");
    assert_eq!((status, &*body), (200, "hi"));
    assert!(head.contains("\r\nX-Request-Id: ") && !head.contains("Keep-Alive:"), "{head}");
    let seen = backend.heads.recv_timeout(PATIENCE).unwrap();
    assert!(seen.starts_with("GET /public/a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nHost: a.example:8080\r\n") && !seen.contains("root"), "{seen}");
    let lines = stage.audit();
    assert_eq!((&lines[0]["reason"], &lines[0]["status"]), (&"public".into(), &200.into()));
    assert_eq!(lines[0]["path"], "/public/%61");
}

#[test]
fn what_is_refused_is_answered_and_not_forwarded() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let requests = [
        ("GET /public/a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_ambiguous"),
        ("GET http://a/public/a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_ambiguous"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_ambiguous"),
        ("GET /public/../x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_ambiguous"),
        ("GET /public/a HTTP/1.1\r\n\r\n", 400, "header_ambiguous"),
        ("GET /public/a HTTP/1.0\r\n\r\n", 400, "header_ambiguous"),
        ("GET /public/a HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "header_ambiguous"),
        (
            "GET /public/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            400,
            "header_ambiguous",
        ),
        ("GET /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400, "header_ambiguous"),
        ("GET /public/a HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\n\r\n", 400, "header_ambiguous"),
        ("PUT /public/a HTTP/1.1\r\nHost: a\r\n\r\n", 401, "token_missing"),
        ("TRACE /any HTTP/1.1\r\nHost: a\r\n\r\n", 401, "token_missing"),
    ];
    for (request, status, expected) in requests {
        let (found, head, body) = stage.ask(request);
        assert!(!body.is_empty(), "{request}{head}");
        assert_eq!((found, &*reason(&body)), (status, expected), "{request}{head}{body}");
    }
    assert!(backend.heads.try_recv().is_err());
    assert_eq!(stage.audit().len(), requests.len());
}

#[test]
fn a_request_line_that_pingora_repairs_is_judged_and_forwarded_as_repaired() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let (status, ..) = stage.ask("GET /public/a b<c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status, 200);
    let seen = backend.heads.recv_timeout(PATIENCE).unwrap();
    assert!(seen.starts_with("GET /public/a%20b%3Cc HTTP/1.1\r\n"), "{seen}");
}

#[test]
fn what_pingora_itself_refuses_is_not_forwarded() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    for request in [
        "GET /public/a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "POST /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST /public/a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        "GET /public/a HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /public/a HTTP/2.0\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = stage.connect();
        client.send(request);
        let answer = client.answer();
        assert!(answer.as_ref().is_none_or(|(status, ..)| matches!(status, 400 | 405)), "{request}{answer:?}");
    }
    assert!(backend.heads.try_recv().is_err());
}

#[test]
fn a_refused_body_is_never_read_as_the_next_request() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let smuggled = "GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len();
    let mut client = stage.connect();
    client.send(&format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
    let (status, head, _) = client.answer().unwrap();
    assert!(status == 401 && head.contains("\r\nConnection: close\r\n"), "{head}");
    client.send(smuggled);
    assert!(client.answer().is_none());
    assert!(backend.heads.try_recv().is_err());
}

#[test]
fn a_body_with_two_lengths_is_refused_and_ends_the_connection() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let mut client = stage.connect();
    client.send(
        "POST /public/a HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET /public/smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let (status, head, body) = client.answer().unwrap();
    assert!(status == 400 && reason(&body) == "header_ambiguous", "{head}");
    assert!(client.answer().is_none());
    assert!(backend.heads.try_recv().is_err());
}

#[test]
fn requests_on_one_connection_are_answered_in_their_order_even_if_sent_at_once() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let mut client = stage.connect();
    client.send(
        "GET /public/a HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n\
         HEAD /y HTTP/1.1\r\nHost: a\r\n\r\nGET /public/b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(client.answer().unwrap().0, 200);
    assert_eq!(client.answer().unwrap().0, 401);
    let head_only = head(&mut client.0).unwrap();
    assert!(head_only.starts_with("HTTP/1.1 401"), "{head_only}");
    assert_eq!(client.answer().unwrap().0, 200);
    assert!(client.answer().is_none());
}

#[test]
fn a_websocket_passes_and_no_other_upgrade_does() {
    let backend =
        Backend::start("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let stage = Stage::start(&[backend.address]);
    // Pingora ends an exchange at once if the upstream's 101 overtakes the end of the request within
    // it, which an upstream on the same machine can do; a client connects again then, as this one does.
    assert!((0..20).any(|_| is_echoed(&stage)));
    let plain = Backend::start(OK);
    let stage = Stage::start(&[plain.address]);
    let h2c = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nConnection: Upgrade, HTTP2-Settings\r\n";
    let (status, ..) = stage.ask(&format!("GET /public/a HTTP/1.1\r\nHost: a\r\n{h2c}\r\n"));
    assert_eq!(status, 200);
    let seen = plain.heads.recv_timeout(PATIENCE).unwrap().to_ascii_lowercase();
    assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{seen}");
}

/// Whether what is sent after the handshake comes back.
fn is_echoed(stage: &Stage) -> bool {
    let mut client = stage.connect();
    client.send("GET /public/ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert_eq!(client.answer().unwrap().0, 101);
    client.send("abc");
    let mut echo = [0; 3];
    client.0.read_exact(&mut echo).is_ok_and(|()| echo == *b"ABC")
}

#[test]
fn an_upstream_that_fails_is_a_problem_whichever_way_leads_to_it() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let rubbish = Backend::start("rubbish\r\n\r\n");
    for (address, status, expected) in [
        (closed, 503, "upstream_unavailable"),
        (silent.local_addr().unwrap(), 504, "upstream_timeout"),
        (rubbish.address, 502, "upstream_failed"),
    ] {
        for request in WAYS {
            let stage = Stage::start(&[address]);
            let (found, _, body) = stage.ask(request);
            assert_eq!((found, &*reason(&body)), (status, expected), "{body}");
            let line = stage.audit().pop().unwrap();
            assert_eq!(
                (&line["reason"], &line["status"], &line["upstream_error"]),
                (&"public".into(), &status.into(), &expected.into())
            );
        }
    }
}

#[test]
fn a_server_that_is_down_is_passed_over_whatever_the_method() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let backend = Backend::start(OK);
    for request in WAYS {
        let stage = Stage::start(&[closed, backend.address]);
        for _ in 0..4 {
            assert_eq!(stage.ask(request).0, 200, "{request}");
        }
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_as_whole() {
    let backend = Backend::start("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf");
    let stage = Stage::start(&[backend.address]);
    let mut client = stage.connect();
    client.send("GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head(&mut client.0).unwrap().starts_with("HTTP/1.1 200"));
    let mut rest = Vec::new();
    client.0.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"half");
    assert_eq!(stage.audit().pop().unwrap()["upstream_error"], "upstream_timeout");
}

#[test]
fn the_resource_metadata_is_served_without_a_token() {
    let stage = Stage::start(&["127.0.0.1:1".parse().unwrap()]);
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/v1?x"] {
        let (status, head, body) = stage.ask(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(status == 200 && head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["resource"], &body["resource_name"]), (&"https://api.example/v1".into(), &"The API".into()));
    }
    let (status, ..) = stage.ask("POST /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(status, 405);
    let (status, head, _) = stage.ask("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    let challenge = "Bearer resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/v1\"";
    assert!(status == 401 && head.contains(challenge), "{head}");
}

#[test]
fn another_configuration_takes_the_place_whole_or_not_at_all() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let first = stage.gateway.current();
    assert_eq!(stage.gateway.replace(configuration(1, &[])), Ok(Replaced::Unchanged));
    let mut moved = configuration(2, &[]);
    moved.settings.threads = 3;
    moved.settings.admin = Some(crate::config::Admin {
        address: "127.0.0.1:1".parse().unwrap(),
        revocations_token_file: None,
        access: None,
    });
    let refused = stage.gateway.replace(moved).unwrap_err();
    assert_eq!(refused, NotReplaced::from(NeedsRestart { keys: vec!["`threads`", "`admin`"] }));
    assert_eq!(
        format!("{refused}"),
        "`threads`, `admin` cannot change while the gateway runs; restart it to take the change into use"
    );
    assert!(Arc::ptr_eq(&first, &stage.gateway.current()));
    assert_eq!(stage.gateway.replace(configuration(3, &[])), Ok(Replaced::By(2)));
    assert_eq!((first.number, stage.gateway.current().number), (1, 2));
    let (status, _, body) = stage.ask("GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((status, &*reason(&body)), (503, "upstream_unavailable"));
}

#[test]
fn a_server_that_stops_lets_requests_end_and_takes_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stage = Stage::start(&[listener.local_addr().unwrap()]);
    let mut client = stage.connect();
    client.send("GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n");
    let (mut upstream, _) = listener.accept().unwrap();
    let server = stage.server.take().unwrap();
    let stopping = thread::spawn(move || server.stop(|| false));
    // It listens no more once it has been told to stop.
    while TcpStream::connect(stage.address).is_ok() {
        thread::yield_now();
    }
    upstream.write_all(OK.as_bytes()).unwrap();
    assert_eq!(client.answer().unwrap().0, 200);
    stopping.join().unwrap();
    assert_eq!(stage.gateway.in_flight(), 0);
}
