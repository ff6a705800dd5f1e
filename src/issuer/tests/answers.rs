//! Everything that a provider can answer, and nothing at all: each is a refusal with its reason, in
//! time, and never a pass.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::ClientAuthentication;

/// What a provider does with a connection, once it has read a question.
#[derive(Debug, Clone)]
enum Does {
    /// These bytes, and then the end.
    Says(Vec<u8>),
    /// These bytes, and then nothing more.
    Stops(Vec<u8>),
    /// These bytes, and then this again and again: at once, or with pauses.
    GoesOn(Vec<u8>, &'static [u8], Duration),
    /// It ends the connection so that what was not read is lost.
    Resets,
}

/// A question is given this long in all.
const EXCHANGE: Duration = Duration::from_millis(400);

async fn start(does: Does) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/endpoint", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let does = does.clone();
            // Who has had enough goes away, which is an error here and what is asked for.
            tokio::spawn(async move { does.to(stream).await });
        }
    });
    url
}

impl Does {
    async fn to(self, mut stream: TcpStream) -> io::Result<()> {
        let mut question = [0; 4096];
        let _asked = stream.read(&mut question).await?;
        match self {
            Self::Says(bytes) => {
                stream.write_all(&bytes).await?;
                stream.shutdown().await
            }
            Self::Stops(bytes) => {
                stream.write_all(&bytes).await?;
                std::future::pending().await
            }
            Self::GoesOn(bytes, more, pause) => {
                stream.write_all(&bytes).await?;
                loop {
                    stream.write_all(more).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Self::Resets => stream.set_zero_linger(),
        }
    }
}

/// An answer with this status, these headers and this body, whose length is told.
fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// Ten megabytes of spaces, as gzip has them in ten kilobytes; `good` is before them.
fn bomb(good: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    io::Write::write_all(&mut encoder, good).unwrap();
    io::Write::write_all(&mut encoder, &vec![b' '; 10 * 1024 * 1024]).unwrap();
    encoder.finish().unwrap()
}

/// All that is wrong of an answer whose body would be `good`: what, what the provider does, and what
/// it is counted as.
fn wrong(good: &[u8]) -> Vec<(&'static str, Does, &'static str)> {
    let json = "Content-Type: application/json\r\n";
    let at_once = Duration::from_micros(10);
    let slowly = Duration::from_millis(20);
    let says = |status: &str, headers: &str, body: &[u8]| Does::Says(answer(status, headers, body));
    let half = &good[..good.len() / 2];
    let head = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}").into_bytes();
    let chunked = head("Transfer-Encoding: chunked\r\n\r\n");
    vec![
        ("nothing at all", Does::Says(vec![]), "unreachable"),
        ("silence", Does::Stops(vec![]), "unreachable"),
        ("a reset", Does::Resets, "unreachable"),
        ("no HTTP", Does::Says(b"220 mail.example ESMTP\r\n".to_vec()), "unreachable"),
        ("half a head", Does::Says(b"HTTP/1.1 200 OK\r\nContent-".to_vec()), "unreachable"),
        ("a head that stops", Does::Stops(b"HTTP/1.1 200 OK\r\nContent-".to_vec()), "unreachable"),
        ("a slow head", Does::GoesOn(head(""), b"X: y\r\n", slowly), "unreachable"),
        ("an endless head", Does::GoesOn(head(""), b"X: yyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", at_once), "unreachable"),
        ("interim answers for ever", Does::GoesOn(vec![], b"HTTP/1.1 103 Early Hints\r\n\r\n", slowly), "unreachable"),
        ("an empty body", says("200 OK", json, b""), "bad"),
        ("a page", says("200 OK", "Content-Type: text/html\r\n", b"<!doctype html><title>Sign in</title>"), "bad"),
        ("truncated JSON", says("200 OK", json, half), "bad"),
        ("null", says("200 OK", json, b"null"), "bad"),
        ("an array", says("200 OK", json, &[b"[", good, b"]"].concat()), "bad"),
        ("deep JSON", says("200 OK", json, &b"[".repeat(50_000)), "bad"),
        ("no UTF-8", says("200 OK", json, b"\xff\xfe{\x00}\x00"), "bad"),
        ("twice the same", says("200 OK", json, &[good, good].concat()), "bad"),
        ("less than announced", Does::Says(answer("200 OK", json, good)[..good.len()].to_vec()), "unreachable"),
        ("a body that stops", Does::Stops(answer("200 OK", json, good)[..good.len()].to_vec()), "unreachable"),
        ("a slow body", Does::GoesOn(chunked.clone(), b"1\r\n \r\n", slowly), "unreachable"),
        ("an endless body", Does::GoesOn(chunked.clone(), &[b' '; 4096], Duration::ZERO), "unreachable"),
        ("endless chunks", Does::GoesOn(chunked, b"10\r\n                \r\n", Duration::ZERO), "any"),
        ("an endless body of no length", Does::GoesOn(head("\r\n"), &[b' '; 65_536], Duration::ZERO), "bad"),
        ("a huge length", Does::Stops(head("Content-Length: 99999999999\r\n\r\n")), "bad"),
        ("two lengths", Does::Says(head("Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx")), "unreachable"),
        ("a redirect", says("302 Found", "Location: https://login.example.com/\r\n", good), "bad_status"),
        ("an error", says("500 Internal Server Error", json, good), "bad_status"),
        ("not modified", Does::Says(b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec()), "bad_status"),
        ("no content", Does::Says(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()), "bad_status"),
        ("a part", says("206 Partial Content", json, good), "bad_status"),
        ("a gzip bomb", says("200 OK", &format!("{json}Content-Encoding: gzip\r\n"), &bomb(good)), "bad"),
        ("another protocol", says("101 Switching Protocols", "Upgrade: h2c\r\nConnection: upgrade\r\n", b""), "any"),
    ]
}

/// Whether it was counted as one of these.
fn counted(world: &World, metric: &str, result: &str) -> bool {
    let results = match result {
        "bad" => &["bad_keys", "bad_metadata", "bad_answer"][..],
        "any" => &["bad_keys", "bad_answer", "unreachable", "bad_status"],
        one => &[one],
    };
    let text = world.metrics.render().unwrap();
    results.iter().any(|result| {
        let series = format!("{metric}{{issuer=\"{ISSUER}\",result=\"{result}\"}} ");
        text.lines().any(|line| line.strip_prefix(&series).is_some_and(|count| count != "0"))
    })
}

fn pace() -> Pace {
    Pace { exchange: EXCHANGE, first_backoff: PATIENCE, backoff_without_keys: PATIENCE, ..unhurried() }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_key_set_is_503_in_time_and_counted_as_what_it_is() {
    let key = Key::new("a");
    for (what, does, result) in wrong(&jwks(&[&key])) {
        let world = World::new(pace(), vec![with_keys_at(start(does).await)]);
        let begun = Instant::now();
        assert!(!in_time(what, world.held().attempts.end_of(1)).await, "{what}");
        assert!(begun.elapsed() < EXCHANGE + Duration::from_secs(2), "{what}: {:?}", begun.elapsed());
        unavailable(world.ask(&key.token(&json!({}))).await);
        assert!(!world.set.are_ready(), "{what}");
        assert!(
            counted(&world, "scopegate_issuer_fetches_total", result),
            "{what}: {}",
            world.metrics.render().unwrap()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_introspection_answer_is_503_in_time_and_counted_as_what_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let good = with(claims(), &json!({ "active": true })).to_string();
    for (what, does, result) in wrong(good.as_bytes()) {
        let introspection = Introspection {
            url: Some(start(does).await.into()),
            client_id: "gateway".into(),
            authentication: ClientAuthentication::Secret { file: secret.clone() },
            cache_for: Duration::from_secs(30),
            jwts: false,
        };
        let issuer = asked_by(introspection);
        let world = World::new(pace(), vec![issuer]);
        let begun = Instant::now();
        let answer = in_time(what, world.ask("opaque")).await.map(|found| found.caller.clone());
        assert!(begun.elapsed() < EXCHANGE + Duration::from_secs(2), "{what}: {:?}", begun.elapsed());
        assert_eq!(answer, Err(Denial::IssuerUnavailable), "{what}");
        assert!(
            counted(&world, "scopegate_introspections_total", result),
            "{what}: {}",
            world.metrics.render().unwrap()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_metadata_leaves_an_issuer_without_keys() {
    let key = Key::new("a");
    for (what, does, _) in wrong(&jwks(&[&key])) {
        let url = start(does).await;
        let issuer = url.trim_end_matches("/endpoint").to_owned();
        let rules = IssuerRules { issuer: (*issuer).into(), ..rules() };
        let settings = config::Issuer { rules: Arc::new(rules), ..of_source(KeySource::Discover) };
        let world = World::new(pace(), vec![settings]);
        assert!(!in_time(what, world.held().attempts.end_of(1)).await, "{what}");
        unavailable(world.ask(&key.token(&json!({ "iss": issuer }))).await);
        assert!(!world.set.are_ready(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_key_set_counts_whatever_its_media_type() {
    let key = Key::new("a");
    for kind in ["", "Content-Type: text/plain\r\n", "Content-Type: application/jwk-set+json\r\n"] {
        let does = Does::Says(answer("200 OK", kind, &jwks(&[&key])));
        let world = World::ready(pace(), vec![with_keys_at(start(does).await)]).await;
        world.ask(&key.token(&json!({}))).await.unwrap();
    }
}
