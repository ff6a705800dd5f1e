//! Forms of requests for tokens, and the scopes in them: what goes on says what was judged, to every reader.

use http::HeaderValue;
use serde_json::Value;

use super::NOW;
use super::decoders::decoded;
use super::naive::scopes_of;
use crate::token::{ScopeSyntax, TokenForm, form_encoded};

/// A body, and after a zero the URL's query; after another one, `Authorization`.
pub fn form(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let body = parts.next().unwrap_or_default();
    let query = parts.next().and_then(|query| std::str::from_utf8(query).ok());
    let authorization = parts.next().and_then(|value| HeaderValue::from_bytes(value).ok());
    let Ok(form) = TokenForm::parse(body, query) else { return };
    let client = form.client(authorization.as_ref()).ok();
    for syntax in [ScopeSyntax::Words, ScopeSyntax::Privileges] {
        let Ok(names) = form.scopes(syntax) else { continue };
        let written = match &names {
            Some(names) => form.clone().asking_for(names, syntax, |_| true),
            None => form.clone(),
        };
        let text = written.encode();
        let again = TokenForm::parse(text.as_bytes(), query).expect("what goes on would be refused");
        assert_eq!(again.encode(), text);
        assert_eq!(again.client(authorization.as_ref()).ok(), client);
        let sorted = |names: Option<Box<[Box<str>]>>| {
            let mut names = names.unwrap_or_default().into_vec();
            names.sort();
            names
        };
        assert_eq!(sorted(again.scopes(syntax).expect("other scopes")), sorted(names));
        check_readers(&text);
    }
}

/// Other readers find each parameter that is judged once, under no other name, with the same value.
fn check_readers(text: &str) {
    let pairs = |separators: &[u8]| -> Vec<(String, String)> {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(&decoded(&plus(bytes))).into_owned();
        let split = text.as_bytes().split(|byte| separators.contains(byte)).filter(|pair| !pair.is_empty());
        split
            .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (lossy(&pair[..at]), lossy(&pair[at + 1..])),
                None => (lossy(pair), String::new()),
            })
            .collect()
    };
    let plain = pairs(b"&");
    assert_eq!(plain, pairs(b"&;"), "a semicolon separates");
    let url = reqwest::Url::parse(&format!("http://a.example/?{text}")).unwrap();
    let by_url: Vec<_> = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    assert_eq!(plain, by_url);
    for judged in ["scope", "client_id", "client_assertion"] {
        let bare = |name: &str| name.to_ascii_lowercase().replace(['.', '-', '_', ' ', '['], "_");
        assert!(plain.iter().filter(|(name, _)| bare(name) == judged).count() <= 1, "{judged} twice in {text}");
    }
}

fn plus(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect()
}

/// A text as a scope claim, as an array of its lines, and as a form's parameter.
pub fn scopes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for syntax in [ScopeSyntax::Words, ScopeSyntax::Privileges] {
        let claim = Value::from(text);
        let expected = scopes_of(&claim, syntax);
        assert_eq!(read(&claim, syntax), expected, "{syntax:?} of {text:?}");
        let lines: Value = text.lines().collect();
        assert_eq!(read(&lines, syntax), scopes_of(&lines, syntax), "{syntax:?} of {lines}");
        let body = format!("client_id=a&scope={}", form_encoded(text.as_bytes()));
        let form = TokenForm::parse(body.as_bytes(), None).expect("a form");
        let found = form.scopes(syntax).ok().map(Option::unwrap_or_default);
        assert_eq!(
            found.map(|names| names.iter().map(ToString::to_string).collect()),
            expected,
            "{syntax:?} of {text:?}"
        );
    }
}

fn read(claim: &Value, syntax: ScopeSyntax) -> Option<Vec<String>> {
    let answer = serde_json::json!({ "active": true, "exp": NOW.0 + 60, "scope": claim });
    let rules = super::tokens::rules(if syntax == ScopeSyntax::Words { 0 } else { 4 });
    let caller = crate::token::introspected(answer.to_string().as_bytes(), &rules, NOW).ok()?;
    Some(caller.scopes.iter().map(ToString::to_string).collect())
}
