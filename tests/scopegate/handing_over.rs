//! One process after another on the same addresses, under load, and no request that is lost.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};

use crate::harness::{Asked, Load};
use crate::harness::{Connection, Gateway, Process, scopegate, wait_for};

const POLICY: &str = r#"
apis:
  - { name: data, base_path: /data, upstream: backend, public: ["/data/**"] }
"#;

const GET: &str = "GET /data/x HTTP/1.1\r\nHost: a\r\n\r\n";
const CLIENTS: usize = 8;

fn handing_over() -> Command {
    scopegate(&["serve", "--config", "gateway.yaml", "--handover", "handover"])
}

fn start() -> Gateway {
    let mut gateway = Gateway::start(POLICY);
    gateway.signal("KILL");
    wait_for("its end", || (!gateway.is_running()).then_some(()));
    drop(gateway.start_again(handing_over()));
    gateway.wait_until_ready();
    gateway
}

/// Until so many more were answered.
fn let_run(gateway: &Gateway, more: usize) {
    let before = gateway.upstream.count();
    wait_for("requests", || (gateway.upstream.count() >= before + more).then_some(()));
}

#[track_caller]
fn check(asked: &Asked, gateway: &Gateway) {
    assert_eq!(asked.failed, [""; 0], "{asked:?}");
    assert!(asked.answered >= 1_000, "{asked:?}");
    assert_eq!(asked.answered, gateway.upstream.count(), "what was answered is what was forwarded, once each");
}

#[test]
fn a_process_takes_over_from_another_under_load_and_no_request_is_lost() {
    let mut gateway = start();
    let load = Load::start(CLIENTS, gateway.address, GET);
    for _ in 0..3 {
        let_run(&gateway, 300);
        let number = gateway.id();
        let mut before = gateway.start_again(handing_over());
        assert_eq!(before.ended(), Some(0), "{}", before.log.lock().unwrap());
        assert_ne!(gateway.id(), number);
        let_run(&gateway, 300);
    }
    let asked = load.stop();
    assert_eq!(asked.refused, 0, "{asked:?}");
    check(&asked, &gateway);
    assert!(asked.connections >= 4 * CLIENTS, "every process but the last has told its clients to go: {asked:?}");
    assert_eq!(gateway.admin("/readyz").status, 200);
}

#[test]
fn a_process_that_cannot_serve_takes_nothing_over() {
    let mut gateway = start();
    let load = Load::start(CLIENTS, gateway.address, GET);
    let_run(&gateway, 300);
    std::fs::write(gateway.folder.path().join("bad.yaml"), "version: 2\n").unwrap();
    let file = std::fs::read_to_string(gateway.file()).unwrap();
    // Its issuer's keys never come.
    let waits = file.replace("keys: { file: jwks.json }", "keys: { url: \"http://127.0.0.1:9/jwks\" }");
    std::fs::write(gateway.folder.path().join("waits.yaml"), waits).unwrap();
    let mut bad = Process::start(gateway.folder.path(), &["serve", "--config", "bad.yaml", "--handover", "handover"]);
    assert_eq!(bad.ended(), Some(1));
    let waits = Process::start(gateway.folder.path(), &["serve", "--config", "waits.yaml", "--handover", "handover"]);
    thread::sleep(Duration::from_millis(500));
    let_run(&gateway, 300);
    // It dies while it waits.
    drop(waits);
    let_run(&gateway, 300);
    let asked = load.stop();
    assert_eq!(asked.refused, 0, "{asked:?}");
    check(&asked, &gateway);
    assert!(gateway.is_running());
}

