//! The console in a real browser: Chromium, driven by `WebDriver`. `make test-browser` runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets what it does not expect fails, and that is what it is for"
)]

mod access;
#[path = "../scopegate/agreeing.rs"]
#[allow(dead_code, reason = "the other test binary uses all of it")]
mod agreeing;
mod cors;
mod driver;
#[path = "../scopegate/harness.rs"]
#[allow(dead_code, unused_imports, clippy::format_push_string, reason = "the other test binary uses all of it")]
mod harness;
mod life;
mod pages;
#[path = "../scopegate/signer.rs"]
#[allow(dead_code, clippy::needless_pass_by_value, reason = "the other test binary uses all of it")]
mod signer;
