//! Scope claims to scope names, in each of the syntaxes that issuers have.
//!
//! Which names mean something is `policy`'s; here they only have to be names.

use std::collections::BTreeSet;

use crate::policy::{ScopeName, TokenFault};

use super::json::Json;
use super::{ScopeSyntax, TokenBounds};

/// The names in a scope claim, at most as many as the bounds say, privileges written out (`certificate:approve`), each once.
///
/// # Errors
/// [`TokenFault::Malformed`] if it is neither a string nor an array of strings, or something in it
/// is no scope-token of RFC 6749 section 3.3.
pub(super) fn parse(claim: &Json, syntax: ScopeSyntax, bounds: TokenBounds) -> Result<Box<[Box<str>]>, TokenFault> {
    let mut names = Names::new(bounds);
    match claim {
        Json::String(text) => names.read(text, syntax),
        Json::Array(elements) => elements.iter().try_for_each(|element| match (element, syntax) {
            (Json::String(text), ScopeSyntax::Words) => names.add(text),
            (Json::String(text), ScopeSyntax::Privileges) => privileges(text, &mut names),
            (Json::Null | Json::Bool(_) | Json::Whole(_) | Json::Fraction(_) | Json::Array(_) | Json::Object(_), _) => {
                Err(TokenFault::Malformed("an element of its scope claim is not a string"))
            }
        }),
        Json::Null | Json::Bool(_) | Json::Whole(_) | Json::Fraction(_) | Json::Object(_) => {
            Err(TokenFault::Malformed("its scope claim is neither a string nor an array of strings"))
        }
    }?;
    Ok(names.in_order.into())
}

/// The names in a request's `scope` parameter, as [`parse`] reads a claim that is a string.
///
/// # Errors
/// As [`parse`]'s.
pub(super) fn parse_text(text: &str, syntax: ScopeSyntax) -> Result<Box<[Box<str>]>, TokenFault> {
    let mut names = Names::new(TokenBounds::default());
    names.read(text, syntax)?;
    Ok(names.in_order.into())
}

/// The other way round; the privileges of a scope, which `is_privilege` knows, stand together where the
/// first of them stands.
pub(super) fn write(names: &[Box<str>], syntax: ScopeSyntax, is_privilege: impl Fn(&str) -> bool) -> String {
    if syntax == ScopeSyntax::Words {
        return names.join(" ");
    }
    let mut parts: Vec<(&str, String)> = Vec::new();
    for name in names {
        // Only a name with one colon can be read again from behind a comma.
        let privilege = name.split_once(':').filter(|(_, rest)| !rest.contains(':') && is_privilege(name));
        let (scope, privilege) = privilege.unwrap_or((name, ""));
        match parts.iter_mut().find(|(known, _)| !privilege.is_empty() && *known == scope) {
            Some((_, part)) => part.extend([",", privilege]),
            None if privilege.is_empty() => parts.push(("", (**name).to_owned())),
            None => parts.push((scope, (**name).to_owned())),
        }
    }
    parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(";")
}

/// `certificate:approve,delete;ssh`. A part without a comma is a name as it stands, so that names
/// that have colons themselves stay whole.
fn privileges(text: &str, names: &mut Names) -> Result<(), TokenFault> {
    for part in text.split(';').map(|part| part.trim_matches(' ')).filter(|part| !part.is_empty()) {
        if !part.contains(',') {
            match part.split_once(':') {
                Some(("", _) | (_, "")) => return Err(NO_PRIVILEGE),
                Some(_) | None => names.add(part)?,
            }
            continue;
        }
        let (scope, privileges) = part.split_once(':').ok_or(NO_PRIVILEGE)?;
        for privilege in privileges.split(',').map(|privilege| privilege.trim_matches(' ')) {
            if scope.is_empty() || privilege.is_empty() || privilege.contains(':') {
                return Err(NO_PRIVILEGE);
            }
            names.add(&format!("{scope}:{privilege}"))?;
        }
    }
    Ok(())
}

const NO_PRIVILEGE: TokenFault = TokenFault::Malformed("its scope claim is not `scope:privilege,privilege;scope`");

/// Names in the order of the claim.
struct Names {
    most: usize,
    in_order: Vec<Box<str>>,
    seen: BTreeSet<Box<str>>,
}

impl Names {
    fn new(bounds: TokenBounds) -> Self {
        Self { most: bounds.scopes, in_order: Vec::new(), seen: BTreeSet::new() }
    }

    fn read(&mut self, text: &str, syntax: ScopeSyntax) -> Result<(), TokenFault> {
        match syntax {
            ScopeSyntax::Words => text.split(' ').filter(|word| !word.is_empty()).try_for_each(|word| self.add(word)),
            ScopeSyntax::Privileges => privileges(text, self),
        }
    }

