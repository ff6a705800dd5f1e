//! What is told to nobody: the secrets of a request for a token.

use serde_json::{Value, json};

use super::{POLICY, SECRET, basic, post, post_to, start, start_with};
use crate::harness::{Gateway, Upstream, encode};

#[test]
fn no_secret_is_logged_audited_or_counted() {
    let gateway = start();
    let asserted = |claims: Value| encode(claims.to_string().as_bytes());
    let assertion = format!("e30.{}.{SECRET}", asserted(json!({ "sub": "acme", "jti": SECRET })));
    let (known, stranger) = (basic("acme"), basic("stranger"));
    let chars = "x".repeat(2048);
    let forms = [
        format!("client_id=acme&client_secret={SECRET}&scope=data-read"),
        format!("client_id=acme&client_secret={SECRET}&scope=data-write"),
        format!("client_id=stranger&client_secret={SECRET}"),
        format!("client_id={SECRET}"),
        format!("client_id=acme&scope={SECRET}"),
        format!("client_id=acme&password={SECRET}&code={SECRET}&refresh_token={SECRET}&subject_token={SECRET}"),
        format!("client_id=acme&client_secret={SECRET}&client_secret={SECRET}"),
        format!("client_id=acme&client_secret={SECRET}%"),
        format!("{SECRET}=acme"),
        format!("client_secret={SECRET}&x={chars}"),
        format!("client_assertion={assertion}"),
        format!("client_assertion={assertion}&client_id=open"),
    ];
    let mut count = 0;
    for form in &forms {
        post(&gateway, form, &[]);
        count += 1;
    }
    for authorization in [&known, &stranger] {
        post(&gateway, "scope=data-read", &[("Authorization", authorization)]);
        post(&gateway, &format!("client_secret={SECRET}&client_id=open"), &[("Authorization", authorization)]);
        post_to(&gateway, &format!("/oauth/token?client_secret={SECRET}"), "a=b", &[("Authorization", authorization)]);
        count += 3;
    }
    // A provider that is not there, and one whose answer breaks off.
    for provider in [None, Some(Upstream::answering(|_| format!("HTTP/1.1 200 OK\r\nX: {SECRET}\r\n").into_bytes()))] {
        let provider = provider.unwrap_or_else(Upstream::start);
        let policy = POLICY.replace("upstream: backend", "upstream: nowhere");
        let gateway = start_with(&policy, provider);
        post(&gateway, &forms[0], &[("Authorization", &known)]);
        check_silent(&gateway, 1, &[&known]);
    }
    check_silent(&gateway, count, &[&known, &stranger, &assertion]);
    assert!(gateway.upstream.count() > 0);
}

/// Nothing that the process wrote has a secret: standard output and error, audit lines, metrics.
#[track_caller]
fn check_silent(gateway: &Gateway, lines: usize, others: &[&str]) {
    gateway.audit(lines);
    let audit = std::fs::read_to_string(gateway.folder.path().join("audit.jsonl")).unwrap();
    let metrics = String::from_utf8(gateway.admin("/metrics").body).unwrap();
    let encoded = others.iter().map(|other| other.rsplit([' ', '.']).next().unwrap());
    for secret in encoded.chain([SECRET]) {
        for (place, text) in [("log", &gateway.log()), ("audit", &audit), ("metrics", &metrics)] {
            assert!(!text.contains(secret), "{secret} in the {place}:\n{text}");
        }
    }
}
