//! What operators ask of a policy before it is in force: what it grants, why it decides as it does.
//!
//! It takes apart what `policy` and `token` decide, and decides nothing itself. Pure: files are
//! read and results printed by `cli`.

mod scope_map;

pub use scope_map::{Access, ApiMap, Endpoint, ScopeMap};
