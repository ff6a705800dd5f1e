//! Calls `scopegate::fuzzing::introspection`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scopegate::fuzzing::introspection(data));
