//! Whose fault it is that an exchange fails, and what of a request counts once though it is sent twice.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::{Connection, Gateway, Upstream, wait_for};
use crate::http2_client::Http2;
use crate::secured_servers::{Server, tls};
use ::harness::authority::Authority;

const API: &str = "
apis:
  - { name: data, base_path: /data, upstream: backend, public: [\"/data/**\"], body_bytes: 40000 }
";

/// A gateway whose one upstream is this.
fn before(upstream: &str) -> Gateway {
    Gateway::start(&format!("\nupstreams:\n  backend: {{ {upstream} }}{API}"))
}

fn answer(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn ejections(gateway: &Gateway) -> f64 {
    gateway.metric("scopegate_upstream_ejections_total{upstream=\"backend\"}").unwrap()
}

/// Without a time for all of it, and with one.
const WAYS: [&str; 2] = ["", "total_timeout: 60s,"];

#[test]
fn a_body_that_is_sent_again_counts_once_against_its_bound() {
    let body = "x".repeat(30_000);
    for way in WAYS {
        let (failing, good) = (Upstream::answering(|_| Vec::new()), Upstream::start());
        let gateway = before(&format!("{way} servers: [\"{}\", \"{}\"], retries: {{}}", failing.address, good.address));
        let mut connection = Connection::open(gateway.address);
        let head = format!("PUT /data/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.write(format!("{head}{body}").as_bytes());
        assert_eq!(connection.read_response().unwrap().status, 200, "{way}");
        assert_eq!((failing.count(), good.last().body.len()), (1, body.len()), "{way}");
    }
}

#[test]
fn a_server_that_waits_for_the_client_is_not_ejected_for_it() {
    for way in WAYS {
        let servers = [(); 2].map(|()| Upstream::start());
        let [a, b] = servers.each_ref().map(|server| server.address);
        let gateway =
            before(&format!("{way} servers: [\"{a}\", \"{b}\"], read_timeout: 200ms, ejection: {{ failures: 1 }}"));
        for _ in 0..4 {
            let mut connection = Connection::open(gateway.address);
            connection.write(b"POST /data/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
            let late = connection.read_response().unwrap();
            assert_eq!((late.status, &*late.reason()), (408, "request_timeout"), "{way}");
        }
        assert!(ejections(&gateway) < 0.5, "{way}");
        assert!(gateway.audit(4).iter().all(|line| line["upstream_error"].is_null()), "{way}");
    }
}

#[test]
fn a_server_that_is_late_is_ejected_whichever_time_it_is_that_has_passed() {
    for time in ["read_timeout: 200ms", "first_byte_timeout: 200ms", "total_timeout: 200ms"] {
        let slow = Upstream::answering(|_| {
            thread::sleep(Duration::from_secs(2));
            answer("200 OK")
        });
        let good = Upstream::start();
        let servers = format!("servers: [\"{}\", \"{}\"]", slow.address, good.address);
        let gateway = before(&format!("{time}, {servers}, ejection: {{ failures: 2 }}"));
        for method in ["GET", "GET", "POST", "POST"] {
            gateway.ask(method, "/data/x", &[("Content-Length", "0")]);
        }
        assert!(ejections(&gateway) > 0.5, "{time}");
    }
}

#[test]
fn a_server_that_breaks_its_answers_off_is_ejected() {
    for way in WAYS {
        for method in ["GET", "POST"] {
            let half = Upstream::answering(|_| {
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nhalf".to_vec()
            });
            let good = Upstream::start();
            let servers = format!("servers: [\"{}\", \"{}\"]", half.address, good.address);
            let gateway =
                before(&format!("{way} {servers}, read_timeout: 200ms, ejection: {{ failures: 3, for: 1h }}"));
            for _ in 0..6 {
                let mut connection = Connection::open(gateway.address);
                connection
                    .write(format!("{method} /data/x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").as_bytes());
                let _ = connection.read_response();
            }
            wait_for(&format!("{way} {method}: the ejection"), || (ejections(&gateway) > 0.5).then_some(()));
        }
    }
}

#[test]
fn a_server_that_fails_calls_of_grpc_is_ejected() {
    let servers = [(); 2].map(|()| Server::http2(None));
    let [a, b] = servers.each_ref().map(|server| server.address);
    let upstream = format!("servers: [\"{a}\", \"{b}\"], http2: true, ejection: {{ failures: 3, for: 1h }}");
    let policy = format!("\nupstreams:\n  backend: {{ {upstream} }}{API}");
    let gateway = Gateway::start_listening("http2: true", &policy, Upstream::start(), |_| {});
    let mut client = Http2::plain(gateway.address);
    for _ in 0..6 {
        let response = client.ask("POST", "/data/cancel", &[("content-type", "application/grpc")]);
        assert_eq!(response.header("grpc-status"), Some("14"), "{response:?}");
    }
    assert!(ejections(&gateway) > 0.5);
}

#[test]
fn a_kept_connection_that_ends_without_an_end_of_tls_fails_no_request_that_may_be_sent_again() {
    let authority = Authority::new("root");
    let settings: Arc<ServerConfig> = tls(&authority.issue("server", &["127.0.0.1"]), None, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It answers once, and is gone when it is asked again.
    let serve = move |stream| {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&settings)).unwrap(), stream);
        let mut bytes = [0; 4096];
        if stream.read(&mut bytes).is_ok_and(|length| length > 0) {
            stream.write_all(&answer("200 OK")).unwrap();
            stream.flush().unwrap();
            let _ = stream.read(&mut bytes);
        }
    };
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    let upstream = format!("servers: [\"127.0.0.1:{port}\"], tls: {{ ca_file: ca.pem }}");
    let gateway = Gateway::start_in(&format!("\nupstreams:\n  backend: {{ {upstream} }}{API}"), |folder| {
        fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    });
    for round in 0..6 {
        assert_eq!(gateway.ask("GET", "/data/x", &[]).status, 200, "{round}");
    }
}
