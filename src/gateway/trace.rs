//! What ties a request's records together: `X-Request-Id` and W3C Trace Context's `traceparent`.
//!
//! The client's are taken over where they are what they should be, and made where they are not.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Longer ids are no ids but payloads.
const LONGEST_ID: usize = 128;

/// The client's request id if it sent one of 1 to 128 letters, digits, `.`, `_` and `-`, else a
/// random one of 128 bits.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    match only(headers, &REQUEST_ID) {
        Some(value) if is_id(value.as_bytes()) => value.clone(),
        Some(_) | None => {
            let mut id = [0; 32];
            write_hex(&mut id, &fastrand::u128(..).to_be_bytes());
            value_of(&id)
        }
    }
}

/// The `traceparent` to send on: the client's trace with a new parent id, or a new trace that is
/// not sampled; and whether it is the client's, so that its `tracestate` belongs to it.
pub(super) fn traceparent(headers: &HeaderMap) -> ([u8; 55], bool) {
    let received = only(headers, &TRACEPARENT).map(HeaderValue::as_bytes).and_then(parse);
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    let (_, rest) = text.split_at_mut(3);
    let (trace, rest) = rest.split_at_mut(32);
    let (_, rest) = rest.split_at_mut(1);
    let (parent, rest) = rest.split_at_mut(16);
    let (_, flags) = rest.split_at_mut(1);
    match received {
        Some(received) => {
            trace.copy_from_slice(received.trace);
            flags.copy_from_slice(received.flags);
        }
        None => write_hex(trace, &fastrand::u128(1..).to_be_bytes()),
    }
    write_hex(parent, &fastrand::u64(1..).to_be_bytes());
    (text, received.is_some())
}

/// The parts of a `traceparent` that are taken over.
#[derive(Clone, Copy)]
struct Received<'h> {
    trace: &'h [u8; 32],
    flags: &'h [u8; 2],
}

/// Trace Context section 3.2: version 00 exactly, a later one by its first four fields.
fn parse(text: &[u8]) -> Option<Received<'_>> {
    let (version, rest) = text.split_first_chunk::<2>()?;
    let (trace, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<32>()?;
    let (parent, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<16>()?;
    let (flags, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<2>()?;
    let is_whole = match version {
        b"00" => rest.is_empty(),
        b"ff" => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    let is_good = is_whole
        && [&version[..], trace, parent, flags].into_iter().all(is_lower_hex)
        && trace.iter().any(|digit| *digit != b'0')
        && parent.iter().any(|digit| *digit != b'0');
    is_good.then_some(Received { trace, flags })
}

fn is_lower_hex(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_id(text: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// The value of a header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Two digits a byte, as long as there is room.
fn write_hex(to: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value & 0xf)).copied().unwrap_or(b'0');
    for (pair, byte) in to.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
}

/// A value of visible ASCII.
pub(super) fn value_of(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_good_request_id_is_kept_and_a_bad_one_replaced() {
        let long = "a".repeat(128);
        for good in ["1", "a-b_c.D", &long] {
            assert_eq!(request_id(&headers(&REQUEST_ID, &[good])), good);
        }
        let longer = "a".repeat(129);
        for bad in [&["a b"][..], &["\"x"], &["é"], &[""], &[&longer], &["a", "b"], &[]] {
            let id = request_id(&headers(&REQUEST_ID, bad));
            assert!(id.len() == 32 && is_lower_hex(id.as_bytes()), "{bad:?} became {id:?}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }

    #[test]
    fn a_good_traceparent_goes_on_with_a_parent_of_our_own() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for good in
            [format!("00-{trace}-00f067aa0ba902b7-01"), format!("01-{trace}-00f067aa0ba902b7-01-what-comes-later")]
        {
            let (value, taken) = traceparent(&headers(&TRACEPARENT, &[&good]));
            let value = std::str::from_utf8(&value).unwrap();
            assert!(taken && value.starts_with(&format!("00-{trace}-")) && value.ends_with("-01"), "{value}");
            assert!(!value.contains("00f067aa0ba902b7"));
            assert!(parse(value.as_bytes()).is_some());
        }
    }

    #[test]
    fn a_bad_traceparent_is_replaced() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for bad in [
            &["x"][..],
            &[],
            &[&format!("ff-{trace}-00f067aa0ba902b7-01")],
            &[&format!("00-{trace}-0000000000000000-01")],
            &[&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32))],
            &[&format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase())],
            &[&format!("00-{trace}-00f067aa0ba902b7-01-more")],
            &[&format!("00-{trace}-00f067aa0ba902b7-01"), &format!("00-{trace}-00f067aa0ba902b7-01")],
        ] {
            let (value, taken) = traceparent(&headers(&TRACEPARENT, bad));
            assert!(!taken && value.ends_with(b"-00"), "{bad:?} became {}", value.escape_ascii());
            assert!(parse(&value).is_some());
        }
    }
}
