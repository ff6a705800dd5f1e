//! Trailers that do not pass: the body before them does, whole, and the connections stay what they are.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use http::{HeaderMap, HeaderValue};

use crate::harness::{Gateway, PATIENCE, Upstream, connect};
use crate::http2_client::{Http2, head};
use crate::secured_servers::Server;

const APIS: &str = "apis:\n  - { name: data, base_path: /data, upstream: backend, public: [\"* /data/**\"] }\n";
const TRAILERS: &str = "X-Sum: 1\r\nX-Auth-Subject: root\r\nAuthorization: Bearer x\r\nTransfer-Encoding: chunked\r\n";

fn before(server: std::net::SocketAddr, keys: &str) -> Gateway {
    let policy = format!("\nupstreams: {{ backend: {{ servers: [\"{server}\"], {keys} }} }}\n{APIS}");
    Gateway::start_listening("http2: true", &policy, Upstream::start(), |_| {})
}

/// Up to the end of chunks without trailers, or of what comes.
fn until_the_last_chunk(stream: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n0\r\n\r\n") {
        assert!(stream.read_line(&mut text).unwrap() > 0, "{text}");
    }
    text
}

fn ask(method: &str) -> String {
    format!(
        "{method} /data/x HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\n{TRAILERS}\r\n"
    )
}

#[test]
fn those_of_http1_are_left_out_either_way_and_its_connections_stay() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = before(socket.local_addr().unwrap(), "");
    let mut client = BufReader::new(connect(gateway.address));
    client.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let mut upstream = None;
    for _ in 0..2 {
        client.get_mut().write_all(ask("POST").as_bytes()).unwrap();
        // One connection serves both requests.
        let upstream = upstream.get_or_insert_with(|| BufReader::new(socket.accept().unwrap().0));
        upstream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        let asked = until_the_last_chunk(upstream);
        assert!(asked.starts_with("POST /data/x ") && asked.ends_with("\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), "{asked}");
        assert!(!asked.to_ascii_lowercase().contains("\r\ntrailer:") && !asked.contains("X-Sum:"), "{asked}");
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{TRAILERS}\r\n");
        upstream.get_mut().write_all(answer.as_bytes()).unwrap();
        let told = until_the_last_chunk(&mut client);
        assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with("\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), "{told}");
        assert!(!told.contains("X-Sum") && !told.contains("root"), "{told}");
    }
    // To a client of HTTP/2 there are none either.
    let over_http2 = Http2::plain(gateway.address);
    let asked = std::thread::spawn(move || {
        over_http2.with(|sender| async move {
            let mut ready = sender.ready().await.unwrap();
            let (answer, _) = ready.send_request(head("GET", "/data/x", &[]), true).unwrap();
            let mut body = answer.await.unwrap().into_body();
            let mut read = Vec::new();
            while let Some(piece) = body.data().await {
                read.extend_from_slice(&piece.unwrap());
            }
            (read, body.trailers().await.unwrap())
        })
    });
    let mut upstream = upstream.unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        upstream.read_line(&mut line).unwrap();
    }
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{TRAILERS}\r\n");
    upstream.get_mut().write_all(answer.as_bytes()).unwrap();
    assert_eq!(asked.join().unwrap(), (b"hi".to_vec(), None));
}

#[test]
fn those_of_requests_reach_no_server_of_http2() {
    let server = Server::http2(None);
    let gateway = before(server.address, "http2: true");
    let response = gateway.send(ask("POST").as_bytes());
    assert_eq!((response.status, server.last().body.as_slice()), (200, &b"hi"[..]));
    assert!(server.last().all("x-sum").is_empty() && server.last().all("x-auth-subject").is_empty());
    let mut client = Http2::plain(gateway.address);
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1"))]);
    let response = client.send(head("POST", "/data/x", &[]), Some(b"hi"), Some(trailers)).unwrap();
    assert_eq!((response.status, server.last().body.as_slice()), (200, &b"hi"[..]));
    assert!(server.last().all("x-sum").is_empty(), "{:?}", server.last());
    // The next request is whole too.
    assert_eq!(client.get("/data/y", &[]).body, b"/data/y");
}

#[test]
fn trailers_without_a_bound_end_their_connection() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = before(socket.local_addr().unwrap(), "");
    let mut client = connect(gateway.address);
    let start = "POST /data/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n";
    client.write_all(start.as_bytes()).unwrap();
    let line = format!("X-Long: {}\r\n", "y".repeat(1000));
    // It may be closed before all of it is written.
    let _ = (0..200).try_for_each(|_| client.write_all(line.as_bytes()));
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    assert_eq!(gateway.audit(1).len(), 1);
}
