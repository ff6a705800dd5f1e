//! The streams of one connection: many at once, some that are reset or too large, and those under way at its end.

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use serde_json::json;

use super::{start, start_with};
use crate::harness::{PATIENCE, Upstream, wait_for};
use crate::http2_client::{Http2, head, read};

#[test]
fn one_connection_carries_many_requests_at_once() {
    let upstream = Upstream::answering(|request| {
        let body = request.line.split(' ').nth(1).unwrap();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    });
    let gateway = start_with(upstream);
    let http2 = Http2::plain(gateway.address);
    http2.with(async |sender| {
        let asked = (0..50).map(|number| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let target = format!("/data/open/{number}");
                let (response, _) = sender.send_request(head("GET", &target, &[]), true).unwrap();
                let response = read(response).await.unwrap();
                assert_eq!((response.status, response.body.as_slice()), (200, target.as_bytes()));
            })
        });
        for task in asked.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    assert_eq!(gateway.upstream.count(), 50);
}

#[test]
fn a_client_that_resets_what_it_asks_is_cut_off_and_others_are_served() {
    let gateway = start();
    let http2 = Http2::plain(gateway.address);
    let ended = http2.with(async |sender| {
        for _ in 0..100_000 {
            let Ok(mut ready) = sender.clone().ready().await else { return true };
            let Ok((_, mut stream)) = ready.send_request(head("POST", "/data/open/x", &[]), false) else { return true };
            stream.send_reset(Reason::CANCEL);
        }
        false
    });
    assert!(ended, "every reset was taken");
    assert_eq!(Http2::plain(gateway.address).get("/data/open/x", &[]).status, 200);
}

#[test]
fn a_client_that_resets_a_request_under_way_is_gone_and_its_connection_goes_on() {
    let (sender, asked) = std::sync::mpsc::channel();
    let upstream = Upstream::answering(move |request| {
        sender.send(()).unwrap();
        if request.line.contains("slow") {
            thread::sleep(Duration::from_millis(500));
        }
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()
    });
    let gateway = start_with(upstream);
    let mut http2 = Http2::plain(gateway.address);
    http2.with(async |sender| {
        let mut ready = sender.ready().await.unwrap();
        let (_, mut stream) = ready.send_request(head("GET", "/data/open/slow", &[]), true).unwrap();
        asked.recv_timeout(PATIENCE).unwrap();
        stream.send_reset(Reason::CANCEL);
    });
    let line = &gateway.audit(1)[0];
    assert_eq!(
        (&line["reason"], &line["status"], &line["upstream_error"]),
        (&json!("public"), &json!(0), &json!(null))
    );
    assert_eq!(http2.get("/data/open/x", &[]).status, 200);
}

#[test]
fn heads_that_are_too_large_are_refused_and_the_connection_goes_on() {
    let gateway = start();
    let mut http2 = Http2::plain(gateway.address);
    let large = "a".repeat(100_000);
    let refused = http2.send(head("GET", "/data/open/x", &[("x-large", &large)]), None, None);
    assert!(refused.is_err() || refused.unwrap().status == 431);
    assert_eq!(gateway.upstream.count(), 0);
    assert_eq!(Http2::plain(gateway.address).get("/data/open/x", &[]).status, 200);
}

#[test]
fn a_terminated_gateway_answers_what_is_under_way_and_ends() {
    let (sender, asked) = std::sync::mpsc::channel();
    let upstream = Upstream::answering(move |_| {
        sender.send(()).unwrap();
        thread::sleep(Duration::from_millis(300));
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()
    });
    let mut gateway = start_with(upstream);
    let http2 = Http2::plain(gateway.address);
    let body = http2.with(async |sender| {
        let mut ready = sender.ready().await.unwrap();
        let (response, _) = ready.send_request(head("GET", "/data/open/x", &[]), true).unwrap();
        let response = tokio::spawn(read(response));
        asked.recv_timeout(PATIENCE).unwrap();
        gateway.signal("TERM");
        Bytes::from(response.await.unwrap().unwrap().body)
    });
    assert_eq!(body, "hi");
    wait_for("the process to end", || (!gateway.is_running()).then_some(()));
    // It was told that no more requests are taken.
    assert!(send_fails(&http2));
}

fn send_fails(http2: &Http2) -> bool {
    http2.with(async |sender| match sender.ready().await {
        Ok(mut ready) => ready.send_request(head("GET", "/data/open/x", &[]), true).is_err(),
        Err(_) => true,
    })
}
