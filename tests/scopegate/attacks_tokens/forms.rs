//! Attacks on how tokens are written, and on how much of anything they have.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use scopegate::policy::Reason;
use serde_json::json;

use super::claims::sign;
use super::{Attack, attack, claims, good, header};
use crate::harness::{Signer, encode};

/// Texts that are not three parts of base64url, or parts that are not JSON.
pub(super) fn forms() -> Vec<Attack> {
    let good = good();
    let parts: Vec<_> = good.split('.').collect();
    let (head, body, end) = (parts[0], parts[1], parts[2]);
    let mut attacks = Vec::new();
    for text in [
        format!("{head}.{body}"),
        format!("{head}.{body}.{end}."),
        format!(".{head}.{body}.{end}"),
        format!("{head}..{end}"),
        format!(".{body}.{end}"),
        "..".to_owned(),
        ".".to_owned(),
        "...".to_owned(),
        format!("{head}.{body}.{end}.{end}"),
        format!("{head}=.{body}.{end}"),
        format!("{head}.{body}==.{end}"),
        format!("{head}.{body}.{end}=="),
        format!("{head}.{body}.{end}%"),
        format!("{head}%2e{body}%2e{end}"),
        format!("{head}.{body}+.{end}"),
        format!("{head}./{body}.{end}"),
        "null".to_owned(),
        "undefined".to_owned(),
        "{}".to_owned(),
        format!("{{\"token\":{good}}}").replace('"', "'"),
        good.replace('.', ":"),
    ] {
        attacks.push(attack("form", text, Reason::TokenMalformed));
    }
    let plain = header(json!({})).to_string();
    let json = claims(json!({})).to_string();
    for (name, text) in [
        ("nothing", String::new()),
        ("null", "null".into()),
        ("an array", "[]".into()),
        ("a number", "1".into()),
        ("a text", "\"{}\"".into()),
        ("two objects", format!("{json}{json}")),
        ("rubbish after it", format!("{json}x")),
        ("a comment", format!("{json}/**/")),
        ("a comma at the end", json.replacen('}', ",}", 1)),
        ("a byte order mark", format!("\u{feff}{json}")),
        ("a zero after it", format!("{json}\0")),
        ("single quotes", json.replace('"', "'")),
        ("NaN", json.replacen('{', "{\"x\":NaN,", 1)),
        ("infinity", json.replacen('{', "{\"x\":1e999,", 1)),
        ("half of it", json[..json.len() / 2].to_owned()),
        ("a bad escape", json.replacen('{', "{\"x\":\"\\ud800\",", 1)),
        ("a leading zero", json.replacen('{', "{\"x\":01,", 1)),
        ("a control character", json.replacen('{', "{\"x\":\"\n\",", 1)),
    ] {
        attacks.push(attack(
            format!("{name} for claims"),
            Signer::shared().sign_text(&plain, &text),
            Reason::TokenMalformed,
        ));
    }
    // Other alphabets and padding of the same bytes.
    for (name, text) in [
        ("padding", format!("{}.{body}.{end}", URL_SAFE.encode(format!("{plain:<61}")))),
        (
            "the other alphabet",
            format!("{}.{body}.{end}", STANDARD.encode([plain.as_bytes(), b"\xff\xff\xff"].concat())),
        ),
        ("a stray bit", format!("{}.{body}.{end}", stray_bit(head))),
    ] {
        attacks.push(attack(name, text, Reason::TokenMalformed));
    }
    attacks
}

/// The same bytes with a bit that does not count in the last character.
fn stray_bit(part: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let padded = match part.len() % 4 {
        0 => encode(&[URL_SAFE.decode(part).unwrap(), b" ".to_vec()].concat()),
        _ => part.to_owned(),
    };
    let (start, last) = padded.split_at(padded.len() - 1);
    let place = ALPHABET.iter().position(|letter| *letter == last.as_bytes()[0]).unwrap();
    format!("{start}{}", char::from(ALPHABET[place | 1]))
}

/// More of something than is accepted.
pub(super) fn sizes() -> Vec<Attack> {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let with = |member: &str, value: &str| {
        let body = claims(json!({})).to_string();
        let text = format!("{{\"{member}\":{value},{}", &body[1..]);
        Signer::shared().sign_text(&header(json!({})).to_string(), &text)
    };
    let many = |count: usize| json!((0..count).map(|n| format!("s{n}")).collect::<Vec<_>>());
    vec![
        attack("17,000 bytes", with("x", &format!("\"{}\"", "a".repeat(13_000))), Reason::TokenMalformed),
        attack("60,000 bytes", with("x", &format!("\"{}\"", "a".repeat(45_000))), Reason::TokenMalformed),
        attack("arrays 33 deep", with("x", &deep(33)), Reason::TokenMalformed),
        attack("arrays 5,000 deep", with("x", &deep(5_000)), Reason::TokenMalformed),
        attack(
            "objects 1,000 deep",
            with("x", &format!("{}1{}", "{\"a\":".repeat(1_000), "}".repeat(1_000))),
            Reason::TokenMalformed,
        ),
        attack("a header 1,000 deep", sign_deep_header(), Reason::TokenMalformed),
        attack("1,001 scopes", sign(json!({}), json!({ "scope": many(1_001) })), Reason::TokenMalformed),
        attack("1,001 accounts", sign(json!({}), json!({ "account_id": many(1_001) })), Reason::TokenMalformed),
        attack("a number of 5,000 digits", with("x", &"9".repeat(5_000)), Reason::TokenMalformed),
        attack("a time of 5,000 digits", sign_text_time(&"9".repeat(5_000)), Reason::TokenMalformed),
        attack("a time of 1e99999", sign_text_time("1e99999"), Reason::TokenMalformed),
        attack("16,000 dots", ".".repeat(16_000), Reason::TokenMalformed),
        attack("one letter 16,000 times", "a".repeat(16_000), Reason::TokenMalformed),
    ]
}

fn sign_deep_header() -> String {
    let head =
        format!("{{\"x\":{}1{},\"alg\":\"RS256\",\"kid\":\"rsa-1\"}}", "{\"a\":".repeat(1_000), "}".repeat(1_000));
    Signer::shared().sign_text(&head, &claims(json!({})).to_string())
}

fn sign_text_time(time: &str) -> String {
    let body = claims(json!({ "exp": 12_345 })).to_string().replace("12345", time);
    Signer::shared().sign_text(&header(json!({})).to_string(), &body)
}
