//! Collectors that refuse, go away, keep silent or are somebody else: requests go on as ever.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{answer, exports, policy, token};
use crate::harness::{Connection, Gateway, Recorded, Upstream, wait_for};
use ::harness::authority::{Authority, replace};

#[test]
fn a_collector_that_refuses_loses_spans_that_are_counted_and_harms_nobody() {
    let status = Arc::new(AtomicU16::new(400));
    let says = Arc::clone(&status);
    let collector = Upstream::answering(move |_: &Recorded| answer(says.load(Ordering::Relaxed), b"no"));
    let gateway = Gateway::start(&policy(collector.address, ""));
    check_unharmed(&gateway);
    wait_for("what was lost", || (gateway.metric("scopegate_spans_dropped_total ")? >= 20.0).then_some(()));
    gateway.wait_for_log("takes no spans");
    assert_eq!(gateway.log().matches("takes no spans").count(), 1, "{}", gateway.log());
    assert!(gateway.log().contains("the answer's status is 400"), "{}", gateway.log());
    status.store(200, Ordering::Relaxed);
    check_unharmed(&gateway);
    wait_for("spans", || (gateway.metric("scopegate_spans_exported_total ")? >= 20.0).then_some(()));
    gateway.wait_for_log("takes spans again");
}

#[test]
fn a_collector_that_comes_back_gets_what_waited() {
    let status = Arc::new(AtomicU16::new(503));
    let says = Arc::clone(&status);
    let collector = Upstream::answering(move |_: &Recorded| answer(says.load(Ordering::Relaxed), b""));
    let gateway = Gateway::start(&policy(collector.address, ""));
    check_unharmed(&gateway);
    wait_for("a try", || (collector.count() > 0).then_some(()));
    status.store(200, Ordering::Relaxed);
    wait_for("spans", || (gateway.metric("scopegate_spans_exported_total ")? >= 20.0).then_some(()));
    assert_eq!(gateway.metric("scopegate_spans_dropped_total "), Some(0.0));
}

#[test]
fn a_collector_that_keeps_silent_or_talks_nonsense_harms_nobody() {
    let rejected = |spans| {
        let partial = ExportTracePartialSuccess { rejected_spans: spans, error_message: "full".to_owned() };
        answer(200, &ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
    };
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n".to_owned() + &"x".repeat(1 << 20);
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let takes: fn(u64) -> u64 = |_| 0;
    let (some, all): (fn(u64) -> u64, fn(u64) -> u64) = (|spans| spans.min(3), |spans| spans);
    // What is answered to each batch, and how many of its spans are lost.
    for (what, said, lost) in [
        ("some are refused", rejected(3), some),
        ("more are refused than there were", rejected(i64::MAX), all),
        ("fewer than none are refused", rejected(-5), takes),
        ("a page", answer(200, b"<html>"), takes),
        ("an endless answer", endless.into_bytes(), takes),
        ("another place", redirect.to_vec(), all),
    ] {
        let collector = Upstream::answering(move |_| said.clone());
        let gateway = Gateway::start(&policy(collector.address, "timeout: 5s"));
        check_unharmed(&gateway);
        let count = |name: &str| gateway.metric(&format!("scopegate_spans_{name}_total ")).unwrap();
        wait_for("the counts", || (count("exported") + count("dropped") >= 20.0).then_some(()));
        let sizes = exports(&collector).into_iter().map(|export| export.resource_spans[0].scope_spans[0].spans.len());
        let dropped: u64 = sizes.map(|size| lost(size as u64)).sum();
        assert_eq!((count("exported"), count("dropped")), (20.0 - dropped as f64, dropped as f64), "{what}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(&policy(silent.local_addr().unwrap(), "timeout: 100ms"));
    check_unharmed(&gateway);
    let began = Instant::now();
    drop(gateway);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn spans_that_find_no_room_are_dropped_and_counted() {
    let collector = Upstream::answering(|_| answer(503, b""));
    let gateway = Gateway::start(&policy(collector.address, ""));
    let token = token();
    let request = format!("GET /data/acme/x HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut connection = Connection::open(gateway.address);
    // More than wait, and than are on their way.
    for _ in 0..50 {
        connection.write(request.repeat(100).as_bytes());
        for _ in 0..100 {
            assert_eq!(connection.read_response().unwrap().status, 200);
        }
    }
    wait_for("what was lost", || (gateway.metric("scopegate_spans_dropped_total ")? > 0.0).then_some(()));
}

/// Requests go on as ever, however a collector behaves.
#[track_caller]
fn check_unharmed(gateway: &Gateway) {
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(gateway.get("/data/acme/x", &token()).status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_collector_with_tls_must_have_a_certificate_of_the_files_authority() {
    let (good, other) = (Authority::new("Good"), Authority::new("Other"));
    let (address, asked) = secure_collector(&good);
    let text = policy(format_args!("localhost:{}", address.port()), "ca_file: ca.pem").replace("http:", "https:");
    let gateway = Gateway::start_with(&text, Upstream::start(), |folder| {
        std::fs::write(folder.join("ca.pem"), &other.pem).unwrap();
    });
    assert_eq!(gateway.get("/data/acme/x", &token()).status, 200);
    wait_for("a refusal", || asked.lock().unwrap().pop().filter(|line| line == "refused"));
    // What was tried before is tried again with the authority that is there by then.
    replace(&gateway.folder.path().join("ca.pem"), &good.pem);
    wait_for("a span", || (gateway.metric("scopegate_spans_exported_total ")? >= 1.0).then_some(()));
    assert_eq!(asked.lock().unwrap().pop().unwrap().trim_end(), "POST /v1/traces HTTP/1.1");
}

/// A TLS server whose certificate comes from this authority: the paths that it was asked for.
fn secure_collector(authority: &Authority) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let issued = authority.issue("localhost", &["localhost"]);
    let configuration = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![issued.certificate.clone()], issued.key())
        .unwrap();
    let configuration = Arc::new(configuration);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&configuration)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(session, stream));
            let (mut line, mut length) = (String::new(), 0);
            // A client that does not trust the authority goes away.
            if reader.read_line(&mut line).is_err() {
                kept.lock().unwrap().push("refused".to_owned());
                continue;
            }
            loop {
                let mut field = String::new();
                reader.read_line(&mut field).unwrap();
                if let Some(value) = field.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if field.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let answered =
                reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            kept.lock().unwrap().push(line);
            answered.unwrap();
        }
    });
    (address, asked)
}
