//! The proxy: a request comes in, is judged by one generation, and is answered or forwarded.
//!
//! The only folder that knows pingora. What may pass is `policy`'s, who is calling is `issuer`'s and
//! `token`'s; here requests are read, answers written and permits turned into upstream requests.
//!
//! - `server` has its `sockets`; each that listens (`listen`, with `tls`, `tls_files` and `tls_changes`) makes a
//!   `connection` of whom `admission` lets in. What is `known` of its client goes with it. `client` has its requests
//!   read: `patience` is how long one may take, `framing` where it ends, `ending` when there is no next one.
//! - `proxy` is the phases, `context` one request on its way through them, by the `generation` in force; `guard`
//!   keeps scopes that are in use from being taken away.
//! - `head_checks` and `inbound` read a head, `judge` takes the steps of the decision, `rates` and `load` count what
//!   passes, and `shadow` judges besides.
//! - `metadata`, `cors` and `revocation` answer for themselves, `authorizer` answers questions about others' requests.
//!   `token_endpoint` guards where tokens come from; `form` reads what is posted there.
//! - `answer` says what a refusal is (`refusals`, `challenge`, `token_error`, `grpc`), `failure` what goes wrong after a
//!   permit; `problem` writes both.
//! - `forward` is what a permit lets through. `hygiene`, `outbound` and `head` write it, `upstream` says to which server
//!   it goes, and `relay` (with `idle` and `reply`) or `onward` takes it there and its answer back. `body` bounds what
//!   a client sends; `tenure` ends what outlives its token, `farewell` says so.
//! - `trace` and `traced` tie a request's records together. `rehearsal` is all of it without sockets.

mod admission;
mod answer;
mod authorizer;
mod body;
mod challenge;
mod client;
mod connection;
mod context;
mod cors;
mod ending;
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
