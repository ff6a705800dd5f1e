//! A fault of the program in the middle of a request.

use std::sync::Arc;
use std::time::Instant;

use pingora::http::RequestHeader;

use super::stage::{Backend, OK, PATIENCE, Stage};
use crate::record::count_panics;

/// There is none to be had from outside that is known, so tests have a header of their own for one.
pub(in crate::gateway) fn provoke(head: &RequestHeader) {
    assert!(!head.headers.contains_key("x-fault-of-the-program"), "asked for by a test");
}

#[test]
fn a_request_that_panics_takes_no_other_with_it_and_is_counted() {
    let backend = Backend::start(OK);
    let stage = Stage::start(&[backend.address]);
    let before = std::panic::take_hook();
    count_panics(stage.gateway.metrics(), before);
    let good = "GET /public/a HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut other = stage.connect();
    other.send(good);
    assert_eq!(other.answer().unwrap().0, 200);
    for round in 1..=20 {
        let mut client = stage.connect();
        client.send("GET /public/a HTTP/1.1\r\nHost: a\r\nX-Fault-Of-The-Program: yes\r\n\r\n");
        assert!(client.answer().is_none());
        other.send(good);
        assert_eq!(other.answer().unwrap().0, 200, "round {round}");
    }
    assert_eq!(stage.ask(good).0, 200);
    // Whatever a request holds is given back.
    let started = Instant::now();
    while stage.gateway.in_flight() > 0 {
        assert!(started.elapsed() < PATIENCE);
        std::thread::yield_now();
    }
    let text = Arc::clone(stage.gateway.metrics()).render().unwrap();
    let count = text.lines().find_map(|line| line.strip_prefix("scopegate_panics_total ")).unwrap();
    // Other tests of the process may have some of their own.
    assert!(count.parse::<u32>().unwrap() >= 20, "{count}");
    assert!(text.contains("scopegate_upstream_requests{upstream=\"backend\"} 0\n"), "{text}");
}
