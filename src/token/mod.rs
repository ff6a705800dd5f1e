//! Tokens: bytes, keys and a time become a [`Caller`](crate::policy::Caller), or why not.
//!
//! Pure: keys are given, `now` is given, nothing is remembered. Fetching keys, asking for
//! introspection and remembering verdicts is `issuer`'s; what a caller may do is `policy`'s.

mod rules;

pub use rules::{ClaimPath, ClaimPaths, DpopRules, IssuerRules, ScopeSyntax, TokenType};
