//! Accounts: whose data a request touches, and where a request says so.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;

use super::HeaderFault;
use super::percent::Decoded;

/// A tenant's name, compared byte by byte. It is never empty and has no control characters nor
/// spaces around it, so that an upstream reads the same name from a header.
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

/// Servers read no more than a thousand parameters by default, and ignore the rest; the last of them
/// may be an account that is written in.
const MOST_PARAMETERS: usize = 999;

impl Account {
    /// `None` if `text` is empty, has a control character, or spaces around it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)).then(|| Self(text.into()))
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
    for (place, parameter) in query.unwrap_or_default().split('&').enumerate() {
        if place == MOST_PARAMETERS {
            return Err(HeaderFault::TooManyParameters);
        }
        let (key, value) = key_and_value(parameter);
        // To some servers a `;` ends a parameter (the HTML 4 habit), and to others it is text.
        let is_plain = !parameter.contains(';');
        if key == name && is_plain && found.is_none() {
            found = Some(value);
        } else if parameter.split(';').any(|part| is_alike(key_and_value(part).0, name)) {
            return Err(HeaderFault::SeveralAccountParameters);
        }
    }
    match found {
        None => Ok(None),
        Some(value) if is_readable(value) => Ok(Some(NamedAccount::encoded(value))),
        Some(_) => Err(HeaderFault::AccountUnreadable),
    }
}

fn key_and_value(parameter: &str) -> (&str, &str) {
    parameter.split_once('=').unwrap_or((parameter, ""))
}

/// Whether every server reads the same in it: `+` is a space to some and a plus to others.
fn is_readable(value: &str) -> bool {
    !value.is_empty()
        && !value.contains('+')
        && !value.contains("%25")
        && Decoded::of(value).all(|byte| matches!(byte, b' '..=b'~'))
}

/// Whether some server would read `key` as `name`, or as a parameter of an object or list that it
/// binds like one: `ACCOUNT_ID`, `account.id`, `account[id`, `[accountId]`, `accountId[]`,
/// `query.accountId` for `accountId`. Only letters and digits are compared, from where a part of
/// the key begins to where one ends.
fn is_alike(key: &str, name: &str) -> bool {
    let mut rest = Decoded::of(key);
    let mut begins = true;
    loop {
        let here = rest.clone();
        match rest.next() {
            None => return false,
            Some(byte) if is_boundary(byte) => begins = true,
            Some(byte) if byte.is_ascii_alphanumeric() => {
                if begins && begins_with(here, name) {
                    return true;
                }
                begins = false;
            }
            Some(_) => {}
        }
    }
}

/// Whether the letters and digits of `name` come first, and no more of them in the same part.
fn begins_with(mut key: impl Iterator<Item = u8>, name: &str) -> bool {
    let mut letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    letters.all(|letter| key.find(u8::is_ascii_alphanumeric).is_some_and(|own| own.eq_ignore_ascii_case(&letter)))
        && !key.take_while(|byte| !is_boundary(*byte)).any(|byte| byte.is_ascii_alphanumeric())
}

/// Where frameworks take a key apart; to what is written in C a zero byte ends it.
fn is_boundary(byte: u8) -> bool {
    matches!(byte, b'.' | b'[' | b']' | b'(' | b')' | 0)
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
        check("filter=a;b&accountId=acme&sort=a[b].c", Ok(Some("acme")));
        for other in ["accountIdx=a", "xaccountId=a", "account=a&id=b", "account_Id_x=a", "a=accountId"] {
            check(other, Ok(None));
        }
        for unreadable in
            ["accountId=", "accountId", "accountId=a+b", "accountId=%00", "accountId=%C3%A9", "accountId=%2561"]
        {
            check(unreadable, Err(HeaderFault::AccountUnreadable));
        }
    }

    #[test]
    fn what_some_server_reads_as_the_account_parameter_is_that_parameter_twice() {
        for twice in [
            "accountId=acme&accountId=acme",
            "accountId=acme&a&accountId",
            "accountId=acme&ACCOUNTID=other",
            "accountid=other",
            "accountId[]=other",
            "accountId%5B%5D=other",
            "account%49d=other",
            "accountId=acme&account_Id=other",
            "accountId.=x",
            // A key in brackets, with brackets left out, or of a bound object.
            "accountId=acme&[accountId]=other",
            "accountId=acme&%5BaccountId%5D=other",
            "accountId=acme&]accountId=other",
            "accountId=acme&account[Id=other",
            "accountId=acme&accountId]=other",
            "accountId=acme&query.accountId=other",
            "accountId=acme&query[accountId]=other",
            "accountId=acme&accountId.name=other",
            "accountId=acme&a.b['accountId']=other",
            "accountId=acme&accountId%00x=other",
            "accountId=acme&account.Id%00x=other",
            "accountId=acme&%00accountId=other",
            "accountId=acme&+accountId+=other",
            "accountId=acme&?accountId=other",
            "accountId=acme&_account-Id=other",
        ] {
            check(twice, Err(HeaderFault::SeveralAccountParameters));
        }
    }

    #[test]
    fn a_semicolon_neither_makes_nor_ends_an_account_parameter() {
        for query in [
            "a=b;accountId=acme",
            "accountId=acme;a=b",
            "accountId=acme;",
            "accountId=acme;accountId=other",
            ";accountId=acme",
            "a;accountId=acme;b",
        ] {
            check(query, Err(HeaderFault::SeveralAccountParameters));
        }
    }

    #[test]
    fn an_account_parameter_is_among_those_that_every_server_reads() {
        let after = |others: usize| format!("{}accountId=acme", "a&".repeat(others));
        check(&after(998), Ok(Some("acme")));
        check(&after(999), Err(HeaderFault::TooManyParameters));
        check(&"a&".repeat(998), Ok(None));
        check(&"a&".repeat(999), Err(HeaderFault::TooManyParameters));
    }

    #[test]
    fn a_hostile_query_is_read_in_linear_time() {
        for unit in ["a.", "accountI.", "[", ".", "a;", "%2E", "accountId_", "_"] {
            let started = std::time::Instant::now();
            let _ = in_query(Some(&unit.repeat(100_000)), "accountId");
            assert!(started.elapsed() < std::time::Duration::from_secs(10), "{unit}");
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
        for (text, good) in [
            ("acme", true),
            ("", false),
            ("a\r\nb", false),
            ("a\u{85}", false),
            (" acme", false),
            ("acme ", false),
            ("é", true),
        ] {
            assert_eq!(Account::parse(text).is_some(), good, "{text:?}");
        }
    }
}
