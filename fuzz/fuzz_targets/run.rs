//! Every binary here runs the target of `tests/fuzz` that has its name.

#![no_main]

#[path = "../../tests/fuzz/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| (targets::find(env!("CARGO_BIN_NAME")).run)(data));
