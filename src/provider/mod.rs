//! The second factor: one file a provider.
