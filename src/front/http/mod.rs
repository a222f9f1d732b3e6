//! Administration over HTTP.
