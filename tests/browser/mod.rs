//! The console in a real browser: Chromium, driven by `WebDriver`. `make test-browser` runs it.

mod access;
mod cors;
pub(crate) mod driver;
mod life;
mod pages;
