//! The LDAP door against its rules, by their ids, with a directory, a phone and a store that do as they are told.

mod again;
mod apps;
mod attacks;
mod bind;
mod client;
mod groups;
mod places;
mod rig;
mod session;
mod stream;
mod tls;
mod town;
