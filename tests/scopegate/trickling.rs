//! Bodies of a known length that come piece by piece: each piece is passed on while the next is awaited.

use std::io::Write as _;
use std::net::TcpListener;

use crate::doors::Door;
use crate::harness::{Connection, Gateway, Upstream, connect, read_until};
use crate::http2_client::head;
use crate::secured_servers::Server;

const APIS: &str = "apis:\n  - { name: data, base_path: /data, upstream: backend, public: [\"* /data/**\"] }\n";

fn policy(server: std::net::SocketAddr, keys: &str) -> String {
    format!("\nupstreams: {{ backend: {{ servers: [\"{server}\"], {keys} }} }}\n{APIS}")
}

fn before(server: std::net::SocketAddr, keys: &str) -> Gateway {
    Gateway::start_listening("http2: true", &policy(server, keys), Upstream::start(), |_| {})
}

#[test]
fn a_piece_of_an_answer_comes_before_the_server_has_sent_the_next() {
    for (server, keys) in
        [(Server::plain(), ""), (Server::plain(), "total_timeout: 60s"), (Server::http2(None), "http2: true")]
    {
        for start in [Door::plain, Door::secured] {
            let (_gateway, door) = start(&policy(server.address, keys));
            let get = "GET /data/trickle HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
            let post = "POST /data/trickle HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4\r\n\r\nbody";
            let chunked = "POST /data/trickle HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
            for (ask, rest) in [(get, ""), (get, get), (post, ""), (post, get), (chunked, "0\r\n\r\n")] {
                let mut client = Connection::over(door.http1());
                client.write(format!("{ask}{rest}").as_bytes());
                for _ in 0..if rest == get { 2 } else { 1 } {
                    client.read_head().unwrap();
                    assert_eq!(client.read_bytes(1), b"a");
                    server.go();
                    assert_eq!(client.read_bytes(1), b"b");
                }
            }
            door.http2().with(|sender| async {
                let mut ready = sender.ready().await.unwrap();
                let (answer, _) = ready.send_request(head("GET", "/data/trickle", &[]), true).unwrap();
                let mut body = answer.await.unwrap().into_body();
                assert_eq!(body.data().await.unwrap().unwrap(), "a");
                server.go();
                assert_eq!(body.data().await.unwrap().unwrap(), "b");
            });
        }
    }
}

#[test]
fn a_piece_of_a_request_comes_before_the_client_has_sent_the_next() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    for keys in ["", "total_timeout: 60s"] {
        let gateway = before(socket.local_addr().unwrap(), keys);
        let mut client = connect(gateway.address);
        let ask = "POST /data/x HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 3\r\n\r\na";
        client.write_all(ask.as_bytes()).unwrap();
        let mut upstream = socket.accept().unwrap().0;
        read_until(&mut upstream, "\r\n\r\na");
        for piece in ["b", "c"] {
            client.write_all(piece.as_bytes()).unwrap();
            read_until(&mut upstream, piece);
        }
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        read_until(&mut client, "\r\n\r\nhi");
    }
}

#[test]
fn a_piece_of_an_answer_comes_though_the_client_has_sent_its_next_request_meanwhile() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let get = "GET /data/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n";
    let post = "POST /data/x HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 4\r\n\r\nbody";
    for start in [Door::plain, Door::secured] {
        let (_gateway, door) = start(&policy(socket.local_addr().unwrap(), ""));
        for ask in [get, post] {
            let mut client = Connection::over(door.http1());
            client.write(ask.as_bytes());
            let mut upstream = socket.accept().unwrap().0;
            read_until(&mut upstream, &ask[ask.len() - 4..]);
            upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na").unwrap();
            client.read_head().unwrap();
            assert_eq!(client.read_bytes(1), b"a");
            client.write(get.as_bytes());
            // Before one of them the gateway has heard of the request.
            for piece in ["b", "c", "d", "e"] {
                upstream.write_all(piece.as_bytes()).unwrap();
                assert_eq!(client.read_bytes(1), piece.as_bytes());
            }
            read_until(&mut upstream, "\r\n\r\n");
            upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
            assert_eq!(client.read_response().unwrap().body, b"hi");
        }
    }
}
