//! Calls `scopegate::fuzzing::revocations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scopegate::fuzzing::revocations(data));
