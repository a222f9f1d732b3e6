//! Bytes: packets and frames in and out, nothing decided.

pub mod ldap;
pub mod mschap;
pub mod proxy;
pub mod radius;
