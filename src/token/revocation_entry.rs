//! One entry of the list of revoked tokens: read, written, and made of a token.

use serde::Serialize;
use thiserror::Error;

use crate::policy::{Caller, UnixTime};

use super::claims::numeric_date;
use super::json::{self, Json, Object};
use super::sha256::sha256;

/// Some tokens of one issuer that are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    pub(super) named: Named,
    pub(super) revoked: Revoked,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidEntry(&'static str);

/// By what tokens are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum By {
    Id,
    Subject,
    Client,
    Digest,
}

/// Which tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Named {
    pub(super) by: By,
    pub(super) issuer: Box<str>,
    pub(super) name: Box<str>,
}

/// Which of them, and for how long that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Revoked {
    /// Tokens issued at this time and later are not meant; `None` if all are.
    issued_before: Option<UnixTime>,
    /// When the last token that is meant expires; `None` if that is not known.
    expires_at: Option<UnixTime>,
}

/// A token is accepted for its issuer's leeway after its `exp`, which is five minutes at most, and an
/// entry counts as long as that: a token that was revoked must not come back for them.
const LEEWAY: u64 = 5 * 60;

/// In bytes.
const LONGEST: usize = 16 * 1024;

/// Of an id that names its token, in bytes: written on a line, it must not make that too long to be read again.
const LONGEST_ID: usize = 1024;

const MEMBERS: [(&str, By); 4] =
    [("jti", By::Id), ("sub", By::Subject), ("client_id", By::Client), ("token_sha256", By::Digest)];
const OTHERS: [&str; 3] = ["iss", "issued_before", "exp"];

impl Revocation {
    /// Reads an entry, a JSON object:
    ///
    /// ```json
    /// {"jti": "…", "iss": "…", "exp": 1700000000}
    /// {"token_sha256": "…", "iss": "…", "exp": 1700000000}
    /// {"sub": "…", "iss": "…", "issued_before": 1700000000, "exp": 1700003600}
    /// {"client_id": "…", "iss": "…", "issued_before": 1700000000}
    /// ```
    ///
    /// `exp` is that of the last token that is meant, after which the entry matters no more; one
    /// without it stays. `token_sha256` is the SHA-256, in hexadecimal digits, of the token; of a JWT,
    /// without its last dot and what is after it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(entry: &[u8]) -> Result<Self, InvalidEntry> {
        if entry.len() > LONGEST {
            return Err(InvalidEntry("it is longer than any that is accepted"));
        }
        let members = json::object(entry).map_err(|fault| InvalidEntry(fault.text()))?;
        let is_known = |name: &str| OTHERS.contains(&name) || MEMBERS.iter().any(|(known, _)| *known == name);
        if !members.keys().all(|name| is_known(name)) {
            return Err(InvalidEntry(
                "it has a member other than `jti`, `sub`, `client_id`, `token_sha256`, `iss`, `issued_before` and `exp`",
            ));
        }
        let mut names = MEMBERS.iter().filter_map(|(name, by)| Some((*by, text(&members, name).transpose()?)));
        let (Some((by, name)), None) = (names.next(), names.next()) else {
            return Err(InvalidEntry("it needs exactly one of `jti`, `sub`, `client_id` and `token_sha256`"));
        };
        let name = name?;
        if by == By::Digest && !is_digest(&name) {
            return Err(InvalidEntry("`token_sha256` is 64 hexadecimal digits in lower case"));
        }
        let issuer = text(&members, "iss")?.ok_or(InvalidEntry("it has no `iss`"))?;
        let issued_before = match (by, time(&members, "issued_before")?) {
            (By::Id | By::Digest, None) => None,
            (By::Id | By::Digest, Some(_)) => {
                return Err(InvalidEntry("`issued_before` goes with `sub` or `client_id`, not with a single token"));
            }
            (By::Subject | By::Client, None) => {
                return Err(InvalidEntry("`sub` and `client_id` need `issued_before`"));
            }
            (By::Subject | By::Client, before @ Some(_)) => before,
        };
        let revoked = Revoked { issued_before, expires_at: time(&members, "exp")? };
        Ok(Self { named: Named { by, issuer, name }, revoked })
    }

    /// The entry that revokes one token, which says what `caller` has: by its `jti` if it has one that is
    /// not too long. An opaque token that is its own `jti` is not written down.
    pub fn of(caller: &Caller, token: &str) -> Self {
        let (by, name) = match &caller.token_id {
            Some(id) if **id != *token && id.len() <= LONGEST_ID => (By::Id, id.clone()),
            Some(_) | None => (By::Digest, token_digest(token)),
        };
        let revoked = Revoked { issued_before: None, expires_at: Some(caller.expires_at) };
        Self { named: Named { by, issuer: (*caller.issuer).into(), name }, revoked }
    }

    /// Whose tokens are meant.
    pub fn issuer(&self) -> &str {
        &self.named.issuer
    }

    /// By what it names tokens, as its line does.
    pub fn kind(&self) -> &'static str {
        let Named { by, .. } = &self.named;
        MEMBERS.iter().find(|(_, known)| known == by).map_or("", |(name, _)| name)
    }

    /// The subject all of whose tokens are meant, if one is.
    pub fn subject(&self) -> Option<&str> {
        (self.named.by == By::Subject).then_some(&*self.named.name)
    }

    /// The client all of whose tokens are meant, if one is.
    pub fn client(&self) -> Option<&str> {
        (self.named.by == By::Client).then_some(&*self.named.name)
    }

    /// Where a single token is meant: the SHA-256, in hexadecimal digits, of its `jti`, which an opaque
    /// token may be, or of the token itself.
    pub fn digest(&self) -> Option<Box<str>> {
        match self.named.by {
            By::Id => Some(hexadecimal(&sha256(&[self.named.name.as_bytes()]))),
            By::Digest => Some(self.named.name.clone()),
            By::Subject | By::Client => None,
        }
    }

    /// Tokens issued at this time and later are not meant; `None` if all are.
    pub fn issued_before(&self) -> Option<UnixTime> {
        self.revoked.issued_before
    }

    /// When the last token that is meant expires; `None` if that is not known.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.revoked.expires_at
    }

    /// The entry as a line of the list has it, without the line's end.
    pub fn to_line(&self) -> String {
        let Self { named: Named { by, issuer, name }, revoked } = self;
        let named = |named: By| (*by == named).then_some(&**name);
        let line = Line {
            jti: named(By::Id),
            sub: named(By::Subject),
            client_id: named(By::Client),
            token_sha256: named(By::Digest),
            iss: issuer,
            issued_before: revoked.issued_before.map(|time| time.0),
            exp: revoked.expires_at.map(|time| time.0),
        };
        // INVARIANT: texts and numbers can always be written as JSON.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Whether it matters no more: each token that is meant has expired.
    pub fn has_expired(&self, now: UnixTime) -> bool {
        self.revoked.has_expired(now)
    }
}

