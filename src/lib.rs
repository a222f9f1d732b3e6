//! Vestibule: two-step verification in front of everything that speaks RADIUS or LDAP.
//!
//! The floors, bottom up; a room may import from floors below it, as `tests/it/tidy.rs` checks:
//!
//! | floor | rooms | what for |
//! |---|---|---|
//! | 0 | `wire`, `domain` | bytes; decisions |
//! | 1 | `ports` | the seams |
//! | 2 | `engine`, `directory`, `provider`, `store`, `audit`, `mail`, `metrics`, `reach`, `stretch` | the loop; first factor; second factor; memory; the account of logins; letters; counters; whether a server is there; slow hashes |
//! | 3 | `front` | the doors: RADIUS, LDAP, administration |
//! | 4 | `app`, `demo` | the roof: rooms built from a configuration; the whole thing with no set-up |
//! | 5 | `cli` | the command line |

pub mod app;
pub mod audit;
pub mod cli;
pub mod demo;
pub mod directory;
pub mod domain;
pub mod engine;
pub mod front;
pub mod mail;
pub mod metrics;
pub mod ports;
pub mod provider;
pub mod reach;
pub mod store;
pub mod stretch;
pub mod wire;
