//! The client of RADIUS servers, before scripted ones.
