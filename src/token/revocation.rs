//! The list of revoked tokens: JSON lines to a set that answers at once.

use thiserror::Error;

use crate::policy::{Caller, UnixTime};

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revocations {}

/// A line of the list that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("line {line}: {why}")]
pub struct InvalidRevocation {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Revocations {
    /// Reads a list, an entry a line.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, InvalidRevocation> {
        if text.trim().is_empty() {
            Ok(Self {})
        } else {
            Err(InvalidRevocation { line: 1, why: "lists are not read yet" })
        }
    }

    /// The list without the entries that matter no more.
    #[must_use]
    pub fn without_expired(self, now: UnixTime) -> Self {
        let _ = now;
        self
    }

    /// Whether it revokes the caller's token.
    pub fn revokes(&self, caller: &Caller) -> bool {
        let _ = caller;
        false
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        true
    }
}
