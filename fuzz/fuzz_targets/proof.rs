//! Calls `scopegate::fuzzing::proof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scopegate::fuzzing::proof(data));
