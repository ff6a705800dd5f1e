//! Questions in protobuf: what is read of them, and what is not.

use super::*;
use crate::policy::{PathFault, PolicySpec};

fn policy() -> Policy {
    Policy::compile(PolicySpec::default()).unwrap()
}

fn http() -> HttpRequest {
    HttpRequest {
        method: "DELETE".to_owned(),
        path: "/a/%61?b".to_owned(),
        host: "api.example".to_owned(),
        scheme: "https".to_owned(),
        ..HttpRequest::default()
    }
}

fn asked(http: HttpRequest) -> Result<Question, Denial> {
    let request = Request { http: Some(http) };
    let attributes = AttributeContext { source: None, request: Some(request) };
    question(&CheckRequest { attributes: Some(attributes) }.encode_to_vec(), &policy())
}

fn line(key: &str, value: &str, raw: &[u8]) -> HeaderLine {
    HeaderLine { key: key.to_owned(), value: value.to_owned(), raw_value: raw.to_vec() }
}

fn lines(lines: Vec<HeaderLine>) -> HttpRequest {
    HttpRequest { header_map: Some(HeaderLines { headers: lines }), ..http() }
}

fn joined(list: &[(&str, &str)]) -> HttpRequest {
    let headers = list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    HttpRequest { headers: headers.collect(), ..http() }
}

#[track_caller]
fn check_refused(http: HttpRequest, expected: impl Into<Denial>) {
    let shown = format!("{http:?}");
    assert_eq!(asked(http).map(|_| ()), Err(expected.into()), "{shown}");
}

#[test]
fn a_message_is_the_request_that_it_tells_of() {
    let raw = [line(":method", "", b"DELETE"), line("x-a", "", b"1"), line("x-a", "", b"\xff"), line("x-b", "2", b"")];
    let told = asked(lines(raw.to_vec())).unwrap();
    assert_eq!((told.head.method.as_str(), told.head.raw_path()), ("DELETE", &b"/a/%61?b"[..]));
    let values: Vec<_> = told.head.headers.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
    assert_eq!(values, [&b"1"[..], b"\xff"]);
    assert_eq!(
        (&told.head.headers["host"], &told.head.headers["x-b"]),
        (&"api.example".parse().unwrap(), &"2".parse().unwrap())
    );
    assert!(told.secure && told.certificate.is_none());
    let told = asked(joined(&[(":path", "/a/%61?b"), ("x-a", "1,2"), ("authorization", "Bearer x")])).unwrap();
    assert_eq!(told.head.headers["x-a"], "1,2");
}

#[test]
fn what_must_be_told_is_told() {
    for (http, what) in [
        (HttpRequest { method: String::new(), ..http() }, "the method"),
        (HttpRequest { path: String::new(), ..http() }, "the target"),
        (HttpRequest { host: String::new(), ..http() }, "the host"),
        (HttpRequest { scheme: String::new(), ..http() }, "the scheme"),
    ] {
        check_refused(http, QuestionFault::Missing(what));
    }
    for attributes in [None, Some(AttributeContext::default())] {
        let message = CheckRequest { attributes }.encode_to_vec();
        assert_eq!(question(&message, &policy()).unwrap_err(), QuestionFault::Missing(ATTRIBUTES).into());
    }
    check_refused(HttpRequest { scheme: "ftp".to_owned(), ..http() }, QuestionFault::Unreadable("the scheme"));
    check_refused(HttpRequest { path: "/a#b".to_owned(), ..http() }, PathFault::Fragment);
}

#[test]
fn attributes_that_contradict_each_other_are_refused() {
    for (key, value) in [(":path", "/b"), (":method", "GET"), (":authority", "other.example")] {
        check_refused(joined(&[(key, value)]), QuestionFault::Unreadable(ATTRIBUTES));
        check_refused(lines(vec![line(key, "", value.as_bytes())]), QuestionFault::Unreadable(ATTRIBUTES));
    }
    let both = HttpRequest { headers: joined(&[("x-a", "1")]).headers, ..lines(vec![]) };
    check_refused(both, QuestionFault::Repeated("the headers"));
    check_refused(lines(vec![line("x-a", "1", b"2")]), QuestionFault::Repeated("a header's value"));
    for bad in [line("x a", "1", b""), line("x-a", "a\nb", b""), line("", "1", b"")] {
        check_refused(lines(vec![bad]), QuestionFault::Unreadable("a header"));
    }
}

