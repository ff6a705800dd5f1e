//! Tokens that were genuine and had expired when they were last verified: who goes on sending one gets
//! the same refusal without another look at its signature.
//!
//! Only whoever has the issuer's key can make one get in, and they are kept apart from good tokens, so
//! that nothing is driven out by them.

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Weighter};

use crate::policy::UnixTime;

/// Of tokens by their whole text.
pub(super) struct Expired(Cache<String, Found, Bytes>);

/// What a refusal rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The state of the issuer, by its number.
    pub(super) issuer: u64,
    /// The version of the key set that has its key.
    pub(super) keys: u64,
    /// When it had expired already: later than that, it has too.
    pub(super) at: UnixTime,
}

/// Weighs an entry by what it takes of memory.
#[derive(Clone)]
struct Bytes;

/// How many bytes they may take.
const MOST: usize = 4 * 1024 * 1024;

/// What an entry takes beside its token, and what a usual one takes in all.
const OVERHEAD: usize = 128;
const USUAL: usize = 1024;

impl Expired {
    pub(super) fn new() -> Self {
        let hasher = DefaultHashBuilder::default();
        Self(Cache::with(MOST / USUAL, MOST as u64, Bytes, hasher, DefaultLifecycle::default()))
    }

    /// What was found of a token.
    pub(super) fn find(&self, token: &str) -> Option<Found> {
        self.0.get(token)
    }

    /// Remembers a token, in the place of what is there.
    pub(super) fn put(&self, token: &str, found: Found) {
        self.0.insert(token.to_owned(), found);
    }
}

impl Weighter<String, Found> for Bytes {
    fn weight(&self, token: &String, _found: &Found) -> u64 {
        (OVERHEAD + token.len()) as u64
    }
}
