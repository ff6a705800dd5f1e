//! Whether a request's head says in one way where the request ends, and what it wants of the
//! connection.
//!
//! `policy` judges the headers that its decision uses; here are those that the transport uses.

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Version};
use memchr::{memchr, memchr_iter};
use pingora::http::RequestHeader;

use super::inbound::{self, DPOP};
use crate::config::Limits;
use crate::policy::{Denial, HeadFault, HeaderFault, PathFault};

const DESTINATION: HeaderName = HeaderName::from_static("destination");

const CONTENT_LENGTH_FIELD: &[u8] = b"content-length:";

/// More options in `Connection` are refused by pingora, after the decision.
const MOST_OPTIONS: usize = 9;

/// How large a head is, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadSize {
    pub(super) line: usize,
    /// As it was read; 0 where it was not read as text, and bounded before.
    pub(super) whole: usize,
}

impl HeadSize {
    /// `raw` is the head as it was read; empty where it was not read as text.
    pub(super) fn of(raw: &[u8], head: &RequestHeader) -> Self {
        // Some clients send empty lines before it (RFC 9112 section 2.2).
        let line = match raw.trim_ascii_start().split(|byte| *byte == b'\n').next() {
            Some(line) if !line.is_empty() => line.trim_ascii_end().len(),
            Some(_) | None => head.method.as_str().len() + head.raw_path().len() + "  HTTP/2".len(),
        };
        Self { line, whole: raw.len() }
    }
}

/// Refuses a head that is larger than it may be.
pub(super) fn check_bounds(size: HeadSize, headers: &HeaderMap, limits: &Limits) -> Result<(), HeadFault> {
    // First, as it is where reading a head ends.
    if size.whole > limits.header_bytes {
        return Err(HeadFault::Bytes);
    }
    if size.line > limits.request_line_bytes {
        return Err(HeadFault::RequestLine);
    }
    if headers.len() > limits.header_count { Err(HeadFault::Fields) } else { Ok(()) }
}

/// Refuses what can no longer be told from the parsed head. `head` is the request's as it was read;
/// empty where it was not read as text.
pub(super) fn check_head(head: &[u8], headers: &HeaderMap) -> Result<(), Denial> {
    let head = head.trim_ascii_start();
    let first = memchr(b'\n', head).and_then(|end| head.get(..end)).unwrap_or(head);
    // Pingora drops a fragment, and would judge less than was sent.
    if memchr(b'#', first).is_some() {
        return Err(PathFault::Fragment.into());
    }
    let is_line_end = |end: usize| head.get(..end).is_some_and(|line| line.ends_with(b"\r"));
    let is_whole = head.is_empty() || head.ends_with(b"\n");
    if !is_whole || !memchr_iter(b'\n', head).all(is_line_end) {
        return Err(HeaderFault::LineEnd.into());
    }
    // Pingora drops a length beside a coding (RFC 9112 section 6.3): whoever sent both is at odds with
    // somebody about where the request ends.
    let is_length = |line: &[u8]| line.get(..CONTENT_LENGTH_FIELD.len()).is_some_and(is_content_length);
    if headers.contains_key(TRANSFER_ENCODING) && head.split(|byte| *byte == b'\n').any(is_length) {
        return Err(HeaderFault::Framing.into());
    }
    Ok(())
}

/// Refuses headers that could mean something else to the next server, and that the policy does not
/// look at.
pub(super) fn check_headers(method: &Method, headers: &HeaderMap) -> Result<(), HeaderFault> {
    check_framing(headers)?;
    check_connection(headers)?;
    if headers.get_all(&DPOP).iter().nth(1).is_some() {
        return Err(HeaderFault::SeveralOfOne);
    }
    if matches!(method.as_str(), "COPY" | "MOVE") && headers.contains_key(&DESTINATION) {
        return Err(HeaderFault::SecondTarget);
    }
    let mut expectations = headers.get_all(EXPECT).iter();
    match (expectations.next(), expectations.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        (Some(_), _) => Err(HeaderFault::Expectation),
    }
}

