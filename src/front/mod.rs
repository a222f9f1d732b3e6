//! The doors.

pub mod http;
pub mod ldap;
pub mod radius;
