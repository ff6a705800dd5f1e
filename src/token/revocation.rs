//! The list of revoked tokens: JSON lines to a set that answers at once.
//!
//! What a line says is `revocation_entry`'s; reading the file, and adding to it, is `issuer`'s.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use thiserror::Error;

use crate::policy::{Caller, UnixTime};

use super::revocation_entry::{By, InvalidEntry, Named, Revocation, Revoked, token_digest};

/// What is revoked: single tokens, and all tokens of a subject or client that were issued before a
/// time.
///
/// A copy shares what it is a copy of, and to add to it copies little: layers that are shared stay as they are, and a
/// newer one has what is added. Each is less than half as long as the one under it, so that there are few, and an
/// entry is copied a few times however long the list gets.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    /// The newest last. What it says of a name is all that is said of it.
    layers: Vec<Arc<Layer>>,
    len: usize,
    /// How many of them name a token by its digest, which is computed only if there are any.
    digests: usize,
}

type Layer = HashMap<Named, Revoked>;

/// A line of the list that cannot be read. The list is whole or not at all: a line that is skipped
/// would be a token that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line}: {why}")]
pub struct InvalidRevocation {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: InvalidEntry,
}

struct NamedRef<'c> {
    by: By,
    issuer: &'c str,
    name: &'c str,
}

impl Revocations {
    /// Reads a list, an entry a line (see [`Revocation::parse`]), empty lines left out.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, InvalidRevocation> {
        let mut list = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            if !text.trim().is_empty() {
                list.add(Revocation::parse(text.as_bytes()).map_err(|why| InvalidRevocation { line, why })?);
            }
        }
        Ok(list)
    }

    /// The list without the entries that matter no more.
    #[must_use]
    pub fn without_expired(self, now: UnixTime) -> Self {
        if !self.said().any(|(_, revoked)| revoked.has_expired(now)) {
            return self;
        }
        let kept = self.said().filter(|(_, revoked)| !revoked.has_expired(now));
        let layer: Layer = kept.map(|(named, revoked)| (named.clone(), *revoked)).collect();
        let digests = layer.keys().filter(|named| named.by == By::Digest).count();
        Self { len: layer.len(), digests, layers: vec![Arc::new(layer)] }
    }

    /// Whether it revokes a token, which says what `caller` has. A token that does not say when it
    /// was issued may have been issued before any time.
    pub fn revokes(&self, caller: &Caller, token: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let means = |by, name: &str| {
            let known = self.find(&NamedRef { by, issuer: &caller.issuer, name });
            known.is_some_and(|revoked| revoked.means(caller.issued_at))
        };
        let names = [(By::Id, &caller.token_id), (By::Subject, &caller.subject), (By::Client, &caller.client)];
        names.into_iter().any(|(by, name)| name.as_deref().is_some_and(|name| means(by, name)))
            || (self.digests > 0 && means(By::Digest, &token_digest(token)))
    }

    /// Its entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = Revocation> {
        self.said().map(|(named, revoked)| Revocation { named: named.clone(), revoked: *revoked })
    }

    /// Its entries that matter still and that the other list does not have.
    pub fn beyond<'l>(&'l self, other: &'l Self, now: UnixTime) -> impl Iterator<Item = Revocation> + 'l {
        let is_beyond = move |(named, revoked): &(&Named, &Revoked)| {
            !revoked.has_expired(now) && !other.has_all_of(named, **revoked)
        };
        let beyond = self.said().filter(is_beyond);
        beyond.map(|(named, revoked)| Revocation { named: named.clone(), revoked: *revoked })
    }

    /// Whether it revokes all that the entry does.
    pub fn has(&self, entry: &Revocation) -> bool {
        self.has_all_of(&entry.named, entry.revoked)
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry. Two of one name become the one that revokes what either does.
    pub fn add(&mut self, entry: Revocation) {
        let Revocation { named, revoked } = entry;
        let known = self.find(&named);
        let both = known.map_or(revoked, |known| known.or(revoked));
        if known == Some(both) {
            return;
        }
        if known.is_none() {
            self.len += 1;
            self.digests += usize::from(named.by == By::Digest);
        }
        if self.layers.last_mut().is_none_or(|layer| Arc::get_mut(layer).is_none()) {
            self.merge();
            self.layers.push(Arc::default());
        }
        if let Some(newest) = self.layers.last_mut() {
            // It is nobody else's, and so not copied.
            Arc::make_mut(newest).insert(named, both);
        }
    }

    fn find(&self, name: &(impl Equivalent<Named> + Hash)) -> Option<Revoked> {
        self.layers.iter().rev().find_map(|layer| layer.get(name)).copied()
    }

    fn has_all_of(&self, named: &Named, revoked: Revoked) -> bool {
        self.find(named).is_some_and(|known| known.or(revoked) == known)
    }

    /// What is said of each name.
    fn said(&self) -> impl Iterator<Item = (&Named, &Revoked)> {
        self.layers.iter().zip(1..).flat_map(|(layer, next)| {
            let newer = self.layers.get(next..).unwrap_or_default();
            layer.iter().filter(move |(named, _)| !newer.iter().any(|layer| layer.contains_key(*named)))
        })
    }

    /// Makes one of the newest layers, until each is less than half as long as the one under it.
    fn merge(&mut self) {
        while let [.., older, newer] = &*self.layers
            && newer.len() * 2 >= older.len()
        {
            let mut both = Layer::clone(older);
            both.extend(newer.iter().map(|(named, revoked)| (named.clone(), *revoked)));
            self.layers.truncate(self.layers.len() - 2);
            self.layers.push(Arc::new(both));
        }
    }
}

