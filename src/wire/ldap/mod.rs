//! LDAP: one PDU out of a buffer, bounded, and the messages we understand (RFC 4511).
//!
//! What comes from outside is read by our own cursor over borrowed bytes: `rasn` takes indefinite lengths and refuses result codes, bind choices and trailing
//! components it does not know. What we send goes through `rasn-ldap`, but for the two messages that every login sends: bind and search.

mod ber;
mod frame;
mod make;
mod message;
mod named;
mod question;
mod search;
mod sid;
mod tracking;

pub use ber::bounded;
pub use frame::Frame;
pub use frame::Refusal;
pub use make::Code;
pub use make::abandon;
pub use make::answer;
pub use make::bind_request;
pub use make::entry;
pub use make::extended_answer;
pub use make::notice;
pub use make::read_request;
pub use make::retyped;
pub use make::trimmed;
pub use make::unbind_request;
pub use message::Bind;
pub use message::Choice;
pub use message::Control;
pub use message::Entry;
pub use message::LdapResult;
pub use message::Op;
pub use message::Reply;
pub use message::Request;
pub use message::Write;
pub use named::any_named;
pub use question::Filter;
pub use question::Question;
pub use question::Scope;
pub use search::Search;
pub use sid::sid_bytes;
pub use sid::sid_text;
pub use tracking::SESSION_TRACKING;
pub use tracking::Tracked;
