//! Calls `scopegate::fuzzing::scopes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scopegate::fuzzing::scopes(data));
