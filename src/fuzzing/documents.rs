//! What others hand over to be believed: certificates in headers, key sets, discovery documents, revocation lists.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::NOW;
use super::naive::has_no_member_twice;
use crate::policy::{Caller, Certificate};
use crate::token::{
    KeySet, Revocation, Revocations, ServerMetadata, certificate_from_der, certificate_from_header, is_torn,
};

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// Any bytes as DER, as `Client-Cert` (RFC 9440), as Envoy's `X-Forwarded-Client-Cert`, whole or as two headers.
pub fn certificate(data: &[u8]) {
    if let Ok(certificate) = certificate_from_der(data) {
        assert_eq!(certificate.sha256, digest(&SHA256, data).as_ref());
        let value = format!(":{}:", STANDARD.encode(data));
        assert_eq!(told(&[(CLIENT_CERT, value.as_bytes())]), Some(certificate));
    }
    if let Some(certificate) = told(&[(CLIENT_CERT, data)]) {
        let text = data.trim_ascii();
        assert!(text.starts_with(b":") && text.ends_with(b":"));
        let text: Vec<_> = text.iter().filter(|byte| !matches!(byte, b':' | b'=')).copied().collect();
        let der = base64::engine::general_purpose::STANDARD_NO_PAD.decode(text).expect("no base64");
        assert_eq!(certificate_from_der(&der), Ok(certificate));
    }
    let whole = told(&[(FORWARDED, data)]);
    if let Some(certificate) = &whole {
        check_forwarded(certificate, data);
    }
    // Two headers are one with a comma between (RFC 9110 section 5.3).
    if let Some(comma) = data.iter().position(|byte| *byte == b',') {
        let two = [(FORWARDED, &data[..comma]), (FORWARDED, &data[comma + 1..])];
        if two.iter().all(|(_, value)| *value == value.trim_ascii()) {
            assert_eq!(told(&two), whole);
        }
    }
}

fn told(headers: &[(HeaderName, &[u8])]) -> Option<Certificate> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    certificate_from_header(&map).ok().flatten()
}

/// What the last element says, its last because each proxy appends: an element put before it changes nothing.
fn check_forwarded(certificate: &Certificate, data: &[u8]) {
    let before = b"Hash=0000000000000000000000000000000000000000000000000000000000000000;Subject=\"CN=other\",";
    let hearsay = told(&[(FORWARDED, &[before, data].concat())]);
    assert_eq!(hearsay.as_ref(), Some(certificate), "an earlier element counts");
}

/// Any bytes as a key set and as a discovery document.
pub fn keys(data: &[u8]) {
    match KeySet::parse(data) {
        Ok(parsed) => {
            assert!((1..=256).contains(&parsed.keys.len()));
            for refused in &parsed.refused {
                assert!(!refused.to_string().contains(char::is_control), "{refused:?}");
            }
        }
        Err(fault) => assert!(!fault.to_string().contains(char::is_control), "{fault:?}"),
    }
    metadata(data);
}

/// What is asked later is where another reader of URLs would ask too.
fn metadata(data: &[u8]) {
    const ISSUER: &str = "https://login.example.com";
    let metadata = match ServerMetadata::parse(data, ISSUER) {
        Ok(metadata) => metadata,
        Err(fault) => return assert!(!fault.to_string().contains(char::is_control), "{fault:?}"),
    };
    let document: Value = serde_json::from_slice(data).expect("a document that others cannot read");
    assert!(has_no_member_twice(data, &document) && document["issuer"] == ISSUER);
    let endpoints = [metadata.introspection_endpoint, metadata.introspection_endpoint_for_certificates];
    for text in endpoints.into_iter().flatten().chain([metadata.jwks_uri]) {
        assert!(text.starts_with("https://"));
        let uri: http::Uri = text.parse().expect("no URI");
        // What the client cannot parse it does not ask.
        let Ok(url) = reqwest::Url::parse(&text) else { continue };
        assert_eq!(url.scheme(), "https");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{text}");
        let host = uri.host().unwrap().to_ascii_lowercase();
        let is_name = host.contains(|c: char| c.is_ascii_alphabetic()) && host.is_ascii() && !host.contains('%');
        // Numbers are addresses in several spellings, which both would ask alike.
        if is_name
            && !host.starts_with('[')
            && !host.rsplit('.').next().unwrap().starts_with(|c: char| c.is_ascii_digit())
        {
            assert_eq!(url.host_str(), Some(&*host), "{text}");
        }
    }
}

/// Any text as a list of revoked tokens.
pub fn revocations(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let entries: Vec<_> = lines.iter().map(|line| Revocation::parse(line.as_bytes())).collect();
    for (line, entry) in lines.iter().zip(&entries) {
        if is_torn(line) {
            assert!(entry.is_err(), "an entry that broke off counts: {line}");
        }
        let Ok(entry) = entry else { continue };
        let written = entry.to_line();
        assert!(
            !written.contains(['\n', '\r']) && Revocation::parse(written.as_bytes()).as_ref() == Ok(entry),
            "{written}"
        );
        check_revoked(entry, line);
    }
    match Revocations::parse(text) {
        Ok(list) => {
            assert!(entries.iter().all(Result::is_ok), "a line was passed over");
            assert_eq!(list.is_empty(), lines.is_empty());
            let left = list.clone().without_expired(NOW);
            for entry in entries.iter().flatten().filter(|entry| !entry.has_expired(NOW)) {
                let line = entry.to_line();
                if let Some((caller, token)) = meant(&serde_json::from_str(&line).unwrap()) {
                    assert!(list.revokes(&caller, token) && left.revokes(&caller, token), "{line} revokes nothing");
                }
            }
        }
        Err(fault) => assert!(entries.iter().any(Result::is_err) && fault.line >= 1, "{fault}"),
    }
}

fn check_revoked(entry: &Revocation, line: &str) {
    let members: Value = serde_json::from_str(line).expect("an entry that others cannot read");
    assert!(has_no_member_twice(line.as_bytes(), &members), "{line}");
    assert_eq!(members["iss"], entry.issuer());
    let Some((caller, token)) = meant(&members) else { return };
    let mut list = Revocations::default();
    list.add(entry.clone());
    assert!(list.revokes(&caller, token), "{line} does not revoke {caller:?}");
    let other = Caller { issuer: format!("{}/other", entry.issuer()).into(), ..caller };
    assert!(!list.revokes(&other, token), "{line} revokes another issuer's");
}

/// A token that the entry means; `None` for one that is meant by its digest alone.
fn meant(members: &Value) -> Option<(Caller, &'static str)> {
    let text = |name: &str| members.get(name).map(|value| value.as_str().unwrap().into());
    if members.get("token_sha256").is_some() {
        return None;
    }
    let caller = Caller {
        subject: text("sub"),
        client: text("client_id"),
        token_id: text("jti"),
        ..Caller::supposed(members["iss"].as_str().unwrap())
    };
    Some((caller, "a.b.c"))
}