#[test]
fn a_restart_on_sockets_that_a_supervisor_holds_loses_no_request() {
    let mut gateway = Gateway::start(POLICY);
    gateway.signal("TERM");
    wait_for("its end", || (!gateway.is_running()).then_some(()));
    let held = [gateway.address, gateway.admin].map(|address| TcpListener::bind(address).unwrap());
    let told = UnixDatagram::bind(gateway.folder.path().join("notify")).unwrap();
    told.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let socket_activated = || {
        let mut command = scopegate(&["serve"]);
        command.env("LISTEN_FDS", "2").env("NOTIFY_SOCKET", "notify");
        let mapping = |(place, socket): (i32, &TcpListener)| FdMapping {
            parent_fd: OwnedFd::from(socket.try_clone().unwrap()),
            child_fd: 3 + place,
        };
        command.fd_mappings((0..).zip(&held).map(mapping).collect()).unwrap();
        command
    };
    let next = |gateway: &Gateway, ends: bool| {
        let mut said = [0; 100];
        let length = told.recv(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said[..length]).into_owned();
        let expected = if ends { "STOPPING=1\n".to_owned() } else { format!("READY=1\nMAINPID={}\n", gateway.id()) };
        assert_eq!(said, expected);
    };
    drop(gateway.start_again(socket_activated()));
    next(&gateway, false);
    let load = Load::start(CLIENTS, gateway.address, GET);
    for _ in 0..3 {
        let_run(&gateway, 300);
        gateway.signal("TERM");
        next(&gateway, true);
        wait_for("its end", || (!gateway.is_running()).then_some(()));
        drop(gateway.start_again(socket_activated()));
        next(&gateway, false);
    }
    let_run(&gateway, 300);
    let asked = load.stop();
    assert_eq!(asked.refused, 0, "{asked:?}");
    check(&asked, &gateway);
}

#[test]
fn a_terminated_process_answers_everything_that_it_was_asked() {
    let mut gateway = Gateway::start(POLICY);
    let load = Load::start(CLIENTS, gateway.address, GET);
    let_run(&gateway, 1_000);
    gateway.signal("TERM");
    wait_for("its end", || (!gateway.is_running()).then_some(()));
    let asked = load.stop();
    assert!(asked.refused > 0, "{asked:?}");
    check(&asked, &gateway);
}

#[test]
fn a_killed_process_is_started_again_and_its_audit_file_goes_on() {
    let mut gateway = Gateway::start(POLICY);
    assert_eq!(gateway.send(GET.as_bytes()).status, 200);
    let lines = gateway.audit(1).len();
    let load = Load::start(CLIENTS, gateway.address, GET);
    let_run(&gateway, 300);
    gateway.signal("KILL");
    wait_for("its end", || (!gateway.is_running()).then_some(()));
    drop(gateway.start_again(scopegate(&["serve"])));
    gateway.wait_until_ready();
    let_run(&gateway, 300);
    let asked = load.stop();
    // What was under way and what waited to be accepted was lost with the process: of each client, at most
    // one of either.
    assert!(asked.failed.len() <= 2 * CLIENTS, "{asked:?}");
    let text = std::fs::read_to_string(gateway.folder.path().join("audit.jsonl")).unwrap();
    let good = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count();
    // The last line of the killed process may be half a line, to which the next one's first is joined.
    assert!(good > lines && text.lines().count() - good <= 1);
}

#[test]
fn what_is_under_way_is_cut_after_the_time_that_the_file_has_at_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = format!("upstreams: {{ backend: {{ servers: [\"{}\"] }} }}\n", listener.local_addr().unwrap());
    let policy = |timeout: &str| format!("\nlimits: {{ drain_timeout: {timeout} }}\n{slow}{}", POLICY.trim_start());
    let mut gateway = Gateway::start(&policy("1h"));
    let mut connection = Connection::open(gateway.address);
    connection.write(GET.as_bytes());
    let _never_answered = listener.accept().unwrap();
    gateway.rewrite(&policy("1s"));
    gateway.wait_for_policy("the next generation", |policy| policy["generation"] == 2);
    let told = Instant::now();
    gateway.signal("TERM");
    assert_eq!(connection.read_response().map(|response| response.status), None);
    let passed = told.elapsed();
    wait_for("its end", || (!gateway.is_running()).then_some(()));
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&passed), "{passed:?}");
}
