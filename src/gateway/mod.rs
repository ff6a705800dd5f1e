//! The proxy: a request comes in, is judged by one generation, and is answered or forwarded.
//!
//! The only folder that knows pingora. What may pass is `policy`'s, who is calling is `issuer`'s and
//! `token`'s; here requests are read, answers written and permits turned into upstream requests.

mod admission;
mod answer;
mod authorizer;
mod body;
mod challenge;
mod connection;
mod context;
mod cors;
mod failure;
mod farewell;
mod form;
mod forward;
#[cfg(test)]
mod forward_tests;
mod framing;
#[cfg(any(test, fuzzing))]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "an input that breaks what should hold is to be seen"
)]
pub(crate) mod fuzzing;
mod generation;
mod grpc;
mod guard;
mod head;
mod head_checks;
mod hygiene;
mod idle;
mod inbound;
mod judge;
mod known;
mod listen;
mod load;
mod metadata;
mod onward;
mod outbound;
mod patience;
mod problem;
mod proxy;
mod rates;
mod refusals;
mod rehearsal;
mod relay;
mod reply;
mod revocation;
mod server;
mod shadow;
#[cfg(test)]
mod socket_tests;
mod sockets;
mod tenure;
mod tls;
mod tls_changes;
mod tls_files;
mod token_endpoint;
mod token_error;
mod trace;
mod traced;
mod upstream;

pub use generation::{Gateway, Generation, NeedsRestart, NotReplaced, PutInForce, Replaced};
pub use guard::{CarriedScope, StillCarried};
pub use rehearsal::{Head, Rehearsal};
pub use server::{CannotServe, Server};
pub use shadow::{IssuerApart, Shadow};
pub use sockets::Sockets;
pub use tls_files::{TlsFault, UnreadableFile};
