//! What a request's head says beside its target and its token, and whether it says it in one way.
//!
//! `policy` judges the headers that its decision uses; here are those that the transport and the
//! forwarding use: framing, host, and what a trusted proxy tells of the client.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Version};
use ipnet::IpNet;
use pingora::http::RequestHeader;

use crate::config::Limits;
use crate::policy::{Certificate, Denial, HeadFault, HeaderFault, PathFault, Target};
use crate::token::certificate_from_header;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const DPOP: HeaderName = HeaderName::from_static("dpop");
const DESTINATION: HeaderName = HeaderName::from_static("destination");

const CONTENT_LENGTH_FIELD: &[u8] = b"content-length:";

/// More options in `Connection` are refused by pingora, after the decision.
const MOST_OPTIONS: usize = 9;

/// Who sent a request over the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: Option<IpAddr>,
    /// Whether what it says of its own client is believed.
    pub(super) trusted: bool,
    /// Whether the connection has TLS.
    pub(super) tls: bool,
}

impl Peer {
    pub(super) fn new(address: Option<IpAddr>, tls: bool, trusted_proxies: &[IpNet]) -> Self {
        let address = address.map(|address| address.to_canonical());
        let trusted = address.is_some_and(|address| trusted_proxies.iter().any(|net| net.contains(&address)));
        Self { address, trusted, tls }
    }
}

/// Refuses a head that is larger than it may be. `raw` is the head as it was read; empty where it was not
/// read as text.
pub(super) fn check_bounds(raw: &[u8], head: &RequestHeader, limits: &Limits) -> Result<(), HeadFault> {
    // Some servers let empty lines come before it (RFC 9112 section 2.2), and so does pingora.
    let line = match raw.trim_ascii_start().split(|byte| *byte == b'\n').next() {
        Some(line) if !line.is_empty() => line.trim_ascii_end().len(),
        Some(_) | None => [head.method.as_str().len(), head.raw_path().len(), "  HTTP/2".len()].iter().sum(),
    };
    if line > limits.request_line_bytes {
        return Err(HeadFault::RequestLine);
    }
    if head.headers.len() > limits.header_count {
        return Err(HeadFault::Fields);
    }
    if raw.len() > limits.header_bytes { Err(HeadFault::Bytes) } else { Ok(()) }
}

/// Refuses what can no longer be told from the parsed head. `head` is the request's as it was read;
/// empty where it was not read as text.
pub(super) fn check_head(head: &[u8], headers: &HeaderMap) -> Result<(), Denial> {
    let mut lines = head.trim_ascii_start().split_inclusive(|byte| *byte == b'\n');
    // Pingora drops a fragment, and would judge less than was sent.
    if lines.clone().next().is_some_and(|line| line.contains(&b'#')) {
        return Err(PathFault::Fragment.into());
    }
    if !lines.all(|line| line.ends_with(b"\r\n")) {
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

/// The `Host`, which must be there (RFC 9112 section 3.2) and be a host with or without a port.
pub(super) fn host(headers: &HeaderMap) -> Result<&str, HeaderFault> {
    let mut values = headers.get_all(HOST).iter();
    let host = values.next().ok_or(HeaderFault::HostUnreadable)?;
    if values.next().is_some() {
        return Err(HeaderFault::SeveralHosts);
    }
    read_host(host).ok_or(HeaderFault::HostUnreadable)
}

/// Gives a request of HTTP/2 the `Host` that its `:authority` is, where it has no other: all that
/// comes after looks there. Where it has both, pingora has seen that they are the same.
pub(super) fn settle_host(head: &mut RequestHeader) -> pingora::Result<()> {
    let Some(authority) = head.uri.authority().filter(|_| !head.headers.contains_key(HOST)) else { return Ok(()) };
    let host = authority.as_str().to_owned();
    head.insert_header(HOST, host)
}

/// The scheme that the client used: what a trusted proxy says, or else the listener's.
pub(super) fn scheme(headers: &HeaderMap, peer: Peer) -> &'static str {
    match told(headers, peer, &X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
        Some(b"https") => "https",
        Some(b"http") => "http",
        Some(_) | None if peer.tls => "https",
        Some(_) | None => "http",
    }
}

/// The host that the client asked, if a trusted proxy says it.
pub(super) fn told_host(headers: &HeaderMap, peer: Peer) -> Option<&HeaderValue> {
    told(headers, peer, &X_FORWARDED_HOST).filter(|host| read_host(host).is_some())
}

/// The request's URL without its query as the client sees it: the `htu` of RFC 9449.
pub(super) fn url(headers: &HeaderMap, peer: Peer, host: &str, target: &Target<'_>) -> String {
    let host = told_host(headers, peer).and_then(|host| host.to_str().ok()).unwrap_or(host);
    let scheme = scheme(headers, peer);
    [scheme, "://", host, target.path()].concat()
}

/// The proof that came with the token (RFC 9449 section 4).
pub(super) fn proof(headers: &HeaderMap) -> Option<&str> {
    // A value that is not visible ASCII is no proof, and a text that is none is refused as one.
    headers.get(&DPOP).map(|value| value.to_str().unwrap_or_default())
}

/// The client's certificate: the one that the peer itself has shown, or else the one that a trusted
/// proxy tells of.
pub(super) fn certificate<'r>(
    shown: Option<&'r Certificate>,
    headers: &HeaderMap,
    peer: Peer,
) -> Result<Option<Cow<'r, Certificate>>, HeaderFault> {
    if shown.is_some() || !peer.trusted {
        return Ok(shown.map(Cow::Borrowed));
    }
    let told = certificate_from_header(headers).map_err(|_| HeaderFault::CertificateUnreadable)?;
    Ok(told.map(Cow::Owned))
}

