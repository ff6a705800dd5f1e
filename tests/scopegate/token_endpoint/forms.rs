//! How a form comes: in chunks, of any length, late or never.

use serde_json::json;

use super::{FORM, POLICY, basic, body, check_forwarded, check_refused, post, start, start_with};
use crate::harness::{Connection, Upstream};

#[test]
fn a_form_in_chunks_is_read_to_its_end_and_sent_with_its_length() {
    let gateway = start();
    let head =
        format!("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut connection = Connection::open(gateway.address);
    connection.write(head.as_bytes());
    for part in ["client_id=ac", "me&scope=us", "ers-read"] {
        connection.write(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes());
    }
    connection.write(b"0\r\n\r\n");
    assert_eq!(connection.read_response().unwrap().status, 200);
    let seen = gateway.upstream.last();
    assert_eq!(body(&seen), "client_id=acme&scope=users-read+users-always+users-too");
    assert_eq!((seen.all("content-length").len(), seen.all("transfer-encoding").len()), (1, 0));
    // The connection goes on with the next request.
    connection.write(format!("{head}e\r\nclient_id=acme\r\n0\r\n\r\n").as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    assert_eq!(body(&gateway.upstream.last()), "client_id=acme");
    // One that grows beyond what is accepted, and no request behind it.
    connection.write(head.as_bytes());
    for _ in 0..5 {
        connection.try_write(format!("200\r\n{}\r\n", "x".repeat(512)).as_bytes());
    }
    let response = connection.read_response().unwrap();
    check_refused(&response, 413, "invalid_request");
    assert_eq!(response.header("connection"), Some("close"));
    assert!(connection.read_response().is_none());
    for broken in ["zz\r\n", "e\r\nclient_id=acmeXX"] {
        let mut connection = Connection::open(gateway.address);
        connection.write(format!("{head}{broken}").as_bytes());
        check_refused(&connection.read_response().unwrap(), 400, "invalid_request");
    }
    assert_eq!(gateway.upstream.count(), 2);
}

#[test]
fn a_form_may_have_exactly_as_many_bytes_as_the_file_says() {
    let gateway = start();
    let form = |length: usize| format!("client_id=acme&x={}", "x".repeat(length - "client_id=acme&x=".len()));
    check_forwarded(&gateway, &form(2048), &[], &form(2048));
    check_refused(&post(&gateway, &form(2049), &[]), 413, "invalid_request");
    let gateway = start_with(&POLICY.replace(", max_form_bytes: 2048", ""), Upstream::start());
    check_forwarded(&gateway, &form(32 * 1024), &[], &form(32 * 1024));
    check_refused(&post(&gateway, &form(32 * 1024 + 1), &[]), 413, "invalid_request");
    let gateway = start_with(&POLICY.replace("max_form_bytes: 2048", "max_form_bytes: 65536"), Upstream::start());
    check_forwarded(&gateway, &form(64 * 1024), &[], &form(64 * 1024));
}

#[test]
fn an_empty_form_is_a_form() {
    let gateway = start();
    let authorization = basic("acme");
    check_forwarded(&gateway, "", &[("Authorization", &authorization)], "");
    let chunked = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nAuthorization: {authorization}\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    assert_eq!(gateway.send(chunked.as_bytes()).status, 200);
    assert_eq!(body(&gateway.upstream.last()), "");
    let neither = format!(
        "POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nAuthorization: {authorization}\r\n\r\n"
    );
    assert_eq!(gateway.send(neither.as_bytes()).status, 200);
    assert_eq!(gateway.upstream.count(), 3);
}

#[test]
fn a_client_that_waits_is_told_to_go_on_or_why_not() {
    let gateway = start();
    let head = |length: usize, media_type: &str| {
        format!(
            "POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n\r\n"
        )
    };
    let mut connection = Connection::open(gateway.address);
    let form = "client_id=acme&scope=users-read";
    connection.write(head(form.len(), FORM).as_bytes());
    assert_eq!(connection.read_head().unwrap(), "HTTP/1.1 100 Continue");
    connection.write(form.as_bytes());
    assert_eq!(connection.read_response().unwrap().status, 200);
    let seen = gateway.upstream.last();
    assert_eq!(body(&seen), "client_id=acme&scope=users-read+users-always+users-too");
    assert!(seen.all("expect").is_empty(), "{seen:?}");
    // Refused after all of it came: the connection stays.
    let form = "client_id=acme&scope=data-write";
    connection.write(head(form.len(), FORM).as_bytes());
    assert_eq!(connection.read_head().unwrap(), "HTTP/1.1 100 Continue");
    connection.write(form.as_bytes());
    check_refused(&connection.read_response().unwrap(), 400, "invalid_scope");
    // Refused before all of it came: the rest is no request.
    let mut growing = Connection::open(gateway.address);
    let head_of_chunks = head(0, FORM).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    growing.write(head_of_chunks.as_bytes());
    assert_eq!(growing.read_head().unwrap(), "HTTP/1.1 100 Continue");
    growing.write(format!("801\r\n{}\r\n", "x".repeat(2049)).as_bytes());
    check_refused(&growing.read_response().unwrap(), 413, "invalid_request");
    assert!(growing.read_response().is_none());
    // Refused by the head: nothing was asked for.
    for (head, status) in [(head(2049, FORM), 413), (head(10, "text/plain"), 400)] {
        let mut connection = Connection::open(gateway.address);
        connection.write(head.as_bytes());
        check_refused(&connection.read_response().unwrap(), status, "invalid_request");
        assert!(connection.read_response().is_none());
    }
    assert_eq!(gateway.upstream.count(), 1);
}

#[test]
fn a_form_that_breaks_off_reaches_no_provider() {
    let gateway = start();
    let mut connection = Connection::open(gateway.address);
    let head = format!("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\n");
    connection.write(format!("{head}client_id=acme&scope=data-read").as_bytes());
    drop(connection);
    let line = &gateway.audit(1)[0];
    assert_eq!((&line["reason"], &line["decision"]), (&json!("form_rejected"), &json!("deny")), "{line}");
    assert_eq!(gateway.upstream.count(), 0);
}

#[test]
fn a_form_that_does_not_come_is_waited_for_no_longer_than_ten_seconds() {
    let gateway = start();
    let mut connection = Connection::open(gateway.address);
    let head = format!("POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\n");
    connection.write(format!("{head}client_id=acme").as_bytes());
    check_refused(&connection.read_response().unwrap(), 408, "invalid_request");
    assert_eq!(gateway.upstream.count(), 0);
}
