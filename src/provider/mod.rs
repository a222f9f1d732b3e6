//! The second factor: one file a provider.

pub mod duo;
pub mod oath;
