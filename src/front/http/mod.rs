//! Administration over HTTP: JSON on a Unix socket, for the machine's own administrators.

mod accounts;
mod admin;
mod audit;
mod blocks;
mod bypasses;
mod clients;
mod enrolments;
mod exemptions;
mod fields;
mod import;
mod keep;
mod logging;
mod lookup;
mod object;
mod otpauth;
mod peer;
mod pins;
mod refusal;
mod reload;
mod resync;
mod sessions;
pub mod shapes;
mod socket;
mod tokens;

pub use admin::Admin;
pub use admin::Rooms;
pub use admin::Settings;
pub use reload::Outcome;
pub use reload::Reload;
pub use reload::Reloads;
