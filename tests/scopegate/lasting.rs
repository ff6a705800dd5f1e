//! Exchanges that go on after their answer has begun: `WebSocket`s and event streams, until what lets them
//! through is no more.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Gateway, PATIENCE, Signer, Upstream, connect, now, wait_for};
use crate::http2_client::{Http2, head};

const POLICY: &str = r#"
revocations: { file: revoked.jsonl, endpoint: /oauth/revoke }
apis:
  - name: live
    base_path: /live
    upstream: backend
    account: { path: account }
    public: ["GET /live/open"]
    scopes:
      - { name: live-read, services: ["GET /live/{account}/**"] }
"#;

const SWITCH: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// An upstream of one connection at a time, which the test plays.
struct Stage {
    gateway: Gateway,
    taken: Receiver<TcpStream>,
}

/// Both ends of one exchange.
struct Exchange {
    client: TcpStream,
    upstream: TcpStream,
}

impl Stage {
    fn new(listener: &str) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (give, taken) = mpsc::channel();
        thread::spawn(move || socket.incoming().map_while(Result::ok).try_for_each(|stream| give.send(stream)));
        let policy =
            POLICY.replacen("apis:", &format!("upstreams:\n  backend:\n    servers: [\"{address}\"]\napis:"), 1);
        Self { gateway: Gateway::start_listening(listener, &policy, Upstream::start(), |_| {}), taken }
    }

    /// The connection on which a request has come, its head read.
    fn asked(&self) -> TcpStream {
        let mut upstream = self.taken.recv_timeout(PATIENCE).unwrap();
        upstream.set_read_timeout(Some(PATIENCE)).unwrap();
        upstream.set_nodelay(true).unwrap();
        read_head(&mut upstream);
        upstream
    }

    fn begin(&self, target: &str, token: Option<&str>, headers: &str, answer: &str) -> Exchange {
        let mut client = connect(self.gateway.address);
        client.set_nodelay(true).unwrap();
        client.write_all(request(target, token, headers).as_bytes()).unwrap();
        let mut upstream = self.asked();
        upstream.write_all(answer.as_bytes()).unwrap();
        Exchange { client, upstream }
    }

    fn socket(&self, target: &str, token: Option<&str>) -> Exchange {
        let mut exchange = self.begin(target, token, SWITCH, SWITCHED);
        let head = read_head(&mut exchange.client);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        exchange
    }

    fn events(&self, target: &str, token: Option<&str>) -> Exchange {
        let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut exchange = self.begin(target, token, "Accept: text/event-stream\r\n", answer);
        let head = read_head(&mut exchange.client);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        exchange
    }

    /// The audit line of what was ended for this.
    fn ended(&self, why: &str) -> Value {
        wait_for(why, || self.gateway.audit(0).into_iter().find(|line| line["ended"] == why))
    }
}

fn request(target: &str, token: Option<&str>, headers: &str) -> String {
    let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("GET {target} HTTP/1.1\r\nHost: api.example.com\r\n{bearer}{headers}\r\n")
}

impl Exchange {
    /// Has bytes pass from one end to the other.
    #[track_caller]
    fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
        from.write_all(bytes).unwrap();
        assert_eq!(read(to, bytes.len()).escape_ascii().to_string(), bytes.escape_ascii().to_string());
    }
}

fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend_from_slice(&read(stream, 1));
    }
    String::from_utf8(head).unwrap()
}

/// All that comes until the end, be it a reset.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return all,
            Ok(read) => all.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error} after {}", all.escape_ascii()),
        }
    }
}

fn token(claims: Value) -> String {
    let mut all = json!({ "scope": "live-read", "account_id": "acme" });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    Signer::shared().token(all)
}

/// A close frame of 1008 with the reason's code.
fn goodbye(why: &str) -> Vec<u8> {
    [&[0x88, u8::try_from(why.len() + 2).unwrap(), 0x03, 0xf0][..], why.as_bytes()].concat()
}

#[track_caller]
fn check_closed(exchange: &mut Exchange, why: &str) {
    let since = Instant::now();
    assert_eq!(rest(&mut exchange.client).escape_ascii().to_string(), goodbye(why).escape_ascii().to_string());
    // The upstream learns of it, whatever the client does.
    assert_eq!(rest(&mut exchange.upstream), b"");
    assert!(since.elapsed() < PATIENCE);
}

