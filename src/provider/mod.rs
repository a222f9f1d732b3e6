//! The second factor: one file a provider, and the one HTTP client they share.

mod breaker;
pub mod codes;
mod complaints;
mod destination;
pub mod duo;
pub mod email;
pub mod entra;
mod errand;
pub mod http;
pub mod ledger;
mod line;
pub mod login;
pub mod oath;
mod object;
pub mod okta;
pub mod pin;
pub mod privacyidea;
pub mod sms;
pub mod twilio;
mod watch;
pub mod webhook;
