//! Changes of how servers are spoken to, while requests are under way.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::harness::{Connection, EndOnDrop, Gateway, Upstream, wait_for};
use crate::http2_client::Http2;
use crate::secured_servers::{Server, tls};
use ::harness::authority::{Authority, replace};

const APIS: &str = "apis:\n  - { name: data, base_path: /data, upstream: backend, public: [\"* /data/**\"] }\n";

fn policy(server: &Server, keys: &str) -> String {
    format!("\nupstreams: {{ backend: {{ servers: [\"127.0.0.1:{}\"], {keys} }} }}\n{APIS}", server.address.port())
}

#[test]
fn no_request_fails_while_the_way_to_the_servers_changes() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let plain = Server::plain();
    let secured = Server::http1(tls(&certificate, None, &["http/1.1"]));
    let http2 = Server::http2(None);
    let both = Server::http2(Some(tls(&certificate, None, &["h2"])));
    let ways = [
        policy(&plain, ""),
        policy(&secured, "tls: { ca_file: ca.pem }"),
        policy(&http2, "http2: true"),
        policy(&both, "http2: true, tls: { ca_file: ca.pem }"),
        policy(&plain, "total_timeout: 20s, first_byte_timeout: 10s"),
        policy(&both, "http2: true, tls: { ca_file: ca.pem }, total_timeout: 20s, idle_timeout: 1s"),
    ];
    let gateway = Gateway::start_listening("http2: true", &ways[0], Upstream::start(), |folder| {
        fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    });
    let (ends, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let _ends = EndOnDrop(&ends);
        for client in 0..4 {
            let (gateway, ends, answered) = (&gateway, &ends, &answered);
            scope.spawn(move || {
                let mut http1 = Connection::open(gateway.address);
                let mut http2 = Http2::plain(gateway.address);
                while !ends.load(Ordering::Relaxed) {
                    let status = if client == 3 {
                        http2.get("/data/x", &[]).status
                    } else {
                        let (method, body) = if client == 0 { ("GET", "") } else { ("POST", "body") };
                        let length = body.len();
                        let head =
                            format!("{method} /data/x HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: {length}");
                        http1.write(format!("{head}\r\n\r\n{body}").as_bytes());
                        http1.read_response().expect("no request is dropped").status
                    };
                    assert_eq!(status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for (generation, way) in (2..).zip(ways.iter().cycle().skip(1).take(2 * ways.len())) {
            gateway.rewrite(way);
            gateway.wait_for_policy("the next generation", |policy| policy["generation"] == generation);
            let before = answered.load(Ordering::Relaxed);
            wait_for("requests that go the new way", || (answered.load(Ordering::Relaxed) > before + 40).then_some(()));
        }
    });
    for (way, server) in [("plain", &plain), ("TLS", &secured), ("HTTP/2", &http2), ("both", &both)] {
        assert!(server.count() > 40, "{way}: {}", server.count());
    }
    assert!(gateway.audit(1).iter().all(|line| line["status"] == 200));
}

#[test]
fn files_that_change_are_in_use_at_once_and_bad_ones_never() {
    let (authority, next) = (Authority::new("root"), Authority::new("next"));
    let server = Server::http1(tls(&authority.issue("server", &["127.0.0.1"]), None, &[]));
    let gateway = Gateway::start_in(&policy(&server, "tls: { ca_file: ca.pem }"), |folder| {
        fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    });
    let status = || gateway.ask("GET", "/data/x", &[]).status;
    let file = gateway.folder.path().join("ca.pem");
    assert_eq!((status(), status(), server.connections()), (200, 200, 1));
    for bad in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "rubbish"] {
        let said = gateway.log().matches("are no good; what they were stays in use").count();
        replace(&file, bad);
        wait_for("it to be said", || {
            (gateway.log().matches("are no good; what they were stays in use").count() > said).then_some(())
        });
        assert_eq!(status(), 200);
    }
    // Whom it trusts no more it does not speak to, over no connection that is open either.
    replace(&file, &next.pem);
    wait_for("the new file", || (status() == 503).then_some(()));
    assert_eq!(server.connections(), 2);
    replace(&file, &format!("{}{}", next.pem, authority.pem));
    wait_for("both", || (status() == 200).then_some(()));
}

#[test]
fn a_reload_that_leaves_the_way_as_it_is_keeps_the_connections() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    for (server, keys) in [
        (Server::http1(tls(&certificate, None, &[])), "tls: { ca_file: ca.pem }"),
        (Server::http2(None), "http2: true"),
    ] {
        let gateway = Gateway::start_in(&policy(&server, keys), |folder| {
            fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
        });
        assert_eq!(gateway.ask("GET", "/data/x", &[]).status, 200);
        gateway.rewrite(&format!("{}# again\n", policy(&server, keys)));
        gateway.wait_for_policy("the next generation", |policy| policy["generation"] == 2);
        assert_eq!(gateway.ask("GET", "/data/x", &[]).status, 200);
        assert_eq!(server.connections(), 1, "{keys}");
    }
}

#[test]
fn servers_are_checked_in_the_way_that_they_are_spoken_to() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    for (server, keys) in [
        (Server::http1(tls(&certificate, None, &[])), "tls: { ca_file: ca.pem }"),
        (Server::http2(None), "http2: true"),
    ] {
        let health = "health: { path: /health, interval: 1s, timeout: 1s, healthy_after: 1, unhealthy_after: 1 }";
        let gateway = Gateway::start_in(&policy(&server, &format!("{keys}, {health}")), |folder| {
            fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
        });
        wait_for("a check", || (server.count() > 0).then_some(()));
        let passed = "scopegate_upstream_checks_total{result=\"passed\",upstream=\"backend\"}";
        wait_for("it to be counted", || gateway.metric(passed).filter(|passed| *passed > 0.0));
        assert_eq!(gateway.ask("GET", "/data/x", &[]).status, 200);
    }
}
