//! Calls `scopegate::fuzzing::rendering`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scopegate::fuzzing::rendering(data));