/// Whether they revoke the same.
impl PartialEq for Revocations {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.said().all(|(named, revoked)| other.find(named) == Some(*revoked))
    }
}

impl Eq for Revocations {}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_has_what_its_entries_say_and_less() {
        let list = Revocations::parse(LIST).unwrap();
        assert_eq!((list.len(), list.entries().count()), (4, 4));
        assert!(list.entries().all(|entry| list.has(&entry)));
        for (entry, expected) in [
            (r#"{"sub":"alice","iss":"https://a.example","issued_before":50,"exp":6000}"#, true),
            (r#"{"sub":"alice","iss":"https://a.example","issued_before":101,"exp":6000}"#, false),
            (r#"{"jti":"t-1","iss":"https://a.example","exp":5001}"#, false),
            (r#"{"jti":"t-2","iss":"https://a.example","exp":5000}"#, false),
        ] {
            assert_eq!(list.has(&Revocation::parse(entry.as_bytes()).unwrap()), expected, "{entry}");
        }
    }

    fn caller(id: Option<&str>, subject: &str, client: &str, issued_at: Option<u64>) -> Caller {
        Caller {
            subject: Some(subject.into()),
            client: Some(client.into()),
            token_id: id.map(Into::into),
            issued_at: issued_at.map(UnixTime),
            expires_at: UnixTime(10_000),
            ..Caller::supposed("https://a.example")
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
            assert_eq!(list.revokes(&caller, "token"), revoked, "{caller:?}");
        }
    }

    #[test]
    fn an_entry_falls_out_when_its_tokens_have_expired() {
        let list = Revocations::parse(LIST).unwrap();
        let by_id = caller(Some("t-1"), "bob", "other", Some(1));
        let by_client = caller(None, "bob", "acme", Some(1));
        let at = |now| list.clone().without_expired(UnixTime(now));
        // Five minutes after their expiry some issuer may still have accepted them.
        assert!(at(5_299).revokes(&by_id, "token"));
        assert!(!at(5_300).revokes(&by_id, "token"));
        assert!(at(1 << 52).revokes(&by_client, "token"), "an entry without an end stays");
        assert!(!at(1 << 52).is_empty());
        assert!(Revocations::parse(" \n\n").unwrap().is_empty());
    }

    #[test]
    fn a_token_without_an_id_is_named_by_its_digest() {
        let digest = token_digest("opaque");
        let line = format!(r#"{{"token_sha256":"{digest}","iss":"https://a.example","exp":5000}}"#);
        let mut list = Revocations::parse(&line).unwrap();
        let anybody = caller(None, "alice", "acme", None);
        assert!(list.revokes(&anybody, "opaque"));
        assert!(!list.revokes(&anybody, "other"));
        assert!(!list.revokes(&Caller { issuer: "https://b.example".into(), ..anybody.clone() }, "opaque"));
        list.add(Revocation::of(&anybody, "other"));
        assert!(list.revokes(&anybody, "other"));
        // The count of digests, by which they are computed at all, follows the list.
        list = list.without_expired(UnixTime(6_000));
        assert!(!list.revokes(&anybody, "opaque") && list.revokes(&anybody, "other"));
        list = list.without_expired(UnixTime(1 << 52));
        assert!(list.is_empty() && list.digests == 0);
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
            let list = list(&lines).without_expired(UnixTime(1_000));
            assert!(list.revokes(&alice(99), "token"));
        }
        let list = list(&[entry(100, ",\"exp\":900"), entry(50, "")]).without_expired(UnixTime(1 << 52));
        assert!(list.revokes(&alice(99), "token"));
    }

    #[test]
    fn a_line_that_cannot_be_read_makes_the_whole_list_unreadable() {
        let good = r#"{"jti":"t","iss":"i","exp":1}"#;
        for bad in ["x", "{}", r#"{"jti":"t","iss":"i","#] {
            let found = Revocations::parse(&format!("{good}\n\n{bad}\n{good}"));
            assert_eq!(found.map_err(|fault| fault.line), Err(3), "{bad}");
        }
        assert!(Revocations::parse(good).is_ok());
        let shown = Revocations::parse("{}").unwrap_err().to_string();
        assert_eq!(shown, "line 1: it needs exactly one of `jti`, `sub`, `client_id` and `token_sha256`");
    }

    fn named(id: u64, before: u64) -> Revocation {
        let line = match id % 3 {
            0 => format!(r#"{{"jti":"t-{id}","iss":"https://a.example","exp":{}}}"#, before * 100),
            1 => format!(r#"{{"token_sha256":"{:064x}","iss":"https://a.example","exp":{}}}"#, id, before * 100),
            _ => format!(r#"{{"sub":"s-{id}","iss":"https://a.example","issued_before":{before}}}"#),
        };
        Revocation::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn to_add_to_a_long_list_that_others_have_too_copies_little_of_it() {
        let mut list = Revocations::default();
        (0..10_000).for_each(|id| list.add(named(id, 5)));
        assert_eq!(list.layers.len(), 1);
        let (mut copied, mut before) = (0, list.clone());
        for id in 10_000..20_000 {
            list.add(named(id, 5));
            let is_new = |layer: &&Arc<Layer>| !before.layers.iter().any(|old| Arc::ptr_eq(old, layer));
            copied += list.layers.iter().filter(is_new).map(|layer| layer.len()).sum::<usize>();
            before = list.clone();
        }
        assert_eq!(list.len(), 20_000);
        // One by one, each onto a list that somebody has: each entry is copied as often as the list can be halved.
        assert!(copied < 20_000 * 15, "{copied}");
        assert!(list.layers.len() < 15, "{}", list.layers.len());
        assert!((0..20_000).all(|id| list.has(&named(id, 5))));
    }

    proptest! {
        #[test]
        fn a_list_in_layers_says_what_one_layer_does(
            steps in proptest::collection::vec((0_u64..40, 1_u64..20, any::<bool>(), 0_u64..3_000), 0..120)
        ) {
            let (mut list, mut plain, mut held) = (Revocations::default(), Layer::new(), Vec::new());
            for (id, before, is_held, now) in steps {
                let entry = named(id, before);
                let known = plain.entry(entry.named.clone()).or_insert(entry.revoked);
                *known = known.or(entry.revoked);
                list.add(entry);
                if is_held {
                    held.push((list.clone(), plain.clone()));
                }
                if now % 10 == 0 {
                    list = list.without_expired(UnixTime(now));
                    plain.retain(|_, revoked| !revoked.has_expired(UnixTime(now)));
                }
                held.truncate(4);
            }
            held.push((list, plain));
            for (list, plain) in held {
                let said: Layer = list.said().map(|(named, revoked)| (named.clone(), *revoked)).collect();
                prop_assert_eq!(&said, &plain);
                prop_assert_eq!((list.len(), list.entries().count()), (plain.len(), plain.len()));
                prop_assert_eq!(list.digests, plain.keys().filter(|named| named.by == By::Digest).count());
                prop_assert!(list == list.clone() && list.beyond(&list, UnixTime(0)).next().is_none());
            }
        }

        #[test]
        fn any_text_is_answered(text in "(.|\n){0,120}") {
            let _ = Revocations::parse(&text);
        }
    }
}