/// The one value of a header that a trusted proxy set.
fn told<'h>(headers: &'h HeaderMap, peer: Peer, name: &HeaderName) -> Option<&'h HeaderValue> {
    if !peer.trusted {
        return None;
    }
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
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

/// A name, an address or a bracketed address, and a port where there is one; no user, no escapes.
fn read_host(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    let (is_name, port) = if let Some((address, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        (!name.is_empty() && name.bytes().all(is_good), port)
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    (is_name && is_port).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGER: Peer = Peer { address: None, trusted: false, tls: false };
    const PROXY: Peer = Peer { address: None, trusted: true, tls: false };

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

    #[test]
    fn a_host_is_a_name_or_address_with_or_without_a_port() {
        for good in ["a.example", "A-1.example:8080", "127.0.0.1", "[::1]", "[::1]:80", "under_score", "a:"] {
            assert_eq!(host(&headers(&[("host", good)])), Ok(good));
        }
        for bad in
            ["", ":80", "a b", "a/b", "a@b", "a%41", "a:b", "a:123456", "[::1", "[x]", "[::1]x", "::1", "a,b", "a\tb"]
        {
            assert_eq!(host(&headers(&[("host", bad)])), Err(HeaderFault::HostUnreadable), "{bad}");
        }
        assert_eq!(host(&HeaderMap::new()), Err(HeaderFault::HostUnreadable));
        assert_eq!(host(&headers(&[("host", "a"), ("host", "a")])), Err(HeaderFault::SeveralHosts));
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

    #[test]
    fn only_a_trusted_proxy_tells_scheme_and_host() {
        let target = Target::parse(b"/a?b").unwrap();
        let told = headers(&[("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example")]);
        assert_eq!(url(&told, PROXY, "inner:80", &target), "https://api.example/a");
        assert_eq!(url(&told, STRANGER, "inner:80", &target), "http://inner:80/a");
        for (proto, host) in [("ftp", "a/b"), ("https, http", "a, b")] {
            let told = headers(&[("x-forwarded-proto", proto), ("x-forwarded-host", host)]);
            assert_eq!(url(&told, PROXY, "inner", &target), "http://inner/a");
            assert_eq!(url(&told, Peer { tls: true, ..PROXY }, "inner", &target), "https://inner/a");
        }
    }

    #[test]
    fn a_listener_with_tls_is_https_unless_a_trusted_proxy_says_otherwise() {
        let target = Target::parse(b"/a").unwrap();
        let told = headers(&[("x-forwarded-proto", "http")]);
        for (peer, headers, expected) in [
            (STRANGER, HeaderMap::new(), "https://a/a"),
            (STRANGER, told.clone(), "https://a/a"),
            (PROXY, HeaderMap::new(), "https://a/a"),
            (PROXY, told, "http://a/a"),
        ] {
            assert_eq!(url(&headers, Peer { tls: true, ..peer }, "a", &target), expected, "{peer:?}");
        }
    }

    #[test]
    fn an_authority_is_the_host_where_there_is_no_other() {
        for (uri, host, expected) in [
            ("https://a:8443/x", None, Some("a:8443")),
            ("https://a/x", Some("a"), Some("a")),
            ("/x", Some("b"), Some("b")),
            ("/x", None, None),
        ] {
            let mut head = RequestHeader::from(http::Request::get(uri).body(()).unwrap().into_parts().0);
            if let Some(host) = host {
                head.insert_header(HOST, host).unwrap();
            }
            settle_host(&mut head).unwrap();
            assert_eq!(head.headers.get(HOST).map(|host| host.to_str().unwrap()), expected, "{uri}");
        }
    }

    #[test]
    fn a_peer_is_trusted_by_its_network_however_its_address_is_written() {
        let trusted: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        for (address, expected) in
            [("10.1.2.3", true), ("::ffff:10.1.2.3", true), ("::1", true), ("11.0.0.1", false), ("::2", false)]
        {
            assert_eq!(Peer::new(Some(address.parse().unwrap()), false, &trusted).trusted, expected, "{address}");
        }
        assert!(!Peer::new(None, false, &trusted).trusted);
    }

    #[test]
    fn a_stranger_s_certificate_header_is_not_read() {
        let told = headers(&[("client-cert", "no certificate")]);
        assert_eq!(certificate(None, &told, STRANGER), Ok(None));
    }

    #[test]
    fn what_a_peer_has_shown_itself_comes_before_what_it_tells() {
        let told = headers(&[("client-cert", "no certificate")]);
        let shown = Certificate { sha256: [1; 32], subject: "CN=a".into(), san_dns: [].into() };
        assert_eq!(certificate(None, &told, PROXY), Err(HeaderFault::CertificateUnreadable));
        for peer in [STRANGER, PROXY] {
            assert_eq!(certificate(Some(&shown), &told, peer), Ok(Some(Cow::Borrowed(&shown))));
        }
    }
}
