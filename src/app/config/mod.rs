//! The configuration file: TOML in, checked settings out, every error at once.
