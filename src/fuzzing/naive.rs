//! What claims say, read again without the gateway's own readers.

use serde_json::Value;

use crate::policy::Caller;
use crate::token::{IssuerRules, ScopeSyntax};

use super::NOW;

/// Whether no object of a JSON text has a member twice: written again without what a reader drops, it has as many.
pub(super) fn has_no_member_twice(text: &[u8], value: &Value) -> bool {
    members(text) == members(value.to_string().as_bytes())
}

/// The colons that are in no string.
fn members(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut bytes) = (0, false, text.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

/// That a caller is who these claims say, and its token good now.
pub(super) fn check_caller(caller: &Caller, claims: &Value, rules: &IssuerRules) {
    assert_eq!(caller.issuer, rules.issuer);
    let text = |name: &str| claims.get(name).map(|value| value.as_str().expect("no string"));
    assert_eq!(caller.subject.as_deref(), text("sub"));
    assert_eq!(caller.token_id.as_deref(), text("jti"));
    assert_eq!(caller.client.as_deref(), text("client_id").or(text("azp")));
    for name in [&caller.subject, &caller.token_id, &caller.client].into_iter().flatten() {
        assert!(!name.is_empty() && !name.chars().any(char::is_control) && name.trim() == &**name, "{name:?}");
    }
    for name in &caller.scopes {
        assert!(is_scope_token(name), "{name:?}");
    }
    let scopes = claims.get("scope").or(claims.get("scp"));
    let expected = scopes.map(|claim| scopes_of(claim, rules.scope_syntax).expect("no scopes")).unwrap_or_default();
    assert_eq!(caller.scopes.iter().map(|name| &**name).collect::<Vec<_>>(), expected);
    let accounts = match claims.get("account_id") {
        None => vec![],
        Some(Value::Array(names)) => names.iter().map(|name| name.as_str().expect("no string")).collect(),
        Some(name) => vec![name.as_str().expect("no string")],
    };
    for account in &caller.accounts {
        assert!(accounts.contains(&account.as_str()), "{account} of {accounts:?}");
        assert!(!account.as_str().is_empty() && !account.as_str().chars().any(char::is_control));
    }
    assert!(accounts.iter().all(|name| caller.accounts.iter().any(|account| account.as_str() == *name)));
    let audiences = match claims.get("aud") {
        None => None,
        Some(Value::Array(names)) => Some(names.iter().map(|name| name.as_str().expect("no string")).collect()),
        Some(name) => Some(vec![name.as_str().expect("no string")]),
    };
    if let Some(audiences) = audiences {
        assert!(audiences.iter().any(|name| rules.audiences.iter().any(|audience| **audience == **name)));
    }
    check_times(caller, claims, rules);
}

#[expect(clippy::cast_precision_loss, reason = "times of today are far below 2^53")]
fn check_times(caller: &Caller, claims: &Value, rules: &IssuerRules) {
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().expect("no number"));
    let (now, leeway) = (NOW.0 as f64, rules.leeway as f64);
    let expires = time("exp").expect("a token without an end");
    assert!(expires + leeway > now && (expires.floor() - caller.expires_at.0 as f64).abs() < 0.5, "{expires}");
    for (name, read) in [("nbf", caller.not_before), ("iat", caller.issued_at)] {
        assert_eq!(claims.get(name).is_some(), read.is_some(), "{name}");
        assert!(time(name).is_none_or(|time| time < now + leeway + 1.0), "{name}");
    }
}

/// The names in a scope claim, each once.
pub(super) fn scopes_of(claim: &Value, syntax: ScopeSyntax) -> Option<Vec<String>> {
    let texts: Vec<&str> = match claim {
        Value::String(text) if syntax == ScopeSyntax::Words => {
            text.split(' ').filter(|word| !word.is_empty()).collect()
        }
        Value::String(text) => text.split(';').collect(),
        Value::Array(texts) if syntax == ScopeSyntax::Words => {
            texts.iter().map(Value::as_str).collect::<Option<_>>()?
        }
        Value::Array(texts) => {
            let texts = texts.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
            texts.into_iter().flat_map(|text| text.split(';')).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let mut names = Vec::new();
    for text in texts {
        let found =
            if syntax == ScopeSyntax::Words { vec![text.to_owned()] } else { privileges(text.trim_matches(' '))? };
        for name in found {
            if !is_scope_token(&name) {
                return None;
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    (names.len() <= 1_000).then_some(names)
}

/// `certificate:approve,delete`, or a name.
fn privileges(part: &str) -> Option<Vec<String>> {
    if part.is_empty() {
        return Some(vec![]);
    }
    let (scope, rest) = match part.split_once(':') {
        None if part.contains(',') => return None,
        None => return Some(vec![part.to_owned()]),
        Some((scope, rest)) => (scope, rest),
    };
    if scope.is_empty() || rest.is_empty() {
        return None;
    }
    if !part.contains(',') {
        return Some(vec![part.to_owned()]);
    }
    let names = rest.split(',').map(|name| name.trim_matches(' '));
    names.map(|name| (!name.is_empty() && !name.contains(':')).then(|| format!("{scope}:{name}"))).collect()
}

/// In bytes.
const LONGEST: usize = 256;

/// RFC 6749 section 3.3, and no longer than any scope of the file.
fn is_scope_token(name: &str) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
