//! The audit line: an [`Outcome`] as one line of JSON. Every member is always there, `null` where
//! there is nothing to say, so that what reads it can rely on its shape.
//!
//! It names no token and no part of one; there is no field that could hold it.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use super::{AskedBy, HeldScopes, Outcome, Seen};
use crate::policy::{AccountSource, Reason};

/// Appends the outcome's line to `line`, with its final newline.
pub(crate) fn append(outcome: &Outcome<'_>, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"time\":");
    time(outcome.time, line);
    text(",\"request_id\":", outcome.request_id, line);
    number(",\"generation\":", outcome.generation, line);
    text(",\"decision\":", decision(outcome.reason), line);
    text(",\"reason\":", outcome.reason.as_str(), line);
    optional(",\"reported\":", outcome.reported.map(Reason::as_str), line);
    optional(",\"issuer\":", outcome.issuer, line);
    optional(",\"client\":", outcome.client, line);
    optional(",\"subject\":", outcome.subject, line);
    optional(",\"account\":", outcome.account.as_deref(), line);
    names(",\"scopes\":", outcome.scopes, line);
    optional(",\"granted_by\":", outcome.granted_by, line);
    optional(",\"service\":", outcome.service, line);
    text(",\"method\":", outcome.method, line);
    text(",\"path\":", outcome.path, line);
    number(",\"status\":", outcome.status.into(), line);
    optional(",\"upstream_error\":", outcome.upstream_error, line);
    number(",\"microseconds\":", microseconds(outcome.decision_time), line);
    number(",\"duration_microseconds\":", microseconds(outcome.request_time), line);
    seen(&outcome.seen, line);
    rarities(outcome, line);
    line.extend_from_slice(b"}\n");
}

/// What most lines have nothing to say of, written at once then.
fn rarities(outcome: &Outcome<'_>, line: &mut Vec<u8>) {
    let Outcome { ended: None, rate_limit: None, asked_by: None, .. } = outcome else {
        asked_by(outcome.asked_by, line);
        optional(",\"ended\":", outcome.ended.map(Reason::as_str), line);
        return optional(",\"rate_limit\":", outcome.rate_limit, line);
    };
    line.extend_from_slice(b",\"asked_by\":null,\"ended\":null,\"rate_limit\":null");
}

fn asked_by(asked_by: Option<AskedBy>, line: &mut Vec<u8>) {
    let Some(AskedBy { plane, peer }) = asked_by else { return line.extend_from_slice(b",\"asked_by\":null") };
    text(",\"asked_by\":{\"as\":", plane, line);
    optional(",\"peer\":", peer.map(|peer| peer.to_string()).as_deref(), line);
    line.push(b'}');
}

/// What it takes to judge the request again.
fn seen(seen: &Seen<'_>, line: &mut Vec<u8>) {
    optional(",\"api\":", seen.api, line);
    list(",\"account_sources\":", seen.account_sources.iter(), line, |source, line| {
        let (kind, name) = match source {
            AccountSource::Path(name) => ("path:", &**name),
            AccountSource::Query(name) => ("query:", &**name),
            AccountSource::Header(name) => ("header:", name.as_str()),
        };
        quoted_pair(kind, name, line);
    });
    flag(",\"injected\":", seen.injected, line);
    optional(",\"host\":", seen.host, line);
    flag(",\"browser\":", seen.browser, line);
    list(",\"token_scopes\":", seen.token_scopes.into_iter().flatten(), line, |scope, line| quoted(scope, line));
    list(",\"token_accounts\":", seen.token_accounts.into_iter().flatten(), line, |account, line| {
        quoted(account.as_str(), line);
    });
    line.extend_from_slice(b",\"certificate\":");
    match seen.certificate {
        None => line.extend_from_slice(b"null"),
        Some(certificate) => {
            line.extend_from_slice(b"{\"sha256\":\"");
            certificate.sha256.iter().for_each(|byte| line.extend_from_slice(&[hex(byte >> 4), hex(*byte)]));
            text("\",\"subject\":", &certificate.subject, line);
            list(",\"san_dns\":", certificate.san_dns.iter(), line, |name, line| quoted(name, line));
            line.push(b'}');
        }
    }
}

