//! The list of revoked tokens: JSON lines to a set that answers at once.
//!
//! Reading the file, and adding to it, is `issuer`'s.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};
use thiserror::Error;

use crate::policy::{Caller, UnixTime};

use super::claims::numeric_date;
use super::json::{self, Json, Object};

/// What is revoked: single tokens, and all tokens of a subject or client that were issued before a
/// time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revocations {
    entries: HashMap<Named, Revoked>,
}

/// A line of the list that cannot be read. The list is whole or not at all: a line that is skipped
/// would be a token that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line}: {why}")]
pub struct InvalidRevocation {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// By which claim tokens are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum By {
    Id,
    Subject,
    Client,
}

/// Some tokens of one issuer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Named {
    by: By,
    issuer: Box<str>,
    name: Box<str>,
}

struct NamedRef<'c> {
    by: By,
    issuer: &'c str,
    name: &'c str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Revoked {
    /// Tokens issued at this time and later are not meant; `None` if all are.
    issued_before: Option<UnixTime>,
    /// When the last token that is meant has expired; `None` if that is not known.
    until: Option<UnixTime>,
}

impl Revocations {
    /// Reads a list, an entry a line, empty lines left out:
    ///
    /// ```json
    /// {"jti": "…", "iss": "…", "exp": 1700000000}
    /// {"sub": "…", "iss": "…", "issued_before": 1700000000, "exp": 1700003600}
    /// {"client_id": "…", "iss": "…", "issued_before": 1700000000}
    /// ```
    ///
    /// `exp` says from when on the entry matters no more; one without it stays.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, InvalidRevocation> {
        let mut list = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            if !text.trim().is_empty() {
                let (named, revoked) = entry(text).map_err(|why| InvalidRevocation { line, why })?;
                list.add(named, revoked);
            }
        }
        Ok(list)
    }

    /// The list without the entries that matter no more.
    #[must_use]
    pub fn without_expired(mut self, now: UnixTime) -> Self {
        self.entries.retain(|_, revoked| revoked.until.is_none_or(|until| until > now));
        self
    }

    /// Whether it revokes the caller's token. A token that does not say when it was issued may have
    /// been issued before any time.
    pub fn revokes(&self, caller: &Caller) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let names = [(By::Id, &caller.token_id), (By::Subject, &caller.subject), (By::Client, &caller.client)];
        let mut known = names.into_iter().filter_map(|(by, name)| {
            self.entries.get(&NamedRef { by, issuer: &caller.issuer, name: name.as_deref()? })
        });
        known.any(|revoked| revoked.means(caller.issued_at))
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Two entries of one name become the one that revokes what either does.
    fn add(&mut self, named: Named, revoked: Revoked) {
        let known = self.entries.entry(named).or_insert(revoked);
        known.issued_before = known.issued_before.zip(revoked.issued_before).map(|(one, other)| one.max(other));
        known.until = known.until.zip(revoked.until).map(|(one, other)| one.max(other));
    }
}

impl Revoked {
    fn means(self, issued_at: Option<UnixTime>) -> bool {
        match (self.issued_before, issued_at) {
            (None, _) | (Some(_), None) => true,
            (Some(before), Some(issued_at)) => issued_at < before,
        }
    }
}

impl Hash for NamedRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // INVARIANT: the same as the derived one of `Named`.
        self.by.hash(state);
        self.issuer.hash(state);
        self.name.hash(state);
    }
}

impl Equivalent<Named> for NamedRef<'_> {
    fn equivalent(&self, named: &Named) -> bool {
        self.by == named.by && *self.issuer == *named.issuer && *self.name == *named.name
    }
}

/// In bytes.
const LONGEST_LINE: usize = 16 * 1024;

fn entry(line: &str) -> Result<(Named, Revoked), &'static str> {
    if line.len() > LONGEST_LINE {
        return Err("it is longer than any that is accepted");
    }
    let members = json::object(line.as_bytes()).map_err(json::JsonFault::text)?;
    if !members.keys().all(|name| MEMBERS.contains(&&**name)) {
        return Err("it has a member other than `jti`, `sub`, `client_id`, `iss`, `issued_before` and `exp`");
    }
    let name = |by, name| text(&members, name).map(|text| text.map(|text| (by, text)));
    let names = [name(By::Id, "jti")?, name(By::Subject, "sub")?, name(By::Client, "client_id")?];
    let mut names = names.into_iter().flatten();
    let (Some((by, name)), None) = (names.next(), names.next()) else {
        return Err("it needs exactly one of `jti`, `sub` and `client_id`");
    };
    let issuer = text(&members, "iss")?.ok_or("it has no `iss`")?;
    let issued_before = match (by, time(&members, "issued_before")?) {
        (By::Id, None) => None,
        (By::Id, Some(_)) => return Err("`issued_before` goes with `sub` or `client_id`, not with `jti`"),
        (By::Subject | By::Client, None) => return Err("`sub` and `client_id` need `issued_before`"),
        (By::Subject | By::Client, before @ Some(_)) => before,
    };
    Ok((Named { by, issuer, name }, Revoked { issued_before, until: time(&members, "exp")? }))
}

