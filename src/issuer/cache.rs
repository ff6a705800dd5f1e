//! The cache of verified tokens: by the whole token, bounded in bytes, good ones only.
//!
//! It answers what was found of a token once; whether that still stands is asked on every hit by
//! `authenticate`. Decisions are never kept. Tokens that are no good are never put in, so that
//! whoever sends those neither grows it nor drives good ones out.

use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Weighter};

use super::authenticated::Authenticated;

/// What was found of tokens. Keys are compared whole; their hash has a seed of its own each start.
pub(super) struct TokenCache(Tokens);

/// The right to put in a token that is not in: who else asks for it waits until this is used or
/// dropped.
pub(super) struct Turn<'c>(PlaceholderGuard<'c, String, Arc<Authenticated>, Bytes, DefaultHashBuilder, Unwatched>);

type Tokens = Cache<String, Arc<Authenticated>, Bytes, DefaultHashBuilder, Unwatched>;

/// Nobody asks what was driven out.
type Unwatched = DefaultLifecycle<String, Arc<Authenticated>>;

/// Weighs an entry by what it takes of memory.
#[derive(Clone)]
struct Bytes;

/// What an entry takes in the cache's own tables.
const OVERHEAD: usize = 128;

/// What a usual entry takes, from which the cache guesses how many there will be.
const USUAL: usize = 2048;

impl TokenCache {
    /// That takes about so many bytes at most.
    pub(super) fn new(bytes: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        Self(Cache::with(bytes / USUAL, bytes as u64, Bytes, hasher, DefaultLifecycle::default()))
    }

    /// What was found of a token. It takes the lock of one shard, shared, and allocates nothing.
    pub(super) fn find(&self, token: &str) -> Option<Arc<Authenticated>> {
        self.0.get(token)
    }

    /// What was found of a token, or the turn to find it, when nobody else has it.
    pub(super) async fn find_or_turn(&self, token: &str) -> Result<Arc<Authenticated>, Turn<'_>> {
        self.0.get_value_or_guard_async(token).await.map_err(Turn)
    }

    /// Puts in what was found of a token, in the place of what is there.
    pub(super) fn put(&self, token: &str, found: Arc<Authenticated>) {
        self.0.insert(token.to_owned(), found);
    }

    /// Drops what was found of a token, unless something else was found since.
    pub(super) fn forget(&self, token: &str, found: &Arc<Authenticated>) {
        self.0.remove_if(token, |held| Arc::ptr_eq(held, found));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}

impl Turn<'_> {
    /// Puts in what was found, and lets the others go on with it.
    pub(super) fn put(self, found: Arc<Authenticated>) {
        // Somebody else may have put in the same meanwhile, which is as good.
        let _ = self.0.insert(found);
    }
}

impl Weighter<String, Arc<Authenticated>> for Bytes {
    fn weight(&self, token: &String, found: &Arc<Authenticated>) -> u64 {
        (OVERHEAD + token.len() + found.size()) as u64
    }
}
