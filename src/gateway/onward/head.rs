//! The head of a request as a server gets it that `onward` speaks to.
//!
//! What is in it is `outbound`'s. Here what is of the client's connection is taken off, and the request framed for the
//! server's version of HTTP. A property test holds all ways of writing a request to the same fields.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Uri, Version};
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, Result};
use smallvec::SmallVec;

use crate::gateway::outbound::distrust_body;

/// What is of one connection only (RFC 9110 section 7.6.1), whether `Connection` names it or not.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What of a request is not in its head.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Body {
    /// Whether there is one to send.
    pub(in crate::gateway) is_sent: bool,
    /// Whether the client has sent one.
    pub(in crate::gateway) has_come: bool,
}

/// The head for a server of HTTP/1.1. `write` makes of a cleaned head what the permit lets through.
///
/// # Errors
/// If there is no way to write it.
pub(in crate::gateway) fn http1(
    request: &RequestHeader,
    upgrades: bool,
    body: Body,
    write: impl FnOnce(&mut RequestHeader) -> Result<()>,
) -> Result<RequestHeader> {
    let mut head = request.clone();
    head.set_version(Version::HTTP_11);
    take_off(&mut head)?;
    if upgrades {
        head.insert_header(CONNECTION, "Upgrade")?;
        head.insert_header(UPGRADE, "websocket")?;
    }
    write(&mut head)?;
    distrust_body(&mut head, body.has_come)?;
    if body.is_sent && !head.headers.contains_key(CONTENT_LENGTH) {
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    Ok(head)
}

/// The head for a server of HTTP/2, in the same way. `Host` becomes `:authority` (RFC 9113 section 8.3.1).
///
/// # Errors
/// If there is no way to write it.
pub(in crate::gateway) fn http2(
    request: &RequestHeader,
    scheme: Scheme,
    write: impl FnOnce(&mut RequestHeader) -> Result<()>,
) -> Result<Request<()>> {
    let mut head = request.clone();
    let takes_trailers = request.version == Version::HTTP_2 && says_trailers(&request.headers);
    take_off(&mut head)?;
    write(&mut head)?;
    if takes_trailers {
        head.insert_header(TE, "trailers")?;
    }
    let host = head.remove_header(&HOST).map_or_else(unwritable, Ok)?;
    let target = head.raw_path();
    let path = PathAndQuery::try_from(target).or_else(|_| unwritable())?;
    // INVARIANT: what is sent is what was judged, byte for byte.
    if path.as_str().as_bytes() != target {
        return unwritable();
    }
    let authority = Authority::try_from(host.as_bytes()).or_else(|_| unwritable())?;
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
    let mut parts = head.as_owned_parts();
    parts.uri = uri.or_else(|_| unwritable())?;
    parts.version = Version::HTTP_2;
    Ok(Request::from_parts(parts, ()))
}

/// Takes off what is of the client's connection.
fn take_off(head: &mut RequestHeader) -> Result<()> {
    let mut named: SmallVec<[HeaderName; 4]> = SmallVec::new();
    for value in head.headers.get_all(CONNECTION) {
        for option in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if !option.is_empty() {
                named.push(HeaderName::from_bytes(option).or_else(|_| unwritable())?);
            }
        }
    }
    for name in named.iter().chain(&HOP_BY_HOP) {
        head.remove_header(name);
    }
    Ok(())
}

/// Whether a client of HTTP/2 takes trailers: all that it may say there (RFC 9113 section 8.2.2).
fn says_trailers(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TE).iter().map(HeaderValue::as_bytes);
    codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"trailers")) && codings.next().is_none()
}

/// The client sends what cannot be said to this server.
fn unwritable<T>() -> Result<T> {
    Err(Error::new_down(ErrorType::InvalidHTTPHeader))
}
