//! Scopegate against a certified identity provider, npm's `oidc-provider`, which gives the tokens,
//! answers about them, changes its keys and goes away. `make test-idp` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a test that meets what it does not expect fails, and what it measures it prints"
)]

mod access;
#[path = "../scopegate/agreeing.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod agreeing;
mod bindings;
mod certificates;
mod discovery;
mod expiry;
mod flood;
mod gateway;
#[path = "../scopegate/harness.rs"]
#[allow(dead_code, unused_imports, clippy::format_push_string, reason = "the other test binary uses all of it")]
mod harness;
mod holder;
mod outage;
mod provider;
mod rotation;
#[path = "../scopegate/signer.rs"]
#[allow(dead_code, clippy::needless_pass_by_value, reason = "the other test binary uses all of it")]
mod signer;
mod tokens;
#[path = "../scopegate/waves.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod waves;
