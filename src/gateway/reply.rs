//! The head of an upstream's answer, where it says plainly how long its body is.
//!
//! Any other answer (in chunks, up to the end of the connection, informational, or odd in any way) is
//! for pingora to read.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use httparse::{ParserConfig, Response, Status};
use pingora::http::ResponseHeader;

/// More headers than these are not plain.
const MOST_HEADERS: usize = 64;
/// What the gateway and pingora add to a head.
const ADDED: usize = 3;
/// A head may be this long; pingora's own bound.
const LONGEST: usize = 1024 * 1024;

/// What was read of an answer.
pub(super) enum Reply {
    /// Not all of the head is there.
    Partial,
    /// For pingora to read, from its first byte.
    Odd,
    /// Ready to be told on.
    Plain(Plain),
}

/// An answer whose length is known.
pub(super) struct Plain {
    pub(super) head: Box<ResponseHeader>,
    /// What was read of its body.
    pub(super) body: Bytes,
    /// How much of its body is to come.
    pub(super) rest: usize,
    /// Whether more was read than there should be: whose that is, nobody knows.
    pub(super) is_overrun: bool,
}

/// Reads the head of an answer to a `GET`, and takes a plain one out of `read`.
pub(super) fn parse(read: &mut BytesMut) -> Reply {
    let bytes = std::mem::take(read).freeze();
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, &bytes, &mut headers);
    let reply = match parsed {
        Ok(Status::Complete(length)) => plain(&response, &bytes, length).map_or(Reply::Odd, Reply::Plain),
        Ok(Status::Partial) if bytes.len() < LONGEST => Reply::Partial,
        Ok(Status::Partial) | Err(_) => Reply::Odd,
    };
    match reply {
        Reply::Plain(_) => {}
        // The bytes themselves if nobody else has them, and nobody has.
        Reply::Partial | Reply::Odd => *read = bytes.into(),
    }
    reply
}

/// The answer whose head ends at `end`, if there is nothing odd about it.
fn plain(response: &Response<'_, '_>, bytes: &Bytes, end: usize) -> Option<Plain> {
    let status = StatusCode::from_u16(response.code?).ok()?;
    let mut head = ResponseHeader::build(status, Some(response.headers.len() + ADDED)).ok()?;
    head.set_reason_phrase(response.reason).ok()?;
    for header in response.headers.iter() {
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).ok()?;
        head.append_header(bytes.slice_ref(header.name.as_bytes()), value).ok()?;
    }
    let is_kept = |option: &HeaderValue| option.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    let is_plain = response.version == Some(1)
        && !status.is_informational()
        && !head.headers.contains_key(TRANSFER_ENCODING)
        && head.headers.get_all(CONNECTION).iter().all(is_kept);
    let length = match status {
        _ if !is_plain => return None,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => 0,
        _ => length(&head)?,
    };
    let mut body = bytes.slice(end..);
    let is_overrun = body.len() > length;
    body.truncate(length);
    let rest = length - body.len();
    Some(Plain { head: Box::new(head), body, rest, is_overrun })
}

/// Of the body, if it is said once and plainly (RFC 9112 section 6.2).
fn length(head: &ResponseHeader) -> Option<usize> {
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next().filter(|_| lengths.next().is_none())?.to_str().ok()?;
    // Rust would take a sign.
    if length.bytes().all(|byte| byte.is_ascii_digit()) { length.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Reply, BytesMut) {
        let mut read = BytesMut::from(text);
        (parse(&mut read), read)
    }

    #[track_caller]
    fn check_plain(text: &str, body: &str, rest: usize, is_overrun: bool) -> ResponseHeader {
        let (reply, left) = read(text);
        let Reply::Plain(plain) = reply else { panic!("{text:?} is not plain") };
        assert_eq!((&*plain.body, plain.rest, plain.is_overrun), (body.as_bytes(), rest, is_overrun), "{text:?}");
        assert!(left.is_empty());
        *plain.head
    }

    #[test]
    fn an_answer_of_a_known_length_is_plain() {
        let head = check_plain(
            "HTTP/1.1 200 Fine\r\nX-Mixed-CASE: a b\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nhi",
            "hi",
            0,
            false,
        );
        assert_eq!((head.status.as_u16(), head.get_reason_phrase()), (200, Some("Fine")));
        assert_eq!(head.headers["x-mixed-case"], "a b");
        assert_eq!(head.headers.get_all("set-cookie").iter().count(), 2);
        let mut wire = Vec::new();
        head.header_to_h1_wire(&mut wire);
        assert!(wire.starts_with(b"X-Mixed-CASE: a b\r\n"));
        check_plain("HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\nConnection: Keep-Alive\r\n\r\nhi", "hi", 8, false);
        check_plain("HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", "", 0, false);
        check_plain("HTTP/1.1 204 No Content\r\n\r\n", "", 0, false);
        check_plain("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", "", 0, false);
    }

    #[test]
    fn what_comes_after_a_body_is_no_part_of_it() {
        check_plain("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1", "hi", 0, true);
        check_plain("HTTP/1.1 204 No Content\r\n\r\nx", "", 0, true);
    }

    #[test]
    fn half_a_head_is_waited_for() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for end in 0..text.len() {
            let (reply, left) = read(&text[..end]);
            assert!(matches!(reply, Reply::Partial), "{end}");
            assert_eq!(left, text[..end]);
        }
    }

    #[test]
    fn what_is_odd_is_left_as_it_was_read() {
        let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(MOST_HEADERS));
        for text in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\n\r\nto the end",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\nContent-Length: 2\r\n\r\nhi",
            "rubbish\r\n\r\n",
            &many,
        ] {
            let (reply, left) = read(text);
            assert!(matches!(reply, Reply::Odd), "{text:?}");
            assert_eq!(left, *text);
        }
    }
}
