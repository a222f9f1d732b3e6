//! The second factor: one file a provider, and the one HTTP client they share.

mod breaker;
mod complaints;
pub mod duo;
pub mod entra;
pub mod http;
mod line;
pub mod login;
pub mod oath;
pub mod okta;
pub mod pin;
pub mod twilio;
