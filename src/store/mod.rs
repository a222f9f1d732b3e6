//! What is remembered: accounts, tokens and the log of changes, in sled.
