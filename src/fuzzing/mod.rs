//! What is fuzzed: a function a target, which takes any bytes and panics if what should hold of them does not.
//!
//! Compiled for the fuzzers of `fuzz/` and for tests alone. The tests replay every seed, every input that has ever
//! broken something, and changes of them.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "an input that breaks what should hold is to be seen"
)]

mod decoders;
mod documents;
mod forms;
mod naive;
pub(crate) mod policies;
mod proofs;
mod target;
#[cfg(test)]
mod tests;
mod tokens;

use crate::policy::UnixTime;

pub use documents::{certificate, keys, revocations};
pub use forms::{form, scopes};
pub use policies::{config, patterns};
pub use proofs::proof;
pub use target::target;
pub use tokens::{claims, introspection, token};

/// When everything happens.
const NOW: UnixTime = UnixTime(1_700_000_000);

/// A question of Envoy's about one of its requests.
pub fn question(data: &[u8]) {
    crate::gateway::fuzzing::question(data);
}

/// Texts with zeros between, written into answers, challenges, ids and audit lines.
pub fn rendering(data: &[u8]) {
    crate::gateway::fuzzing::rendering(data);
}
