//! Administration over HTTP: JSON on a Unix socket, for the machine's own administrators.

mod accounts;
mod admin;
mod audit;
mod blocks;
mod bypasses;
mod clients;
mod exemptions;
mod lookup;
mod otpauth;
mod peer;
mod refusal;
mod sessions;
pub mod shapes;
mod socket;
mod tokens;

pub use admin::Admin;
pub use admin::Rooms;
pub use admin::Settings;