/// All of that, of a request that the gateway answers by itself: its head means one thing here and to whoever has
/// passed it on. `raw` is the head as it was read; empty where it was not read as text.
///
/// # Errors
/// The first of it that is not so.
pub(super) fn check_own(raw: &[u8], head: &RequestHeader, limits: &Limits) -> Result<(), Denial> {
    check_bounds(HeadSize::of(raw, head), &head.headers, limits)?;
    check_head(raw, &head.headers)?;
    check_headers(&head.method, &head.headers)?;
    inbound::host(&head.headers)?;
    Ok(())
}

/// Whether a request asks for a `WebSocket` as RFC 6455 section 4.1 has it, without a body; no other
/// upgrade is passed on.
pub(super) fn is_websocket(head: &RequestHeader) -> bool {
    let is_upgrade = |option: &[u8]| option.trim_ascii().eq_ignore_ascii_case(b"upgrade");
    let mut protocols = head.headers.get_all(UPGRADE).iter();
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && protocols.next().is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && protocols.next().is_none()
        && head.headers.get_all(CONNECTION).iter().any(|value| value.as_bytes().split(|b| *b == b',').any(is_upgrade))
        && !head.headers.contains_key(CONTENT_LENGTH)
        && !head.headers.contains_key(TRANSFER_ENCODING)
}

fn is_content_length(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(CONTENT_LENGTH_FIELD)
}

/// RFC 9112 section 6: one length, or `chunked` and nothing else.
fn check_framing(headers: &HeaderMap) -> Result<(), HeaderFault> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next()
        && (lengths.next().is_some() || length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Err(HeaderFault::Framing);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(HeaderFault::Framing);
    }
    Ok(())
}

