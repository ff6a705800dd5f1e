//! Exchanges that wait for something to be said, and end all the same once what let them through is no more:
//! whatever the client speaks, whatever the server does, and however it comes about.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request};
use serde_json::json;

use crate::doors::Door;
use crate::harness::{Gateway, Signer, connect, now, wait_for};
use crate::http2_client::{Http2, head};
use crate::secured_servers::Server;

const POLICY: &str = r#"
revocations: { file: revoked.jsonl }
apis:
  - name: live
    base_path: /live
    upstream: backend
    account: { path: account }
    scopes:
      - { name: live-read, services: ["GET,POST /live/{account}/**"] }
"#;
/// Far less than anything else would take to end them.
const SOON: Duration = Duration::from_secs(5);

/// How a client has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// Over HTTP/1.1, with this method.
    Http1(&'static str),
    /// The same, by one who sends the next request at once.
    Pipelining,
    WebSocket,
    Http2,
    /// A call of gRPC.
    Grpc,
}

/// What ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Expiry,
    Revocation,
    Policy,
}

/// What became of one.
struct Ended {
    client: Client,
    act: &'static str,
    end: End,
    how: String,
    at: Instant,
}

impl End {
    const ALL: [Self; 3] = [Self::Expiry, Self::Revocation, Self::Policy];

    fn reason(self) -> &'static str {
        match self {
            Self::Expiry => "token_expired",
            Self::Revocation => "token_revoked",
            Self::Policy => "route_unknown",
        }
    }

    fn token(self, expires: u64) -> String {
        let mut claims = json!({ "scope": "live-read", "account_id": "acme", "jti": self.reason() });
        if self == Self::Expiry {
            claims["exp"] = json!(expires);
        }
        Signer::shared().token(claims)
    }
}

/// A gateway before that server, whose entry has these keys besides, and the way to it.
fn before(server: &Server, keys: &str) -> (Gateway, Door) {
    Door::plain(&policy(server, keys))
}

fn policy(server: &Server, keys: &str) -> String {
    format!("\nupstreams: {{ backend: {{ servers: [\"{}\"], {keys} }} }}\n{POLICY}", server.address)
}

/// Begins one, which goes on until it is ended.
fn begin(door: &Door, client: Client, act: &'static str, end: End, token: String) -> JoinHandle<Ended> {
    let door = door.clone();
    let folder = if end == End::Policy { "gone" } else { "kept" };
    let target = format!("/live/acme/{folder}/{act}");
    thread::spawn(move || {
        let how = match client {
            Client::Http1(_) | Client::Pipelining | Client::WebSocket => over_http1(&door, client, &target, &token),
            Client::Http2 | Client::Grpc => over_http2(&door, client, &target, &token),
        };
        Ended { client, act, end, how, at: Instant::now() }
    })
}

/// All that comes.
fn over_http1(door: &Door, client: Client, target: &str, token: &str) -> String {
    let method = if let Client::Http1(method) = client { method } else { "GET" };
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = if client == Client::WebSocket { upgrade } else { "" };
    let ask = format!(
        "{method} {target} HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n{length}{upgrade}\r\n"
    );
    let next = if client == Client::Pipelining { ask.as_str() } else { "" };
    let mut stream = door.http1();
    stream.write_all(format!("{ask}{next}").as_bytes()).unwrap();
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&bytes[..read]),
            Err(error) => {
                // It is cut, and TLS says so.
                let is_cut = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof);
                assert!(is_cut, "{client:?} {error} {}", all.escape_ascii());
                break;
            }
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The end, in words: of a stream that is reset, or the trailers of gRPC.
fn over_http2(door: &Door, client: Client, target: &str, token: &str) -> String {
    let bearer = format!("Bearer {token}");
    let connection = door.http2();
    let request = if client == Client::Grpc {
        let fields = [("authorization", &*bearer), ("content-type", "application/grpc"), ("te", "trailers")];
        head("POST", target, &fields)
    } else {
        head("GET", target, &[("authorization", &bearer)])
    };
    connection.with(|sender| until_the_end(sender, request, client))
}

async fn until_the_end(sender: h2::client::SendRequest<bytes::Bytes>, request: Request<()>, client: Client) -> String {
    let mut ready = sender.ready().await.unwrap();
    // A call goes on in both directions.
    let (answer, _send) = ready.send_request(request, client != Client::Grpc).unwrap();
    let answer = answer.await.unwrap();
    let status = |fields: &HeaderMap| {
        let text = |name: &str| fields.get(name).map(|value| value.to_str().unwrap().to_owned());
        text("grpc-status").map(|status| format!("{status}, {}", text("grpc-message").unwrap_or_default()))
    };
    if let Some(status) = status(answer.headers()) {
        return format!("alone: {status}");
    }
    let mut body = answer.into_body();
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => body.flow_control().release_capacity(piece.len()).unwrap(),
            Err(error) if error.is_reset() => return "reset".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
    match body.trailers().await.unwrap() {
        Some(trailers) => status(&trailers).unwrap_or_default(),
        None => "whole".to_owned(),
    }
}

