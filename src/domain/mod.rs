//! Decisions: who may come in, and why. Pure: time and chance are handed in, nothing here waits.

mod account;
mod change;
mod decision;
mod dialogue;
mod exempt;
mod flow;
mod memory;
mod network;
#[cfg(test)]
mod oracle;
pub mod otp;
#[cfg(test)]
mod play;
mod renewal;
mod request;
mod rules;
#[cfg(test)]
mod rulings;
mod second;
mod secret;
#[cfg(test)]
mod transcript;

pub use account::Account;
pub use account::Bypass;
pub use account::Identity;
pub use account::Standing;
pub use account::Timestamp;
pub use account::Token;
pub use account::TokenInfo;
pub use account::TokenKind;
pub use account::Tries;
pub use change::Change;
pub use change::CommitError;
pub use change::Lsn;
pub use decision::Checked;
pub use decision::Decision;
pub use decision::Denial;
pub use decision::FactorError;
pub use decision::Grant;
pub use decision::Number;
pub use decision::Outage;
pub use decision::Passed;
pub use decision::PasswordError;
pub use decision::Permit;
pub use decision::PrimaryError;
pub use decision::Progress;
pub use decision::Refused;
pub use decision::Ticket;
pub use exempt::Exempt;
pub use flow::Action;
pub use flow::Asking;
pub use flow::Event;
pub use flow::Flow;
pub use memory::Memento;
pub use memory::Memory;
pub use memory::Recognized;
pub use network::Network;
pub use request::Appended;
pub use request::Approval;
pub use request::AuthRequest;
pub use request::CodeEntry;
pub use request::Dialogue;
pub use request::Door;
pub use request::Primary;
pub use request::Relayed;
pub use rules::Choice;
pub use rules::FirstAlone;
pub use rules::Lock;
pub use rules::Method;
pub use rules::OnOutage;
pub use rules::Remember;
pub use rules::RememberBy;
pub use rules::Rules;
pub use secret::Secret;