/// Whether a decision of this reason allows.
pub(crate) fn decision(reason: Reason) -> &'static str {
    match reason {
        Reason::Preflight | Reason::Public | Reason::Granted | Reason::Reported => "allow",
        Reason::QuestionRejected
        | Reason::HeadTooLarge
        | Reason::PathAmbiguous
        | Reason::HeaderAmbiguous
        | Reason::OriginRejected
        | Reason::FormRejected
        | Reason::TokenMissing
        | Reason::TokenMalformed
        | Reason::IssuerUnknown
        | Reason::AlgorithmRejected
        | Reason::KeyUnknown
        | Reason::TokenTypeRejected
        | Reason::SignatureInvalid
        | Reason::AudienceMismatch
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::IssuerUnavailable
        | Reason::SharedStateUnavailable
        | Reason::TokenRevoked
        | Reason::BindingMismatch
        | Reason::ClientUnknown
        | Reason::CertificateMismatch
        | Reason::ScopeUndefined
        | Reason::RouteUnknown
        | Reason::MethodNotAllowed
        | Reason::ScopeRequired
        | Reason::ScopeInsufficient
        | Reason::ClientTypeRejected
        | Reason::AccountMissing
        | Reason::AccountAmbiguous
        | Reason::AccountForbidden
        | Reason::BodyTooLarge
        | Reason::RateLimited
        | Reason::Overloaded => "deny",
    }
}

/// RFC 3339 in UTC with six digits of a second; `null` beyond the year 9999.
pub(super) fn time(time: SystemTime, line: &mut Vec<u8>) {
    thread_local! {
        /// The second that the last line of this thread was of, and its text.
        static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let Ok(since) = time.duration_since(SystemTime::UNIX_EPOCH) else { return line.extend_from_slice(b"null") };
    LAST.with_borrow_mut(|(second, shown)| {
        if *second != since.as_secs() || shown.is_empty() {
            *second = since.as_secs();
            shown.clear();
            if let Ok(time) = jiff::Timestamp::try_from(SystemTime::UNIX_EPOCH + Duration::from_secs(*second)) {
                // Without its `Z`, before which the fraction goes.
                shown.push_str(time.to_string().trim_end_matches('Z'));
            }
        }
        if shown.is_empty() {
            return line.extend_from_slice(b"null");
        }
        line.push(b'"');
        line.extend_from_slice(shown.as_bytes());
        line.push(b'.');
        digits(since.subsec_micros().into(), 6, line);
        line.extend_from_slice(b"Z\"");
    });
}

/// `before` is what stands before the value: a comma and the member's name.
pub(super) fn text(before: &str, value: &str, line: &mut Vec<u8>) {
    line.extend_from_slice(before.as_bytes());
    quoted(value, line);
}

pub(super) fn optional(before: &str, value: Option<&str>, line: &mut Vec<u8>) {
    line.extend_from_slice(before.as_bytes());
    match value {
        Some(value) => quoted(value, line),
        None => line.extend_from_slice(b"null"),
    }
}

/// An array; empty where no token was good.
fn names(before: &str, scopes: Option<HeldScopes<'_>>, line: &mut Vec<u8>) {
    list(before, scopes.into_iter().flat_map(HeldScopes::names), line, quoted);
}

fn list<T>(before: &str, items: impl Iterator<Item = T>, line: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    line.extend_from_slice(before.as_bytes());
    line.push(b'[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            line.push(b',');
        }
        write(item, line);
    }
    line.push(b']');
}

/// An array of texts.
pub(super) fn quoted_list<'t>(before: &str, texts: impl Iterator<Item = &'t str>, line: &mut Vec<u8>) {
    list(before, texts, line, quoted);
}

fn flag(before: &str, value: bool, line: &mut Vec<u8>) {
    line.extend_from_slice(before.as_bytes());
    line.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Both texts as one.
fn quoted_pair(one: &str, other: &str, line: &mut Vec<u8>) {
    quoted(one, line);
    line.pop();
    let middle = line.len();
    quoted(other, line);
    line.remove(middle);
}

pub(super) fn number_or_null(before: &str, value: Option<u64>, line: &mut Vec<u8>) {
    match value {
        Some(value) => number(before, value, line),
        None => optional(before, None, line),
    }
}

pub(super) fn number(before: &str, value: u64, line: &mut Vec<u8>) {
    line.extend_from_slice(before.as_bytes());
    digits(value, 1, line);
}

/// In decimal, with zeros before it where it has fewer digits than `least`.
fn digits(mut value: u64, least: usize, line: &mut Vec<u8>) {
    let start = line.len();
    while value > 0 || line.len() - start < least {
        // INVARIANT: below 10.
        line.push(b'0' + (value % 10) as u8);
        value /= 10;
    }
    line.get_mut(start..).unwrap_or_default().reverse();
}

/// RFC 8259 section 7.
fn quoted(text: &str, line: &mut Vec<u8>) {
    line.push(b'"');
    // Gathered rather than searched for, which the compiler does with many bytes at once; nearly
    // every text goes as it is.
    if text.bytes().fold(0, |any, byte| any | u8::from(is_escaped(byte))) > 0 {
        for byte in text.bytes() {
            escaped(byte, line);
        }
    } else {
        line.extend_from_slice(text.as_bytes());
    }
    line.push(b'"');
}

const fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escaped(byte: u8, line: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
        b'\n' => line.extend_from_slice(b"\\n"),
        b'\r' => line.extend_from_slice(b"\\r"),
        b'\t' => line.extend_from_slice(b"\\t"),
        0..0x20 => line.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte)]),
        0x20.. => line.push(byte),
    }
}

