//! The first factor: directories that know passwords.
