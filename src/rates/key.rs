//! What a bucket is found by: a digest of the limit, and of what the requests have in common.
//!
//! It is the same in every process that has the same limit, and shows nothing of what it is made of.

use aws_lc_rs::digest::{self, Context, SHA256};

/// The digest: nobody finds two requests that have one and should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) [u64; 2]);

/// A limit, digested once for all of its keys.
#[derive(Clone)]
pub struct Seed(Context);

/// Something that requests have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPart<'r> {
    /// A client, by its id.
    Client(&'r [u8]),
    /// A subject of an issuer's; the issuer alone where there is none.
    Subject(&'r [u8], Option<&'r [u8]>),
    /// An account.
    Account(&'r [u8]),
    /// A scope, by its name.
    Scope(&'r [u8]),
    /// A service, as the file writes it.
    Service(&'r [u8]),
    /// An address.
    Address(&'r [u8]),
    /// Nothing of that kind.
    Nothing,
}

impl Seed {
    /// Of a limit, by all that makes it the one that it is.
    #[must_use]
    pub fn new(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            feed(&mut context, part);
        }
        Self(context)
    }

    /// The key of requests that have this in common.
    pub fn key<'r>(&self, parts: impl Iterator<Item = KeyPart<'r>>) -> Key {
        let mut context = self.0.clone();
        for part in parts {
            part.feed(&mut context);
        }
        let digest: digest::Digest = context.finish();
        let word = |from: usize| {
            let bytes = digest.as_ref().get(from..from + 8).and_then(|bytes| bytes.try_into().ok());
            // INVARIANT: it has 32 bytes.
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        Key([word(0), word(8)])
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed").finish_non_exhaustive()
    }
}

impl KeyPart<'_> {
    fn feed(self, context: &mut Context) {
        let (kind, texts) = match self {
            Self::Nothing => (0, [None, None]),
            Self::Client(id) => (1, [Some(id), None]),
            Self::Subject(issuer, subject) => (2, [Some(issuer), subject]),
            Self::Account(account) => (3, [Some(account), None]),
            Self::Scope(name) => (4, [Some(name), None]),
            Self::Service(service) => (5, [Some(service), None]),
            Self::Address(address) => (6, [Some(address), None]),
        };
        let count = u8::try_from(texts.iter().flatten().count()).unwrap_or(u8::MAX);
        context.update(&[kind, count]);
        for text in texts.into_iter().flatten() {
            feed(context, text);
        }
    }
}

/// With its length before it, so that no two lists of texts are fed alike.
fn feed(context: &mut Context, text: &[u8]) {
    context.update(&(text.len() as u64).to_be_bytes());
    context.update(text);
}

impl Key {
    /// Its 16 bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        let [first, second] = self.0;
        (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_same_in_common_has_the_same_key() {
        let seeds = [Seed::new(&[b"a", b"b"]), Seed::new(&[b"ab", b""]), Seed::new(&[b"a"])];
        let parts: [&[KeyPart<'_>]; 9] = [
            &[],
            &[KeyPart::Nothing],
            &[KeyPart::Client(b"x")],
            &[KeyPart::Account(b"x")],
            &[KeyPart::Client(b"x"), KeyPart::Account(b"y")],
            &[KeyPart::Client(b"xy"), KeyPart::Account(b"")],
            &[KeyPart::Subject(b"x", None)],
            &[KeyPart::Subject(b"x", Some(b""))],
            &[KeyPart::Subject(b"", Some(b"x"))],
        ];
        let keys = || seeds.iter().flat_map(|seed| parts.iter().map(|parts| seed.key(parts.iter().copied())));
        let distinct: hashbrown::HashSet<_> = keys().collect();
        assert_eq!(distinct.len(), seeds.len() * parts.len());
        assert!(keys().all(|key| distinct.contains(&key)));
    }
}
