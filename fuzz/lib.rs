//! The room of bytes alone, for the fuzzers: no runtime, no store, no TLS.

#[path = "../src/wire/mod.rs"]
pub mod wire;
