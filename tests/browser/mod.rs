//! The console in a real browser: Chromium, driven by `WebDriver`. `make test-browser` runs it.

mod access;
mod cors;
mod driver;
mod life;
mod pages;
