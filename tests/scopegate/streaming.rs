//! Bodies that pass as they come, and requests whose client waits before it sends one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use crate::harness::{Gateway, Signer, Upstream, connect, read_until};

const POLICY: &str = r#"
apis:
  - name: data
    base_path: /data
    upstream: backend
    scopes:
      - { name: data-all, services: ["POST /data/**"] }
"#;

fn start() -> (Gateway, TcpListener) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let policy = format!("\nupstreams: {{ backend: {{ servers: [\"{address}\"] }} }}{POLICY}");
    (Gateway::start_with(&policy, Upstream::start(), |_| {}), socket)
}

fn ask(gateway: &Gateway, bearer: &str, fields: &str) -> TcpStream {
    let mut client = connect(gateway.address);
    let head =
        format!("POST /data/x HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {bearer}\r\n{fields}\r\n");
    client.write_all(head.as_bytes()).unwrap();
    client
}

fn accept(socket: &TcpListener) -> TcpStream {
    socket.accept().unwrap().0
}

fn token() -> String {
    Signer::shared().token(json!({ "scope": "data-all" }))
}

#[test]
fn the_upstreams_100_is_passed_on_before_the_body_comes() {
    let (gateway, socket) = start();
    let mut client = ask(&gateway, &token(), "Content-Length: 4\r\nExpect: 100-continue\r\n");
    let mut upstream = accept(&socket);
    assert!(read_until(&mut upstream, "\r\n\r\n").to_ascii_lowercase().contains("expect: 100-continue"));
    upstream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    assert!(read_until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 100 "));
    client.write_all(b"body").unwrap();
    assert_eq!(read_until(&mut upstream, "body"), "body");
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    assert!(read_until(&mut client, "hi").starts_with("HTTP/1.1 200 "));
}

#[test]
fn the_upstreams_refusal_in_the_place_of_its_100_is_passed_on() {
    let (gateway, socket) = start();
    let mut client = ask(&gateway, &token(), "Content-Length: 4\r\nExpect: 100-continue\r\n");
    let mut upstream = accept(&socket);
    read_until(&mut upstream, "\r\n\r\n");
    upstream.write_all(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno").unwrap();
    assert!(read_until(&mut client, "no").starts_with("HTTP/1.1 417 "));
}

#[test]
fn a_refused_request_gets_its_refusal_in_the_place_of_a_100() {
    let (gateway, _socket) = start();
    let mut client = ask(&gateway, "x", "Content-Length: 4\r\nExpect: 100-continue\r\n");
    let answer = read_until(&mut client, "}");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("token_malformed"), "{answer}");
    // The body is not asked for, and so the connection ends.
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn pieces_of_a_body_pass_either_way_before_the_next_is_sent() {
    let (gateway, socket) = start();
    let mut client = ask(&gateway, &token(), "Transfer-Encoding: chunked\r\n");
    let mut upstream = accept(&socket);
    read_until(&mut upstream, "\r\n\r\n");
    upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    read_until(&mut client, "\r\n\r\n");
    for piece in ["one", "two", "six"] {
        client.write_all(format!("3\r\n{piece}\r\n").as_bytes()).unwrap();
        assert_eq!(read_until(&mut upstream, "\r\n") + &read_until(&mut upstream, "\r\n"), format!("3\r\n{piece}\r\n"));
        upstream.write_all(format!("3\r\n{piece}\r\n").as_bytes()).unwrap();
        assert_eq!(read_until(&mut client, "\r\n") + &read_until(&mut client, "\r\n"), format!("3\r\n{piece}\r\n"));
    }
    client.write_all(b"0\r\n\r\n").unwrap();
    read_until(&mut upstream, "0\r\n\r\n");
    upstream.write_all(b"0\r\n\r\n").unwrap();
    read_until(&mut client, "0\r\n\r\n");
}