#[track_caller]
fn check_end(ended: &Ended) {
    let Ended { client, act, end, how, .. } = ended;
    let says = |code: u8| format!("{code}, {}: what let the call through is no more", end.reason());
    let code = if *end == End::Policy { 12 } else { 16 };
    let is_right = match (client, *act) {
        (Client::Http2, _) => how == "reset",
        (Client::Grpc, "silent") => *how == format!("alone: {}", says(code)),
        (Client::Grpc, _) => *how == says(code),
        (Client::WebSocket, _) => {
            how.starts_with("HTTP/1.1 101 ") && how.ends_with(end.reason()) && !how.ends_with("\r\n\r\n")
        }
        (Client::Http1(_) | Client::Pipelining, "sized") => how.ends_with("\r\n\r\ndata: 1\n\n"),
        // Without the last chunk.
        (Client::Http1(_) | Client::Pipelining, _) => how.ends_with("\r\n\r\n9\r\ndata: 1\n\n\r\n"),
    };
    assert!(is_right, "{client:?}, {act}, {end:?}: {how:?}");
}

/// Has all of them begin, and what let them through be no more.
fn check(server: &Server, (gateway, door): (Gateway, Door), exchanges: &[(Client, &'static str)]) {
    let expires = now() + 4;
    // Beyond the issuer's leeway.
    let tokens = End::ALL.map(|end| (end, end.token(expires - 30)));
    let started: Vec<_> = exchanges
        .iter()
        .flat_map(|exchange| tokens.iter().map(move |(end, token)| (exchange, end, token)))
        .map(|((client, act), end, token)| begin(&door, *client, act, *end, token.clone()))
        .collect();
    let count = started.len();
    wait_for("all to have begun", || (server.going_on().0 == count).then_some(()));
    assert_eq!(server.going_on().1, 0);
    let asked = || ["hit", "miss", "stale"].map(|result| gateway.metric(&cache(result)).unwrap()).iter().sum::<f64>();
    let expected = count as f64;
    assert!((asked() - expected).abs() < 0.5, "{} of {expected}", asked());
    let revoked = json!({ "iss": "https://issuer.example", "jti": End::Revocation.reason() });
    fs::write(gateway.folder.path().join("revoked.jsonl"), format!("{revoked}\n")).unwrap();
    let text = fs::read_to_string(gateway.file()).unwrap();
    gateway.replace_file(&text.replace("/live/{account}/**", "/live/{account}/kept/**"));
    gateway.wait_for_policy("the change", |policy| policy["generation"] == 2);
    let since = Instant::now();
    let latest = since + Duration::from_secs(expires.saturating_sub(now())) + SOON;
    for started in started {
        let ended = started.join().unwrap();
        check_end(&ended);
        let latest = if ended.end == End::Expiry { latest } else { since + SOON };
        assert!(ended.at < latest, "{:?}, {}, {:?}: {:?}", ended.client, ended.act, ended.end, ended.at - since);
    }
    wait_for("the server to hear of each", || (server.going_on().1 == count).then_some(()));
    // Judging them again asks of no request.
    assert!((asked() - expected).abs() < 0.5, "{} of {expected}", asked());
    for end in End::ALL {
        let counted = || gateway.metric(&format!("scopegate_ended_exchanges_total{{reason=\"{}\"}}", end.reason()));
        wait_for("them to be counted", || counted().filter(|counted| *counted >= exchanges.len() as f64));
        let lines = gateway.audit(count);
        let ended = lines.iter().filter(|line| line["ended"] == end.reason());
        assert!(ended.clone().all(|line| line["decision"] == "allow" && line["reason"] == "granted"));
        assert_eq!(ended.count(), exchanges.len(), "{end:?}");
    }
}

fn cache(result: &str) -> String {
    format!("scopegate_token_cache_total{{result=\"{result}\"}}")
}

const ALL: [(Client, &str); 6] = [
    (Client::Http1("GET"), "events"),
    (Client::Http1("POST"), "events"),
    (Client::Http1("GET"), "sized"),
    (Client::Pipelining, "sized"),
    (Client::Pipelining, "events"),
    (Client::Http2, "events"),
];

#[test]
fn what_waits_for_a_server_of_http1_ends_with_what_let_it_through() {
    let server = Server::plain();
    check(&server, before(&server, ""), &[&ALL[..], &[(Client::WebSocket, "x")]].concat());
}

#[test]
fn what_goes_on_with_tls_ends_with_what_let_it_through() {
    let server = Server::plain();
    check(&server, Door::secured(&policy(&server, "")), &[&ALL[..], &[(Client::WebSocket, "x")]].concat());
}

#[test]
fn what_waits_for_a_server_of_http2_ends_with_what_let_it_through() {
    let calls = [(Client::Http2, "sized"), (Client::Grpc, "call"), (Client::Grpc, "silent")];
    let server = Server::http2(None);
    check(&server, before(&server, "http2: true, total_timeout: 60s"), &[&ALL[..], &calls].concat());
}

#[test]
fn what_passes_all_the_time_is_cut_and_never_ends_as_if_it_were_whole() {
    for (server, keys) in [(Server::plain(), ""), (Server::http2(None), "http2: true")] {
        let (gateway, door) = before(&server, keys);
        let token = End::Revocation.token(0);
        let clients = [Client::Http1("GET"), Client::Http1("POST"), Client::Http2];
        let started = clients.map(|client| begin(&door, client, "flood", End::Revocation, token.clone()));
        wait_for("all to have begun", || (server.going_on().0 == clients.len() && server.taken() > 0).then_some(()));
        let revoked = json!({ "iss": "https://issuer.example", "jti": End::Revocation.reason() });
        fs::write(gateway.folder.path().join("revoked.jsonl"), format!("{revoked}\n")).unwrap();
        for started in started {
            let Ended { client, how, .. } = started.join().unwrap();
            let is_right = if client == Client::Http2 { how == "reset" } else { !how.ends_with("\r\n0\r\n\r\n") };
            assert!(is_right, "{client:?}: {}", &how[how.len().saturating_sub(40)..]);
        }
        wait_for("the server to hear of each", || (server.going_on().1 == clients.len()).then_some(()));
        let lines = gateway.audit(clients.len());
        assert!(lines.iter().all(|line| line["ended"] == "token_revoked"), "{lines:?}");
    }
}

#[test]
fn a_client_that_gives_up_in_the_middle_has_it_end_at_the_server_and_is_no_ending_of_ours() {
    for (server, keys) in [(Server::plain(), ""), (Server::http2(None), "http2: true")] {
        let (gateway, _) = before(&server, keys);
        let bearer = format!("Bearer {}", End::Policy.token(0));
        let connection = Http2::plain(gateway.address);
        for (nth, act) in ["events", "flood"].into_iter().enumerate() {
            let request = head("GET", &format!("/live/acme/kept/{act}"), &[("authorization", &bearer)]);
            // What is dropped is reset; the connection goes on.
            connection.with(|sender| async move {
                let mut ready = sender.ready().await.unwrap();
                let (answer, _) = ready.send_request(request, true).unwrap();
                answer.await.unwrap().into_body().data().await.unwrap().unwrap();
            });
            wait_for("the server to hear of it", || (server.going_on().1 == nth + 1).then_some(()));
        }
        let ask = format!("GET /live/acme/kept/events HTTP/1.1\r\nHost: a\r\nAuthorization: {bearer}\r\n\r\n");
        let mut half_open = connect(gateway.address);
        half_open.write_all(ask.as_bytes()).unwrap();
        wait_for("it to begin", || (server.going_on().0 == 3).then_some(()));
        half_open.read_exact(&mut [0]).expect("the answer's first byte");
        // It reads on, and says nothing more: that is taken for its leave.
        half_open.shutdown(std::net::Shutdown::Write).unwrap();
        wait_for("the server to hear of it", || (server.going_on().1 == 3).then_some(()));
        assert!(gateway.audit(3).iter().all(|line| line["ended"] == json!(null) && line["status"] == 200));
    }
}

#[test]
fn a_client_that_takes_nothing_keeps_no_more_than_a_bounded_piece_and_no_longer() {
    for (server, keys) in [(Server::plain(), ""), (Server::http2(None), "http2: true")] {
        let (gateway, _) = before(&server, keys);
        let memory = gateway.memory();
        let token = End::Expiry.token(now() + 4 - 30);
        let bearer = format!("Bearer {token}");
        let ask =
            format!("GET /live/acme/kept/flood HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {bearer}\r\n\r\n");
        let mut stream = connect(gateway.address);
        stream.write_all(ask.as_bytes()).unwrap();
        let connection = Http2::plain(gateway.address);
        let request = head("GET", "/live/acme/kept/flood", &[("authorization", &bearer)]);
        let answer = connection.with(|sender| async move {
            let mut ready = sender.ready().await.unwrap();
            let (answer, _) = ready.send_request(request, true).unwrap();
            answer.await.unwrap()
        });
        wait_for("both", || (server.going_on().0 == 2).then_some(()));
        // It is full, on the way to both.
        let mut before = 0;
        wait_for("no more to be taken", || {
            let taken = server.taken();
            let is_full = taken > 0 && taken == before;
            before = taken;
            is_full.then_some(())
        });
        wait_for("the end of both", || (server.going_on().1 == 2).then_some(()));
        // The system's own buffers among it.
        assert!(server.taken() < 64 * 1024 * 1024, "{}", server.taken());
        let grown = gateway.memory().saturating_sub(memory);
        assert!(grown < 32 * 1024, "{grown} KiB");
        let end = connection.with(|_| async move {
            let mut body = answer.into_body();
            loop {
                match body.data().await {
                    Some(Ok(piece)) => body.flow_control().release_capacity(piece.len()).unwrap(),
                    Some(Err(error)) => return Some(error),
                    None => return None,
                }
            }
        });
        assert!(end.as_ref().is_some_and(h2::Error::is_reset), "{keys}: {end:?}");
        drop(stream);
        let lines = gateway.audit(2);
        assert!(lines.iter().all(|line| line["ended"] == "token_expired"), "{keys}: {lines:?}");
    }
}
