//! What goes wrong around a gateway: each has its answer, and the next request is served.

mod answers;
mod around;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::harness::{Connection, Gateway, Upstream, free_address};

/// What a server does with the connection that a request came by, whose head was read.
type Act = fn(&mut TcpStream);

/// A server that does this with every request whose path is `/bad`, and answers others well.
fn server(act: Act) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                            continue;
                        }
                        return;
                    }
                    if head.contains("/bad ") {
                        act(reader.get_mut());
                        return;
                    }
                    let path = head.split(' ').nth(1).unwrap();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                    if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn policy(server: SocketAddr) -> String {
    format!(
        "\nupstreams: {{ backend: {{ servers: [\"{server}\"], connect_timeout: 400ms, read_timeout: 400ms }} }}\n\
         apis:\n  - {{ name: data, base_path: /data, upstream: backend, public: [\"/data/**\"] }}\n"
    )
}

fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

fn wait(stream: &mut TcpStream) {
    // Until the gateway has had enough.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let _ = std::io::Read::read(stream, &mut [0]);
}

fn get(path: &str) -> String {
    format!("GET /data/{path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn an_upstream_that_cannot_be_reached_is_503_and_is_found_again_when_it_is_there() {
    let address = free_address();
    let gateway = Gateway::start_with(&policy(address), Upstream::start(), |_| {});
    let response = gateway.send(get("x").as_bytes());
    assert_eq!((response.status, response.reason().as_str()), (503, "upstream_unavailable"));
    assert_eq!(response.header("retry-after"), Some("1"));
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            say(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            wait(&mut stream);
        }
    });
    assert_eq!(gateway.send(get("x").as_bytes()).status, 200);
}

#[test]
fn an_upstream_that_takes_no_connection_is_waited_for_as_long_as_the_file_says() {
    // Its queue is full, so that connections are begun and not taken.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(1).unwrap()
    });
    let address = listener.local_addr().unwrap();
    let brief = Duration::from_millis(300);
    let _waiting: Vec<_> = (0..8).filter_map(|_| TcpStream::connect_timeout(&address, brief).ok()).collect();
    let gateway = Gateway::start_with(&policy(address), Upstream::start(), |_| {});
    let started = std::time::Instant::now();
    let response = gateway.send(get("x").as_bytes());
    assert_eq!((response.status, response.reason().as_str()), (503, "upstream_unavailable"));
    let took = started.elapsed();
    assert!((Duration::from_millis(350)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[test]
fn an_upstream_that_answers_before_it_has_the_body_lets_none_of_it_be_a_request() {
    // It reads heads and no bodies, and would take what comes after a head for the next one.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heads) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while reader.read_line(&mut head).is_ok_and(|read| read > 0) {
                    if head.ends_with("\r\n\r\n") {
                        sender.send(std::mem::take(&mut head)).unwrap();
                        say(reader.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
                    }
                }
            });
        }
    });
    let gateway = Gateway::start_with(&policy(address), Upstream::start(), |_| {});
    let hidden = "GET /data/hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = hidden.len();
    for (framing, body) in [
        (format!("Content-Length: {length}"), hidden.to_owned()),
        ("Transfer-Encoding: chunked".to_owned(), format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n")),
    ] {
        let mut connection = Connection::open(gateway.address);
        connection.write(format!("POST /data/early HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n").as_bytes());
        let response = connection.read_response().unwrap();
        assert_eq!((response.status, response.body.as_slice()), (200, &b"early"[..]));
        assert!(heads.recv_timeout(Duration::from_secs(20)).unwrap().starts_with("POST /data/early "));
        // The rest comes when the answer is there, and after it a request of its own.
        connection.try_write(body.as_bytes());
        connection.try_write(get("next").as_bytes());
        let next = connection.read_response();
        assert!(next.is_none(), "{framing}: the connection went on: {next:?}");
        // Another client's request is not answered by what is left on the upstream's connection.
        assert_eq!(gateway.send(get("other").as_bytes()).body, b"early");
        let asked: Vec<_> = heads.try_iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect();
        assert!(asked.iter().any(|line| line == "GET /data/other HTTP/1.1"), "{framing}: {asked:?}");
        assert!(!asked.iter().any(|line| line.contains("next")), "{framing}: {asked:?}");
    }
    let lines = gateway.audit(4);
    assert!(lines.iter().all(|line| line["path"] != "/data/hidden"), "{lines:?}");
}
