//! All integration tests, one binary: each further one would cost a link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod admin;
mod attack;
mod audit;
mod canary;
mod cloud;
mod config;
mod conformance;
mod directory;
mod discards;
mod disk;
mod doctor;
mod duo;
mod exempt;
mod init;
mod keep;
mod lab;
mod ldap;
mod metrics;
mod packaging;
mod pages;
mod pins;
mod profiles;
mod races;
mod realms;
mod serve;
mod shut;
mod store;
mod stored;
mod tidy;
