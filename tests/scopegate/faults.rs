//! What goes wrong around a gateway: each has its answer, and the next request is served.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Connection, Gateway, Signer, Upstream, connect, scopegate, wait_for};

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

/// What a client gets of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    /// An answer of the gateway's own, of this status and reason.
    Problem(u16, &'static str),
    /// This body, whole.
    Whole(&'static str),
    /// The upstream's head, and then the end before the body's.
    BrokenOff,
}

/// What the upstream does, and what becomes of it.
const FAULTS: [(&str, Act, Got, Option<&str>); 26] = [
    ("closes at once", |_| {}, Got::Problem(502, "upstream_failed"), Some("upstream_failed")),
    ("says nothing", |stream| wait(stream), Got::Problem(504, "upstream_timeout"), Some("upstream_timeout")),
    (
        "is slow to its first byte, and in time",
        |stream| {
            thread::sleep(Duration::from_millis(200));
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "stalls in its head",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Le");
            wait(stream);
        },
        Got::Problem(504, "upstream_timeout"),
        Some("upstream_timeout"),
    ),
    (
        "stalls in its body",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf");
            wait(stream);
        },
        Got::BrokenOff,
        Some("upstream_timeout"),
    ),
    (
        "stalls between chunks",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
            wait(stream);
        },
        Got::BrokenOff,
        Some("upstream_timeout"),
    ),
    (
        "ends in its head",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Le"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends less than its Content-Length",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "ends before its last chunk",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "ends in a chunk",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nhalf"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends a chunk size that is none",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n0\r\n\r\n"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends a chunk size beyond 64 bits",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\nhi\r\n0\r\n\r\n");
        },
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends a chunk longer than it says",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhalf\r\n0\r\n\r\n"),
        Got::BrokenOff,
        Some("upstream_failed"),
    ),
    (
        "sends two different lengths",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nhalf"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a length that is no number",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a negative length",
        |stream| say(stream, "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a length beside chunks",
        |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
            );
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "sends more than its Content-Length",
        |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
            );
            wait(stream);
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "sends more after its last chunk",
        |stream| {
            let more = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
            say(stream, &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n{more}"));
            wait(stream);
        },
        Got::Whole("hi"),
        None,
    ),
    (
        "answers a second time later",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            thread::sleep(Duration::from_millis(50));
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
            wait(stream);
        },
        Got::Whole("hi"),
        None,
    ),
    ("says no length and ends", |stream| say(stream, "HTTP/1.1 200 OK\r\n\r\nhi"), Got::Whole("hi"), None),
    (
        "speaks another protocol",
        |stream| say(stream, "SSH-2.0-OpenSSH_9.6\r\n"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends bytes of no meaning",
        |stream| {
            let _ = stream.write_all(&[0xff; 5000]);
        },
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a status that is none",
        |stream| say(stream, "HTTP/1.1 9999 What\r\nContent-Length: 0\r\n\r\n"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a header without a name",
        |stream| say(stream, "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nhi"),
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
    (
        "sends a head without an end",
        |stream| {
            say(stream, "HTTP/1.1 200 OK\r\n");
            let line = format!("X: {}\r\n", "x".repeat(1000));
            for _ in 0..3000 {
                if stream.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
        },
        Got::Problem(502, "upstream_failed"),
        Some("upstream_failed"),
    ),
];

fn get(path: &str) -> String {
    format!("GET /data/{path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn an_upstream_that_fails_is_told_of_and_the_next_request_is_served() {
    for (name, act, expected, error) in FAULTS {
        let mut gateway = Gateway::start_with(&policy(server(act)), Upstream::start(), |_| {});
        let mut connection = Connection::open(gateway.address);
        connection.write(get("bad").as_bytes());
        let found = match connection.read_response() {
            None => Got::BrokenOff,
            Some(response) if response.body.starts_with(b"{") => {
                let reason = response.reason();
                assert_eq!(response.header("content-type"), Some("application/problem+json"), "{name}");
                let (Got::Problem(_, known) | Got::Whole(known)) = expected else {
                    panic!("{name}: {response:?}");
                };
                assert_eq!(reason, known, "{name}");
                Got::Problem(response.status, known)
            }
            Some(response) if response.body == b"hi" => Got::Whole("hi"),
            Some(response) => panic!("{name}: {response:?}"),
        };
        assert_eq!(found, expected, "{name}");
        let line = gateway.audit(1).remove(0);
        assert_eq!((&line["reason"], &line["upstream_error"]), (&json!("public"), &json!(error)), "{name}: {line}");
        // Whatever comes after it while nothing is asked answers no other request, on whichever connection.
        thread::sleep(Duration::from_millis(200));
        let mut others = vec![Connection::open(gateway.address)];
        if matches!(expected, Got::Whole(_)) {
            others.push(connection);
        }
        for (place, other) in others.iter_mut().enumerate() {
            for round in 0..5 {
                let path = format!("good/{place}/{round}");
                other.write(get(&path).as_bytes());
                let response = other.read_response().unwrap_or_else(|| panic!("{name}: no answer to {path}"));
                let body = String::from_utf8(response.body).unwrap();
                assert_eq!((response.status, body), (200, format!("/data/{path}")), "{name}");
            }
        }
        assert!(gateway.is_running(), "{name}");
    }
}

#[test]
fn an_upstream_that_cannot_be_reached_is_503_and_is_found_again_when_it_is_there() {
    let address = crate::harness::free_address();
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
fn an_audit_file_on_a_full_disk_loses_lines_and_no_request() {
    let gateway = Gateway::start(
        "\naudit: { file: /dev/full }\napis:\n  - { name: data, base_path: /data, upstream: backend, public: [\"/data/**\"] }\n",
    );
    // 64 KiB of lines are kept, in case that there is room again soon.
    for _ in 0..400 {
        assert_eq!(gateway.send(get("x").as_bytes()).status, 200);
    }
    wait_for("the lost lines", || gateway.metric("scopegate_audit_dropped_total").filter(|lost| *lost >= 100.0));
    assert_eq!(gateway.admin("/healthz").status, 200);
}

#[test]
fn an_audit_file_that_cannot_be_opened_is_said_at_the_start_and_keeps_the_old_one_later() {
    let gateway = Gateway::start(&policy(Upstream::start().address));
    assert_eq!(gateway.send(get("x").as_bytes()).status, 200);
    gateway.audit(1);
    // Renamed away, and its name taken by what cannot be written.
    let file = gateway.folder.path().join("audit.jsonl");
    let moved = gateway.folder.path().join("moved.jsonl");
    std::fs::rename(&file, &moved).unwrap();
    std::fs::create_dir(&file).unwrap();
    gateway.signal("HUP");
    wait_for("it to be said", || gateway.log().contains("the audit file cannot be opened again").then_some(()));
    assert_eq!(gateway.send(get("y").as_bytes()).status, 200);
    wait_for("the line", || std::fs::read_to_string(&moved).unwrap().contains("/data/y").then_some(()));
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    std::fs::write(gateway.folder.path().join("read-only.yaml"), text.replace("audit.jsonl", "/proc/audit.jsonl"))
        .unwrap();
    let mut other = crate::harness::Process::start(gateway.folder.path(), &["serve", "--config", "read-only.yaml"]);
    assert_eq!(other.ended(), Some(1));
    wait_for("it to be said", || other.log.lock().unwrap().contains("cannot open the audit file").then_some(()));
}

#[test]
fn descriptors_that_run_out_end_nothing_and_are_used_again() {
    let mut gateway = Gateway::start(&policy(server(|_| {})));
    gateway.signal("TERM");
    wait_for("its end", || (!gateway.is_running()).then_some(()));
    let binary = scopegate(&[]).get_program().to_owned();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 60 && exec \"$0\" serve"]).arg(binary);
    drop(gateway.start_again(limited));
    gateway.wait_until_ready();
    assert!(gateway.log().contains("fewer files may be open"), "{}", gateway.log());
    let mut kept = Connection::open(gateway.address);
    kept.write(get("x").as_bytes());
    assert_eq!(kept.read_response().unwrap().status, 200);
    let many: Vec<_> = (0..100).map(|_| connect(gateway.address)).collect();
    wait_for("it to be said", || gateway.log().contains("no connection can be accepted right now").then_some(()));
    // What is open goes on: its upstream's connection is one that is kept.
    kept.write(get("y").as_bytes());
    assert_eq!(kept.read_response().unwrap().status, 200);
    assert!(gateway.is_running());
    drop(many);
    wait_for("it to recover", || {
        let mut connection = Connection::open(gateway.address);
        connection.try_write(get("z").as_bytes());
        connection.read_response().filter(|response| response.status == 200)
    });
}

#[test]
fn an_issuer_that_fails_is_503_for_its_tokens_and_nothing_else_is_lost() {
    let good = Signer::shared().jwks().to_string();
    // What the issuer answers with; nothing: it is down, and an empty text: it says nothing.
    let answers = [
        ("down", None, 503),
        ("silent", Some(""), 503),
        ("lying: no keys", Some("{\"keys\":[]}"), 503),
        ("lying: no JSON", Some("<html>"), 503),
        ("good", Some(good.as_str()), 200),
    ];
    for (name, answer, expected) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        if let Some(answer) = answer.map(str::to_owned) {
            thread::spawn(move || {
                for mut stream in listener.incoming().map_while(Result::ok) {
                    if !answer.is_empty() {
                        let length = answer.len();
                        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
                        say(&mut stream, &(head + &answer));
                    }
                    thread::spawn(move || wait(&mut stream));
                }
            });
        } else {
            drop(listener);
        }
        let policy = format!(
            "\nissuers: [{{ issuer: \"https://issuer.example\", audiences: [https://api.example.com], keys: {{ url: \"http://{address}/jwks\" }} }}]\n\
             apis: [{{ name: data, base_path: /data, upstream: backend, public: [\"/data/open/**\"], scopes: [{{ name: read, services: [\"GET /data/**\"] }}] }}]\n"
        );
        let gateway = Gateway::launch("", &policy, Upstream::start(), |_| {});
        wait_for("it to listen", || TcpStream::connect(gateway.address).ok());
        let token = Signer::shared().token(json!({ "scope": "read" }));
        let status = wait_for("an answer about the token", || {
            let status = gateway.get("/data/x", &token).status;
            (status == expected).then_some(status)
        });
        assert_eq!(status, expected, "{name}");
        assert_eq!(gateway.send(get("open/x").as_bytes()).status, 200, "{name}");
    }
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
