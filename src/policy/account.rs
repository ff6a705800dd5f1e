//! Accounts: whose data a request touches, and where a request says so.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;

use super::HeaderFault;
use super::percent::Decoded;

/// A tenant's name, compared byte by byte. It is never empty and has no control characters, so that
/// it can be sent as a header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(Arc<str>);

/// Where a request names the account that it touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountSource {
    /// The segment that a service's pattern captures under this name.
    Path(Box<str>),
    /// The query parameter of this name.
    Query(Box<str>),
    /// The header of this name.
    Header(HeaderName),
}

/// What a request that names no account comes to, where the scope's reach is its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccountWhenAbsent {
    /// It is refused.
    #[default]
    Deny,
    /// The caller's single account is written in.
    Inject,
}

/// The account that a request names, as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct NamedAccount<'r> {
    text: &'r str,
    encoded: bool,
}

impl Account {
    /// `None` if `text` is empty or has a control character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.chars().any(char::is_control)).then(|| Self(text.into()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<'r> NamedAccount<'r> {
    /// A text whose percent-encodings stand for bytes.
    pub(super) fn encoded(text: &'r str) -> Self {
        Self { text, encoded: text.contains('%') }
    }

    /// A text that is what it says.
    pub(super) fn plain(text: &'r str) -> Self {
        Self { text, encoded: false }
    }

    /// Whether it names `account`.
    #[must_use]
    pub fn is(&self, account: &Account) -> bool {
        if self.encoded { self.bytes().eq(account.0.bytes()) } else { self.text == &*account.0 }
    }

    /// The account's name, decoded.
    #[must_use]
    pub fn text(&self) -> Cow<'r, str> {
        if self.encoded {
            // INVARIANT: both parsers refuse encodings of bytes that are not ASCII.
            Cow::Owned(self.bytes().map(char::from).collect())
        } else {
            Cow::Borrowed(self.text)
        }
    }

    fn bytes(&self) -> impl Iterator<Item = u8> + 'r {
        if self.encoded { Decoded::of(self.text) } else { Decoded::plain(self.text) }
    }
}

/// Two are the same if they name the same account, however they are encoded.
impl PartialEq for NamedAccount<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl Eq for NamedAccount<'_> {}

/// The account that the header names; `None` if the header is not there.
pub(super) fn in_header<'r>(
    headers: &'r HeaderMap,
    name: &HeaderName,
) -> Result<Option<NamedAccount<'r>>, HeaderFault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(HeaderFault::SeveralAccountHeaders);
    }
    // A comma is how intermediaries join repeated headers (RFC 9110 section 5.3).
    match value.to_str() {
        Ok(text) if text.contains(',') => Err(HeaderFault::SeveralAccountHeaders),
        Ok(text) if text.is_empty() || text.contains('\t') => Err(HeaderFault::AccountUnreadable),
        Ok(text) => Ok(Some(NamedAccount::plain(text))),
        Err(_) => Err(HeaderFault::AccountUnreadable),
    }
}

/// The account that the query parameter names; `None` if no parameter could be read as it.
pub(super) fn in_query<'r>(query: Option<&'r str>, name: &str) -> Result<Option<NamedAccount<'r>>, HeaderFault> {
    let mut found = None;
    // Some servers split at `;` too (the HTML 4 habit), so both count as separators here.
    for parameter in query.unwrap_or_default().split(['&', ';']) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match likeness(key, name) {
            Likeness::Other => {}
            Likeness::Alike => return Err(HeaderFault::SeveralAccountParameters),
            Likeness::Same if found.is_some() => return Err(HeaderFault::SeveralAccountParameters),
            Likeness::Same => found = Some(value),
        }
    }
    let Some(value) = found else { return Ok(None) };
    // `+` is a space to some decoders and a plus to others.
    let readable =
        !value.is_empty() && !value.contains('+') && Decoded::of(value).all(|byte| matches!(byte, b' '..=b'~'));
    if readable && !encodes_percent(value) {
        Ok(Some(NamedAccount::encoded(value)))
    } else {
        Err(HeaderFault::AccountUnreadable)
    }
}

fn encodes_percent(value: &str) -> bool {
    value.as_bytes().windows(3).any(|window| window == b"%25")
}

enum Likeness {
    Same,
    /// Some servers would read it as the same: other letter case, encoded, an index in brackets.
    Alike,
    Other,
}

fn likeness(key: &str, name: &str) -> Likeness {
    if key == name {
        return Likeness::Same;
    }
    let decoded = Decoded::of(key);
    // Servers of some languages take `a[]`, `a.`, `a `, ` a` and `a_` for `a`.
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric();
    let bare = decoded.take_while(|byte| *byte != b'[').filter(is_letter).map(|byte| byte.to_ascii_lowercase());
    let wanted = name.bytes().filter(is_letter).map(|byte| byte.to_ascii_lowercase());
    if bare.eq(wanted) { Likeness::Alike } else { Likeness::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<Option<&str>, HeaderFault>) {
        let found = in_query(Some(query), "accountId").map(|found| found.map(|account| account.text().into_owned()));
        assert_eq!(found, expected.map(|account| account.map(str::to_owned)), "{query}");
    }

    #[test]
    fn a_query_parameter_names_an_account_once_and_plainly() {
        check("a=b&accountId=acme&c", Ok(Some("acme")));
        check("accountId=a%40b", Ok(Some("a@b")));
        check("a=b", Ok(None));
        check("", Ok(None));
        for twice in [
            "accountId=acme&accountId=acme",
            "accountId=acme;accountId=other",
            "accountId=acme&ACCOUNTID=other",
            "accountid=other",
            "accountId[]=other",
            "accountId%5B%5D=other",
            "account%49d=other",
            "accountId=acme&account_Id=other",
            "accountId.=x",
        ] {
            check(twice, Err(HeaderFault::SeveralAccountParameters));
        }
        for unreadable in
            ["accountId=", "accountId", "accountId=a+b", "accountId=%00", "accountId=%C3%A9", "accountId=%2561"]
        {
            check(unreadable, Err(HeaderFault::AccountUnreadable));
        }
    }

    #[test]
    fn a_header_names_an_account_once_and_plainly() {
        let name = HeaderName::from_static("x-account");
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&name, value.parse().unwrap());
            }
            in_header(&headers, &name).map(|found| found.map(|account| account.text().into_owned()))
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["acme"]), Ok(Some("acme".to_owned())));
        assert_eq!(read(&["a%40b"]), Ok(Some("a%40b".to_owned())));
        assert_eq!(read(&["acme", "acme"]), Err(HeaderFault::SeveralAccountHeaders));
        assert_eq!(read(&["acme, other"]), Err(HeaderFault::SeveralAccountHeaders));
        assert_eq!(read(&["é"]), Err(HeaderFault::AccountUnreadable));
        assert_eq!(read(&[""]), Err(HeaderFault::AccountUnreadable));
    }

    #[test]
    fn encodings_of_one_account_are_the_same_account() {
        let account = Account::parse("a@b").unwrap();
        assert!(NamedAccount::encoded("a%40b").is(&account));
        assert!(NamedAccount::plain("a@b").is(&account));
        assert!(!NamedAccount::plain("a%40b").is(&account));
        assert_eq!(NamedAccount::encoded("a%40b"), NamedAccount::plain("a@b"));
    }

    #[test]
    fn an_account_can_always_be_sent_as_a_header() {
        for (text, good) in [("acme", true), ("", false), ("a\r\nb", false), ("a\u{85}", false), ("é", true)] {
            assert_eq!(Account::parse(text).is_some(), good, "{text:?}");
        }
    }
}
