//! The real binary over real sockets: a gateway process, an upstream that records, an issuer that signs, clients.
//!
//! Every test binary has it, and so it knows none of the gateway's code: what is compared with that is compared by
//! whoever looks on ([`watch`]).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    clippy::new_without_default,
    clippy::similar_names,
    clippy::too_many_lines,
    reason = "a test that meets what it does not expect fails, and that is what it is for"
)]

mod asking;
pub mod authority;
mod connection;
mod gateway;
mod load;
mod policy_file;
mod process;
pub mod refusals;
pub mod registry;
pub mod signer;
pub mod tls_client;
mod upstream;
pub mod visitor;
mod waiting;
pub mod watch;
pub mod waves;
mod wire;

pub use connection::{Connection, ReadWrite, Response, connect, free_address, read_until};
pub use gateway::Gateway;
pub use load::{Asked, Load};
pub use policy_file::check_schema;
pub use process::{Process, scopegate};
pub use signer::{Signer, encode, now, payload};
pub use upstream::{Recorded, Upstream};
pub use waiting::{EndOnDrop, PATIENCE, wait_for};