/// Refuses here what pingora would refuse after the decision: options that are no tokens, or too many.
fn check_connection(headers: &HeaderMap) -> Result<(), HeaderFault> {
    let mut options = 0;
    for value in headers.get_all(CONNECTION) {
        for option in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if HeaderName::from_bytes(option).is_err() && !option.is_empty() {
                return Err(HeaderFault::ConnectionNames);
            }
            options += usize::from(!option.is_empty());
        }
    }
    if options > MOST_OPTIONS { Err(HeaderFault::ConnectionNames) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let parsed = |text: &str| HeaderName::from_bytes(text.as_bytes()).unwrap();
        list.iter().map(|(name, value)| (parsed(name), value.parse().unwrap())).collect()
    }

    #[track_caller]
    fn check(list: &[(&str, &str)], expected: Result<(), HeaderFault>) {
        assert_eq!(check_headers(&Method::POST, &headers(list)), expected, "{list:?}");
    }

    #[test]
    fn a_length_is_given_once_and_plainly() {
        check(&[("content-length", "5")], Ok(()));
        check(&[("transfer-encoding", "Chunked")], Ok(()));
        for list in [
            &[("content-length", "5"), ("content-length", "5")][..],
            &[("content-length", "5, 5")],
            &[("content-length", "+5")],
            &[("content-length", "")],
            &[("content-length", "0x5")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked, chunked")],
            &[("transfer-encoding", "identity"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "xchunked")],
        ] {
            check(list, Err(HeaderFault::Framing));
        }
    }

    #[test]
    fn connection_options_are_tokens_and_few() {
        for good in ["close", "Keep-Alive, Upgrade", "a,b,c,d,e,f,g,h,i", "", " , ,"] {
            check(&[("connection", good)], Ok(()));
        }
        for bad in ["\"x-a\"", ":authority", "a b", "a,b,c,d,e,f,g,h,i,j"] {
            check(&[("connection", bad)], Err(HeaderFault::ConnectionNames));
        }
    }

    #[test]
    fn two_proofs_are_ambiguous() {
        check(&[("dpop", "a")], Ok(()));
        check(&[("dpop", "a"), ("dpop", "a")], Err(HeaderFault::SeveralOfOne));
    }

    #[track_caller]
    fn check_as_read(head: &[u8], list: &[(&str, &str)], expected: &Result<(), Denial>) {
        assert_eq!(&check_head(head, &headers(list)), expected, "{}", head.escape_ascii());
    }

    #[test]
    fn a_fragment_is_refused_before_it_is_dropped() {
        check_as_read(b"GET /a HTTP/1.1\r\nX: #\r\n\r\n", &[], &Ok(()));
        check_as_read(b"", &[], &Ok(()));
        for head in [&b"GET /a#b HTTP/1.1\r\n\r\n"[..], b"\r\nGET /a?b#c HTTP/1.1\r\n\r\n"] {
            check_as_read(head, &[], &Err(PathFault::Fragment.into()));
        }
    }

    #[test]
    fn every_line_of_a_head_ends_in_one_way() {
        check_as_read(b"\r\nGET /a HTTP/1.1\r\nX: y\r\n\r\n", &[], &Ok(()));
        for head in [
            &b"GET /a HTTP/1.1\n\n"[..],
            b"GET /a HTTP/1.1\nX: y\r\n\r\n",
            b"GET /a HTTP/1.1\r\nX: y\nZ: z\r\n\r\n",
            b"GET /a HTTP/1.1\r\nX: y\r\n\n",
        ] {
            check_as_read(head, &[], &Err(HeaderFault::LineEnd.into()));
        }
    }

    #[test]
    fn a_length_beside_a_coding_is_refused_though_pingora_drops_it() {
        let chunked = [("transfer-encoding", "chunked")];
        check_as_read(b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", &chunked, &Ok(()));
        check_as_read(b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n", &[], &Ok(()));
        for length in ["Content-Length: 5", "CONTENT-LENGTH:0"] {
            for head in [
                format!("POST /a HTTP/1.1\r\n{length}\r\nTransfer-Encoding: chunked\r\n\r\n"),
                format!("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{length}\r\n\r\n"),
            ] {
                check_as_read(head.as_bytes(), &chunked, &Err(HeaderFault::Framing.into()));
            }
        }
    }

    #[test]
    fn one_expectation_is_understood() {
        check(&[("expect", "100-Continue")], Ok(()));
        for list in [
            &[("expect", "")][..],
            &[("expect", "y 100-continue")],
            &[("expect", "100-continue, x")],
            &[("expect", "200-ok")],
            &[("expect", "100-continue"), ("expect", "100-continue")],
        ] {
            check(list, Err(HeaderFault::Expectation));
        }
    }

    #[test]
    fn a_second_target_is_refused() {
        let second = headers(&[("destination", "/data/beta/x")]);
        for (method, expected) in
            [("COPY", Err(HeaderFault::SecondTarget)), ("MOVE", Err(HeaderFault::SecondTarget)), ("GET", Ok(()))]
        {
            assert_eq!(check_headers(&Method::from_bytes(method.as_bytes()).unwrap(), &second), expected, "{method}");
        }
    }

    #[test]
    fn only_a_whole_websocket_handshake_is_an_upgrade() {
        let asks = |method: &str, list: &[(&str, &str)]| {
            let mut head = RequestHeader::build(method, b"/", None).unwrap();
            for (name, value) in list {
                head.append_header((*name).to_owned(), *value).unwrap();
            }
            is_websocket(&head)
        };
        let upgrade = ("Upgrade", "WebSocket");
        let connection = ("Connection", "keep-alive, Upgrade");
        assert!(asks("GET", &[upgrade, connection]));
        for (method, list) in [
            ("GET", &[upgrade][..]),
            ("GET", &[connection]),
            ("GET", &[upgrade, ("Connection", "close")]),
            ("GET", &[("Upgrade", "h2c"), connection]),
            ("GET", &[("Upgrade", "websocket, h2c"), connection]),
            ("GET", &[upgrade, ("Upgrade", "h2c"), connection]),
            ("GET", &[upgrade, connection, ("Content-Length", "0")]),
            ("GET", &[upgrade, connection, ("Transfer-Encoding", "chunked")]),
            ("POST", &[upgrade, connection]),
        ] {
            assert!(!asks(method, list), "{method} {list:?}");
        }
    }
}