#[test]
fn joined_lines_are_several_where_the_decision_looks() {
    let several = HeaderFault::SeveralAuthorizations;
    check_refused(joined(&[("authorization", "Bearer a,Bearer b")]), several);
    check_refused(joined(&[("authorization", "Bearer a!")]), several);
    check_refused(lines(vec![line("authorization", "", b"Bearer a,Bearer b")]), several);
    check_refused(joined(&[("dpop", "a,b")]), HeaderFault::SeveralOfOne);
}

#[test]
fn a_certificate_that_cannot_be_read_is_refused_and_not_passed_over() {
    let source = Some(Peer { certificate: "-----BEGIN%20CERTIFICATE-----".to_owned() });
    let attributes = AttributeContext { source, request: Some(Request { http: Some(http()) }) };
    let message = CheckRequest { attributes: Some(attributes) }.encode_to_vec();
    let fault = QuestionFault::Unreadable("the client's certificate");
    assert_eq!(question(&message, &policy()).unwrap_err(), fault.into());
}

#[test]
fn hostile_messages_are_unreadable() {
    let fault = Denial::from(QuestionFault::Unreadable("the message"));
    // Groups in each other, as deep as they come; lengths beyond the end; wrong types; no UTF-8.
    let deep = [0x0b].repeat(100_000);
    for bad in [
        &b"\x0a"[..],
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x08\x01",
        b"\x0a\x02\x22\x05",
        b"\x0a\x06\x22\x04\x12\x02\x12\xff",
        b"\x0a\x07\x22\x05\x12\x03\x12\x01\xff",
        b"\x07",
        &deep,
    ] {
        assert_eq!(question(bad, &policy()).unwrap_err(), fault, "{}", bad.get(..20).unwrap_or(bad).escape_ascii());
    }
    let whole = CheckRequest {
        attributes: Some(AttributeContext { source: None, request: Some(Request { http: Some(http()) }) }),
    };
    let whole = whole.encode_to_vec();
    for end in 1..whole.len() {
        assert!(question(&whole[..end], &policy()).is_err(), "{end}");
    }
    // What nobody knows is skipped.
    let more = [&whole[..], b"\xfa\x7f\x03abc"].concat();
    assert!(question(&more, &policy()).is_ok());
}

#[test]
fn a_refusal_says_all_that_the_gateway_would() {
    let header =
        |name: &'static str, value: &'static str| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers = [header("www-authenticate", "A"), header("retry-after", "1"), header("www-authenticate", "B")];
    let answer = Answer {
        status: http::StatusCode::SERVICE_UNAVAILABLE,
        headers: headers.into_iter().collect(),
        body: bytes::Bytes::from_static(b"{}"),
    };
    let said = CheckResponse::decode(&denied(&answer)[..]).unwrap();
    assert_eq!(said.status, Some(Status { code: PERMISSION_DENIED }));
    let said = said.denied.unwrap();
    assert_eq!((said.status, &*said.body), (Some(HttpStatus { code: 503 }), "{}"));
    let told: Vec<_> =
        said.headers.into_iter().map(|option| (option.header.unwrap().value, option.append.unwrap().value)).collect();
    assert_eq!(told, [("A".to_owned(), false), ("1".to_owned(), false), ("B".to_owned(), true)]);
}

#[test]
fn a_permission_says_what_to_write_and_what_to_take_off() {
    let edits = Edits {
        set: [(HeaderName::from_static("x-auth-subject"), HeaderValue::from_bytes(b"s-\xe9").unwrap())]
            .into_iter()
            .collect(),
        removed: vec![HeaderName::from_static("x-http-method")],
        target: Some(b"/a?b=c".to_vec()),
        ..Edits::default()
    };
    let said = CheckResponse::decode(&allowed(&edits)[..]).unwrap();
    assert_eq!((said.status, &said.denied), (Some(Status { code: OK }), &None));
    let said = said.ok.unwrap();
    assert_eq!(said.headers_to_remove, ["x-http-method"]);
    let told: Vec<_> = said.headers.into_iter().map(|option| option.header.unwrap()).collect();
    assert_eq!(told, [line(":path", "/a?b=c", b""), line("x-auth-subject", "", b"s-\xe9")]);
}
