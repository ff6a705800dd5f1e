//! What ties a request's records together: `X-Request-Id` and W3C Trace Context's `traceparent`.
//!
//! The client's are taken over where they are what they should be, and made where they are not.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::config::{FollowParents, Sampling};

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

/// A request's place in its trace, where there are spans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traced {
    /// What goes on to the upstream, whose parent is the request's span.
    text: [u8; 55],
    /// The client's span, in hexadecimal; `None` where the trace begins here.
    parent: Option<[u8; 16]>,
    sampled: bool,
}

/// The ids of a sampled request's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
}

impl Traced {
    /// The place of a request with these headers, and whether it is sampled. It allocates nothing.
    pub(super) fn new(headers: &HeaderMap, sampling: Sampling, is_trusted: bool) -> Self {
        let received = received(headers);
        let follows = match sampling.parents {
            FollowParents::Always => true,
            FollowParents::TrustedProxies => is_trusted,
            FollowParents::Never => false,
        };
        let mut text = continued(received);
        let (sampled, flags) = match received {
            Some(received) if follows => (is_set(*received.flags, 1), received.flags[1]),
            // Not by the trace's id, which the client has chosen.
            Some(received) => (sampling.share.takes(fastrand::u64(..)), received.flags[1]),
            None => (text.get(19..35).and_then(short).is_some_and(|half| sampling.share.takes(half)), b'0'),
        };
        // Of the other flags only the one that says that the id is random is known (Trace Context 2).
        let digit = if is_set([b'0', flags], 2) { 2 } else { 0 } + u8::from(sampled);
        text[53] = b'0';
        text[54] = b'0' + digit;
        Self { text, parent: received.map(|received| *received.parent), sampled }
    }

    /// Of its span, if it is sampled.
    pub(super) fn ids(&self) -> Option<Ids> {
        let [_, _, _, ids @ .., _, _, _] = &self.text;
        let (trace, span) = ids.split_first_chunk::<32>().filter(|_| self.sampled)?;
        let span = span.split_last_chunk::<16>()?.1;
        Some(Ids {
            trace: number(trace)?.to_be_bytes(),
            span: short(span).map(u64::to_be_bytes)?,
            parent: self.parent.and_then(|parent| short(&parent)).map(u64::to_be_bytes),
        })
    }

    /// Whether its trace began before it, so that the client's `tracestate` belongs to it.
    pub(super) fn has_parent(&self) -> bool {
        self.parent.is_some()
    }
}

/// The `traceparent` to send on, and whether it is of the client's trace, so that its `tracestate` belongs
/// to it. Where there are no spans it is the client's trace with a new parent id, or a new trace that is
/// not sampled.
pub(super) fn traceparent(headers: &HeaderMap, traced: Option<&Traced>) -> ([u8; 55], bool) {
    if let Some(traced) = traced {
        return (traced.text, traced.has_parent());
    }
    let received = received(headers);
    (continued(received), received.is_some())
}

fn received(headers: &HeaderMap) -> Option<Received<'_>> {
    only(headers, &TRACEPARENT).map(HeaderValue::as_bytes).and_then(parse)
}

/// What was received with a new parent id, or a new trace that is not sampled.
fn continued(received: Option<Received<'_>>) -> [u8; 55] {
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
    text
}

/// Whether a flag is set in two hexadecimal digits.
fn is_set(flags: [u8; 2], flag: u128) -> bool {
    number(&flags).is_some_and(|flags| flags & flag != 0)
}

fn short(digits: &[u8]) -> Option<u64> {
    number(digits).and_then(|number| u64::try_from(number).ok())
}

fn number(digits: &[u8]) -> Option<u128> {
    std::str::from_utf8(digits).ok().and_then(|digits| u128::from_str_radix(digits, 16).ok())
}

/// The parts of a `traceparent` that are taken over.
#[derive(Clone, Copy)]
struct Received<'h> {
    trace: &'h [u8; 32],
    parent: &'h [u8; 16],
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
    is_good.then_some(Received { trace, parent, flags })
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
    use crate::config::Share;

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
            let (value, taken) = traceparent(&headers(&TRACEPARENT, &[&good]), None);
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
            let (value, taken) = traceparent(&headers(&TRACEPARENT, bad), None);
            assert!(!taken && value.ends_with(b"-00"), "{bad:?} became {}", value.escape_ascii());
            assert!(parse(&value).is_some());
        }
    }

    #[test]
    fn a_span_is_told_on_as_the_parent_and_by_the_ids_that_were_told() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let always = Sampling { share: Share::new(1.0).unwrap(), parents: FollowParents::Always };
        for (flags, goes_on) in [("01", Some("01")), ("03", Some("03")), ("ff", Some("03")), ("00", None), ("02", None)]
        {
            let sent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
            let received = headers(&TRACEPARENT, &[&sent]);
            let traced = Traced::new(&received, always, false);
            let (text, taken_over) = traceparent(&received, Some(&traced));
            let text = std::str::from_utf8(&text).unwrap();
            assert!(taken_over && text.starts_with(&format!("00-{trace}-")), "{text}");
            assert!(goes_on.is_none_or(|flags| text.ends_with(&format!("-{flags}"))), "{flags} became {text}");
            assert_eq!(traced.ids().is_some(), goes_on.is_some(), "{flags}");
            if let Some(ids) = traced.ids() {
                assert_eq!(u128::from_be_bytes(ids.trace), 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
                assert_eq!(format!("{:016x}", u64::from_be_bytes(ids.span)), text[36..52]);
                assert_eq!(ids.parent, Some(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()));
            }
        }
    }

    #[test]
    fn a_trace_that_begins_here_is_sampled_by_its_id_and_a_strangers_is_not() {
        for (share, parents, sampled) in [
            (1.0, FollowParents::Never, true),
            (0.0, FollowParents::Never, false),
            (1.0, FollowParents::TrustedProxies, true),
            (0.0, FollowParents::TrustedProxies, false),
        ] {
            let sampling = Sampling { share: Share::new(share).unwrap(), parents };
            for received in
                [HeaderMap::new(), headers(&TRACEPARENT, &["00-00000000000000000000000000000001-0000000000000001-00"])]
            {
                let traced = Traced::new(&received, sampling, false);
                assert_eq!(traced.ids().is_some(), sampled);
                assert!(traced.text.ends_with(if sampled { b"-01" } else { b"-00" }));
                assert_eq!(traced.has_parent(), !received.is_empty());
                assert_eq!(traced.ids().and_then(|ids| ids.parent).is_some(), sampled && !received.is_empty());
            }
        }
        let half = Sampling { share: Share::new(0.5).unwrap(), parents: FollowParents::Always };
        for _ in 0..100 {
            let traced = Traced::new(&HeaderMap::new(), half, false);
            let last = short(&traced.text[19..35]).unwrap();
            assert_eq!(traced.ids().is_some(), half.share.takes(last));
        }
    }
}
