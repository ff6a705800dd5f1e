//! The gateway between real programs: what needs servers, clients or clocks that `cargo test` does not bring along, or
//! takes its time. A module a subject, each run by a target of the Makefile.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    clippy::similar_names,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a test that meets what it does not expect fails, and what it measures it prints"
)]

mod authorizer;
mod browser;
mod clock;
mod fleet;
mod grpc;
mod idp;
mod secret;
mod soak;
mod traffic;
