//! `limits`: how much of anything a client may use.

use std::time::Duration;

use super::take::{Wrong, checked, optional, parsed};
use super::values;
use crate::config::document;
use crate::config::entry::Entry;
use crate::config::finding::{At, Findings};
use crate::config::limits::{Http2Limits, Limits};
use crate::token::{LONGEST_TOKEN, TokenBounds, WIDEST_BOUNDS};

/// What pingora keeps of a head; more is not read.
pub(in crate::config) const LARGEST_HEAD: usize = 1024 * 1024;
/// What pingora takes of a head's lines; a head with more is answered with a bare 400.
pub(in crate::config) const MOST_HEADERS: usize = 256;
/// Smaller heads leave no room for what a client must send.
pub(in crate::config) const SMALLEST_HEAD: usize = 1024;
/// More connections or requests than any process has.
pub(in crate::config) const MOST_AT_ONCE: usize = 1_000_000;
/// In bytes a second; faster than any client must be.
pub(in crate::config) const FASTEST: usize = 1 << 30;
/// Fewer buckets of rate limits than these save nothing.
pub(in crate::config) const LEAST_KEYS: usize = 1_024;
/// Some 800 MB of them.
pub(in crate::config) const MOST_KEYS: usize = 16_777_216;
/// More of one connection help nobody.
pub(in crate::config) const MOST_STREAMS: usize = 10_000;
pub(in crate::config) const MOST_RESETS: usize = 100_000;

pub(super) fn limits(entry: Entry<document::Limits>, at: At<'_>, findings: &mut Findings) -> Limits {
    let usual = Limits::default();
    let Some(document) = optional(entry, at, findings) else { return usual };
    let number = |entry, key, least, most, usual, findings: &mut Findings| {
        number(entry, at.key(key), least..=most, usual, findings)
    };
    let time = |entry, key, usual, findings: &mut Findings| {
        let at = at.key(key);
        let text: Option<document::DurationText> = optional(entry, at, findings);
        parsed(text, at, findings, bounded).unwrap_or(usual)
    };
    let widest = WIDEST_BOUNDS;
    let line = (document.request_line_bytes, "request_line_bytes");
    let lines = (document.header_count, "header_count");
    let head = (document.header_bytes, "header_bytes");
    let token = (document.token_bytes, "token_bytes");
    let scopes = (document.scopes_per_token, "scopes_per_token");
    let depth = (document.claims_depth, "claims_depth");
    let all = (document.connections, "connections");
    let one = (document.connections_per_address, "connections_per_address");
    let keys = (document.rate_limit_keys, "rate_limit_keys");
    let pace = (document.body_bytes_per_second, "body_bytes_per_second");
    Limits {
        request_line_bytes: number(line.0, line.1, 64, LARGEST_HEAD, usual.request_line_bytes, findings),
        header_count: number(lines.0, lines.1, 1, MOST_HEADERS, usual.header_count, findings),
        header_bytes: number(head.0, head.1, SMALLEST_HEAD, LARGEST_HEAD, usual.header_bytes, findings),
        token_bytes: number(token.0, token.1, 1, LONGEST_TOKEN, usual.token_bytes, findings),
        token: TokenBounds {
            scopes: number(scopes.0, scopes.1, 1, widest.scopes, usual.token.scopes, findings),
            depth: number(depth.0, depth.1, 1, widest.depth, usual.token.depth, findings),
        },
        head_timeout: time(document.head_timeout, "head_timeout", usual.head_timeout, findings),
        body_timeout: time(document.body_timeout, "body_timeout", usual.body_timeout, findings),
        body_bytes_per_second: number(pace.0, pace.1, 0, FASTEST, usual.body_bytes_per_second, findings),
        idle_timeout: time(document.idle_timeout, "idle_timeout", usual.idle_timeout, findings),
        send_timeout: time(document.send_timeout, "send_timeout", usual.send_timeout, findings),
        drain_timeout: time(document.drain_timeout, "drain_timeout", usual.drain_timeout, findings),
        connections: number(all.0, all.1, 1, MOST_AT_ONCE, usual.connections, findings),
        connections_per_address: number(one.0, one.1, 1, MOST_AT_ONCE, usual.connections_per_address, findings),
        rate_limit_keys: number(keys.0, keys.1, LEAST_KEYS, MOST_KEYS, usual.rate_limit_keys, findings),
        http2: http2(document.http2, at.key("http2"), usual.http2, findings),
    }
}

fn http2(entry: Entry<document::Http2Limits>, at: At<'_>, usual: Http2Limits, findings: &mut Findings) -> Http2Limits {
    let Some(document) = optional(entry, at, findings) else { return usual };
    let streams = number(document.streams, at.key("streams"), 1..=MOST_STREAMS, usual.streams as usize, findings);
    Http2Limits {
        streams: u32::try_from(streams).unwrap_or(usual.streams),
        resets: number(document.resets, at.key("resets"), 1..=MOST_RESETS, usual.resets, findings),
        errors: number(document.errors, at.key("errors"), 1..=MOST_RESETS, usual.errors, findings),
    }
}

/// A number within its range, or the usual one.
pub(super) fn number(
    entry: Entry<u64>,
    at: At<'_>,
    range: std::ops::RangeInclusive<usize>,
    usual: usize,
    findings: &mut Findings,
) -> usize {
    let (least, most) = range.into_inner();
    let number = checked(optional(entry, at, findings), at, findings, |given| match usize::try_from(given) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => Err(Wrong::new(
            format!("`{given}` is not a bound that `{}` can have", at.name()),
            format!("write {least} to {most}, or remove the key for {usual}"),
        )),
    });
    number.unwrap_or(usual)
}

/// As long as a client may be waited for.
fn bounded(text: &str) -> Result<Duration, Wrong> {
    const LONGEST: Duration = Duration::from_secs(60 * 60);
    match values::timeout(text)? {
        time if time > LONGEST => {
            Err(Wrong::new("a client is not waited for that long", "write `1h` or less, such as `60s`"))
        }
        time => Ok(time),
    }
}
