//! Messages of few bytes, each in a frame or a chunk of its own: where they wait for somebody slow they cost no other
//! stream of their connection anything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::harness::{Gateway, Upstream, connect, wait_for};
use crate::http2_client::{Http2, head};
use crate::secured_servers::{Server, TINY};

const APIS: &str = "apis:\n  - { name: data, base_path: /data, upstream: backend, public: [\"* /data/**\"] }\n";

fn before(server: &Server) -> Gateway {
    let address = server.address;
    let policy = format!("\nupstreams: {{ backend: {{ servers: [\"{address}\"], http2: true }} }}\n{APIS}");
    Gateway::start_listening("http2: true", &policy, Upstream::start(), |_| {})
}

#[test]
fn a_client_that_takes_no_messages_costs_those_of_others_nothing() {
    let server = Server::http2(None);
    let gateway = before(&server);
    let get = |act: &str| format!("GET /data/{act} HTTP/1.1\r\nHost: api.example.com\r\n\r\n");
    let mut other = connect(gateway.address);
    other.write_all(get("events").as_bytes()).unwrap();
    let mut slow: Vec<_> = (0..3).map(|_| connect(gateway.address)).collect();
    // More than the library would let wait, all together.
    for (begun, slow) in (2..).zip(&mut slow) {
        set_socket_recv_buffer_size(&*slow, 4096).unwrap();
        slow.write_all(get("tiny").as_bytes()).unwrap();
        wait_for("all to be sent", || (server.going_on().0 == begun).then_some(()));
        let status = gateway.ask("GET", "/data/x", &[]).status;
        assert_eq!(status, 200, "{begun}: {} {:?} {:?}", gateway.log(), gateway.audit(1), server.going_on());
    }
    assert_eq!((server.connections(), server.going_on().1), (1, 0));
    let slow = &mut slow[0];
    // All of it is there, once it is taken.
    slow.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut read, mut bytes) = (0, vec![0; 65_536]);
    while read < TINY {
        let length = slow.read(&mut bytes).unwrap();
        assert!(length > 0);
        read += bytes[..length].split(|byte| *byte == b':').count() - 1;
    }
}

#[test]
fn a_request_in_tiny_pieces_reaches_its_server_in_larger_ones() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let policy = format!("\nupstreams: {{ backend: {{ servers: [\"{}\"] }} }}\n{APIS}", socket.local_addr().unwrap());
    let gateway = Gateway::start_with(&policy, Upstream::start(), |_| {});
    let mut client = connect(gateway.address);
    let head = "POST /data/x HTTP/1.1\r\nHost: api.example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(format!("{head}{}0\r\n\r\n", "1\r\nx\r\n".repeat(9_000)).as_bytes()).unwrap();
    let mut upstream = BufReader::new(socket.accept().unwrap().0);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        upstream.read_line(&mut line).unwrap();
    }
    let (mut chunks, mut bytes) = (0, 0);
    loop {
        line.clear();
        upstream.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        upstream.read_exact(&mut chunk).unwrap();
        if length == 0 {
            break;
        }
        assert!(chunk[..length].iter().all(|byte| *byte == b'x'));
        (chunks, bytes) = (chunks + 1, bytes + length);
    }
    assert!(bytes == 9_000 && chunks < 900, "{bytes} bytes in {chunks} chunks");
    upstream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    let mut status = [0; 12];
    client.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 204");
}

#[test]
fn messages_that_a_server_does_not_take_cost_a_client_nothing() {
    let server = Server::http2(None);
    let gateway = before(&server);
    let mut client = Http2::plain(gateway.address);
    let call = client.with(|sender| async move {
        let mut ready = sender.ready().await.unwrap();
        let (answer, mut body) = ready.send_request(head("POST", "/data/silent", &[]), false).unwrap();
        for _ in 0..12_000 {
            body.reserve_capacity(20);
            // As much as the windows between take.
            let room = std::future::poll_fn(|context| body.poll_capacity(context));
            match tokio::time::timeout(Duration::from_secs(1), room).await {
                Ok(room) => assert!(room.unwrap().unwrap() > 0),
                Err(_) => break,
            }
            body.send_data(Bytes::from_static(&[b'x'; 20]), false).unwrap();
        }
        (answer, body)
    });
    assert_eq!(client.get("/data/x", &[]).status, 200);
    assert_eq!(server.going_on(), (1, 0));
    drop(call);
}