const MEMBERS: [&str; 6] = ["jti", "sub", "client_id", "iss", "issued_before", "exp"];

fn text(members: &Object, name: &str) -> Result<Option<Box<str>>, &'static str> {
    match members.get(name) {
        None => Ok(None),
        Some(Json::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err("`jti`, `sub`, `client_id` and `iss` are strings that are not empty"),
    }
}

/// Rounded up: an entry counts for longer rather than shorter.
fn time(members: &Object, name: &str) -> Result<Option<UnixTime>, &'static str> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => {
            numeric_date(value, f64::ceil).map(Some).ok_or("`issued_before` and `exp` are seconds since 1970")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Binding;

    fn caller(id: Option<&str>, subject: &str, client: &str, issued_at: Option<u64>) -> Caller {
        Caller {
            issuer: "https://a.example".into(),
            subject: Some(subject.into()),
            client: Some(client.into()),
            accounts: [].into(),
            scopes: [].into(),
            token_id: id.map(Into::into),
            issued_at: issued_at.map(UnixTime),
            not_before: None,
            expires_at: UnixTime(10_000),
            binding: Binding::default(),
        }
    }

    const LIST: &str = r#"
        {"jti": "t-1", "iss": "https://a.example", "exp": 5000}
        {"sub": "alice", "iss": "https://a.example", "issued_before": 100, "exp": 6000}
        {"client_id": "acme", "iss": "https://a.example", "issued_before": 200}

        {"jti": "t-9", "iss": "https://b.example", "exp": 5000}
    "#;

    #[test]
    fn what_an_entry_names_is_revoked_and_nothing_else() {
        let list = Revocations::parse(LIST).unwrap();
        for (id, subject, client, issued_at, revoked) in [
            (Some("t-1"), "bob", "other", Some(9_000), true),
            (Some("t-1"), "bob", "other", None, true),
            (Some("t-2"), "bob", "other", Some(1), false),
            (None, "bob", "other", None, false),
            (Some("t-2"), "alice", "other", Some(99), true),
            (Some("t-2"), "alice", "other", Some(100), false),
            (Some("t-2"), "alice", "other", None, true),
            (Some("t-2"), "bob", "acme", Some(199), true),
            (Some("t-2"), "bob", "acme", Some(200), false),
            (Some("t-2"), "bob", "acme", None, true),
            // A name in another place, and another issuer's.
            (Some("alice"), "acme", "t-1", Some(1), false),
            (Some("t-9"), "bob", "other", Some(1), false),
        ] {
            let caller = caller(id, subject, client, issued_at);
            assert_eq!(list.revokes(&caller), revoked, "{caller:?}");
        }
    }

    #[test]
    fn an_entry_falls_out_when_its_tokens_have_expired() {
        let list = Revocations::parse(LIST).unwrap();
        let by_id = caller(Some("t-1"), "bob", "other", Some(1));
        let by_client = caller(None, "bob", "acme", Some(1));
        let at = |now| list.clone().without_expired(UnixTime(now));
        assert!(at(4_999).revokes(&by_id));
        assert!(!at(5_000).revokes(&by_id));
        assert!(at(1 << 52).revokes(&by_client), "an entry without an end stays");
        assert!(!at(1 << 52).is_empty());
        assert!(Revocations::parse(" \n\n").unwrap().is_empty());
    }

    #[test]
    fn two_entries_of_one_name_revoke_what_either_does() {
        let entry = |before: u64, exp: &str| {
            format!(r#"{{"sub":"alice","iss":"https://a.example","issued_before":{before}{exp}}}"#)
        };
        let list = |lines: &[String]| Revocations::parse(&lines.join("\n")).unwrap();
        let alice = |issued_at| caller(None, "alice", "other", Some(issued_at));
        for lines in [
            [entry(100, ",\"exp\":900"), entry(200, ",\"exp\":500")],
            [entry(200, ",\"exp\":500"), entry(100, ",\"exp\":900")],
        ] {
            let list = list(&lines).without_expired(UnixTime(600));
            assert!(list.revokes(&alice(99)));
        }
        let list = list(&[entry(100, ",\"exp\":900"), entry(50, "")]).without_expired(UnixTime(1 << 52));
        assert!(list.revokes(&alice(99)));
    }

    #[test]
    fn a_line_that_cannot_be_read_makes_the_whole_list_unreadable() {
        let good = r#"{"jti":"t","iss":"i","exp":1}"#;
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
        ] {
            let found = Revocations::parse(&format!("{good}\n\n{bad}\n{good}"));
            assert_eq!(found.map_err(|fault| fault.line), Err(3), "{bad}");
        }
        assert!(Revocations::parse(good).is_ok());
        let shown = Revocations::parse("{}").unwrap_err().to_string();
        assert_eq!(shown, "line 1: it needs exactly one of `jti`, `sub` and `client_id`");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(.|\n){0,120}") {
            let _ = Revocations::parse(&text);
        }
    }
}
