//! The roof: rooms built from the configuration, doors opened, reload, drain.

pub mod config;
pub mod log;

pub use crate::front::http::shapes;
