//! The second factor: one file a provider, and the one HTTP client they share.

mod breaker;
pub mod duo;
pub mod http;
mod line;
pub mod oath;
mod object;
pub mod privacyidea;
