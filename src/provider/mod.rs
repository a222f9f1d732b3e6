//! The second factor: one file a provider, and the one HTTP client they share.

mod breaker;
pub mod codes;
pub mod duo;
pub mod email;
pub mod http;
mod line;
pub mod oath;
pub mod sms;
pub mod webhook;
