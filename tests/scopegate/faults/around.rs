//! What goes wrong beside upstreams: disks, descriptors, issuers.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::json;

use super::{get, policy, say, server, wait};
use crate::harness::{Connection, Gateway, Process, Signer, Upstream, connect, scopegate, wait_for};

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
    gateway.wait_for_log("the audit file cannot be opened again");
    assert_eq!(gateway.send(get("y").as_bytes()).status, 200);
    wait_for("the line", || std::fs::read_to_string(&moved).unwrap().contains("/data/y").then_some(()));
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    std::fs::write(gateway.folder.path().join("read-only.yaml"), text.replace("audit.jsonl", "/proc/audit.jsonl"))
        .unwrap();
    let mut other = Process::start(gateway.folder.path(), &["serve", "--config", "read-only.yaml"]);
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
    gateway.wait_for_log("fewer files may be open");
    let mut kept = Connection::open(gateway.address);
    kept.write(get("x").as_bytes());
    assert_eq!(kept.read_response().unwrap().status, 200);
    let many: Vec<_> = (0..100).map(|_| connect(gateway.address)).collect();
    gateway.wait_for_log("no connection can be accepted right now");
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
