//! One gRPC call over HTTP/2: a message in, a message out, as gRPC's "PROTOCOL-HTTP2" has it.
//!
//! What the messages say is `check`'s.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;

use crate::policy::QuestionFault;

/// The one method that is served.
const CHECK: &[u8] = b"/envoy.service.auth.v3.Authorization/Check";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: &str = "grpc-status";
/// `google.rpc.Code`: it went well, there is no such method.
const OK: HeaderValue = HeaderValue::from_static("0");
const UNIMPLEMENTED: HeaderValue = HeaderValue::from_static("12");

/// Whether a request is a call of gRPC at all.
pub(super) fn is_call(session: &ServerSession) -> bool {
    let head = session.req_header();
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let media_type = types.next().filter(|_| types.next().is_none()).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_grpc = media_type.strip_prefix(b"application/grpc").is_some_and(|rest| {
        // RFC 9110 section 8.3.1: parameters, or the name of a message format.
        matches!(rest, [] | [b';', ..]) || rest == b"+proto" || rest.starts_with(b"+proto;")
    });
    session.is_http2() && is_grpc
}

/// Whether a call is of the one method that is served.
pub(super) fn is_check(head: &RequestHeader) -> bool {
    head.method == Method::POST && head.raw_path() == CHECK
}

/// The message of a call.
///
/// # Errors
/// If there is not exactly one, plain and of at most `most` bytes.
pub(super) async fn read(session: &mut ServerSession, most: usize) -> Result<Vec<u8>, QuestionFault> {
    let mut body = Vec::new();
    while let Some(bytes) = session.read_request_body().await.map_err(|_| QuestionFault::Unreadable("the body"))? {
        if body.len() + bytes.len() > most {
            return Err(QuestionFault::Unreadable("a body of that size"));
        }
        body.extend_from_slice(&bytes);
    }
    unframed(&body).map(<[u8]>::to_vec)
}

/// The one message of a body: its flag of compression, which must be off, its length, and itself.
pub(in crate::gateway) fn unframed(body: &[u8]) -> Result<&[u8], QuestionFault> {
    let (prefix, message) = body.split_first_chunk::<5>().ok_or(QuestionFault::Missing("the message"))?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 {
        return Err(QuestionFault::Unreadable("a compressed message"));
    }
    match usize::try_from(u32::from_be_bytes(length)) {
        Ok(length) if length == message.len() => Ok(message),
        Ok(_) | Err(_) => Err(QuestionFault::Unreadable("the message's length")),
    }
}

/// Answers a call with one message.
pub(super) async fn reply(session: &mut ServerSession, message: &[u8]) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(200, Some(1))?;
    head.insert_header(CONTENT_TYPE, GRPC)?;
    // INVARIANT: no answer of the gateway's own is that long.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let framed: Bytes = [&[0][..], &length.to_be_bytes(), message].concat().into();
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(framed, false).await?;
    let trailers: HeaderMap = [(http::HeaderName::from_static(GRPC_STATUS), OK)].into_iter().collect();
    session.write_response_trailers(trailers).await
}

/// Answers a call of another method.
pub(super) async fn reply_unimplemented(session: &mut ServerSession) -> pingora::Result<()> {
    let mut head = ResponseHeader::build(200, Some(2))?;
    head.insert_header(CONTENT_TYPE, GRPC)?;
    head.insert_header(GRPC_STATUS, UNIMPLEMENTED)?;
    session.write_response_header(Box::new(head)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_plain_message_and_nothing_else() {
        assert_eq!(unframed(b"\0\0\0\0\x02ab"), Ok(&b"ab"[..]));
        assert_eq!(unframed(b"\0\0\0\0\0"), Ok(&b""[..]));
        for bad in [
            &b""[..],
            b"\0\0\0\0",
            b"\x01\0\0\0\x02ab",
            b"\x02\0\0\0\x02ab",
            b"\0\0\0\0\x03ab",
            b"\0\0\0\0\x01ab",
            b"\0\xff\xff\xff\xffab",
            b"\0\0\0\0\x02ab\0\0\0\0\x02ab",
        ] {
            assert!(unframed(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
