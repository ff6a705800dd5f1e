//! What is written of texts that others chose: answers, challenges, ids and audit lines keep them inside.

use std::borrow::Cow;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use serde_json::Value;

use super::authorizer::{check, grpc};
use super::challenge::{ChallengeValues, Challenges};
use super::inbound::DPOP;
use super::problem::{Answer, Problem};
use super::{token_error, trace};
use crate::config::{Source, compile};
use crate::policy::{Certificate, Policy, Reason, TokenRequestFault};
use crate::record::{AskedBy, Outcome, Seen, audit_line};

/// So many scopes of a refusal are written.
const NAMES: usize = 16;

/// Texts with zeros between.
pub(crate) fn rendering(data: &[u8]) {
    let texts: Vec<Cow<'_, str>> = data.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let text = |place: usize| texts.get(place).map_or("", |text| text);
    let request_id = check_request_id(text(0).as_bytes());
    let challenges = Challenges::new(Some(text(1)).filter(|url| !url.is_empty()), Some("ES256"));
    // Each is written many times over: more of them say nothing new, and take all the time.
    let names: Vec<&str> = texts.iter().skip(2).take(NAMES).map(|text| &**text).collect();
    for values in [
        challenges.missing(),
        challenges.invalid_token(text(2)),
        challenges.insufficient_scope(&names),
        challenges.nonce(text(2)),
    ] {
        check_challenges(&values);
        let problem = Problem {
            challenges: values,
            scopes: Some(names.iter().copied().collect()),
            ..Problem::new(http::StatusCode::FORBIDDEN, "A title", text(2))
        };
        check_answer(&problem.answer("scope_insufficient", &request_id), "detail", Some(text(2)));
    }
    // Those that may be refused by name are scope-tokens (RFC 6749 section 3.3).
    let is_scope_token = |name: &&str| crate::policy::ScopeName::parse(name).is_ok();
    let refused: Box<[Box<str>]> =
        names.iter().filter(|name| is_scope_token(name)).map(|name| (*name).into()).collect();
    for fault in
        [TokenRequestFault::ScopeUndefined { refused: refused.clone() }, TokenRequestFault::ScopeBeyond { refused }]
    {
        check_answer(&token_error::refuse(&fault, &request_id), "error_description", None);
    }
    check_audit_line(&texts);
}

/// A question of Envoy's, as a message, or with its frame.
pub(crate) fn question(data: &[u8]) {
    let _ = grpc::unframed(data);
    let Ok(question) = check::question(data, &QUESTIONED) else { return };
    let headers = &question.head.headers;
    let target = question.head.raw_path();
    assert!(target.starts_with(b"/") && !target.contains(&b'#'), "{}", target.escape_ascii());
    assert_eq!(headers.get_all(HOST).iter().count(), 1);
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        assert!(!headers.contains_key(&name), "{name}");
    }
    for name in [AUTHORIZATION, DPOP] {
        assert!(headers.get_all(&name).iter().all(|value| !value.as_bytes().contains(&b',')), "{name}");
    }
    assert!(question.size() > target.len());
}

