//! What has passed of each rate limit: one bucket for each key, in memory that is bounded.
//!
//! - `key` is what a bucket is found by, `table` where buckets are, `slot` one of them.
//!
//! What a bucket gives is [`Pace`](crate::policy::Pace)'s, which limits there are `policy`'s, what a request is counted
//! by `gateway`'s.

mod key;
mod slot;
mod table;

pub use key::{Key, KeyPart, Seed};
pub use table::{Counts, Table};