impl Revoked {
    pub(super) fn means(self, issued_at: Option<UnixTime>) -> bool {
        match (self.issued_before, issued_at) {
            (None, _) | (Some(_), None) => true,
            (Some(before), Some(issued_at)) => issued_at < before,
        }
    }

    pub(super) fn has_expired(self, now: UnixTime) -> bool {
        self.expires_at.is_some_and(|time| time.0.saturating_add(LEEWAY) <= now.0)
    }

    /// What revokes what either does.
    pub(super) fn or(self, other: Self) -> Self {
        let later = |one: Option<UnixTime>, other: Option<UnixTime>| one.zip(other).map(|(one, other)| one.max(other));
        Self {
            issued_before: later(self.issued_before, other.issued_before),
            expires_at: later(self.expires_at, other.expires_at),
        }
    }
}

/// Whether the end of a list is an entry that broke off while it was written: it has no line's end,
/// and more of it would make it JSON. Nobody was ever told that such an entry counts.
pub fn is_torn(end: &str) -> bool {
    let read = serde_json::from_str::<serde::de::IgnoredAny>(end);
    end.starts_with('{') && read.is_err_and(|error| error.is_eof())
}

/// The SHA-256 of a token in hexadecimal digits. A JWT counts without its signature, since from one
/// signature by an elliptic curve another that is as good can be computed.
pub(super) fn token_digest(token: &str) -> Box<str> {
    let signed = match token.rsplit_once('.') {
        Some((signed, _)) if signed.split('.').count() == 2 => signed,
        Some(_) | None => token,
    };
    hexadecimal(&sha256(&[signed.as_bytes()]))
}

fn hexadecimal(bytes: &[u8]) -> Box<str> {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect::<String>().into()
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_sha256: Option<&'a str>,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
}

fn text(members: &Object, name: &str) -> Result<Option<Box<str>>, InvalidEntry> {
    match members.get(name) {
        None => Ok(None),
        Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => {
            Err(InvalidEntry("`jti`, `sub`, `client_id`, `token_sha256` and `iss` are strings that are not empty"))
        }
    }
}