    fn add(&mut self, name: &str) -> Result<(), TokenFault> {
        if ScopeName::parse(name).is_err() {
            return Err(TokenFault::Malformed("its scope claim has something that is no scope-token"));
        }
        if self.seen.insert(name.into()) {
            if self.in_order.len() == self.most {
                return Err(TokenFault::Malformed("it carries more scopes than are accepted"));
            }
            self.in_order.push(name.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(syntax: ScopeSyntax, claim: &str, expected: Result<&[&str], ()>) {
        let object = crate::token::json::object(format!("{{\"scope\":{claim}}}").as_bytes()).unwrap();
        let found = parse(&object["scope"], syntax, TokenBounds::default());
        let found = found.as_ref().map(|names| names.iter().map(|name| &**name).collect::<Vec<_>>()).map_err(|_| ());
        assert_eq!(found.as_deref(), expected.as_ref().map(|names| *names).map_err(|()| &()), "{claim}");
    }

    #[test]
    fn words_are_split_at_spaces_and_come_once() {
        let words = ScopeSyntax::Words;
        check(words, r#""a b""#, Ok(&["a", "b"]));
        check(words, r#""  b a  b ""#, Ok(&["b", "a"]));
        check(words, r#""""#, Ok(&[]));
        check(words, r#""certificate:approve,delete;ssh""#, Ok(&["certificate:approve,delete;ssh"]));
        check(words, r#"["a","b","a"]"#, Ok(&["a", "b"]));
        check(words, "[]", Ok(&[]));
    }

    #[test]
    fn privileges_are_written_out() {
        let privileges = ScopeSyntax::Privileges;
        check(
            privileges,
            r#""certificate:approve,delete;ssh""#,
            Ok(&["certificate:approve", "certificate:delete", "ssh"]),
        );
        check(
            privileges,
            r#""ssh;certificate:discover,manage ; configuration:manage""#,
            Ok(&["ssh", "certificate:discover", "certificate:manage", "configuration:manage"]),
        );
        check(privileges, r#""certificate""#, Ok(&["certificate"]));
        check(privileges, r#""certificate:approve;""#, Ok(&["certificate:approve"]));
        check(privileges, r#""https://example.com/read""#, Ok(&["https://example.com/read"]));
        check(
            privileges,
            r#"["certificate:approve,delete","ssh"]"#,
            Ok(&["certificate:approve", "certificate:delete", "ssh"]),
        );
        for bad in ["a:", "a:,", "a:,b", "a:b,", ":b", ":b,c", "a,b", "a b", "urn:a:b,c", "a:b\\tc", "a\\n;b"] {
            check(privileges, &format!("\"{bad}\""), Err(()));
        }
    }

    #[track_caller]
    fn check_written(syntax: ScopeSyntax, text: &str, expected: &str) {
        let is_privilege = |name: &str| name.starts_with("certificate:") || name.starts_with("urn:x:");
        let names = parse_text(text, syntax).unwrap();
        let written = write(&names, syntax, is_privilege);
        assert_eq!(written, expected, "{text}");
        let again = parse_text(&written, syntax).unwrap();
        let sorted = |names: &[Box<str>]| names.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(sorted(&again), sorted(&names), "{text}");
    }

    #[test]
    fn what_was_read_is_written_in_one_form() {
        check_written(ScopeSyntax::Words, "  b a  b ", "b a");
        for (text, written) in [
            ("certificate:approve,delete;ssh", "certificate:approve,delete;ssh"),
            ("certificate:approve;ssh; certificate:delete;", "certificate:approve,delete;ssh"),
            ("certificate;certificate:approve", "certificate;certificate:approve"),
            ("https://a/read;https://a/write", "https://a/read;https://a/write"),
            ("urn:x:a;urn:x:b", "urn:x:a;urn:x:b"),
            (";;", ""),
        ] {
            check_written(ScopeSyntax::Privileges, text, written);
        }
    }

    #[test]
    fn a_scope_claim_of_the_wrong_type_is_an_error() {
        for syntax in [ScopeSyntax::Words, ScopeSyntax::Privileges] {
            for bad in ["null", "true", "1", "1.5", "{}", r#"["a",1]"#, r#"["a",null]"#, r#"[["a"]]"#, "[{}]"] {
                check(syntax, bad, Err(()));
            }
        }
        check(ScopeSyntax::Words, r#"[""]"#, Err(()));
    }

    #[test]
    fn only_spaces_separate_words_and_only_scope_tokens_are_words() {
        for bad in [r#""a\tb""#, r#""a\nb""#, r#""a\u00a0b""#, r#""a\u0000""#, r#""a\"b""#, r#""a\\b""#, r#""é""#] {
            check(ScopeSyntax::Words, bad, Err(()));
        }
        for bad in [r#"["a b"]"#, r#"[" a"]"#, r#"["a\tb"]"#] {
            check(ScopeSyntax::Words, bad, Err(()));
        }
    }

    #[test]
    fn the_number_of_scopes_is_bounded() {
        let claim =
            |count: usize| Json::String((0..count).map(|n| format!("s{n}")).collect::<Vec<_>>().join(" ").into());
        assert_eq!(
            parse(&claim(1_000), ScopeSyntax::Words, TokenBounds::default()).map(|names| names.len()),
            Ok(1_000)
        );
        assert!(parse(&claim(1_001), ScopeSyntax::Words, TokenBounds::default()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_made_of_names(text in ".{0,60}") {
            for syntax in [ScopeSyntax::Words, ScopeSyntax::Privileges] {
                if let Ok(names) = parse(&Json::String(text.clone().into()), syntax, TokenBounds::default()) {
                    prop_assert!(names.iter().all(|name| ScopeName::parse(name).is_ok()));
                }
            }
        }

        #[test]
        fn words_that_were_joined_are_read_again(names in prop::collection::btree_set("[!#-\\[\\]-~]{1,12}", 0..20)) {
            let joined = names.iter().cloned().collect::<Vec<_>>().join(" ");
            let read = parse(&Json::String(joined.into()), ScopeSyntax::Words, TokenBounds::default()).unwrap();
            prop_assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), names.into_iter().collect::<Vec<_>>());
        }
    }
}