/// A policy with an account header.
static QUESTIONED: LazyLock<Policy> = LazyLock::new(|| {
    let text = "{ version: 1, listeners: [{ address: 127.0.0.1:0 }], upstreams: { u: { servers: ['localhost:1'] } },
        apis: [{ name: a, base_path: /a, upstream: u, account: { header: x-account-id }, public: [GET /a/**] }] }";
    compile(&Source { shown: "gateway.yaml", directory: Path::new("/"), text }).expect("a policy").policy
});

fn check_request_id(bytes: &[u8]) -> HeaderValue {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        headers.append(trace::REQUEST_ID, value.clone());
        headers.append(trace::TRACEPARENT, value);
    }
    let id = trace::request_id(&headers);
    assert!((1..=128).contains(&id.len()));
    assert!(id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte)), "{id:?}");
    let (parent, _) = trace::traceparent(&headers, None);
    let parts: Vec<_> = std::str::from_utf8(&parent).unwrap().split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{parent:?}");
    id
}

/// RFC 9110 section 11.2: a scheme, then names with quoted texts, and nothing that leaves its quotes.
fn check_challenges(values: &ChallengeValues) {
    for value in values {
        let text = value.to_str().expect("not visible ASCII");
        let (scheme, parameters) = text.split_once(' ').expect("no parameters");
        assert!(matches!(scheme, "Bearer" | "DPoP"), "{text}");
        let mut rest = parameters;
        loop {
            let (name, after) = rest.split_once("=\"").expect("no quoted text");
            assert!(
                matches!(name, "realm" | "error" | "error_description" | "scope" | "resource_metadata" | "algs"),
                "{text}"
            );
            let (value, after) = after.split_once('"').expect("no end of a quoted text");
            assert!(!value.contains('\\'), "{text}");
            match after.strip_prefix(", ") {
                Some(after) => rest = after,
                None if after.is_empty() => break,
                None => panic!("{text}"),
            }
        }
    }
}

/// Every header is one line, and the body says what it was given and nothing else.
fn check_answer(answer: &Answer, member: &str, expected: Option<&str>) {
    for (name, value) in &answer.headers {
        assert!(is_line(name, value), "{name}: {value:?}");
    }
    let challenges = answer.headers.iter().filter(|(name, _)| *name == WWW_AUTHENTICATE).count();
    assert!(challenges <= 2);
    let body: Value = serde_json::from_slice(&answer.body).expect("no JSON");
    let said = body[member].as_str().expect("no text");
    match expected {
        Some(expected) => assert_eq!(said, expected),
        // RFC 6749 section 5.2.
        None => assert!(said.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{said}"),
    }
}

fn is_line(name: &HeaderName, value: &HeaderValue) -> bool {
    !name.as_str().is_empty() && value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Of an audit line.
const MEMBERS: usize = 30;

/// One line, which reads back as what it was given.
fn check_audit_line(texts: &[Cow<'_, str>]) {
    let text = |place: usize| texts.get(place).map_or("", |text| &**text);
    let scopes: Vec<Box<str>> = texts.iter().map(|text| (**text).into()).collect();
    let certificate = Certificate { sha256: [1; 32], subject: text(1).into(), san_dns: [text(2).into()].into() };
    let outcome = Outcome {
        time: SystemTime::UNIX_EPOCH,
        request_id: text(0),
        generation: 1,
        api: None,
        reason: Reason::TokenMissing,
        reported: Some(Reason::TokenMissing),
        issuer: Some(text(1)),
        client: Some(text(2)),
        client_place: None,
        granting: None,
        wanted: &[],
        subject: Some(text(3)),
        account: Some(Cow::Borrowed(text(4))),
        scopes: None,
        granted_by: Some(text(5)),
        service: Some(text(6)),
        method: text(7),
        path: text(8),
        status: 401,
        ended: None,
        rate_limit: None,
        upstream_error: None,
        decision_time: Duration::ZERO,
        request_time: Duration::ZERO,
        asked_by: Some(AskedBy { plane: "nginx", peer: None }),
        seen: Seen {
            host: Some(text(9)),
            token_scopes: Some(&scopes),
            certificate: Some(&certificate),
            ..Seen::default()
        },
    };
    let mut line = Vec::new();
    audit_line(&outcome, &mut line);
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    let read: Value = serde_json::from_slice(&line).expect("no JSON");
    let members = ["request_id", "issuer", "client", "subject", "account", "granted_by", "service", "method", "path"];
    for (place, member) in members.into_iter().enumerate() {
        assert_eq!(read[member], text(place), "{member}");
    }
    assert_eq!(read["token_scopes"], scopes.iter().map(|text| &**text).collect::<Value>());
    assert_eq!(read["certificate"]["subject"], text(1));
    assert_eq!((&read["decision"], read.as_object().map(serde_json::Map::len)), (&"deny".into(), Some(MEMBERS)));
}
