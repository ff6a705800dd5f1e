//! Handshakes with servers behind that do not come about, mostly as they are not whom they should be.

use std::fs;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use super::{before, server, wait};
use crate::harness::{Gateway, wait_for};
use crate::secured_servers::{Server, tls};
use ::harness::authority::{Authority, Issued};

/// That nothing is sent to the server at that place, and why not is said once and counted.
#[track_caller]
fn check_unavailable(what: &str, gateway: &Gateway, place: usize, protocol: &str, said: &str) {
    for _ in 0..3 {
        let response = gateway.ask("GET", &format!("/{place}/x"), &[]);
        assert_eq!((response.status, &*response.reason()), (503, "upstream_unavailable"), "{what}");
        assert!(response.header("retry-after").is_some(), "{what}");
    }
    let line = format!("no {protocol} handshake with a server of the upstream comes about upstream=\"u{place}\"");
    let lines = wait_for("a line of the log", || {
        let lines: Vec<_> = gateway.log().lines().filter(|log| log.contains(&line)).map(str::to_owned).collect();
        (!lines.is_empty()).then_some(lines)
    });
    assert!(lines.len() == 1 && lines[0].contains(said), "{what}: {lines:?}");
    let series = format!("scopegate_upstream_handshakes_failed_total{{protocol=\"{protocol}\",upstream=\"u{place}\"}}");
    assert_eq!(gateway.metric(&series), Some(3.0), "{what}");
}

#[test]
fn nothing_is_sent_to_a_server_that_does_not_show_whose_it_is() {
    let (authority, stranger) = (Authority::new("root"), Authority::new("other"));
    let here = "127.0.0.1";
    let with = |certificate: Issued| Server::http1(tls(&certificate, None, &[]));
    let good = with(authority.issue("server", &[here]));
    let (trusting, named) = ("tls: { ca_file: ca.pem }", "tls: { ca_file: ca.pem, server_name: orders.internal }");
    let cases = [
        ("a wrong address", &with(authority.issue("server", &["127.0.0.2"])), trusting, "not valid for name"),
        ("a name for an address", &with(authority.issue("127.0.0.1", &["localhost"])), trusting, "not valid for name"),
        ("a wrong name", &good, named, "not valid for name"),
        ("another authority", &with(stranger.issue("server", &[here])), trusting, "UnknownIssuer"),
        ("an old certificate", &with(authority.issue_expired("server", &[here])), trusting, "expired"),
        ("whom the machine does not trust", &good, "tls: {}", ""),
    ];
    let right = with(authority.issue("server", &["orders.internal"]));
    let mut servers: Vec<_> = cases.iter().map(|(_, server, keys, _)| (server.address, *keys)).collect();
    servers.push((right.address, named));
    let gateway = before(&servers, &authority, None);
    for (place, (what, server, _, said)) in cases.into_iter().enumerate() {
        check_unavailable(what, &gateway, place, "tls", said);
        assert_eq!(server.count(), 0, "{what}");
    }
    assert_eq!(gateway.ask("GET", "/6/x", &[]).status, 200);
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_the_gateway_s() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let own = authority.issue("gateway", &["gateway.internal"]);
    let http1 = Server::http1(tls(&certificate, Some(&authority), &[]));
    let http2 = Server::http2(Some(tls(&certificate, Some(&authority), &["h2"])));
    let servers = [
        (http1.address, "tls: { ca_file: ca.pem, certificate: own.pem, key: own.key }"),
        (http2.address, "http2: true, tls: { ca_file: ca.pem, certificate: own.pem, key: own.key }"),
        (http1.address, "tls: { ca_file: ca.pem }"),
        (http2.address, "http2: true, tls: { ca_file: ca.pem }"),
    ];
    let gateway = before(&servers, &authority, Some(&own));
    let status = |place: usize| gateway.ask("GET", &format!("/{place}/x"), &[]).status;
    assert_eq!((status(0), status(1)), (200, 200));
    // Where there is none to show, a client of TLS 1.3 learns after its own half that it is not served.
    assert!(matches!((status(2), status(3)), (502 | 503, 502 | 503)));
    assert_eq!((http1.count(), http2.count()), (1, 1));
}

#[test]
fn a_handshake_that_does_not_come_about_is_not_waited_for() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let silent = server(|mut stream| wait(&mut stream));
    let garbage = server(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        wait(&mut stream);
    });
    // A fatal alert: handshake_failure.
    let alert = server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]);
        wait(&mut stream);
    });
    let other = Server::http1(tls(&certificate, None, &["http/1.1"]));
    let none = Server::http1(tls(&certificate, None, &[]));
    // Only silence is ended by the time-out: what a server says, however late, is waited for.
    let (brief, long) = ("connect_timeout: 300ms", "connect_timeout: 60s");
    let (trusting, http2) = ("tls: { ca_file: ca.pem }", "http2: true");
    let both = "http2: true, tls: { ca_file: ca.pem }";
    let cases = [
        ("TLS, silent", silent, (brief, trusting), "tls", "in time"),
        ("TLS, no TLS", garbage, (long, trusting), "tls", ""),
        ("TLS, an alert", alert, (long, trusting), "tls", "alert"),
        ("HTTP/2, silent", silent, (brief, http2), "http2", "in time"),
        ("HTTP/2, HTTP/1.1", garbage, (long, http2), "http2", ""),
        ("HTTP/2 over TLS, agreed on another", other.address, (long, both), "tls", ""),
        ("HTTP/2 over TLS, agreed on none", none.address, (long, both), "tls", "does not agree on HTTP/2"),
    ];
    let entries = cases.map(|(_, address, (timeout, keys), ..)| (address, format!("{timeout}, {keys}")));
    let servers: Vec<_> = entries.iter().map(|(address, keys)| (*address, &**keys)).collect();
    let gateway = before(&servers, &authority, None);
    for (place, (what, .., protocol, said)) in cases.into_iter().enumerate() {
        let began = Instant::now();
        check_unavailable(what, &gateway, place, protocol, said);
        // Three times what it may take, not what it may where its entry says nothing.
        assert!(servers[place].1.contains(long) || began.elapsed() < Duration::from_secs(5), "{what}");
    }
    assert_eq!((other.count(), none.count()), (0, 0));
}

#[test]
fn tls_that_cannot_be_set_up_sends_nothing_until_it_can() {
    let authority = Authority::new("root");
    let certificate = authority.issue("server", &["127.0.0.1"]);
    let server = Server::http1(tls(&certificate, None, &[]));
    let gateway = before(&[(server.address, "tls: { ca_file: later.pem }")], &authority, None);
    assert_eq!(gateway.ask("GET", "/0/x", &[]).status, 503);
    gateway.wait_for_log("TLS cannot be set up");
    fs::write(gateway.folder.path().join("later.pem"), &authority.pem).unwrap();
    wait_for("the file to be in use", || (gateway.ask("GET", "/0/x", &[]).status == 200).then_some(()));
}