#[test]
fn a_websocket_is_closed_within_a_second_of_its_tokens_revocation_however_that_comes_about() {
    let stage = Stage::new("");
    let entry = |text: &str| std::fs::write(stage.gateway.folder.path().join("revoked.jsonl"), text).unwrap();
    let by_list = |jti: &str, _: &str| entry(&format!("{}\n", json!({ "iss": "https://issuer.example", "jti": jti })));
    let by_holder = |_: &str, token: &str| {
        let form = format!("token={token}");
        let text = format!(
            "POST /oauth/revoke HTTP/1.1\r\nHost: api.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            form.len()
        );
        assert_eq!(stage.gateway.send(text.as_bytes()).status, 200);
    };
    let ways: [(&str, &dyn Fn(&str, &str)); 2] = [("one", &by_holder), ("two", &by_list)];
    for (jti, revoke) in ways {
        let token = token(json!({ "jti": jti }));
        let mut idle = stage.socket("/live/acme/idle", Some(&token));
        let mut busy = stage.socket("/live/acme/busy", Some(&token));
        let other = stage.socket("/live/acme/x", Some(&self::token(json!({ "jti": "other" }))));
        Exchange::pass(&mut busy.client, &mut busy.upstream, b"\x81\x82\x01\x02\x03\x04hi");
        Exchange::pass(&mut busy.upstream, &mut busy.client, b"\x81\x02hi");
        revoke(jti, &token);
        let since = Instant::now();
        check_closed(&mut idle, "token_revoked");
        let took = since.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        check_closed(&mut busy, "token_revoked");
        let Exchange { mut client, mut upstream } = other;
        Exchange::pass(&mut client, &mut upstream, b"\x89\x80\x01\x02\x03\x04");
        Exchange::pass(&mut upstream, &mut client, b"\x8a\x00");
    }
    let line = stage.ended("token_revoked");
    assert_eq!(
        (&line["decision"], &line["status"], &line["reason"]),
        (&json!("allow"), &json!(101), &json!("granted"))
    );
}

#[test]
fn a_websocket_is_closed_when_its_token_expires_and_cut_where_a_frame_is_half_way() {
    let stage = Stage::new("");
    // Beyond the leeway, in two seconds.
    let token = token(json!({ "exp": now() - 28 }));
    let mut whole = stage.socket("/live/acme/x", Some(&token));
    let mut half = stage.socket("/live/acme/x", Some(&token));
    Exchange::pass(&mut half.upstream, &mut half.client, b"\x82\x05abc");
    check_closed(&mut whole, "token_expired");
    assert_eq!(rest(&mut half.client), b"");
    assert_eq!(rest(&mut half.upstream), b"");
    stage.ended("token_expired");
}

