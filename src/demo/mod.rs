//! The whole thing with no set-up: lab directory, lab cloud, the real server, a scripted tour.

pub mod cloud;
pub mod directory;