/// The digit of the lower half of a byte.
fn hex(value: u8) -> u8 {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    DIGITS.get(usize::from(value & 0xf)).copied().unwrap_or(b'0')
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde_json::Value;

    use super::*;
    use crate::policy::{ScopeId, ScopeSet};
    use crate::record::outcome::tests::{outcome, policy};

    fn line(outcome: &Outcome<'_>) -> String {
        let mut buffer = Vec::new();
        append(outcome, &mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn a_line_says_everything_in_a_fixed_order() {
        let policy = policy();
        let held: ScopeSet = [ScopeId(1), ScopeId(0)].into_iter().collect();
        let allowed = Outcome { scopes: Some(HeldScopes { policy: &policy, held: &held }), ..outcome(&policy) };
        assert_eq!(
            line(&allowed),
            concat!(
                r#"{"time":"2023-11-14T22:13:20.123456Z","request_id":"b3c1","generation":7,"#,
                r#""decision":"allow","reason":"granted","reported":null,"issuer":"https://login.example.com","#,
                r#""client":"acme-integration","subject":"s-1","account":"acme","#,
                r#""scopes":["orders.read","orders.write"],"granted_by":"orders.read","#,
                r#""service":"GET /orders/{account}/**","method":"GET","path":"/orders/acme/1","#,
                r#""status":200,"upstream_error":null,"microseconds":2,"duration_microseconds":4321,"#,
                r#""api":"orders","account_sources":[],"injected":false,"host":"api.example","browser":false,"#,
                r#""token_scopes":[],"token_accounts":[],"certificate":null,"asked_by":null,"ended":null,"rate_limit":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_is_not_known_is_null_and_scopes_are_an_empty_list() {
        let policy = policy();
        let denied = Outcome {
            reason: Reason::TokenMissing,
            api: None,
            issuer: None,
            client: None,
            subject: None,
            account: None,
            granted_by: None,
            service: None,
            status: 401,
            time: SystemTime::UNIX_EPOCH,
            ..outcome(&policy)
        };
        let read: Value = serde_json::from_str(&line(&denied)).unwrap();
        for member in ["issuer", "client", "subject", "account", "granted_by", "service", "upstream_error"] {
            assert_eq!(read.get(member), Some(&Value::Null), "{member}");
        }
        assert_eq!(read["scopes"], Value::Array(vec![]));
        assert_eq!((read["decision"].as_str(), read["reason"].as_str()), (Some("deny"), Some("token_missing")));
        assert_eq!(read["time"], "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn whatever_a_request_says_stays_one_line_and_reads_back_the_same() {
        let policy = policy();
        let all: String = ('\0'..='\u{ff}').chain(['\u{2028}', '\u{fffd}', '\u{1f600}', '\u{10ffff}']).collect();
        for text in [all.as_str(), "\"", "\\", "\\\"", "a\nb\r", "{\"decision\":\"allow\"}", ""] {
            let told = line(&Outcome {
                request_id: text,
                issuer: Some(text),
                client: Some(text),
                subject: Some(text),
                account: Some(Cow::Borrowed(text)),
                service: Some(text),
                method: text,
                path: text,
                ..outcome(&policy)
            });
            assert_eq!(told.matches(['\n', '\r']).count(), 1, "{text:?}");
            let read: Value = serde_json::from_str(&told).unwrap();
            for member in ["request_id", "issuer", "client", "subject", "account", "service", "method", "path"] {
                assert_eq!(read[member], text, "{member}");
            }
            assert_eq!(read["decision"], "allow");
        }
    }
}