/// Rounded up: an entry counts for longer rather than shorter.
fn time(members: &Object, name: &str) -> Result<Option<UnixTime>, InvalidEntry> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => numeric_date(value, f64::ceil)
            .map(Some)
            .ok_or(InvalidEntry("`issued_before` and `exp` are seconds since 1970")),
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn caller(id: Option<&str>) -> Caller {
        Caller {
            subject: Some("alice".into()),
            token_id: id.map(Into::into),
            expires_at: UnixTime(5_000),
            ..Caller::supposed("https://a.example")
        }
    }

    #[test]
    fn what_an_entry_cannot_be_is_refused() {
        for bad in [
            "x",
            "[]",
            "{}",
            r#"{"jti":"t"}"#,
            r#"{"iss":"i","exp":1}"#,
            r#"{"jti":"t","sub":"s","iss":"i","issued_before":1}"#,
            r#"{"sub":"s","client_id":"c","iss":"i","issued_before":1}"#,
            r#"{"sub":"s","iss":"i"}"#,
            r#"{"jti":"t","iss":"i","issued_before":1}"#,
            r#"{"jti":"t","iss":"i","jti":"t"}"#,
            r#"{"jti":"t","iss":"i","reason":"lost"}"#,
            r#"{"jti":1,"iss":"i"}"#,
            r#"{"jti":null,"iss":"i"}"#,
            r#"{"jti":"","iss":"i"}"#,
            r#"{"jti":"t","iss":["i"]}"#,
            r#"{"jti":"t","iss":"i","exp":"1"}"#,
            r#"{"jti":"t","iss":"i","exp":null}"#,
            r#"{"jti":"t","iss":"i","exp":-1}"#,
            r#"{"jti":"t","iss":"i","exp":1e400}"#,
            r#"{"jti":"t","iss":"i","exp":1} {"jti":"u","iss":"i","exp":1}"#,
            r#"{"jti":"t","iss":"i","#,
            r#"{"token_sha256":"abc","iss":"i"}"#,
            r#"{"token_sha256":"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855","iss":"i"}"#,
            r#"{"token_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","iss":"i","issued_before":1}"#,
        ] {
            assert!(Revocation::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for line in [
            r#"{"jti":"t-1 \"\\\n\u00e9","iss":"https://a.example","exp":5000}"#,
            r#"{"sub":"alice","iss":"i","issued_before":100,"exp":6000}"#,
            r#"{"client_id":"acme","iss":"i","issued_before":200}"#,
            r#"{"token_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","iss":"i"}"#,
        ] {
            let entry = Revocation::parse(line.as_bytes()).unwrap();
            let written = entry.to_line();
            assert!(!written.contains('\n'), "{written}");
            assert_eq!(Revocation::parse(written.as_bytes()).unwrap(), entry);
        }
    }

    #[test]
    fn a_token_is_named_by_its_id_or_else_by_its_digest() {
        let line = Revocation::of(&caller(Some("t-1")), "a.b.c").to_line();
        assert_eq!(line, r#"{"jti":"t-1","iss":"https://a.example","exp":5000}"#);
        assert_eq!(Revocation::of(&caller(Some("opaque")), "opaque"), Revocation::of(&caller(None), "opaque"));
        let entry = Revocation::of(&caller(None), "opaque");
        assert_eq!(entry.named.by, By::Digest);
        // As `printf opaque | sha256sum` has it.
        assert_eq!(&*entry.named.name, "6d229884c1268bb0ab32d8da315d0fe52f9147228bd830a37bc9fb28a954940d");
        assert_eq!(entry.issuer(), "https://a.example");
    }

    #[test]
    fn an_entry_made_of_a_token_can_always_be_read_again() {
        for id in ["\"".repeat(LONGEST_ID), "\u{fe}".repeat(LONGEST_ID), "x".repeat(LONGEST_ID + 1), "x".repeat(20_000)]
        {
            let made = Revocation::of(&caller(Some(&id)), "a.b.c");
            assert_eq!(Revocation::parse(made.to_line().as_bytes()).as_ref(), Ok(&made), "{}", id.len());
            let expected = if id.len() <= LONGEST_ID { "jti" } else { "token_sha256" };
            assert_eq!(made.kind(), expected, "{}", id.len());
        }
    }

    #[test]
    fn what_is_told_of_an_entry_is_no_token() {
        let opaque = "6d229884c1268bb0ab32d8da315d0fe52f9147228bd830a37bc9fb28a954940d";
        for (line, told) in [
            (r#"{"jti":"opaque","iss":"i"}"#.to_owned(), ("jti", None, None, Some(opaque))),
            (format!(r#"{{"token_sha256":"{opaque}","iss":"i"}}"#), ("token_sha256", None, None, Some(opaque))),
            (r#"{"sub":"a","iss":"i","issued_before":1}"#.to_owned(), ("sub", Some("a"), None, None)),
            (r#"{"client_id":"a","iss":"i","issued_before":1}"#.to_owned(), ("client_id", None, Some("a"), None)),
        ] {
            let entry = Revocation::parse(line.as_bytes()).unwrap();
            let digest = entry.digest();
            assert_eq!((entry.kind(), entry.subject(), entry.client(), digest.as_deref()), told, "{line}");
        }
    }

    #[test]
    fn another_signature_of_the_same_claims_is_the_same_token() {
        assert_eq!(token_digest("head.claims.signature"), token_digest("head.claims.another"));
        assert_eq!(token_digest("head.claims.signature"), token_digest("head.claims"));
        for other in ["head.claim.signature", "headclaims", "head.claims.a.b.c"] {
            assert_ne!(token_digest("head.claims.signature"), token_digest(other), "{other}");
        }
    }

    #[test]
    fn only_an_entry_that_broke_off_is_torn() {
        for torn in ["{", r#"{"jti""#, r#"{"jti":"t","iss":"i","exp":1"#, r#"{"jti":"t","iss":"i"#] {
            assert!(is_torn(torn), "{torn}");
        }
        for other in ["", "x", "[", r#"{"jti":"t","iss":"i"}"#, r#"{"jti"x"#, "{x"] {
            assert!(!is_torn(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(.|\n){0,120}") {
            let _ = (Revocation::parse(text.as_bytes()), is_torn(&text), token_digest(&text));
        }
    }
}