#[test]
fn a_websocket_is_closed_as_well_on_a_connection_that_had_events_before() {
    let stage = Stage::new("");
    let token = token(json!({ "exp": now() - 27 }));
    let Exchange { mut client, mut upstream } = stage.events("/live/acme/events", Some(&token));
    // Long enough to have what looks like a frame's head in it.
    let event = "82\r\n".to_owned() + &"\x7fdata: 1\n".repeat(14) + "\x7f\x7f\n\n\r\n0\r\n\r\n";
    Exchange::pass(&mut upstream, &mut client, event.as_bytes());
    client.write_all(request("/live/acme/x", Some(&token), SWITCH).as_bytes()).unwrap();
    read_head(&mut upstream);
    upstream.write_all(SWITCHED.as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101 "));
    Exchange::pass(&mut upstream, &mut client, b"\x81\x02hi");
    check_closed(&mut Exchange { client, upstream }, "token_expired");
}

#[test]
fn what_is_said_after_the_end_reaches_nobody() {
    let stage = Stage::new("");
    let token = token(json!({ "exp": now() - 28 }));
    let mut exchange = stage.socket("/live/acme/x", Some(&token));
    let said = goodbye("token_expired");
    assert_eq!(read(&mut exchange.client, said.len()), said);
    // Neither side has closed yet; both go on.
    let _ = exchange.client.write_all(b"\x81\x82\x01\x02\x03\x04hi");
    let _ = exchange.upstream.write_all(b"\x81\x02hi");
    assert_eq!(rest(&mut exchange.client), b"");
    assert_eq!(rest(&mut exchange.upstream), b"");
}

#[test]
fn a_reload_ends_what_the_new_policy_does_not_let_through_and_nothing_else() {
    let stage = Stage::new("");
    let token = token(json!({}));
    let mut kept = stage.socket("/live/acme/kept", Some(&token));
    let mut gone = stage.socket("/live/acme/gone", Some(&token));
    let mut open = stage.socket("/live/open", None);
    let text = std::fs::read_to_string(stage.gateway.file()).unwrap();
    let text =
        text.replace("GET /live/{account}/**\"", "GET /live/{account}/kept\"").replace("/live/open", "/live/shut");
    stage.gateway.replace_file(&text);
    stage.gateway.wait_for_policy("the change", |policy| policy["generation"] == 2);
    check_closed(&mut gone, "route_unknown");
    check_closed(&mut open, "token_missing");
    Exchange::pass(&mut kept.upstream, &mut kept.client, b"\x81\x02hi");
    Exchange::pass(&mut kept.client, &mut kept.upstream, b"\x81\x82\x01\x02\x03\x04hi");
}

#[test]
fn events_pass_at_once_and_end_with_their_token_and_a_download_does_not() {
    let stage = Stage::new("");
    let token = token(json!({ "exp": now() - 27 }));
    let mut events = stage.events("/live/acme/events", Some(&token));
    for event in [&b"data: 1\n\n"[..], b"data: 2\n\n"] {
        // Each is read before the next is written: nothing waits for more.
        let chunk = [format!("{:x}\r\n", event.len()).as_bytes(), event, b"\r\n"].concat();
        Exchange::pass(&mut events.upstream, &mut events.client, &chunk);
    }
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nabc";
    let mut download = stage.begin("/live/acme/file", Some(&token), "", answer);
    // Idle, and it ends all the same, without the last chunk that a whole answer has.
    assert_eq!(rest(&mut events.client), b"");
    assert_eq!(rest(&mut events.upstream), b"");
    assert_eq!(stage.ended("token_expired")["path"], "/live/acme/events");
    download.upstream.write_all(b"def").unwrap();
    assert!(read_head(&mut download.client).starts_with("HTTP/1.1 200 "));
    assert_eq!(read(&mut download.client, 6), b"abcdef");
}

#[test]
fn events_over_http2_end_with_the_next_one() {
    let stage = Stage::new("http2: true");
    let token = token(json!({ "exp": now() - 28 }));
    let client = Http2::plain(stage.gateway.address);
    let head = head("GET", "/live/acme/events", &[("authorization", &format!("Bearer {token}"))]);
    // The answer comes later: it is what is sent by the test's own hand.
    let answered = client.with(|sender| async move {
        let mut ready = sender.ready().await.unwrap();
        [ready.send_request(head, true).unwrap().0]
    });
    let mut upstream = stage.asked();
    let text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    upstream.write_all(text.as_bytes()).unwrap();
    let (first, end) = client.with(|_| async move {
        let [answered] = answered;
        let mut body = answered.await.unwrap().into_body();
        let first = body.data().await.unwrap().unwrap();
        // Goes on saying something until nobody listens.
        thread::spawn(move || {
            while upstream.write_all(b"9\r\ndata: 2\n\n\r\n").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let mut end = None;
        while let Some(piece) = body.data().await {
            match piece {
                Ok(piece) => body.flow_control().release_capacity(piece.len()).unwrap(),
                Err(error) => {
                    end = Some(error);
                    break;
                }
            }
        }
        (first, end)
    });
    assert_eq!(first, &b"data: 1\n\n"[..]);
    assert!(end.is_some_and(|error| error.is_reset()), "the stream ended as if it were whole");
    stage.ended("token_expired");
}

#[test]
fn hostile_frames_pass_as_bytes_and_end_like_others() {
    let stage = Stage::new("");
    let token = token(json!({ "exp": now() - 25 }));
    for frame in [
        // A reserved opcode and reserved bits; a length that is a lie; one of 2^63; masked by the server.
        &b"\xff\x80\x00\x00\x00\x00"[..],
        b"\x82\x7e\x00\x01x",
        b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffx",
        b"\x81\x82\x01\x02\x03\x04hi",
        b"\x00\x00\x00\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        // Text of a client that masks with nothing.
        b"\x81\xa1\x00\x00\x00\x00x\nTransfer-Encoding: chunked\r\n\r\nzz",
        b"\x81\xa1\x00\x00\x00\x00x\nContent-Length: x\r\n\r\nzz",
    ] {
        let mut exchange = stage.socket("/live/acme/x", Some(&token));
        Exchange::pass(&mut exchange.client, &mut exchange.upstream, frame);
        Exchange::pass(&mut exchange.upstream, &mut exchange.client, frame);
        drop(exchange.client);
        assert_eq!(rest(&mut exchange.upstream), b"");
    }
    let mut endless = stage.socket("/live/acme/x", Some(&token));
    Exchange::pass(&mut endless.upstream, &mut endless.client, b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xffx");
    assert_eq!(rest(&mut endless.client), b"");
    assert_eq!(stage.gateway.get("/live/acme/x", "x").status, 401);
}
