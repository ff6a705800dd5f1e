//! Names that people give to things: scopes, apis and clients.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidName {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// It has a character that names of its kind cannot have.
    #[error("it has {0:?}, which such a name cannot have")]
    Character(char),
    /// It is longer than any that is meant.
    #[error("it is {0} bytes long, and 256 are the most")]
    TooLong(usize),
}

const LONGEST: usize = 256;

/// A scope's name, or a privilege's whole name `scope:privilege`: a scope-token of RFC 6749 section 3.3.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeName(Arc<str>);

impl ScopeName {
    /// # Errors
    /// If `text` is empty, too long, or not made of RFC 6749's `NQCHAR`s (visible ASCII but `"` and `\`).
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        checked(text, |c| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e')).map(Self)
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An api's name: what metrics and messages call it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiName(Arc<str>);

impl ApiName {
    /// # Errors
    /// If `text` is empty, too long, or has anything but ASCII letters, digits, `-`, `_` and `.`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        checked(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).map(Self)
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A client id: RFC 6749 appendix A.1 allows visible ASCII and the space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    /// # Errors
    /// If `text` is empty, too long, or has anything but printable ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        checked(text, |c| matches!(c, ' '..='~')).map(Self)
    }

    /// The id as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn checked(text: &str, allowed: impl Fn(char) -> bool) -> Result<Arc<str>, InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > LONGEST {
        return Err(InvalidName::TooLong(text.len()));
    }
    match text.chars().find(|c| !allowed(*c)) {
        Some(character) => Err(InvalidName::Character(character)),
        None => Ok(text.into()),
    }
}

macro_rules! shown_as_written {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

shown_as_written!(ScopeName, ApiName, ClientId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_name_is_an_rfc_6749_scope_token() {
        let good = ["a", "wk-ezcfg-def-data-read", "certificate:approve", "read_user_data", "https://x/y.read", "!"];
        for text in good {
            assert_eq!(ScopeName::parse(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for (text, why) in [
            ("", InvalidName::Empty),
            ("a b", InvalidName::Character(' ')),
            ("a\"b", InvalidName::Character('"')),
            ("a\\b", InvalidName::Character('\\')),
            ("é", InvalidName::Character('é')),
            ("a\nb", InvalidName::Character('\n')),
        ] {
            assert_eq!(ScopeName::parse(text), Err(why), "{text:?}");
        }
        assert_eq!(ScopeName::parse(&"a".repeat(257)), Err(InvalidName::TooLong(257)));
    }

    #[test]
    fn an_api_is_named_by_what_a_label_can_be() {
        for (text, good) in [("default-data", true), ("a_b.C1", true), ("", false), ("a b", false), ("a/b", false)] {
            assert_eq!(ApiName::parse(text).is_ok(), good, "{text:?}");
        }
        assert_eq!(ApiName::parse("{x=\"y\"}"), Err(InvalidName::Character('{')));
    }

    #[test]
    fn a_client_id_is_printable_ascii() {
        for (text, good) in [("acme-integration", true), ("CN=a b", true), ("", false), ("a\tb", false), ("é", false)]
        {
            assert_eq!(ClientId::parse(text).is_ok(), good, "{text:?}");
        }
    }
}
