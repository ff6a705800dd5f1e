//! A gigabyte each way, over HTTP/1.1 and HTTP/2: it passes through, and the gateway keeps none of it.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use harness::{EndOnDrop, Gateway, Signer, Upstream};
use serde_json::json;

const LENGTH: u64 = 1 << 30;
/// In KiB: windows and buffers of one request, and what an allocator keeps.
const GROWTH: u64 = 16 * 1024;
const PIECE: usize = 64 * 1024;

const POLICY: &str = r"
limits: { body_timeout: 60s }
apis:
  - name: data
    base_path: /data
    upstream: backend
    scopes:
      - { name: data-all, services: ['GET,PUT /data'] }
";

/// Reads bodies and throws them away, and answers with as much as it was asked for.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(stream: TcpStream) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        if first.is_empty() {
            return;
        }
        let read = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).unwrap();
        let told = if first.starts_with("GET") { LENGTH } else { 0 };
        let head = format!("HTTP/1.1 200 OK\r\nX-Read: {read}\r\nContent-Length: {told}\r\n\r\n");
        if writer.write_all(head.as_bytes()).is_err() || std::io::copy(&mut zeros(told), &mut writer).is_err() {
            return;
        }
    }
}

fn zeros(length: u64) -> impl Read {
    std::io::repeat(b'0').take(length)
}

/// Runs this, and says how much larger the process became meanwhile, in KiB.
fn growth(gateway: &Gateway, what: impl FnOnce()) -> u64 {
    let (before, ends) = (gateway.memory(), AtomicBool::new(false));
    thread::scope(|scope| {
        let most = scope.spawn(|| {
            let mut most = before;
            while !ends.load(Ordering::Relaxed) {
                most = most.max(gateway.memory());
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        {
            let _at_its_end = EndOnDrop(&ends);
            what();
        }
        most.join().unwrap() - before
    })
}

fn over_http1(gateway: &Gateway, method: &str, bearer: &str) {
    let mut stream = TcpStream::connect(gateway.address).unwrap();
    let length = if method == "PUT" { LENGTH } else { 0 };
    let head = format!(
        "{method} /data HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: {bearer}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    std::io::copy(&mut zeros(length), &mut stream).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap() > 2 {}
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_ascii_lowercase().contains(&format!("x-read: {length}\r\n")), "{head}");
    let body = std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
    assert_eq!(body, if method == "GET" { LENGTH } else { 0 });
}

async fn over_http2(address: SocketAddr, method: &str, bearer: &str) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let window = 1 << 20;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(window);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder().method(method).uri("http://api.example.com/data");
    let length = if method == "PUT" { LENGTH } else { 0 };
    let request = request.header("authorization", bearer).header("content-length", length).body(()).unwrap();
    let (response, mut body) = sender.ready().await.unwrap().send_request(request, method == "GET").unwrap();
    if method == "PUT" {
        let piece = Bytes::from(vec![b'0'; PIECE]);
        let mut left = LENGTH;
        while left > 0 {
            let next = PIECE.min(usize::try_from(left).unwrap());
            body.reserve_capacity(next);
            let granted = std::future::poll_fn(|context| body.poll_capacity(context)).await.unwrap().unwrap();
            let part = piece.slice(..granted.min(next));
            left -= part.len() as u64;
            body.send_data(part, left == 0).unwrap();
        }
    }
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-read"], if method == "PUT" { LENGTH.to_string() } else { "0".to_owned() });
    let (mut stream, mut read) = (response.into_body(), 0);
    while let Some(piece) = stream.data().await {
        let piece = piece.unwrap();
        read += piece.len() as u64;
        stream.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert_eq!(read, if method == "GET" { LENGTH } else { 0 });
}

#[test]
fn a_gigabyte_each_way_is_kept_nowhere() {
    let policy = format!("\nupstreams: {{ backend: {{ servers: [\"{}\"] }} }}{POLICY}", upstream());
    let gateway = Gateway::start_listening("http2: true", &policy, Upstream::start(), |_| {});
    let bearer = format!("Bearer {}", Signer::shared().token(json!({ "scope": "data-all" })));
    assert_eq!(gateway.get("/nowhere", bearer.trim_start_matches("Bearer ")).status, 404);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (method, way) in [("PUT", "up"), ("GET", "down")] {
        let since = Instant::now();
        let first = growth(&gateway, || over_http1(&gateway, method, &bearer));
        println!("{way} over HTTP/1.1: {first} KiB more in {:?}", since.elapsed());
        let since = Instant::now();
        let second = growth(&gateway, || runtime.block_on(over_http2(gateway.address, method, &bearer)));
        println!("{way} over HTTP/2: {second} KiB more in {:?}", since.elapsed());
        assert!(first < GROWTH && second < GROWTH, "{first} and {second} KiB more for {LENGTH} bytes {way}");
    }
}
