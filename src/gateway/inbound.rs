//! Who sent a request and what it asked: host, scheme, proof, certificate, and what a trusted proxy
//! tells of them.
//!
//! `policy` judges the headers that its decision uses; those that the transport uses are `head_checks`'s.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{HOST, HeaderName, HeaderValue};
use ipnet::IpNet;
use pingora::http::RequestHeader;

use crate::policy::{Certificate, HeaderFault, Target, is_host};
use crate::token::certificate_from_header;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// Who sent a request over the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) address: Option<IpAddr>,
    /// Whether what it says of its own client is believed.
    pub(super) trusted: bool,
    /// Whether the connection has TLS.
    pub(super) tls: bool,
    /// The gateway's own end of the connection, where somebody asks for it.
    pub(super) local: Option<SocketAddr>,
}

impl Peer {
    pub(super) fn new(address: Option<IpAddr>, tls: bool, trusted_proxies: &[IpNet]) -> Self {
        let address = address.map(|address| address.to_canonical());
        let trusted = address.is_some_and(|address| trusted_proxies.iter().any(|net| net.contains(&address)));
        Self { address, trusted, tls, local: None }
    }

    /// Whether this host is the very address that the request came to, and so no other server's.
    pub(super) fn came_to(&self, host: &str) -> bool {
        let Some(local) = self.local else { return false };
        let port = if self.tls { 443 } else { 80 };
        let asked = host.parse().or_else(|_| format!("{host}:{port}").parse::<SocketAddr>());
        match asked {
            Ok(asked) => asked.port() == local.port() && asked.ip() == local.ip().to_canonical(),
            Err(_) => local.ip().to_canonical().is_loopback() && is_host("localhost", host),
        }
    }
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
    let scheme = scheme(headers, peer);
    [scheme, "://", asked_host(headers, peer, host), target.path()].concat()
}

/// The host as the client sees it; `host` is the one of the request itself.
pub(super) fn asked_host<'h>(headers: &'h HeaderMap, peer: Peer, host: &'h str) -> &'h str {
    told_host(headers, peer).and_then(|host| host.to_str().ok()).unwrap_or(host)
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

/// Where a request comes from: the peer or, where that is a trusted proxy, the last address of `X-Forwarded-For`
/// that is none. Where it cannot be read, it is the proxy that said so.
pub(super) fn client_address(headers: &HeaderMap, peer: Peer, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let mut nearest = peer.address;
    if !peer.trusted {
        return nearest;
    }
    let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
    for told in values.flat_map(|value| value.to_str().unwrap_or_default().rsplit(',')) {
        let told = told.trim();
        let address = told.parse().or_else(|_| told.parse::<SocketAddr>().map(|address| address.ip()));
        let Ok(address) = address.map(|address: IpAddr| address.to_canonical()) else { break };
        nearest = Some(address);
        if !trusted_proxies.iter().any(|net| net.contains(&address)) {
            break;
        }
    }
    nearest
}

/// The one value of a header that a trusted proxy set.
fn told<'h>(headers: &'h HeaderMap, peer: Peer, name: &HeaderName) -> Option<&'h HeaderValue> {
    if !peer.trusted {
        return None;
    }
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
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

    const STRANGER: Peer = Peer { address: None, trusted: false, tls: false, local: None };
    const PROXY: Peer = Peer { address: None, trusted: true, tls: false, local: None };

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let parsed = |text: &str| HeaderName::from_bytes(text.as_bytes()).unwrap();
        list.iter().map(|(name, value)| (parsed(name), value.parse().unwrap())).collect()
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
    fn a_request_comes_from_the_last_address_that_is_no_proxy_s() {
        let trusted: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "192.0.2.0/24".parse().unwrap()];
        for (peer, told, expected) in [
            ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "1.1.1.1, 203.0.113.9, 192.0.2.4,10.9.9.9", "203.0.113.9"),
            ("10.0.0.1", "1.1.1.1, unknown, 10.9.9.9", "10.9.9.9"),
            ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
            ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
            ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ] {
            let peer = Peer::new(Some(peer.parse().unwrap()), false, &trusted);
            let mut headers = HeaderMap::new();
            for value in told.split(", ").filter(|value| !value.is_empty()) {
                headers.append(X_FORWARDED_FOR, value.parse().unwrap());
            }
            assert_eq!(client_address(&headers, peer, &trusted), Some(expected.parse().unwrap()), "{told}");
        }
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
