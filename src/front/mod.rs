//! The doors.

pub mod certificate;
pub mod http;
pub mod ldap;
pub mod monitor;
pub mod radius;
pub mod site;
